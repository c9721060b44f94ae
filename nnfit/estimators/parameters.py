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
    Number of units of each hidden layer; an int stands for one layer, an empty
    tuple for none.
activation : str, callable, or list or tuple of them, default="relu"
    Activation of the hidden layers, or one for each of them:
    {activations},
    or a function of your own, ``f(z) -> (value, slope)`` on floats.
n_layers : int or None, default=None
    Number of hidden layers, for searches that draw numbers; `layer_width` and
    `taper` then give their sizes, and `hidden_layer_sizes` is not used. The attribute
    `n_layers_` counts all layers: it is ``n_layers + 2``.
layer_width : int, default=100
    Units of the first hidden layer if `n_layers` is given.
taper : float, default=1.0
    Ratio of the sizes of each further hidden layer and the one before it, if
    `n_layers` is given: layer ``i``, from 0, has
    ``max(1, round(layer_width * taper**i))`` units.
normalization : {"batch", "layer"} or None, default=None
    Normalisation of the hidden layers before their activation, with a scale that is
    learnt. "batch": every unit by its mean and variance over the batch's rows, and
    in predictions by running means of both. "layer": every row by mean and variance
    over the layer's units. "batch" needs batches of two rows or more (but for the
    last one of an epoch, and a call of `partial_fit`), and is not for 'lbfgs'.
residual : bool, default=False
    Whether each hidden layer from the second on adds what the layer before it had
    before its activation, which keeps gradients alive in deep networks. Where the
    sizes differ it is multiplied by a matrix that is learnt, the second half of the
    layer's coefficients.
initialization : str, default="glorot"
    Distribution of the initial weights. "glorot": uniform with Glorot and Bengio's
    variance, drawn exactly as scikit-learn draws them. "he", "lecun": uniform with
    the variance 2 / n_in or 1 / n_in, intercepts 0. "uniform": with the variance
    1 / (3 n_in), as PyTorch's layers start, intercepts too. "orthogonal": random
    matrices that keep lengths, times a gain that makes up for the activation,
    intercepts 0. "normal": with the variance 1 / n_in, of intercepts 1, and a last
    layer of 0. "data_driven": normal, scaled so that every unit varies with a
    standard deviation of 1 over (a sample of) the training rows, and intercepts that
    put the units' kinks among the rows.
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
    How the network scales columns of numbers, by the first training rows. "standard":
    about the mean, by the standard deviation. "robust": about the median, by the
    distance of the quartiles, and cut off smoothly at 3. "quantile": to a normal
    distribution.
numeric_embedding : str, dict or None, default=None
    What the network learns of each number before its first layer; bins are found in
    the first training rows. "piecewise_linear": a linear function, and one that is
    piecewise linear over bins and zero at the start. "piecewise_linear_encoding": the
    position in the bins, nothing learnt. "periodic": sines and cosines of learnt
    frequencies, and a layer of their own. "pbld": cosines, a layer of their own, and
    the number itself. A dict has one of them as "kind" and changes what it has: see
    the :ref:`user guide <embeddings>`.
categorical_features : array-like of {bool, int, str}, "from_dtype" or None, \
default=None
    Columns of `X` that hold categories: a mask, numbers or names, or "from_dtype" for
    those that a table says are such, and those of texts. Values may be any, and are
    learnt in the first call. Integers in a column that is listed are codes from 0, of
    which a negative one stands for a missing category. So does every value that the
    first training rows do not have. None is for columns of numbers alone; see
    :ref:`tables <tables>`.
category_embedding : dict or None, default=None
    How categories are taken. "max_one_hot": columns with up to so many categories (8)
    become indicators; for others the network learns "n_outputs" numbers (8) for each
    category. "mask": the part of the codes (0.02) that a step treats as missing, which
    trains what missing ones get. "learning_rate_factor" (1).
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
    `MLPRegressor` of scikit-learn. An estimator is kept as a
    `FrozenEstimator`, which clones leave as it is. Layers are taken by position where
    they have the same shapes; features are matched by their names; and the last layer
    is new where classes or targets are others.
freeze : int, "body", array-like of int or None, default=None
    Layers that are not trained: a number of first layers, "body" for all but the last,
    or a list of numbers, 1 for the first hidden layer and -1 for the last. Embeddings
    belong to the first. They take no penalty and no decay and keep their statistics;
    where nothing before them is trained, they cost no way back.
