"""What docstrings say of the attributes of a fitted estimator."""

#: Attributes of a fitted estimator, in the order of their text in the docstrings.
ATTRIBUTES = """
members_ : list of estimators
    The networks of an ensemble, only with `n_members` above 1. Weights, curves,
    `history_`, scores, `t_` and the temperature then belong to them alone.
loss_ : float
    Loss of the last epoch, with the penalty; for an ensemble the mean.
best_loss_ : float or None
    Smallest loss of an epoch; None with early stopping. Not set by 'lbfgs'.
loss_curve_ : list of float
    Loss of every epoch. Not set by 'lbfgs'.
validation_scores_ : list of float or None
    Validation score of every epoch; None without early stopping. Ends in NaN if
    the weights exploded and the best ones were restored. Not set by 'lbfgs'.
best_validation_score_ : float or None
    The largest validation score. Not set by 'lbfgs'.
history_ : dict of list
    Curves of equal length, one entry per epoch (iteration of 'lbfgs'): "loss",
    "val_loss", "val_score" (NaN without validation data), "learning_rate" of the last
    step, and "seconds" of training until then.
gradient_history_ : dict of list
    What `nnfit.callbacks.GradientMonitor` has recorded; only with it.
init_report_ : dict
    What was taken by `init_from`; only with it. "donor" says what the donor is,
    "layers" has a sentence for each layer, and "new_features" and "missing_features"
    have names.
t_ : int
    Rows seen in training.
coefs_ : list of ndarray of shape (n_in, n_out)
    Weights of every layer. They may be edited in place. If a target that lies far from
    zero was standardised, those of the last layer are float64 and contain its scale.
intercepts_ : list of ndarray of shape (n_out,)
    Intercepts of every layer; with such a target the last ones contain its mean.
norms_ : list of ndarray of shape (1, n_out) or (3, n_out)
    The scale of every normalised layer, and with batch normalisation also the running
    mean and variance. Empty without normalisation.
others_ : list of ndarray
    Arrays of embeddings, with bins and codes. Empty without embeddings.
feature_shifts_, feature_scales_ : ndarray of shape (`n_features_in_`,)
    Numbers that are subtracted from the features before the first layer, and numbers
    that they are then divided by. They are 0 and 1 except for columns that lie far
    from zero.
n_features_in_ : int
    Number of features seen in `fit`.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the features, if `X` was a table with names that are strings.
n_iter_ : int
    Epochs (iterations of 'lbfgs') of the last call; for an ensemble the largest number.
n_layers_ : int
    Number of all layers, with input and output. It is larger by 2 than the number of
    hidden layers, which the parameter `n_layers` gives.
n_threads_ : int
    Largest number of threads that worked together in the last call; 1 on a GPU.
device_ : str
    Where the last call trained: "cpu", or "cuda:0" and so on.
n_outputs_ : int
    Number of units of the last layer.
stopped_ : bool
    Whether early stopping has ended the training by `partial_fit`. Calls of it with
    `early_stopping` set it, and `fit` removes it.
"""
