"""Kinds of layers: what a node of a network may be, without any device.

A kind is a row of `KINDS`: a name, and a module for the description and for each
device. The description's module has

    width(node, widths)                    units of the output; ValueError
    tensors(node, widths)                  tuple of `Tensor`
    initial(node, widths, draw)            arrays that training starts from
    forward(node, inputs, arrays, now)     NumPy: output, and what the way back keeps
    backward(node, kept, gradient, arrays, now)
                                           NumPy: gradients by inputs, and by arrays
    statistics(kept)                       what running statistics go towards; for kinds
                                           that have such
    touched(kept)                          lines that the batch has of the tensor
                                           that is changed by lines, likewise
    lines(node, lines)                     lines of the output for each row, ValueError;
                                           for kinds that ask about those of the inputs
    begun(node)                            the node where features have several lines;
                                           for kinds that make several of one
    matrix(node, arrays)                   what multiplies the inputs, (n_in, n), for
    multipliers(node, arrays)              products; or each of them, (n, n_in)
    details(node)                          words about a node, for those who look at the
                                           network; its activation without this
    title, place                           what it is called there; and "layer",
                                           "before" or "after": whether it is a layer of
                                           a chain, or belongs to the next or the last
    sources(node, of_inputs)               for each unit the feature that it is made of,
                                           from arrays of those of the inputs; for kinds
                                           whose units are made of one each
    has_no_slope                           True of a kind whose output moves by jumps

`widths` are those of the inputs, `arrays` the tensors' values in their order; `now` has
what a batch is known by (`Batch`), ``draw(node, n_in)`` draws a matrix and intercepts
and ``draw.random_state`` anything else.
The NumPy functions are the reference that kernels are tested against: whole batches,
one formula a line, no care for speed.
"""

import importlib
from dataclasses import dataclass, replace

import numpy as np

from nnfit.functions.activations import Activation


@dataclass(frozen=True)
class Tensor:
    """An array of parameters of a node.

    Attributes
    ----------
    name : str
    place : str
        List of `nnfit.network.Weights` that it belongs to.
    shape : tuple of int
        (n_in, n_out), (k, n_out) or (n_out,).
    n_trained : int, default=None
        Rows that training changes, the first ones; the others are running statistics,
        or where there are none, 0, found from data before training. None for all.
    in_panels : bool, default=False
        Whether it is multiplied by as a matrix: an engine lays it out for that, and
        `max_norm` bounds its columns.
    is_penalised : bool, default=False
        Whether penalties and decay apply.
    is_matrix : bool, default=False
        Whether an optimizer of whole matrices updates it.
    learning_rate, decay, penalty : float, default=1.0
        Factors of the learning rate, of weight decay and of `alpha` and `l1`.
    layer : int or None, default=0
        Which of the learning rates of layers is its own; None for none of them.
    by_lines : bool, default=False
        Whether a step changes only the rows that the batch has, with what the optimizer
        keeps of them. The others take no step, no penalty and no decay, so that a step
        costs what the batch touches.
    is_frozen : bool, default=False
        Whether no training changes it.
    """

    name: str
    place: str
    shape: tuple[int, ...]
    n_trained: int | None = None
    in_panels: bool = False
    is_penalised: bool = False
    is_matrix: bool = False
    learning_rate: float = 1.0
    decay: float = 1.0
    penalty: float = 1.0
    layer: int | None = 0
    by_lines: bool = False
    is_frozen: bool = False

    @property
    def frozen(self):
        """The same, which no training changes."""
        none = dict.fromkeys(("is_penalised", "is_matrix", "by_lines"), False)
        return replace(self, n_trained=0, is_frozen=True, **none)

    @property
    def rows(self):
        """Number of rows, an int."""
        return self.shape[0] if len(self.shape) > 1 else 1

    @property
    def columns(self):
        """Elements of a row, an int."""
        return self.shape[-1]

    @property
    def size(self):
        """Number of elements, an int."""
        return self.rows * self.columns

    @property
    def size_trained(self):
        """Elements that training changes, the first ones, an int."""
        rows = self.rows if self.n_trained is None else self.n_trained
        return rows * self.columns

    @property
    def has_statistics(self):
        """Whether rows of it follow the statistics of batches."""
        return 0 < self.size_trained < self.size


@dataclass(frozen=True)
class Factors:
    """Factors of a tensor's learning rate, weight decay and penalties.

    Attributes
    ----------
    learning_rate, decay, penalty : float, default=1.0
    is_penalised : bool or None, default=None
        Whether decay and penalties apply; None for what the kind says. Where that is
        no, penalties stay 0: engines sum up those of initial weights by kinds.
    """

    learning_rate: float = 1.0
    decay: float = 1.0
    penalty: float = 1.0
    is_penalised: bool | None = None


