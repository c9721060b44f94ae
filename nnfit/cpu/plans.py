"""Tables of a network without addresses: where everything will lie.

A plan depends on sizes and functions alone. It is computed once, 0.1 to 0.3 ms for two
hidden layers, and every fit and every prediction copies it.
"""

from functools import cached_property, lru_cache

import numpy as np

from nnfit.addresses import address
from nnfit.cpu import compiling, kernels
from nnfit.cpu import fields as at
from nnfit.cpu.layout import ALIGNMENT, layout_of
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import fingerprint
from nnfit.functions.losses import LOSSES

#: Rows that pass the network together: activations of 96 rows and 256 units are
#: 96 kB, a tenth of the second-level cache, and a panel of weights is read from
#: there once for 16 tiles.
ROW_BLOCK = 96
#: The same where the weights of a layer are too many for the second-level cache and
#: are read from memory for every block (two layers of 2048: 95 to 90 ms a batch).
LARGE_ROW_BLOCK, LARGE_WEIGHTS = 256, 1 << 20
#: What a number in a plan is: itself, or an offset in the work space or in the
#: parameters.
NUMBER, WORK, PARAMETERS = range(3)


def row_block(network):
    """How many rows pass the network together."""
    largest = max(layer.n_in * layer.n_out for layer in network.layers)
    return LARGE_ROW_BLOCK if largest > LARGE_WEIGHTS else ROW_BLOCK


def row_kernel(builder, registry, row, dtype):
    """Kernel of a registry row, or of a function of the user's."""
    if registry.get(row.name) is row:
        return compiling.load(builder, row.name, dtype)
    return compiling.load(
        builder, "", dtype, row.function, fingerprint=fingerprint(row.function)
    )