unfreeze_at : int or None, default=None
    After so many epochs the layers of `freeze` are trained, too; None for never. The
    epochs of all calls since the network was new count, with `warm_start` and
    `partial_fit`, whose calls are an epoch each.
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
    'sgd' is stochastic gradient descent with momentum, 'adam' the method of
    Kingma and Ba, 'adamw' the same with `weight_decay` apart from the gradient,
    'nadam' the same with Nesterov's momentum, 'rmsprop' without momentum. 'lion'
    moves every weight by the learning rate, 'schedule_free' averages the weights of
    AdamW, 'muon' updates the weights between hidden layers as whole matrices.
    'lbfgs', a quasi-Newton method on the whole data, is often the best for a few
    thousand rows or less.
batch_size : int or "auto", default="auto"
    Rows per step; "auto" is ``min(200, n_samples)``. Not used by 'lbfgs'.
learning_rate_init : float, default=0.001
    Step size, at first. Not used by 'lbfgs'.
max_iter : int, default=200
    Most epochs (iterations of 'lbfgs') of a call of `fit`.
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
    Decay rates of the first and second moments of 'adam' and its kin, in [0, 1).
    'lion' weighs its momentum by the one to make a step and by
    the other to keep it, best 0.99; for 'schedule_free' the first is the share of
    the average in the weights where gradients are taken.
epsilon : float, default=1e-8
    Number that is added to the root of the second moment, where there is one.
rho : float, default=0.9
    Decay rate of the second moment where there is no first, as in 'rmsprop', in
    [0, 1).
max_fun : int, default=15000
    Most evaluations of the loss by 'lbfgs'.
clip_norm : float or None, default=None
    Largest norm of the gradient of all parameters together; a larger one is scaled
    down to it.
clip_value : float or None, default=None
    Largest absolute value of a component of the gradient, after `clip_norm`.
