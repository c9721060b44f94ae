"""Tables of a network on the device: its layers, its buffers, its functions."""

from typing import NamedTuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import Kind
from nnfit.cuda.kernels.products import Tile
from nnfit.cuda.layout import layout_of
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
    operations = 2 * n_rows * sum(layer.n_in * layer.n_out for layer in network.layers)
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
        Of the user's own among them; None if one has none.
    """

    activations: tuple
    loss: object
    fingerprint: bytes | None


def functions_of(network):
    """The `Functions` of a network."""
    rows = {layer.activation: None for layer in network.layers}  # an ordered set
    rows.pop(ACTIVATIONS["identity"], None)
    activations = tuple(_entry(ACTIVATIONS, row) for row in rows)
    loss = _entry(LOSSES, network.loss)
    prints = [fingerprint(f) for f in (*activations, loss) if callable(f)]
    known = None if None in prints else b"".join(prints)
    return Functions(activations, loss, known)


def _entry(registry, row):
    return row.name if registry.get(row.name) is row else row.function


def kind_of(network, tile, functions, **others):
    """The `Kind` of kernels for a network."""
    return Kind(
        dtype=network.dtype,
        tile=tile,
        activations=functions.activations,
        normalization=network.normalization,
        is_staged=any(layer.is_staged for layer in network.layers),
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
        augments=features.augments,
        mixes=features.mixes,
        penalises=features.penalises,
        updates_whole=features.updates_whole,
        averages=features.averages,
        loss=functions.loss,
        solver=None if solver is None else solver.name,
    )


class Table:
    """The table of integers of a network, and the table of floats.

    Parameters
    ----------
    network : nnfit.network.description.Network
    n_rows : int
        Rows of the buffers.
    tile : Tile
    trains : bool
        Whether there is a way back.

    Attributes
    ----------
    ints : ndarray of int64
    floats : ndarray of float64
    space : Space
        The buffers that the table points to, and room for both tables.
    """

    def __init__(self, network, n_rows, tile, trains):
        self.network, self.n_rows, self.trains = network, n_rows, trains
        self.layout = layout_of(network)
        n_layers = len(network.layers)
        self.ints = np.zeros(at.HEADER + n_layers * at.LAYER, np.int64)
        self.floats = np.zeros(at.N_FLOATS)
        self.space = Space(network.dtype)
        self.space.reserve("ints", len(self.ints), np.int64)
        self.space.reserve("floats", len(self.floats), np.float64)
        self._addresses = {at.FLOATS: ("floats", 0)}
        ints = self.ints
        ints[at.N_LAYERS], ints[at.N_OUTPUTS] = n_layers, network.n_outputs
        ints[at.SIZE], ints[at.BUFFER_ROWS] = self.layout.size, n_rows
        self._lay_out_layers(tile)

    def layer(self, index):
        """Begin of a layer's row."""
        return at.HEADER + index * at.LAYER

    def reserve(self, index, name, size, dtype=None):
        """Reserve a buffer whose address will be number `index`."""
        self.space.reserve(name, size, dtype)
        self._addresses[index] = name, 0

    def same(self, index, name, elements=0):
        """Let number `index` be an address in a buffer that is reserved already."""
        self._addresses[index] = name, elements

    def allocate(self, stream):
        """Allocate all buffers and write down where they are."""
        self.space.allocate(stream)
        for index, (name, elements) in self._addresses.items():
            self.ints[index] = self.space.index(name) + elements

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

    # ---------------------------------------------------------------- layers

    def _lay_out_layers(self, tile):
        network, layout, ints = self.network, self.layout, self.ints
        numbers = {}
        for layer in network.layers:
            if layer.activation is not ACTIVATIONS["identity"]:
                numbers.setdefault(layer.activation, len(numbers))
        lanes, n_units = lanes_of(tile), 0
        for index, layer in enumerate(network.layers):
            row = self.layer(index)
            ints[row + at.N_IN], ints[row + at.N_OUT] = layer.n_in, layer.n_out
            ints[row + at.WEIGHTS] = layout.weights[index]
            ints[row + at.BIAS] = layout.biases[index]
            ints[row + at.NORMS] = layout.norms[index]
            ints[row + at.N_NORMS] = layer.n_norms
            ints[row + at.ACTIVATION] = numbers.get(layer.activation, -1)
            ints[row + at.STAGED] = layer.is_staged
            ints[row + at.TILES] = tile.count(layer.n_in, layer.n_out)
            ints[row + at.FIRST_UNIT] = n_units
            n_units += ints[row + at.TILES]
            if layer.is_staged:
                n_units += -(-layer.n_out // lanes) * (2 if layer.n_norms else 1)
            self._add_forward(index, layer)
        if self.trains:
            for index in reversed(range(len(network.layers))):
                self._add_way_back(index, network.layers[index])
        ints[at.N_UNITS] = n_units

    def _after(self, index):
        layers = self.network.layers
        return layers[index + 1] if index + 1 < len(layers) else None

    def _add_forward(self, index, layer):
        row, ints, rows = self.layer(index), self.ints, self.n_rows
        after = self._after(index)
        if index > 0:
            self.same(row + at.INPUTS, f"output {index - 1}")
            before = self.layer(index - 1)
            ints[row + at.INPUT_STRIDE] = ints[before + at.OUTPUT_STRIDE]
        else:
            ints[row + at.INPUT_STRIDE] = layer.n_in
        width = layer.n_out
        if after is not None and after.skip == "projection":
            width *= 2
        ints[row + at.OUTPUT_STRIDE] = width
        self.reserve(row + at.OUTPUT, f"output {index}", rows * width)
        if not layer.is_staged:
            return
        self.reserve(row + at.Z, f"z {index}", rows * layer.n_out)
        if layer.skip == "identity":
            self.same(row + at.START, f"z {index - 1}")
        if layer.normalization is not None:
            self.reserve(row + at.NORMED, f"normed {index}", rows * layer.n_out)
            size = rows
            if layer.normalization == "batch":
                size = at.N_STATISTICS * layer.n_out
            self.reserve(row + at.SPREAD, f"spread {index}", size)

    def _add_way_back(self, index, layer):
        """Reserve the gradients of a layer; the layers after it have theirs already."""
        row, ints, rows = self.layer(index), self.ints, self.n_rows
        size = rows * layer.n_out
        self.reserve(row + at.GRADIENT_BY_Z, f"gradient {index}", size)
        after = self._after(index)
        if after is None:  # its slope is 1, and nothing reads it
            self.same(row + at.SLOPE, f"gradient {index}")
            return
        self.reserve(row + at.SLOPE, f"slope {index}", size)
        if not layer.is_staged:
            return
        ints[row + at.RESULT_STRIDE] = after.n_in
        self.reserve(row + at.RESULT, f"result {index}", rows * after.n_in)
        if after.skip == "identity":
            self.same(row + at.SKIPPED, f"gradient {index + 1}")
            ints[row + at.SKIPPED_STRIDE] = after.n_out
        if after.skip == "projection":
            self.same(row + at.SKIPPED, f"result {index}", layer.n_out)
            ints[row + at.SKIPPED_STRIDE] = after.n_in
