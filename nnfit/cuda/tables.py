"""Tables of a network on the device: its tensors, layers, buffers, functions."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nnfit.cache.keys import fingerprint_of_builder
from nnfit.cuda import fields as at
from nnfit.cuda.graph import Graph
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.products import Tile
from nnfit.cuda.layout import layout_of
from nnfit.cuda.operations import drops_apart, kinds_of
from nnfit.cuda.phases import Work
from nnfit.cuda.space import Space
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import fingerprint
from nnfit.functions.losses import LOSSES

#: Tiles of products in kernels that run whole batches, and of large products. Small
#: tiles are many, so that each multiprocessor has one. Large tiles use each value more
#: often once it is read: a thread reads 12 values for 32 products.
SMALL = Tile(32, 32, 2, 2, 16)
LARGE = Tile(128, 64, 8, 4, 8)
#: Operations of a pass over a batch from which on products are large: one in ten
#: launches of some 10 microseconds then keeps the device busy for longer than that.
LARGE_OPERATIONS = 7e8


def tile_of(network, n_rows):
    """Tile of the products of so many rows with a network's weights."""
    operations = 2 * n_rows * network.n_products
    return LARGE if operations >= LARGE_OPERATIONS else SMALL


def lanes_of(tile):
    """Number of threads of a group, see `nnfit.cuda.kernels.threads`."""
    return min(32, max(1, tile.n_threads // 2))


class Functions(NamedTuple):
    """Functions of a network as kernels take them.

    Attributes
    ----------
    activations : tuple of str or callable
        Without the identity, each once.
    loss : str or callable
    fingerprint : bytes or None
        Of the user's own among them, and of kinds of layers of other packages; None if
        one has none.
    """

    activations: tuple
    loss: object
    fingerprint: bytes | None


def activations_of(network):
    """Numbers of a network's activations but for the identity, by row."""
    rows = {node.activation: None for node in network.nodes}  # an ordered set
    for identity in (None, ACTIVATIONS["identity"]):
        rows.pop(identity, None)
    return {row: number for number, row in enumerate(rows)}


def functions_of(network):
    """The `Functions` of a network."""
    activations = tuple(_entry(ACTIVATIONS, row) for row in activations_of(network))
    loss = _entry(LOSSES, network.loss)
    prints = [fingerprint(f) for f in (*activations, loss) if callable(f)]
    prints += [fingerprint_of_builder(module) for module, _ in kinds_of(network)]
    known = None if None in prints else b"".join(prints)
    return Functions(activations, loss, known)


def _entry(registry, row):
    return row.name if registry.get(row.name) is row else row.function


def kind_of(network, tile, functions, **others):
    """The `Kind` of kernels for a network."""
    trains, drops = others.get("trains", True), others.get("drops", False)
    return Kind(
        dtype=network.dtype,
        tile=tile,
        activations=functions.activations,
        layers=kinds_of(network),
        adds=trains and adds_gradients(network, drops),
        drops_apart=any(map(drops_apart, network.nodes)),
        has_lines=network.most_lines > 1,
        own_rows=network.lines[0] > 1,
        pool=None if trains or network.lines[-1] == 1 else network.loss.link,
        **others,
    )


def training_kind(network, solver, tile, functions, features, is_sparse):
    """The `Kind` of the kernels of a training.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    tile : Tile
    functions : Functions
    features : nnfit.engine_settings.Features
    is_sparse : bool
        Whether X is a CSR matrix.
    """
    return kind_of(
        network,
        tile,
        functions,
        is_sparse=is_sparse,
        drops=features.drops,
        mixes=features.mixes,
        cuts=features.cuts,
        swaps=features.swaps,
        marks_swaps=features.marks_swaps,
        adds_noise=features.adds_noise,
        drops_inputs=features.drops_inputs,
        penalises=features.penalises,
        updates_whole=features.updates_whole,
        averages=features.averages,
        loss=functions.loss,
        solver=None if solver is None else solver.name,
    )


@lru_cache(maxsize=64)
def adds_gradients(network, drops):
    """Whether gradients by one value are added up, or copied, on the way back."""
    table = Table(network, 1, SMALL, trains=True, drops=drops, n_inputs=1)
    return table.graph.adds


class Table:
    """The table of integers of a network, and the table of floats.

    Parameters
    ----------
    network : nnfit.network.description.Network
    n_rows : int
        Rows of a batch.
    tile : Tile
    trains : bool
        Whether there is a way back.
    drops : bool
        Whether units are dropped.
    n_inputs : int
        Batches that the buffer of the features has room for; 0 if there is none.
    masks : bool, default=False
        Whether layers take some of their inputs for missing.

    Attributes
    ----------
    lines : int
        Of each row, in the value of the layer that writes itself down.
    words : list of int
        The table while kinds of layers write into it; in place of addresses, numbers of
        the elements in the buffers.
    ints : ndarray of int64
        The table when it is finished.
    floats : ndarray of float64
    graph : Graph
    space : Space
        The buffers that the table points to, and room for both tables.
    """

    def __init__(
        self, network, n_rows, tile, *, trains, drops, n_inputs, masks=False
    ):  # fmt: skip
        self.network, self._batch, self.tile = network, n_rows, tile
        self.lines = 1
        self.trains = self.goes_back = trains
        self.drops, self.n_inputs = drops, n_inputs
        self.masks = masks
        self.lanes, self.layout = lanes_of(tile), layout_of(network)
        self.activations = activations_of(network)
        self.space, self._places = Space(network.dtype), {}
        self.words = [0] * at.HEADER
        self._add_tensors()
        self.graph = Graph(self)
        self.graph.lay_out()
        if trains:
            self.graph.way_back()
        self.graph.plan = None  # written, and no cycle of references
        self.floats = np.zeros(at.N_FLOATS)
        self._finish()

    def _add_tensors(self):
        """Rows of tensors, node by node so that those of a node lie together."""
        network, words = self.network, self.words
        words[at.TENSORS], words[at.N_TENSORS] = at.HEADER, len(network.tensors)
        self.reserve(len(network.tensors) * at.TENSOR)
        self._tensor_rows = [at.HEADER + i * at.TENSOR for i in network.tensor_order]
        rows = zip(self._tensor_rows, network.tensors, self.layout.offsets, strict=True)
        for number, (row, tensor, begin) in enumerate(rows):
            words[row + at.ADDRESS], words[row + at.NUMBER] = begin, number
            words[row + at.N_LINES], words[row + at.N_COLUMNS] = (
                tensor.rows,
                tensor.columns,
            )
            words[row + at.N_TRAINED] = tensor.size_trained
            words[row + at.IN_PANELS] = tensor.in_panels and tensor.size_trained > 0
            words[row + at.PENALISED] = tensor.is_penalised
            words[row + at.BY_LINES] = tensor.by_lines

    def _finish(self):
        """Make the table an array, and write down what its header says of it."""
        self.ints = self.words = ints = np.array(self.words, np.int64)
        network, raw = self.network, self.graph.rows[-1]
        ints[at.N_FEATURES], ints[at.N_OUTPUTS] = network.n_features, network.n_outputs
        ints[at.SIZE], ints[at.BUFFER_ROWS] = self.layout.size, self.n_rows
        ints[at.N_DROPOUT] = network.n_dropout + 1
        self.same(at.RAW, raw + at.OUTPUT)
        ints[at.RAW_STRIDE] = ints[raw + at.STRIDE]
        ints[at.RAW_LINES] = ints[raw + at.LINES]
        if self.trains:
            self.same(at.RAW_GRADIENT, raw + at.GRADIENT_BY_OUTPUT)
        if self.n_inputs:
            self.same(at.FEATURES, self.graph.rows[0] + at.OUTPUT)
        self.space.reserve("ints", len(ints), np.int64)
        self.space.reserve("floats", len(self.floats), np.float64)
        self.point(at.FLOATS, "floats")

    @property
    def matrices(self):
        """Places and tensors of what an optimizer of whole matrices updates."""
        rows = zip(self._tensor_rows, self.network.tensors, strict=True)
        return [(row, tensor) for row, tensor in rows if tensor.is_matrix]

    @property
    def n_rows(self):
        """Rows of the buffers of a value: of a batch, or all of their lines."""
        return self._batch * self.lines

    @property
    def by_rows(self):
        """Work of a phase whose groups of threads take a row or line each."""
        return self.by_lines(self.lines)

    def by_lines(self, lines):
        """The same with so many lines of a row."""
        return Work(-(-self._batch * lines // (self.tile.n_threads // self.lanes)))

    # ----------------------------------------------------- numbers of the table

    def padded(self, n):
        """Elements of a row: there is no padding."""
        return n

    def reserve(self, n_words):
        """Begin of so many new numbers, which are zero."""
        begin = len(self.words)
        self.words += [0] * n_words
        return begin

    def buffer(self, index, size, dtype=None, name=None):
        """Reserve a buffer whose address will be number `index`."""
        self._places[index] = self.space.reserve(name or index, size, dtype)
        self.words[index] = self._places[index][1]

    def same(self, index, other, elements=0):
        """Make number `index` the address that `other` is, or some elements on."""
        dtype, start = self._places[other]
        self._places[index] = dtype, start + elements
        self.words[index] = start + elements

    def point(self, index, name):
        """Make number `index` the address of what is reserved under a name."""
        self._places[index] = self.space.place_of(name)

    def allocate(self, stream):
        """Allocate all buffers and write down where they are."""
        self.space.allocate(stream)
        for index, place in self._places.items():
            self.ints[index] = self.space.address(*place)

    def read(self, index, size):
        """Copy of the first elements of the buffer that number `index` points to."""
        return self.space.read(*self._places[index], size)

    def upload(self):
        """Send both tables."""
        self.space.set("ints", self.ints)
        self.space.set("floats", self.floats)

    def download(self):
        """Fetch both tables."""
        self.ints[:] = self.space.get("ints")
        self.floats[:] = self.space.get("floats")

    @property
    def address(self):
        """Of the table on the device."""
        return self.space.index("ints")