@dataclass(frozen=True)
class Node:
    """A layer of a network: its kind, where its inputs come from, its own numbers.

    Attributes
    ----------
    kind : str
        Name of a row of `KINDS`.
    inputs : tuple of int
        Values that it reads: 0 for the features, i + 1 for the output of node i.
    n_out : int
        Units of the output; 0 where they follow from the inputs.
    activation : Activation or None
        Row of the activation registry, or a user's own function wrapped as one. None
        for the identity.
    options : tuple
        The kind's own, plain values.
    dropout : int or None
        Which of the rates of dropout applies to the output, if one does.
    layer : int or None
        Which of the learning rates of layers its tensors have; None where
        `learning_rate_factors` leave them alone.
    is_hidden : bool
        Whether an optimizer of whole matrices updates its matrices.
    factors : tuple of Factors
        For each tensor in order; none for factors of 1.
    is_frozen : bool
        Whether training leaves all of its arrays as they are. Batches are normalised by
        the running statistics then.
    """

    kind: str
    inputs: tuple[int, ...]
    n_out: int = 0
    activation: Activation | None = None
    options: tuple = ()
    dropout: int | None = None
    layer: int | None = 0
    is_hidden: bool = False
    factors: tuple[Factors, ...] = ()
    is_frozen: bool = False


@dataclass(frozen=True)
class Batch:
    """What the NumPy functions of a kind know of a batch.

    Attributes
    ----------
    share : ndarray of shape (n,) or None
        Weights of the rows, whose sum is 1; None in predictions.
    activate : callable
        ``activate(activation, z)`` gives value and slope.
    masked : callable or None
        ``masked(rate, shape)`` says of each row and number of a layer's own whether
        training takes it for missing; None where nothing is random.
    noise : callable or None
        ``noise(shape)``: standard normal numbers, likewise.
    """

    share: np.ndarray | None
    activate: object
    masked: object = None
    noise: object = None


@dataclass(frozen=True)
class Kind:
    """A row of `KINDS`: names of the modules of a kind.

    Attributes
    ----------
    network, cpu : str
    cuda, onnx : str or None
        None for a kind that GPUs do not have, or that cannot be converted to ONNX.
    """

    network: str
    cpu: str
    cuda: str | None = None
    onnx: str | None = None


#: Kinds that are there in training alone: no prediction of an estimator has them.
OF_TRAINING = ("views", "contrast")


def _own(name, has_cuda=True):
    return Kind(
        f"nnfit.network.kinds.{name}",
        f"nnfit.cpu.kinds.{name}",
        f"nnfit.cuda.kinds.{name}" if has_cuda else None,
        None if name in OF_TRAINING else f"nnfit.onnx.kinds.{name}",
    )


KINDS = {
    name: _own(name)
    for name in (
        "dense",
        "normalization",
        "concatenation",
        "scale",
        "parametric_activation",
        "selection",
        "imputation",
        "scaling",
        "quantile_scaling",
        "piecewise_linear_encoding",
        "piecewise_linear_embedding",
        "category_embedding",
        "periodic_embedding",
        "pbld",
        "ntp",
        "members",
        "member_adapter",
        "member_head",
        "views",
        "contrast",
        "gaussian_sampling",
    )
}


def kind_of(node, device="network"):
    """Module of a node's kind, for ``"network"``, ``"cpu"``, ``"cuda"`` or ``"onnx"``.

    Raises
    ------
    ValueError
        If there is no such kind, or none for the device.
    """
    if node.kind not in KINDS:
        raise ValueError(
            f"A layer's kind must be one of {sorted(KINDS)}, got {node.kind!r}."
        )
    module = getattr(KINDS[node.kind], device)
    if module is None:
        raise ValueError(
            f"Layers of the kind {node.kind!r} have no kernels for {device!r}, got one "
            f"that reads the values {node.inputs}. Use device='cpu'."
        )
    return importlib.import_module(module)


def activation_of(node):
    """Name of a node's activation, a tuple that is empty without one."""
    return () if node.activation is None else (node.activation.name,)


def lines_of(node, lines):
    """Lines of a node's output for each row of features.

    Parameters
    ----------
    node : Node
    lines : list of int
        Those of its inputs; the output has as many, unless the kind says otherwise.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    module = kind_of(node)
    if hasattr(module, "lines"):
        return module.lines(node, lines)
    if len(set(lines)) != 1:
        raise ValueError(
            "its inputs must have the same number of lines for each row, got "
            f"{list(lines)}"
        )
    return lines[0]


def begun(node):
    """A node as it is where features have a line for each member."""
    module = kind_of(node)
    return module.begun(node) if hasattr(module, "begun") else node