class Plan:
    """The table of integers of a network for some rows, without any address.

    Not changed once it is built.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target
    n_rows : int
        Rows of the buffers.
    builder : str
        Of the kernel that works on the table, see `nnfit.cpu.kernels`.

    Attributes
    ----------
    layout : Layout
    kernel : nnfit.cpu.machine_code.Kernel
    ints : ndarray of int64
        The table; in place of addresses, offsets in bytes.
    kinds : ndarray of int64
        Of each number, one of the three above.
    size : int
        Bytes of the work space.
    custom : list of tuple
        Number, builder, registry, row and name of the user's own functions. They may
        change, so their kernels are looked up in every use of the plan.
    """

    def __init__(self, network, target, n_rows, builder):
        self.network, self.n_rows, self.builder = network, n_rows, builder
        self.layout = layout = layout_of(network, target)
        self.kernel = compiling.load(builder, network.dtype, target=target)
        self.ints = layout.table.copy()
        self.kinds = np.zeros_like(self.ints)
        self.size = 0
        self.custom = []
        self._kept = []  # whatever an address points to
        ints = self.ints
        ints[at.N_THREADS] = 1
        ints[at.N_OUTPUTS] = network.n_outputs
        ints[at.N_UNITS] = layout.n_units
        ints[at.ROW_BLOCK] = min(row_block(network), n_rows)
        self.kinds[at.PARAMETERS] = PARAMETERS
        if builder != kernels.PREDICTION_OF_FEW:  # which has its own
            rows = compiling.load(kernels.ROWS, network.dtype, target=target)
            self.function(at.FORWARD_ROWS, rows, "forward_rows")
            self.function(at.EVALUATE_ROWS, rows, "evaluate_rows")
            self.function(at.PASS_ROWS, rows, "pass_rows")
        self._lay_out_layers()

    def _lay_out_layers(self):
        layout, ints = self.layout, self.ints
        before, input_stride = None, layout.input_stride
        layers = zip(layout.rows, layout.layers, self.network.layers, strict=True)
        for row, layer, description in layers:
            for index in (at.WEIGHTS, at.BIAS, at.NORMS):
                self.kinds[row + index] = PARAMETERS
            if before is not None:
                self.same(row + at.INPUT, before + at.OUTPUT)
            ints[row + at.INPUT_STRIDE] = input_stride
            self.buffer(row + at.OUTPUT, self.n_rows * layer.stride)
            self.buffer(row + at.SLOPE, self.n_rows * layer.stride)
            if description.is_staged:
                self._keep_z(row, layer, description, before)
            # An identity stores no slope, which the way back of a kept z multiplies.
            if description.activation is not ACTIVATIONS["identity"] or (
                description.is_staged
            ):
                self._activate(row, description.activation)
            before, input_stride = row, layer.stride

    def activate_all(self):
        """Call the activation of every hidden layer, an identity's too."""
        identity = ACTIVATIONS["identity"]
        for row, layer in zip(self.layout.rows, self.network.layers[:-1], strict=False):
            if layer.activation is identity:
                self._activate(row, identity)

    def _activate(self, row, activation):
        index = row + at.ACTIVATION
        self.row_function(
            index, kernels.ACTIVATION, ACTIVATIONS, activation, "activate"
        )

    def _keep_z(self, row, layer, description, before):
        """Reserve what a normalised or residual layer keeps on the way forward."""
        kind, size = description.normalization or "none", self.n_rows * layer.stride
        kernel = compiling.load(kernels.NORMALIZATION, kind, self.network.dtype)
        self.function(row + at.NORMALISE, kernel, "normalise")
        self.function(row + at.NORMALISE_BACK, kernel, "back")
        self.function(row + at.SCALE_SLOPES, kernel, "scale_slopes")
        self.function(row + at.SCALE_GRADIENT, kernel, "scale_gradient")
        self.buffer(row + at.Z, size)
        if kind != "none":
            self.buffer(row + at.NORMED, size)
            statistics = (
                self.n_rows if kind == "layer" else at.N_STATISTICS * layer.width
            )
            self.buffer(row + at.SPREAD, statistics)
        in_place = self.builder == kernels.PREDICTION_OF_FEW
        self.ints[row + at.NORM_STRIDE] = layer.n_out if in_place else layer.width
        if description.skip == "identity":
            self.same(row + at.START, before + at.Z)
            self.ints[row + at.START_STRIDE] = self.ints[before + at.STRIDE]
        if description.skip == "projection":
            self.function(before + at.PASS_Z, kernel, "pass_z")

    def same(self, index, other, elements=0):
        """Make number `index` the address that `other` is, or some elements on."""
        item = self.layout.dtype.itemsize
        self.ints[index] = self.ints[other] + elements * item
        self.kinds[index] = self.kinds[other]

    def buffer(self, index, size, dtype=None):
        """Reserve `size` elements; their address will be number `index`."""
        self.ints[index], self.kinds[index] = self.size, WORK
        n_bytes = int(size) * np.dtype(dtype or self.layout.dtype).itemsize
        self.size += -(-n_bytes // ALIGNMENT) * ALIGNMENT

    def constants(self, index, values):
        """Make number `index` the address of numbers of the compute dtype."""
        values = np.array(values, self.layout.dtype)
        self._kept.append(values)
        self.ints[index] = address(values, self.layout.dtype)

    def function(self, index, kernel, name):
        """Make number `index` the address of a compiled function."""
        self._kept.append(kernel)
        self.ints[index] = kernel.address(name)

    def row_function(self, index, builder, registry, row, name):
        """`function`, of a registry row or of the user's own."""
        if registry.get(row.name) is row:
            kernel = row_kernel(builder, registry, row, self.network.dtype)
            self.function(index, kernel, name)
        else:
            self.custom.append((index, builder, registry, row, name))

    def read_rows(self):
        """Reserve what the first layer reads rows from, if not their entries."""
        size = self.n_rows * self.layout.input_stride
        self.buffer(self.layout.rows[0] + at.INPUT, size)

    def add_loss(self, n_targets):
        """Reserve what the loss of the rows takes."""
        ints, loss = self.ints, self.network.loss
        self.row_function(at.LOSS_KERNEL, kernels.LOSS, LOSSES, loss, "loss")
        ints[at.N_TARGETS] = n_targets
        self.constants(at.LOSS_PARAMETERS, (*self.network.loss_parameters, 0.0))
        self.buffer(at.BATCH_Y, self.n_rows * n_targets)
        self.buffer(at.BATCH_WEIGHT, self.n_rows)
        self.buffer(at.BATCH_LOSS_WEIGHT, self.n_rows)
        self.buffer(at.ROW_LOSS, self.n_rows, np.float64)

    @cached_property
    def link(self):
        """Address of the inverse link, 0 for the identity."""
        name = self.network.loss.link
        if name == "identity":
            return 0
        kernel = compiling.load(kernels.LINK, name, self.network.dtype)
        self._kept.append(kernel)
        return kernel.address("link")


@lru_cache(maxsize=64)
def forward_plan(network, target, n_rows, builder, reads_rows, n_targets):
    """Plan of predictions and, with targets, of evaluations."""
    plan = Plan(network, target, n_rows, builder)
    if reads_rows:
        plan.read_rows()
    if n_targets:
        plan.add_loss(n_targets)
        plan.buffer(at.PREDICTIONS, n_rows * network.n_outputs)
    return plan
