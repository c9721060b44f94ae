"""What other libraries call the parameters and values that are here.

Messages about an unknown name end with what the tables say of it, and the page
:doc:`/user_guide/names` lists them.
"""

from difflib import get_close_matches
from numbers import Real

#: By a parameter's name elsewhere, its name here, or what to do.
PARAMETERS = {
    **dict.fromkeys(("epochs", "n_epochs", "num_epochs", "max_epochs"), "max_iter"),
    **dict.fromkeys(("num_iterations", "iterations", "n_iter"), "max_iter"),
    **dict.fromkeys(("lr", "eta", "step_size", "base_lr"), "learning_rate_init"),
    **dict.fromkeys(("lr_scheduler", "scheduler", "lr_schedule"), "learning_rate"),
    **dict.fromkeys(("optimizer", "optim", "optimiser"), "solver"),
    **dict.fromkeys(("criterion", "objective", "loss_function", "loss_fn"), "loss"),
    **dict.fromkeys(("layers", "hidden_layers", "hidden_units"), "hidden_layer_sizes"),
    **dict.fromkeys(("hidden_sizes", "hidden_dims", "units"), "hidden_layer_sizes"),
    **dict.fromkeys(("activations", "activation_fn", "nonlinearity"), "activation"),
    **dict.fromkeys(("l2", "reg_lambda", "lambda_l2", "l2_reg"), "alpha"),
    **dict.fromkeys(("reg_alpha", "lambda_l1", "l1_reg"), "l1"),
    **dict.fromkeys(("dropout_rate", "drop_rate", "p_dropout"), "dropout"),
    **dict.fromkeys(("patience", "early_stopping_rounds"), "n_iter_no_change"),
    **dict.fromkeys(
        ("validation_split", "val_split", "val_size"), "validation_fraction"
    ),
    **dict.fromkeys(("metric", "metrics", "eval_metric"), "scoring"),
    **dict.fromkeys(("seed", "random_seed"), "random_state"),
    **dict.fromkeys(("n_threads", "num_threads", "nthread", "num_workers"), "n_jobs"),
    **dict.fromkeys(("n_estimators", "n_models", "ensemble_size"), "n_members"),
    **dict.fromkeys(("batchnorm", "batch_norm", "norm"), "normalization"),
    **dict.fromkeys(("initializer", "kernel_initializer", "init"), "initialization"),
    **dict.fromkeys(("gradient_clip_val", "max_grad_norm", "clipnorm"), "clip_norm"),
    **dict.fromkeys(("time_limit", "time_budget", "max_seconds"), "max_time"),
    **dict.fromkeys(("cat_features", "categorical_feature"), "categorical_features"),
    **dict.fromkeys(("class_weights", "scale_pos_weight"), "class_weight"),
    **dict.fromkeys(
        ("num_leaves", "max_depth", "min_child_samples", "min_data_in_leaf"),
        "It is of trees. The size of a network is hidden_layer_sizes.",
    ),
    **dict.fromkeys(
        ("subsample", "bagging_fraction", "colsample_bytree", "feature_fraction"),
        "It is of trees. Against overfitting, networks have dropout and weight_decay.",
    ),
    "eps": "epsilon",
    "presets": "preset",
    "betas": "They are two parameters, beta_1 and beta_2.",
    "callbacks": "Give callbacks to the method set_callbacks.",
    "eval_set": "Give validation data to fit, as X_val and y_val.",
    "validation_data": "Give validation data to fit, as X_val and y_val.",
    "sample_weight": "Give weights of rows to fit.",
    "warmup_steps": "warmup is a part of the training, such as 0.1.",
}
#: The same for values of a parameter, by the parameter's name here.
VALUES = {
    "activation": {
        "sigmoid": "logistic",
        "swish": "silu",
        **dict.fromkeys(("linear", "none"), "identity"),
        **dict.fromkeys(("leakyrelu", "lrelu"), "leaky_relu"),
        "hardswish": "hard_swish",
        "softmax": "The last layer has the softmax already, by the loss; activation "
        "is that of the hidden layers.",
    },
    "solver": {
        **dict.fromkeys(
            ("sgd_momentum", "momentum", "nesterov"),
            "'sgd' has momentum=0.9 and nesterovs_momentum=True by default.",
        ),
        "adamax": "There is no Adamax; 'adam' and 'nadam' are nearest.",
        **dict.fromkeys(
            ("adagrad", "adadelta"), "'rmsprop' is what came out of it; or 'adam'."
        ),
        "adam_w": "adamw",
        **dict.fromkeys(("l_bfgs", "bfgs", "lbfgs_b", "l_bfgs_b"), "lbfgs"),
    },
    "loss": {
        **dict.fromkeys(
            (
                *("cross_entropy", "crossentropy", "ce", "bce", "nll", "logloss"),
                *("binary_crossentropy", "categorical_crossentropy", "softmax"),
                *("sparse_categorical_crossentropy", "binary", "multiclass"),
                *("binary_cross_entropy", "log", "logistic"),
            ),
            "log_loss",
        ),
        **dict.fromkeys(("mse", "l2", "rmse", "mean_squared_error"), "squared_error"),
        **dict.fromkeys(("mae", "l1", "mean_absolute_error"), "absolute_error"),
        **dict.fromkeys(("pinball", "quantile_loss"), "quantile"),
        **dict.fromkeys(("smooth_l1", "huber_loss"), "huber"),
        "hinge": "squared_hinge",
        "focal_loss": "focal",
    },
    "learning_rate": {
        **dict.fromkeys(("cosine_annealing", "cosine_decay"), "cosine"),
        "cosine_annealing_warm_restarts": "cosine_restarts",
        **dict.fromkeys(("onecycle", "1cycle"), "one_cycle"),
        **dict.fromkeys(("reduce_on_plateau", "reducelronplateau"), "plateau"),
        **dict.fromkeys(("step_lr", "multistep"), "step"),
        **dict.fromkeys(("exp", "exponential_decay"), "exponential"),
    },
    "normalization": {
        **dict.fromkeys(("batchnorm", "batch_norm", "batchnormalization"), "batch"),
        **dict.fromkeys(("layernorm", "layer_norm", "layernormalization"), "layer"),
    },
    "initialization": {
        **dict.fromkeys(("xavier", "xavier_uniform", "glorot_uniform"), "glorot"),
        **dict.fromkeys(
            ("kaiming", "kaiming_uniform", "he_uniform", "he_normal"), "he"
        ),
        "lecun_normal": "lecun",
    },
    "scaling": {
        **dict.fromkeys(
            ("standardize", "zscore", "z_score", "standardscaler"), "standard"
        ),
        **dict.fromkeys(
            ("minmax", "min_max"), "'standard' or 'robust' serve networks."
        ),
    },
    "class_weight": {"auto": "balanced", "balance": "balanced"},
    "device": {
        "gpu": "cuda",
        "mps": "Networks train on the CPU or on NVIDIA's GPUs.",
    },
    "dtype": {
        **dict.fromkeys(("float", "double", "64"), "float64"),
        **dict.fromkeys(("single", "32"), "float32"),
        **dict.fromkeys(
            ("float16", "half", "bfloat16"), "Numbers of 32 bits are the smallest."
        ),
    },
    "scoring": {
        "acc": "accuracy",
        **dict.fromkeys(("auc", "rocauc"), "roc_auc"),
        **dict.fromkeys(("logloss", "log_loss", "cross_entropy"), "neg_log_loss"),
        "rmse": "neg_root_mean_squared_error",
        **dict.fromkeys(("mse", "mean_squared_error"), "neg_mean_squared_error"),
        **dict.fromkeys(("mae", "mean_absolute_error"), "neg_mean_absolute_error"),
        "f1_score": "f1",
        "mcc": "matthews_corrcoef",
    },
}


