"""The parameters that both estimators have: what they may be and what they do.

A group holds what `fit` checks and the text that `nnfit.estimators.documentation` puts
into the docstrings of the classes, in the order of their signatures; the reference has
the groups under their titles. To add a parameter, add it to a group and to the
`__init__` of both classes. The parameters of one class alone are described there, and a
text there goes before the one here; a group lists their names as its own. A line such
as ``{activations}`` stands for the names of `NAMES`.
"""

import math
from numbers import Integral, Real
from os import PathLike
from typing import NamedTuple

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
)

from nnfit.estimators.numeric_columns import SCALINGS
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import loss_options
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import INITIALIZATIONS
from nnfit.network.members import ADAPTERS, ROWS
from nnfit.tables.encoding import FROM_DTYPE
from nnfit.training.schedules import SCHEDULES

# Nesterov's momentum is a parameter of "sgd".
STOCHASTIC_SOLVERS = tuple(name for name in OPTIMIZERS if name != "sgd_nesterov")
#: Schedules of scikit-learn, which act with "sgd" alone.
SGD_SCHEDULES = ("constant", "invscaling", "adaptive")
#: Solvers on which `weight_decay` acts.
DECOUPLED_SOLVERS = tuple(name for name, row in OPTIMIZERS.items() if row.decoupled)
#: Schedules that depend on nothing but the progress of the training.
PROGRESS_SCHEDULES = tuple(name for name in SCHEDULES if name != "constant")
#: Names that docstrings list, as the registries have them.
NAMES = {
    "activations": tuple(ACTIVATIONS),
    "solvers": ("lbfgs", *STOCHASTIC_SOLVERS),
    "solvers with weight decay": DECOUPLED_SOLVERS,
    "schedules": PROGRESS_SCHEDULES,
    "classification losses": tuple(loss_options("classification")),
    "regression losses": tuple(loss_options("regression")),
}


class Group(NamedTuple):
    """Parameters that belong together.

    Attributes
    ----------
    title : str
        Heading over them in the reference.
    constraints : dict
        By name, as scikit-learn checks them.
    text : str
        Entries of a numpydoc section, of the same names.
    own : tuple of str
        More parameters, which single classes have, check and describe.
    """

    title: str
    constraints: dict
    text: str
    own: tuple[str, ...] = ()


class Number(Interval):
    """Numbers of an interval that a float can hold: Python's integers have no end."""

    def is_satisfied_by(self, value):
        """Whether a value of the parameter is one of them."""
        try:
            return super().is_satisfied_by(value) and math.isfinite(value)
        except OverflowError:
            return False


def interval(low, high, closed, kind=Real):
    """The constraints of a number, as a list that others can be added to."""
    return [(Number if kind is Real else Interval)(kind, low, high, closed=closed)]


def among(names):
    """One of some strings, which messages list in this order: a set has none."""
    return StrOptions(dict.fromkeys(names).keys())


POSITIVE = interval(0, None, "neither")
NOT_NEGATIVE = interval(0, None, "left")
PART = interval(0, 1, "left")
COUNT = interval(1, None, "left", Integral)
SCHEDULE = [among(PROGRESS_SCHEDULES), callable, None]

#: Most layers and members: each is an object of Python, before memory is counted.
MOST_OBJECTS = 10**5

#: What each class has of its own for its task.
TARGET = Group(
    "Task and loss",
    {},
    "",
    own=(
        *("preset", "loss", "label_smoothing", "focal_gamma", "class_weight"),
        *("temperature_scaling", "huber_delta", "quantile", "target_scaling"),
        *("corruption", "corruption_rate", "noise_scale", "mask_weight"),
        *("temperature", "projection_size"),
    ),
)