learning_rate_factors : array-like of shape (n_hidden_layers + 1,) or None, default=None
    Factor of the learning rate of each layer, the last one included; a layer with
    0 stays as it is. The first one is for embeddings, too.
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
    Schedule of the learning rate. For `solver='sgd'` alone, and ignored elsewhere, as
    in scikit-learn: "constant": `learning_rate_init`. "invscaling":
    ``learning_rate_init / (t + 1) ** power_t`` after `t` rows, set after every
    epoch. "adaptive": divided by 5 each time that `n_iter_no_change` epochs
    bring no improvement by `tol`.
    For every solver but 'lbfgs':
    {schedules},
    or a function of your own, ``f(progress) -> factor`` of `learning_rate_init`,
    where progress goes from 0 to 1 in `max_iter` epochs, and a call of `partial_fit`
    is one of these; and 'plateau', which multiplies the rate by `learning_rate_decay`
    after each ``max(1, n_iter_no_change // 2)`` epochs without improvement.
power_t : float, default=0.5
    Exponent of the schedule "invscaling".
warmup : float, default=0.0
    Part of the training, in [0, 1), during which the learning rate grows linearly
    from 0, before any schedule, which then runs over the rest.
learning_rate_decay : float, default=0.1
    Factor, in (0, 1], of the learning rate: of 'step' at each step, of 'exponential'
    over the whole training, of 'plateau' each time that it lowers the rate.
learning_rate_cycles : int, default=3
    Cycles of 'cosine_restarts', intervals of equal rate of 'step'.
weight_decay_schedule : str, callable or None, default=None
    Schedule of the factor of `weight_decay`:
    {schedules},
    or a function of the progress. None leaves it constant.
dropout_schedule : str, callable or None, default=None
    The same for `dropout` and `input_dropout`.
momentum_schedule : str, callable or None, default=None
    The same for what the solver has of momentum, `momentum` or `beta_1`.
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
    Strength of the L2 penalty ``alpha / 2 * sum(coef ** 2)``, which is divided by
    the number of rows (the sum of the weights) of the batch.
l1 : float, default=0.0
    Strength of the L1 penalty ``l1 * sum(abs(coef))``, divided as `alpha`'s.
weight_decay : float, default=0.01
    Decoupled decay of these solvers, not used by others:
    {solvers with weight decay}.
    Each step multiplies the weights, not the intercepts, by
    ``1 - learning_rate * weight_decay``.
max_norm : float or None, default=None
    Largest norm of the weights that lead to one unit; they are scaled down to it
    after a step.
dropout : float or array-like of shape (n_hidden_layers,), default=0.0
    Part of the units of each hidden layer, in [0, 1), that a row does not use in
    training, drawn anew at every step; or one for each layer.
input_dropout : float, default=0.0
    The same for the features.
mixup : float, default=0.0
    Parameter ``a`` of the distribution Beta(a, a): each step trains on mixtures of
    two rows and of their losses, with a share drawn from it. 0 stands for no mixture.
cutmix : float, default=0.0
    The same, but each row takes a random part of its columns, whole values, from the
    other one, and the losses of both count by their parts of the columns. Not together
    with `mixup`.
feature_swap : float, default=0.0
    Part of the values of each row, in [0, 1), that training replaces, at every step
    anew, by those of the same columns in other rows of the batch, each in one of its
    own. Targets stay. Codes of categories and missing values are swapped as they are.
input_noise : float, default=0.0
    Standard deviation of the normal noise added to the features in training.
ema_decay : float or None, default=None
    Decay, in (0, 1), of an exponential moving average of the weights over the steps,
    which takes the place of the last weights.
swa : float or None, default=None
    The last part of `max_iter` epochs, in (0, 1), over whose steps the weights are
    averaged; the average takes the place of the last weights. Training that stops
    before has none.
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
    Improvement below which an epoch counts as none; for 'lbfgs' the bound on the
    gradient's largest component.
n_iter_no_change : int or np.inf, default=10
    Epochs without improvement after which training stops.
max_time : float or None, default=None
    Seconds of training after which a call of `fit` ends with a warning and the
    weights reached; the best ones with early stopping. Compiling does not count.
validation_fraction : float, default=0.1
    The part of the training data set aside for early stopping, in (0, 1).
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
    Number of networks, an ensemble if there are several. They are trained side by side
    on the threads, from different random numbers, and their probabilities (in
    regression: predictions) are averaged. Each is an estimator of its own, which sets
    its own rows aside for early stopping; `max_time` is for all of them.
n_shared_members : int, default=1
    Members in one network that share its weights, as BatchEnsemble and TabM have them:
    an ensemble's accuracy at a part of its cost. Each has factors and a last layer of
    its own, is trained by its own loss, and their probabilities (in regression:
    predictions) are averaged.
member_adapters : {"all", "first"}, default="all"
    Which layers have factors of each member's own: all, which also have intercepts of
    their own, or the first alone, which is faster ("TabM-mini").
member_rows : {"shared", "own"}, default="shared"
    Which rows members see in a step: all the same, or each a batch of its own. L-BFGS
    sums over all rows in both.
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
    1 prints a table of the epochs: loss, validation score, learning rate and the time
    left, at most five lines a second, and a star at the best epoch so far. 2 adds the
    norm of the gradient and the share of hidden units that get none, of 64 rows.
warm_start : bool, default=False
    Whether `fit` goes on from the previous one: weights, optimizer state, curves and
    the learning rates "invscaling", "adaptive" and "plateau"; schedules of the
    progress begin anew. The state is then pickled with the estimator.
dtype : {"float32", "float64"} or None, default=None
    Type of computation and of weights. None stands for float32 with mini-batches and
    float64 with 'lbfgs'. Predictions are float64, and float32 if both this and `X` are.
    Numerical gradients of predictions need "float64".
n_jobs : int or None, default=None
    Threads of `fit` and of predictions for many rows. None stands for all
    processors that are free in this process and that the work is worth, at most
    ``OMP_NUM_THREADS`` and ``NUMBA_NUM_THREADS``, one where that is faster, and
    one in a worker of joblib, multiprocessing or Dask; this differs from
    scikit-learn, where None stands for one. A number is obeyed, up to 256 or the
    number of processors; -1 stands for all processors, -2 for all but one and so on.
    Weights and predictions do not depend on it. A GPU needs none.
device : str, default="cpu"
    Where `fit` trains. "cpu", or an NVIDIA GPU: "cuda" for the first one, "cuda:1" for
    the second and so on, an error where it cannot be used; "auto" for the first one
    where it can be used, else the CPU. It may change between calls that go on with a
    training. Predictions for many rows use the GPU if there is one, all others the CPU:
    fitted models hold NumPy arrays and need no GPU to be used. GPUs need
    ``pip install "nnfit[cuda]"``.
""",
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
