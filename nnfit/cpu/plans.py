"""Tables of a network without addresses: where everything will lie.

A plan depends on sizes and functions alone. It is computed once, 0.1 to 0.3 ms for two
hidden layers, and every fit and every prediction copies it.
"""

from functools import cached_property, lru_cache

import numpy as np

from nnfit import compiling
from nnfit.cpu import fields as at
from nnfit.cpu import kernels
from nnfit.cpu.layout import ALIGNMENT, address, layout_of
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
#: Inputs and units of a layer from which the weight gradient reads copies made for
#: it: each is read once a panel or tile, so that with fewer the copying costs more
#: (5 % of an epoch with 64 and 100) than it saves (17 % of that product with 784
#: and 512).
PACK_FROM = 128

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
    kernel : nnfit.compiling.Kernel
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
        self.network, self.n_rows = network, n_rows
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
        output, input_stride = None, layout.input_stride
        layers = zip(layout.rows, layout.layers, self.network.layers, strict=True)
        for row, layer, description in layers:
            self.kinds[row + at.WEIGHTS] = self.kinds[row + at.BIAS] = PARAMETERS
            if output is not None:
                ints[row + at.INPUT] = ints[output]
                self.kinds[row + at.INPUT] = WORK
            ints[row + at.INPUT_STRIDE] = input_stride
            output, input_stride = row + at.OUTPUT, layer.stride
            self.buffer(output, self.n_rows * layer.stride)
            self.buffer(row + at.SLOPE, self.n_rows * layer.stride)
            activation = description.activation
            if activation is not ACTIVATIONS["identity"]:
                self.row_function(
                    row + at.ACTIVATION, kernels.ACTIVATION, ACTIVATIONS, activation,
                    "activate",
                )  # fmt: skip

    def buffer(self, index, size, dtype=None):
        """Reserve `size` elements; their address will be number `index`."""
        self.ints[index], self.kinds[index] = self.size, WORK
        n_bytes = int(size) * np.dtype(dtype or self.layout.dtype).itemsize
        self.size += -(-n_bytes // ALIGNMENT) * ALIGNMENT

    def constants(self, index, values):
        """Make number `index` the address of numbers of the compute dtype."""
        values = np.array(values, self.layout.dtype)
        self._kept.append(values)
        self.ints[index] = address(values)

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


@lru_cache(maxsize=64)
def load_training(network, solver):
    """Load the kernels of a training on rows, some of them compiled side by side.

    Once for all trainings of such a network: to look whether all are there takes 13 of
    the 32 microseconds of a new engine.

    Parameters
    ----------
    network : nnfit.network.description.Network
    solver : nnfit.functions.optimizers.Optimizer or None
    """
    wanted = [(kernels.TRAINING,), (kernels.ROWS,), (kernels.WEIGHTS,)]
    wanted.append(
        (kernels.GRADIENT_SUM,) if solver is None else (kernels.OPTIMIZER, solver.name)
    )
    if LOSSES.get(network.loss.name) is network.loss:  # not one of the user's
        wanted.append((kernels.LOSS, network.loss.name))
    rows = {layer.activation for layer in network.layers}
    wanted += [
        (kernels.ACTIVATION, name)
        for name, row in ACTIVATIONS.items()
        if row in rows and name != "identity"
    ]
    compiling.load_all([(*kernel, network.dtype) for kernel in wanted])


@lru_cache(maxsize=64)
def training_plan(network, solver, target, batch, n_targets, n_threads, is_sparse):
    """Plan of training on batches of so many rows.

    Parameters
    ----------
    solver : nnfit.functions.optimizers.Optimizer or None
        None for gradients only.
    """
    plan = Plan(network, target, batch, kernels.TRAINING)
    if not is_sparse:
        plan.read_rows()
    plan.add_loss(n_targets)
    _add_solver(plan, solver)
    _add_work_space(plan, target, n_threads, is_sparse)
    return plan


def _add_solver(plan, solver):
    dtype = plan.network.dtype
    if solver is None:
        kernel = compiling.load(kernels.GRADIENT_SUM, dtype)
    else:
        kernel = compiling.load(kernels.OPTIMIZER, solver.name, dtype)
    plan.function(at.UPDATE_KERNEL, kernel, "update")
    plan.function(at.PREPARE_KERNEL, kernel, "prepare")


def _add_work_space(plan, target, n_threads, is_sparse):
    ints, layout, batch = plan.ints, plan.layout, plan.n_rows
    dtype = plan.network.dtype
    widest = max(layer.width for layer in layout.layers)
    stride = max(target.strip(dtype) * target.panel(dtype), widest)
    ints[at.SCRATCH_STRIDE] = stride = -(-stride // 16) * 16
    plan.buffer(at.SCRATCH, n_threads * stride)
    plan.buffer(at.PENALTY, 2 * layout.n_units, np.float64)
    plan.buffer(at.RATES, 2 * at.N_RATES)
    plan.constants(at.ONE, (1.0,))
    lanes, slot = target.lanes(dtype), target.tile_slot(dtype)
    for index, (row, layer) in enumerate(zip(layout.rows, layout.layers, strict=True)):
        tiles = -(-layer.n_in // target.tile_rows)
        packed = layer.n_in >= PACK_FROM and layer.n_out >= PACK_FROM
        if packed and not (index == 0 and is_sparse):
            plan.buffer(row + at.INPUT_TILES, tiles * batch * slot)
            plan.buffer(row + at.GRADIENT_PANELS, layer.width * batch)
        if index > 0:
            height = -(-layer.n_in // lanes) * lanes
            plan.buffer(row + at.TRANSPOSED, height * layer.n_out)