ARCHITECTURE = Group(
    "Architecture",
    {
        "hidden_layer_sizes": ["array-like", *COUNT],
        "activation": [among(ACTIVATIONS), callable, list, tuple],
        "n_layers": [*interval(0, MOST_OBJECTS, "both", Integral), None],
        "layer_width": COUNT,
        "taper": POSITIVE,
        "normalization": [among(["batch", "layer"]), None],
        "residual": ["boolean"],
        "initialization": [among(INITIALIZATIONS)],
    },
    """
hidden_layer_sizes : array-like of shape (n_hidden_layers,), default=(100,)
    Number of units of each hidden layer. An int stands for one layer, an empty
    tuple for none.
activation : str, callable, or list or tuple of them, default="relu"
    Activation of the hidden layers, or one for each of them:
    {activations},
    or a function of your own, ``f(z) -> (value, slope)`` on floats.
n_layers : int or None, default=None
    Number of hidden layers, for searches that draw numbers. `layer_width` and
    `taper` then give their sizes, and `hidden_layer_sizes` is not used. The attribute
    `n_layers_` counts all layers: it is ``n_layers + 2``.
layer_width : int, default=100
    Units of the first hidden layer if `n_layers` is given.
taper : float, default=1.0
    Size of each further hidden layer, divided by that of the layer before it, if
    `n_layers` is given. Layer ``i``, counted from 0, has
    ``max(1, round(layer_width * taper**i))`` units.
normalization : {"batch", "layer"} or None, default=None
    Normalisation of the hidden layers before their activation, with a learnt scale.
    "batch" takes the mean and variance of every unit over the batch's rows, and in
    predictions running means of both. "layer" takes those of every row over the
    layer's units. "batch" needs batches of two rows or more, except for the last one
    of an epoch and for a call of `partial_fit`, and is not for 'lbfgs'.
residual : bool, default=False
    Whether each hidden layer from the second on adds the values that the layer before
    it had before its activation. This keeps gradients alive in deep networks. Where
    the sizes differ, a learnt matrix multiplies these values. It is the second half
    of the layer's coefficients.
initialization : str, default="glorot"
    Distribution of the initial weights. "glorot" is uniform with Glorot and Bengio's
    variance, drawn exactly as in scikit-learn. "he" and "lecun" are uniform with the
    variance 2 / n_in and 1 / n_in, and intercepts are 0. "uniform" has the variance
    1 / (3 n_in), also for intercepts, as PyTorch's layers start. "orthogonal" is
    random matrices that keep lengths, times a gain that makes up for the activation;
    intercepts are 0. "normal" has the variance 1 / n_in, 1 for intercepts, and a last
    layer of 0. "data_driven" is normal and scaled so that every unit has a standard
    deviation of 1 over (a sample of) the training rows; intercepts put the units'
    kinks among the rows.
""",
)

INPUTS = Group(
    "Columns and missing values",
    {
        "scaling": [among(SCALINGS), None],
        "numeric_embedding": [str, dict, None],
        "categorical_features": ["array-like", among([FROM_DTYPE]), None],
        "category_embedding": [dict, None],
    },
    """
scaling : {"standard", "robust", "quantile"} or None, default=None
    How the network scales columns of numbers, by the first training rows. "standard"
    subtracts the mean and divides by the standard deviation. "robust" subtracts the
    median, divides by the distance of the quartiles, and cuts off smoothly at 3.
    "quantile" makes a normal distribution of the column.
numeric_embedding : str, dict or None, default=None
    What the first layer gets in place of each number. Bins are found in the first
    training rows. "piecewise_linear" is a learnt linear function, plus one that is
    piecewise linear over bins and zero at the start. "piecewise_linear_encoding" is
    the position in the bins, and nothing is learnt. "periodic" is sines and cosines
    of learnt frequencies, followed by a layer. "pbld" is cosines, followed by a layer,
    and the number itself. A dict has one of these as "kind", and other settings: see
    the :ref:`user guide <embeddings>`.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
default=None
    Columns of `X` that hold categories: a mask, numbers or names. "from_dtype" stands
    for columns of texts, and for those whose type in a table is categorical. Values
    may be of any type; the first call learns them. Integers in a listed column are
    codes from 0. A negative code stands for a missing category, and so does every
    value that the first training rows do not have. None takes all columns as numbers;
    see :ref:`tables <tables>`.
category_embedding : dict or None, default=None
    Settings of columns of categories, with their defaults in brackets. Columns with
    up to "max_one_hot" (8) categories become indicators. For others the network learns
    "n_outputs" (8) numbers for each category. "mask" (0.02) is the part of the codes
    that a step treats as missing, to train the numbers of missing categories.
    "learning_rate_factor" (1) multiplies the learning rate.
""",
)

TRANSFER = Group(
    "Weights from elsewhere",
    {
        "init_from": [HasMethods(["fit"]), str, PathLike, tuple, list, None],
        "freeze": [
            among(["body"]),
            *interval(0, None, "left", Integral),
            "array-like",
            None,
        ],
        "unfreeze_at": [*COUNT, None],
    },
    """
init_from : fitted estimator, path, (coefs, intercepts) or None, default=None
    Network whose weights a new one starts from, see :ref:`reusing`: an estimator of
    nnfit, the file of a `nnfit.callbacks.Checkpoint`, or an `MLPClassifier` or
    `MLPRegressor` of scikit-learn. An estimator is kept as a `FrozenEstimator`, which
    clones do not reset. Layers are taken by position where they have the same shapes.
    Features are matched by their names. The last layer is new if the classes or
    targets are not the same.
freeze : int, "body", array-like of int or None, default=None
    Layers that are not trained: a number of first layers, "body" for all but the last,
    or a list of numbers, 1 for the first hidden layer and -1 for the last. Embeddings
    belong to the first layer. Penalties and decay do not act on frozen layers, and
    their statistics stay. If nothing before them is trained, no gradient is computed.
unfreeze_at : int or None, default=None
    Number of epochs after which the layers of `freeze` are trained too; None for
    never. With `warm_start` and `partial_fit`, the epochs of all calls since the
    network was new count; a call of `partial_fit` is one epoch.
""",
)