def of_parameter(name, valid):
    """What to do about an unknown parameter, a sentence after a blank, or "".

    Parameters
    ----------
    name : str
    valid : collection of str
        Names of the parameters that there are.
    """
    known = PARAMETERS.get(name.lower(), "")
    if known in valid:
        return f" It is called {known} here."
    if known and not known.isidentifier():
        return f" {known}"
    close = get_close_matches(name, valid, n=1, cutoff=0.75)
    return f" Did you mean {close[0]}?" if close else ""


def of_value(parameter, value, valid=()):
    """The same about a value of a parameter, of which some are `valid`."""
    if parameter == "learning_rate" and isinstance(value, Real):
        return (
            f" It names the schedule; the rate itself is learning_rate_init={value!r}."
        )
    if parameter == "hidden_layer_sizes" and isinstance(value, float):
        return " Sizes are integers, such as 100 or (100, 50)."
    if not isinstance(value, str):
        return ""
    name = value.lower().replace("-", "_").replace(" ", "_")
    known = VALUES.get(parameter, {}).get(name, name)
    if known in valid:
        return f" It is called {known!r} here."
    if known != name and not known.isidentifier():
        return f" {known}"
    close = get_close_matches(name, valid, n=1, cutoff=0.75)
    return f" Did you mean {close[0]!r}?" if close else ""
