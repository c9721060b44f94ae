"""The frozen description of a network that estimators hand to an engine."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import Loss
from nnfit.network.chain import Body, Inputs, Layer, layers_of, nodes_of
from nnfit.network.kinds import Factors, Node, begun, kind_of, lines_of
from nnfit.network.members import member_nodes

ITEM_SIZE = {"float32": 4, "float64": 8}


class Weights(NamedTuple):
    """The arrays of a network, as estimators keep them.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
    intercepts : list of ndarray of shape (n_out,)
    norms : list of ndarray
        One for each normalised layer: its scale, (1, n_out), and for batch
        normalisation also the running mean and variance, (3, n_out).
    others : list of ndarray
        Of layers of other kinds, in the order of the layers.
    """

    coefs: list
    intercepts: list
    norms: list = ()
    others: list = ()


def check_arrays(tensors, weights):
    """See that arrays are those of a network.

    Parameters
    ----------
    tensors : sequence of nnfit.network.kinds.Tensor
    weights : Weights

    Raises
    ------
    ValueError
        If there are more arrays, or fewer, or one has another shape.
    """
    for place, arrays in zip(Weights._fields, weights, strict=True):
        expected = [each.shape for each in tensors if each.place == place]
        if len(arrays) != len(expected):
            raise ValueError(
                f"{place}_ must hold {len(expected)} arrays, one for each layer that "
                f"has such, got {len(arrays)}."
            )
        for number, (array, shape) in enumerate(zip(arrays, expected, strict=True)):
            if array.shape != shape:
                raise ValueError(
                    f"{place}_[{number}] must have the shape {shape}, got "
                    f"{array.shape}."
                )


def check_state(state, moments, memory):
    """See that what an optimizer has gathered belongs to a network.

    Parameters
    ----------
    state : dict of ndarray
        From `Engine.get_state`.
    moments, memory : tuple of int
        Shapes of the arrays. The second number of `memory` may differ, where layers
        have got learning rates of their own or had them, and the third may be one less,
        see `nnfit.network.rates.memory_for`.

    Raises
    ------
    ValueError
        If the arrays have other shapes.
    """
    shapes = np.shape(state["moments"]), np.shape(state["memory"])
    fits = len(memory) == len(shapes[1]) and shapes[1][1] > 0
    fits = fits and shapes[1][0] == memory[0] and 0 <= memory[2] - shapes[1][2] <= 1
    if shapes[0] != moments or not fits:
        raise ValueError(
            f"The state of the optimizer must have arrays of the shapes {moments} and "
            f"{memory} for this network, got {shapes[0]} and {shapes[1]}. If coefs_ "
            "have been set to arrays of another size, make an estimator of them with "
            "from_arrays: its optimizer begins anew."
        )


def _with_factors(tensor, factors):
    """A tensor with what its node says of it."""
    if factors.is_penalised and not tensor.is_penalised and factors.penalty != 0.0:
        raise ValueError(
            f"The array {tensor.name!r} is one that can decay, and not be penalised, "
            f"got the factor {factors.penalty!r} of penalties. Set it to 0."
        )
    given = {name: value for name, value in vars(factors).items() if value is not None}
    return replace(tensor, **given)


@dataclass(frozen=True)
class Network:
    """Layers, loss and compute dtype: all an engine needs to know of a model.

    Layers are the nodes of a graph. Engines know no more of one than the rows that its
    kind writes into their tables.

    Attributes
    ----------
    n_features : int
    nodes : tuple of nnfit.network.kinds.Node
        Each reads outputs of nodes before it. The output of the last one is the raw
        prediction.
    loss : Loss
        Row of the loss registry, or a user's own function wrapped as one.
    loss_parameters : tuple of float
        Values of ``loss.parameters``, in that order.
    dtype : {"float32", "float64"}
        Type of weights, activations and predictions.
    layers : tuple of Layer
        What an estimator's parameters say of a chain of dense layers, see
        `Network.dense`; empty for other networks.
    n_input_nodes : int
        Nodes before that chain, the first ones.
    body : Body or None
        What is not plain in that chain.
    feature_lines : int
        Lines of the features for each row of a batch, see `with_own_rows`.

    Raises
    ------
    ValueError
        If a node reads what is not before it, does not fit its inputs, or is read by
        none, or if the last one has an activation. The message names the node.
    """

    n_features: int
    nodes: tuple[Node, ...]
    loss: Loss
    loss_parameters: tuple[float, ...]
    dtype: str
    layers: tuple[Layer, ...] = field(default=(), compare=False)
    n_input_nodes: int = field(default=0, compare=False)
    body: Body | None = field(default=None, compare=False)
    feature_lines: int = 1

    def __post_init__(self):
        self.widths  # noqa: B018  raises where nodes do not fit
        self._check_end()
        if not any(self.trains_at):
            raise ValueError(
                "A network needs parameters to train, got none: nothing is learnt, or "
                "all of it is frozen."
            )

    def _check_end(self):
        """See that all nodes lead to the last one, whose link is the loss's."""
        *nodes, last = self.nodes
        for number, node in enumerate(nodes):
            if self.n_consumers[number + 1] == 0:
                raise ValueError(
                    f"Node {number} ({node.kind!r}) is read by no other node. Leave it "
                    "out, or let a node after it read it."
                )
        has_activation = last.activation not in (None, ACTIVATIONS["identity"])
        if has_activation or last.dropout is not None:
            raise ValueError(
                f"Node {len(nodes)} ({last.kind!r}), the last one, must have neither "
                "activation nor dropout: its output is the raw prediction, and the "
                "loss has the link."
            )

    def __hash__(self):
        return self._hash

    @cached_property
    def _hash(self):
        """Plans are looked up in every prediction, and nodes take 10 us to hash."""
        return hash((self.n_features, self.nodes, self.loss, self.dtype))

    @cached_property
    def widths(self):
        """Units of every value: the features, then the outputs of the nodes."""
        return self._sizes[0]

    @cached_property
    def lines(self):
        """Lines of every value for each row of features: 1, or one for each member."""
        return self._sizes[1]

    @cached_property
    def most_lines(self):
        """The largest number of them."""
        return max(self.lines)

    @cached_property
    def _sizes(self):
        widths, lines = [self.n_features], [self.feature_lines]
        if not self.nodes:
            raise ValueError("A network needs at least one node, got none.")
        for number, node in enumerate(self.nodes):
            for value in node.inputs:
                if not 0 <= value <= number:
                    raise ValueError(
                        f"Node {number} ({node.kind!r}) reads value {value}, but only "
                        f"values 0 to {number} come before it: a graph must not have "
                        "a circle. List each node after those that it reads."
                    )
            of_inputs = [widths[value] for value in node.inputs]
            try:
                width = int(kind_of(node).width(node, of_inputs))
                lines.append(lines_of(node, [lines[value] for value in node.inputs]))
            except ValueError as error:
                raise ValueError(
                    f"Node {number} ({node.kind!r}) does not fit its inputs of "
                    f"{of_inputs} units: {error}."
                ) from None
            widths.append(width)
        return tuple(widths), tuple(lines)

    @cached_property
    def tensors_of_nodes(self):
        """For each node a tuple of its `Tensor`, whose numbers are the node's."""
        found = []
        for number, node in enumerate(self.nodes):
            own = kind_of(node).tensors(node, [self.widths[v] for v in node.inputs])
            factors = node.factors or (Factors(),) * len(own)
            if len(factors) != len(own):
                raise ValueError(
                    f"Node {number} ({node.kind!r}) must have factors for each of its "
                    f"{len(own)} arrays or none, got {len(factors)}."
                )
            of_node = (
                _with_factors(replace(tensor, layer=node.layer), each)
                for tensor, each in zip(own, factors, strict=True)
            )
            found.append(
                tuple(each.frozen if node.is_frozen else each for each in of_node)
            )
        return tuple(found)

    @cached_property
    def tensors(self):
        """All `Tensor`, list by list of `Weights`, in the order of the nodes."""
        found = [tensor for own in self.tensors_of_nodes for tensor in own]
        return tuple(found[number] for number in self.tensor_order)

    @cached_property
    def tensor_order(self):
        """For each of `tensors` its number when they are counted node by node."""
        found = [tensor for own in self.tensors_of_nodes for tensor in own]
        places = [Weights._fields.index(tensor.place) for tensor in found]
        return tuple(sorted(range(len(found)), key=places.__getitem__))

    def weights_of(self, arrays):
        """`Weights` of arrays in the order of `tensors`."""
        lists = {place: [] for place in Weights._fields}
        for tensor, array in zip(self.tensors, arrays, strict=True):
            lists[tensor.place].append(array)
        return Weights(**lists)

    @cached_property
    def n_consumers(self):
        """For each value how many inputs read it."""
        counts = [0] * len(self.widths)
        for node in self.nodes:
            for value in node.inputs:
                counts[value] += 1
        return tuple(counts)

    @cached_property
    def trains_at(self):
        """For each node whether it has a parameter that is trained."""
        return tuple(
            any(tensor.size_trained for tensor in own) for own in self.tensors_of_nodes
        )

    @cached_property
    def learns(self):
        """For each value whether a parameter that is trained lies before it."""
        found = [False]
        for node, trains in zip(self.nodes, self.trains_at, strict=True):
            found.append(trains or any(found[value] for value in node.inputs))
        return tuple(found)

    @cached_property
    def with_own_rows(self):
        """The same network with features of each member's own, if it has members.

        A row of a batch then is one row of the data for each member. The tensors are
        the same.
        """
        n_lines = self.lines[-1]
        if n_lines == self.feature_lines:
            return self
        nodes = tuple(begun(node) for node in self.nodes)
        return replace(self, nodes=nodes, feature_lines=n_lines)

    @property
    def n_outputs(self):
        """Units of the last node."""
        return self.widths[-1]

    @cached_property
    def has_statistics(self):
        """Whether a tensor has running statistics of batches."""
        return any(tensor.has_statistics for tensor in self.tensors)

    @cached_property
    def changes_by_lines(self):
        """Whether a step changes only those lines of a tensor that the batch has."""
        return any(tensor.by_lines for tensor in self.tensors)

    @cached_property
    def n_parameters(self):
        """Number of trained parameters, a Python int that cannot overflow."""
        return sum(tensor.size_trained for tensor in self.tensors)

    @cached_property
    def n_products(self):
        """Multiplications with matrices of a row of features, an int."""
        nodes = zip(self.lines[1:], self.tensors_of_nodes, strict=True)
        return sum(
            lines * tensor.size
            for lines, own in nodes
            for tensor in own
            if tensor.in_panels
        )

    @cached_property
    def largest_matrix(self):
        """Elements of the largest matrix, an int."""
        sizes = [tensor.size for tensor in self.tensors if tensor.in_panels]
        return max(sizes, default=0)

    @cached_property
    def n_products_of_features(self):
        """Those of them that are multiplications of features, an int."""
        nodes = zip(self.nodes, self.tensors_of_nodes, strict=True)
        return sum(
            tensor.size
            for node, own in nodes
            for tensor in own
            if tensor.in_panels and 0 in node.inputs
        )

    @property
    def n_layers(self):
        """Learning rates of layers: one more than the largest number of a node."""
        numbers = [node.layer for node in self.nodes if node.layer is not None]
        return 1 + max(numbers, default=-1)

    @property
    def n_dropout(self):
        """Rates of dropout of layers: one more than the largest number of a node."""
        numbers = [node.dropout for node in self.nodes if node.dropout is not None]
        return 1 + max(numbers, default=-1)

    @property
    def loss_scale(self):
        """Factor from the loss summed over outputs to the loss that is reported."""
        return 1.0 / self.n_outputs if self.loss.average_outputs else 1.0

    def memory_error(self, needed, available, memory, *cures):
        """Make the error that tells of memory that there is not.

        Parameters
        ----------
        needed, available : int
            Bytes.
        memory : str
            Which memory it is.
        *cures : str
            What to do besides smaller layers, batches and numbers.

        Returns
        -------
        MemoryError
        """
        sizes = list(self.widths)
        if self.layers:
            sizes = [self.n_features, *(layer.n_out for layer in self.layers)]
        *first, last = (
            *("smaller hidden_layer_sizes", "a smaller batch_size"),
            *("dtype='float32'",) * (self.dtype == "float64"),
            *cures,
        )
        # As a decimal number: a float ends at 1e308, units of two layers multiply.
        return MemoryError(
            f"Training a network with layers of {sizes} units in {self.dtype} "
            f"({self.n_parameters} parameters) needs {Decimal(needed) / 2**30:.3g} "
            f"GiB, got {available / 2**30:.3g} GiB of {memory}. Use "
            f"{', '.join(first)} or {last}."
        )

    @classmethod
    def dense(
        cls,
        sizes,
        activations,
        loss,
        loss_parameters,
        dtype,
        normalization=None,
        residual=False,
        inputs=None,
        members=None,
        body=None,
    ):
        """Chain dense layers.

        Parameters
        ----------
        sizes : sequence of int
            Number of features, or of what is made of them; units of every hidden layer;
            number of outputs.
        activations : sequence of Activation
            One for each hidden layer.
        loss : Loss
        loss_parameters : tuple of float
        dtype : {"float32", "float64"}
        normalization : {"batch", "layer"}, default=None
            Of the hidden layers.
        residual : bool, default=False
            Whether hidden layers from the second on add their input to their output.
        inputs : Inputs or None, default=None
            What is made of the features before the first layer.
        members : Members or None, default=None
            Of networks that share the chain's weights.
        body : Body or None, default=None
            What is not plain in a chain of plain layers.

        Returns
        -------
        Network
        """
        layers = layers_of(sizes, activations, normalization, residual)
        parameters = tuple(map(float, loss_parameters))
        inputs = Inputs(int(sizes[0])) if inputs is None else inputs
        if members is not None:
            nodes = member_nodes(layers, inputs.nodes, members)
            return cls(inputs.n_features, nodes, loss, parameters, dtype)
        nodes = nodes_of(layers, inputs.nodes, body)
        return cls(
            inputs.n_features, nodes, loss, parameters, dtype, layers,
            len(inputs.nodes), body,
        )  # fmt: skip