SOLVER = Group(
    "Solver and steps",
    {
        "solver": [among(["lbfgs", *STOCHASTIC_SOLVERS])],
        "batch_size": [among(["auto"]), *COUNT],
        "learning_rate_init": POSITIVE,
        "max_iter": COUNT,
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "momentum": interval(0, 1, "both"),
        "nesterovs_momentum": ["boolean"],
        "beta_1": PART,
        "beta_2": PART,
        "epsilon": POSITIVE,
        "rho": PART,
        "max_fun": COUNT,
        "clip_norm": [*POSITIVE, None],
        "clip_value": [*POSITIVE, None],
        "learning_rate_factors": ["array-like", None],
    },
    """
solver : str, default="adam"
    The optimizer:
    {solvers}.
    'sgd' is stochastic gradient descent with momentum, and 'adam' is the method of
    Kingma and Ba. 'adamw' is Adam with `weight_decay` apart from the gradient, 'nadam'
    is Adam with Nesterov's momentum, and 'rmsprop' is Adam without momentum. 'lion'
    moves every weight by the learning rate, 'schedule_free' averages the weights of
    AdamW, and 'muon' updates the weights between hidden layers as whole matrices.
    'lbfgs', a quasi-Newton method on the whole data, is often the best for a few
    thousand rows or less.
batch_size : int or "auto", default="auto"
    Rows per step; "auto" is ``min(200, n_samples)``. Not used by 'lbfgs'.
learning_rate_init : float, default=0.001
    Initial step size. Not used by 'lbfgs'.
max_iter : int, default=200
    Largest number of epochs (iterations of 'lbfgs') of a call of `fit`.
shuffle : bool, default=True
    Whether each epoch takes the rows in a new random order.
random_state : int, RandomState instance or None, default=None
    Source of the initial weights, the validation split and the order of rows.
    An int gives the same result at every call, for any number of threads.
momentum : float, default=0.9
    Momentum of 'sgd', in [0, 1], and of the matrices of 'muon'.
nesterovs_momentum : bool, default=True
    Whether that momentum is Nesterov's.
beta_1, beta_2 : float, default=0.9, 0.999
    Decay rates of the first and second moments of 'adam' and its relatives, in
    [0, 1). 'lion' weighs its momentum by the first for a step, and by the second, best
    0.99, for the momentum that it keeps. For 'schedule_free' the first is the share of
    the average in the weights at which gradients are computed.
epsilon : float, default=1e-8
    Number that is added to the root of the second moment, if the solver has one.
rho : float, default=0.9
    Decay rate of the second moment of solvers without a first, such as 'rmsprop', in
    [0, 1).
max_fun : int, default=15000
    Largest number of evaluations of the loss by 'lbfgs'.
clip_norm : float or None, default=None
    Largest norm of the gradient of all parameters together; a larger one is scaled
    down to it.
clip_value : float or None, default=None
    Largest absolute value of a component of the gradient, after `clip_norm`.
learning_rate_factors : array-like of shape (n_hidden_layers + 1,) or None, default=None
    Factor of the learning rate of each layer, the last one included. A layer with
    the factor 0 stays as it is. The first factor also applies to embeddings.
""",
)

RATES = Group(
    "Schedules",
    {
        "learning_rate": [
            among([*SGD_SCHEDULES, *PROGRESS_SCHEDULES, "plateau"]),
            callable,
        ],
        "power_t": NOT_NEGATIVE,
        "warmup": PART,
        "learning_rate_decay": interval(0, 1, "right"),
        "learning_rate_cycles": COUNT,
        "weight_decay_schedule": SCHEDULE,
        "dropout_schedule": SCHEDULE,
        "momentum_schedule": SCHEDULE,
    },
    """
learning_rate : str or callable, default="constant"
    Schedule of the learning rate. As in scikit-learn, these act with `solver='sgd'`
    alone: "constant" is `learning_rate_init`. "invscaling" is
    ``learning_rate_init / (t + 1) ** power_t`` after `t` rows, set after every epoch.
    "adaptive" divides the rate by 5 each time that `n_iter_no_change` epochs bring no
    improvement by `tol`.
    For every solver but 'lbfgs' there are
    {schedules},
    or a function of your own, ``f(progress) -> factor`` of `learning_rate_init`. The
    progress goes from 0 to 1 in `max_iter` epochs, and a call of `partial_fit` is one
    of these. 'plateau' multiplies the rate by `learning_rate_decay` after each
    ``max(1, n_iter_no_change // 2)`` epochs without improvement.
power_t : float, default=0.5
    Exponent of the schedule "invscaling".
warmup : float, default=0.0
    First part of the training, in [0, 1), during which the learning rate grows
    linearly from 0. Any schedule runs over the rest.
learning_rate_decay : float, default=0.1
    Factor of the learning rate, in (0, 1]. It acts at each step of 'step', over the
    whole training of 'exponential', and each time that 'plateau' lowers the rate.
learning_rate_cycles : int, default=3
    Number of cycles of 'cosine_restarts', and of intervals of equal rate of 'step'.
weight_decay_schedule : str, callable or None, default=None
    Schedule of the factor of `weight_decay`:
    {schedules},
    or a function of the progress. None leaves it constant.
dropout_schedule : str, callable or None, default=None
    The same for `dropout` and `input_dropout`.
momentum_schedule : str, callable or None, default=None
    The same for the solver's momentum, which is `momentum` or `beta_1`.
""",
)

REGULARISATION = Group(
    "Regularisation",
    {
        "alpha": NOT_NEGATIVE,
        "l1": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "max_norm": [*POSITIVE, None],
        "dropout": [*PART, "array-like"],
        "input_dropout": PART,
        "mixup": NOT_NEGATIVE,
        "cutmix": NOT_NEGATIVE,
        "feature_swap": PART,
        "input_noise": NOT_NEGATIVE,
        "ema_decay": [*interval(0, 1, "neither"), None],
        "swa": [*interval(0, 1, "neither"), None],
    },
    """
alpha : float, default=0.0001
    Strength of the L2 penalty ``alpha / 2 * sum(coef ** 2)``. It is divided by the
    number of rows of the batch, or by the sum of their weights.
l1 : float, default=0.0
    Strength of the L1 penalty ``l1 * sum(abs(coef))``, divided in the same way.
weight_decay : float, default=0.01
    Decoupled decay of the weights. Only these solvers use it:
    {solvers with weight decay}.
    Each step multiplies the weights, not the intercepts, by
    ``1 - learning_rate * weight_decay``.
max_norm : float or None, default=None
    Largest norm of the weights that lead to one unit. Larger ones are scaled down to
    it after each step.
dropout : float or array-like of shape (n_hidden_layers,), default=0.0
    Part of the units of each hidden layer, in [0, 1), that a row does not use in
    training; one number, or one for each layer. The units are drawn anew at every
    step.
input_dropout : float, default=0.0
    The same for the features.
mixup : float, default=0.0
    Parameter ``a`` of the distribution Beta(a, a). Each step trains on mixtures of
    two rows and of their losses, with a share drawn from this distribution. 0 stands
    for no mixture.
cutmix : float, default=0.0
    Parameter ``a`` of the same distribution. Each row takes a random part of its
    columns from another row, as whole values. The losses of both count by their parts
    of the columns. Not together with `mixup`.
feature_swap : float, default=0.0
    Part of the values of each row, in [0, 1), that each training step replaces by
    values of the same columns in other rows of the batch. The other row is drawn for
    each value. Targets stay. Codes of categories and missing values are swapped too.
input_noise : float, default=0.0
    Standard deviation of the normal noise added to the features in training.
ema_decay : float or None, default=None
    Decay, in (0, 1), of an exponential moving average of the weights over the steps.
    The average takes the place of the last weights.
swa : float or None, default=None
    Last part of `max_iter` epochs, in (0, 1), over whose steps the weights are
    averaged. The average takes the place of the last weights. Training that stops
    before this part has no average.
""",
)

STOPPING = Group(
    "Stopping and validation",
    {
        "tol": NOT_NEGATIVE,
        "n_iter_no_change": [*COUNT, Options(Real, {np.inf})],
        "max_time": [*POSITIVE, None],
        "early_stopping": ["boolean"],
        "validation_fraction": PART,
        "scoring": [among(["loss", *get_scorer_names()]), callable, None],
    },
    """
tol : float, default=1e-4
    Smallest improvement of an epoch that counts as one. For 'lbfgs', the bound on the
    gradient's largest component.
n_iter_no_change : int or np.inf, default=10
    Number of epochs without improvement after which training stops.
max_time : float or None, default=None
    Seconds of training after which a call of `fit` ends with a warning. It keeps the
    weights reached, or with early stopping the best ones. Compiling does not count.
validation_fraction : float, default=0.1
    Part of the training data set aside for early stopping, in (0, 1).
""",
)

ENSEMBLES = Group(
    "Ensembles",
    {
        "n_members": interval(1, MOST_OBJECTS, "both", Integral),
        "n_shared_members": interval(1, MOST_OBJECTS, "both", Integral),
        "member_adapters": [among(ADAPTERS)],
        "member_rows": [among(ROWS)],
    },
    """
n_members : int, default=1
    Number of networks; several make an ensemble. They are trained side by side on the
    threads, from different random numbers. The prediction is the mean of their
    probabilities (in regression: predictions). Each is an estimator of its own, which
    sets its own rows aside for early stopping. `max_time` is for all of them together.
n_shared_members : int, default=1
    Number of members in one network that share its weights, as in BatchEnsemble and
    TabM: an ensemble's accuracy at a part of its cost. Each member has factors and a
    last layer of its own and is trained by its own loss. The prediction is the mean
    of their probabilities (in regression: predictions).
member_adapters : {"all", "first"}, default="all"
    Which layers have factors for each member: "all", which also have intercepts for
    each member, or the "first" alone, which is faster ("TabM-mini").
member_rows : {"shared", "own"}, default="shared"
    Which rows members see in a step: all the same batch, or each its own. L-BFGS
    always sums over all rows.
""",
    own=("select_members", "partner"),
)

COMPUTATION = Group(
    "Computation",
    {
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "dtype": [among(["float32", "float64"]), None],
        "n_jobs": [
            *interval(None, -1, "right", Integral),
            *COUNT,
            None,
        ],
        "device": [str],
    },
    """
verbose : bool or int, default=False
    1 prints a table of the epochs, at most five lines a second: loss, validation
    score, learning rate and the time left. A star marks the best epoch so far. 2 adds
    the norm of the gradient and the share of hidden units without gradient, on 64
    rows.
warm_start : bool, default=False
    Whether `fit` goes on from the previous call. It keeps weights, optimizer state,
    curves, and the learning rates of "invscaling", "adaptive" and "plateau". Schedules
    of the progress begin anew. The state is then pickled with the estimator.
dtype : {"float32", "float64"} or None, default=None
    Type of computation and of weights. None stands for float32 with mini-batches and
    float64 with 'lbfgs'. Predictions are float64, unless both this and `X` are
    float32. Numerical gradients of predictions need "float64".
n_jobs : int or None, default=None
    Number of threads of `fit` and of predictions for many rows. None stands for as
    many free processors as the work is worth, at most ``OMP_NUM_THREADS`` and
    ``NUMBA_NUM_THREADS``. It stands for one if that is faster, and in a worker of
    joblib, multiprocessing or Dask. (In scikit-learn None always stands for one.) A
    number is the most, up to the number of processors: one thread goes on where several
    are slower. -1 stands for all processors, -2 for all but one and so on. Weights and
    predictions do not depend on the number of threads. A GPU needs none.
device : str, default="cpu"
    Where `fit` trains: "cpu", or an NVIDIA GPU. "cuda" is the first GPU, "cuda:1" the
    second and so on; it is an error if that GPU cannot be used. "auto" is the first GPU
    if it can be used, else the CPU. The device may change between calls that continue
    a training. Predictions for many rows use the GPU if there is one, and all others
    the CPU. Fitted models hold NumPy arrays and predict without a GPU too. GPUs need
    ``pip install "nnfit[cuda]"``.
""",
)

#: What the classes of `nnfit.dask` have.
CLUSTER = Group(
    "Cluster",
    {},
    "",
    own=(
        *("client", "n_shards", "local_epochs", "outer_learning_rate"),
        *("outer_momentum", "timeout"),
    ),
)

#: In the order of the reference.
GROUPS = (
    TARGET,
    ARCHITECTURE,
    INPUTS,
    SOLVER,
    RATES,
    REGULARISATION,
    STOPPING,
    ENSEMBLES,
    TRANSFER,
    COMPUTATION,
    CLUSTER,
)

CONSTRAINTS: dict = {
    name: constraint
    for group in GROUPS
    for name, constraint in group.constraints.items()
}

#: Heading of every parameter in the reference.
HEADINGS = {
    name: group.title for group in GROUPS for name in (*group.constraints, *group.own)
}
