"""Tables of a network without addresses: where everything will lie, and what is done.

A plan depends on sizes and functions alone. It is computed once, 0.2 to 0.4 ms for two
hidden layers, and every fit and every prediction copies it. Kinds of layers
(`nnfit.cpu.kinds`) write their rows and instructions into it.
"""

from functools import cached_property, lru_cache

import numpy as np

from nnfit.addresses import address
from nnfit.cache.keys import fingerprint_of_builder
from nnfit.cpu import compiling, kernels
from nnfit.cpu import fields as at
from nnfit.cpu.graph import Graph, kernel_of_kind
from nnfit.cpu.layout import ALIGNMENT, layout_of
from nnfit.cpu.programs import Program, Units
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.custom import fingerprint
from nnfit.functions.losses import LOSSES

#: Lines that pass the network together: activations of 96 rows and 256 units are
#: 96 kB, a tenth of the second-level cache, and a panel of weights is read from
#: there once for 16 tiles. A second level of 512 kB (Zen 3) asks for no other number:
#: with two layers of 1024 units 48 rows take 9 % more time than 96 or 192.
ROW_BLOCK = 96
#: The same where the weights of a layer are too many for the second-level cache and
#: are read from memory for every block (two layers of 2048: 95 to 90 ms a batch).
LARGE_ROW_BLOCK, LARGE_WEIGHTS = 256, 1 << 20
#: Rows of several lines that the way back sums up; see `nnfit.cpu.kernels.parts`.
PART_ROWS = 8
#: What a number in a plan is: itself, or an offset in the work space or in the
#: parameters.
NUMBER, WORK, PARAMETERS = range(3)
IDENTITY = ACTIVATIONS["identity"]


def is_large(network):
    """Whether weights of a layer are read from memory for every block."""
    return network.largest_matrix > LARGE_WEIGHTS


def row_block(network):
    """How many rows pass the network together."""
    lines = LARGE_ROW_BLOCK if is_large(network) else ROW_BLOCK
    return max(1, lines // network.most_lines)


def row_grain(network, target):
    """Of how many rows threads and parts of a batch get multiples.

    Most tiles are whole then, since rows of several lines make many tiles.
    """
    return target.tile_rows if network.most_lines == 1 else PART_ROWS


def row_kernel(builder, registry, row, dtype):
    """Kernel of a registry row, or of a function of the user's."""
    if registry.get(row.name) is row:
        return compiling.load(builder, row.name, dtype)
    return compiling.load(
        builder, "", dtype, row.function, fingerprint=fingerprint(row.function)
    )


class Plan:
    """The table of integers of a network for some rows, without any address.

    Parameters
    ----------
    network : nnfit.network.description.Network
    target : nnfit.cpu.target.Target
    n_rows : int
        Rows of a batch.
    builder : str
        Of the kernel that works on the table, see `nnfit.cpu.kernels`.
    on_entries : bool, default=False
        Whether the features are the entries of a sparse matrix.
    in_place : bool, default=False
        Whether weights are read where estimators keep them.
    trains : bool, default=False
        Whether there is a way back to all that learns.
    explains : bool, default=False
        Whether there is a way back to the features, of the network as it predicts.
    drops : bool, default=False
        Whether units are dropped.
    masks : bool, default=False
        Whether layers take some of their inputs for missing.

    Attributes
    ----------
    layout : Layout
    lines : int
        Of each row, in the value of the layer that writes itself down.
    words : list of int
        The table while it grows; in place of addresses, offsets in bytes.
    ints, kinds : ndarray of int64
        The table when it is finished, and of each number one of the three kinds above.
    size : int
        Bytes of the work space.
    custom : list of tuple
        Number, builder, registry, row and name of the user's own functions. They may
        change, so their kernels are looked up in every use of the plan.
    """

    def __init__(
        self, network, target, n_rows, builder, *, on_entries=False, in_place=False,
        trains=False, explains=False, drops=False, masks=False,
    ):  # fmt: skip
        self.network, self._batch, self.target = network, n_rows, target
        self.lines = 1
        self.dtype, self.on_entries = network.dtype, on_entries
        self.in_place, self.trains = in_place, trains
        self.goes_back = trains or explains
        self.drops, self.masks = drops, masks
        self.layout = layout = layout_of(network, target)
        self.main_kernel = compiling.load(builder, network.dtype, target=target)
        self.words = layout.table.tolist()
        self._kinds = [NUMBER] * len(self.words)
        for row in layout.rows.tolist():
            self._kinds[row + at.ADDRESS] = PARAMETERS
            if in_place:  # without padding
                self.words[row + at.LINE] = self.words[row + at.N_COLUMNS]
        self.size = ALIGNMENT  # an address of 0 stands for none
        self.custom = []
        self._kept = []  # whatever an address points to
        block = min(row_block(network), n_rows)
        self.program = Program(row_grain(network, target), block)
        self.graph = Graph(self)
        self.units = Units()
        words = self.words
        words[at.N_THREADS] = 1
        words[at.N_OUTPUTS] = network.n_outputs
        words[at.N_DROPOUT] = network.n_dropout + 1
        words[at.ROW_BLOCK] = block
        words[at.N_FEATURES] = network.n_features
        words[at.RAW_LINES] = network.lines[-1] if trains else 1
        words[at.OWN_ROWS] = self.has_own_rows
        self._kinds[at.PARAMETERS] = PARAMETERS

    def finish(self):
        """Write program and units into the table, and make it an array."""
        self.program.write(self)
        self.units.write(self)
        self.graph.plan = None  # written, and no cycle of references
        self.ints = np.array(self.words, np.int64)
        self.kinds = np.array(self._kinds, np.int64)
        return self

    @property
    def has_own_rows(self):
        """Whether each line of the features is a row of the data."""
        return self.network.lines[0] > 1

    @property
    def n_rows(self):
        """Rows of the buffers of a value: of a batch, or all of their lines."""
        return self._batch * self.lines

    # ----------------------------------------------------- numbers of the table

    def padded(self, n):
        """The next multiple of a vector's elements."""
        return self.layout.padded(n)

    def reserve(self, n_words):
        """Begin of so many new numbers, which are zero."""
        begin = len(self.words)
        self.words += [0] * n_words
        self._kinds += [NUMBER] * n_words
        return begin

    def set_parameter(self, index):
        """Say that number `index` is an address in the parameters."""
        self._kinds[index] = PARAMETERS

    def same(self, index, other, elements=0):
        """Make number `index` the address that `other` is, or some elements on."""
        item = self.layout.dtype.itemsize
        self.words[index] = self.words[other] + elements * item
        self._kinds[index] = self._kinds[other]

    def buffer(self, index, size, dtype=None):
        """Reserve `size` elements; their address will be number `index`."""
        self.words[index], self._kinds[index] = self.size, WORK
        n_bytes = int(size) * np.dtype(dtype or self.layout.dtype).itemsize
        self.size += -(-n_bytes // ALIGNMENT) * ALIGNMENT

    def constants(self, index, values, dtype=None):
        """Make number `index` the address of numbers of the compute dtype."""
        values = np.array(values, dtype or self.layout.dtype)
        self._kept.append(values)
        self.words[index] = address(values, values.dtype)

    # ---------------------------------------------------------------- functions

    def kernel(self, builder, *names):
        """A compiled kernel for this processor and dtype, kept with the plan."""
        kernel = compiling.load(builder, *names, self.dtype, target=self.target)
        self._kept.append(kernel)
        return kernel

    def kernel_of(self, node):
        """That of a layer's kind, which may be another package's."""
        builder, *names = kernel_of_kind(node)
        print_of_source = fingerprint_of_builder(builder)
        kernel = compiling.load(
            builder, *names, self.dtype, fingerprint=print_of_source, target=self.target
        )
        self._kept.append(kernel)
        return kernel

    def function(self, index, kernel, name):
        """Make number `index` the address of a compiled function."""
        self._kept.append(kernel)
        self.words[index] = kernel.address(name)

    def row_function(self, index, builder, registry, row, name):
        """`function`, of a registry row or of the user's own."""
        if registry.get(row.name) is row:
            kernel = row_kernel(builder, registry, row, self.dtype)
            self.function(index, kernel, name)
        else:
            self.custom.append((index, builder, registry, row, name))

    def is_activated(self, node):
        """Whether a layer calls its activation."""
        return self.graph.is_activated(node)

    def activation(self, index, node):
        """Make number `index` the address of a layer's activation."""
        row = node.activation or IDENTITY
        self.row_function(index, kernels.ACTIVATION, ACTIVATIONS, row, "activate")

    @cached_property
    def link(self):
        """Address of the inverse link, 0 for the identity."""
        name = self.network.loss.link
        if name == "identity":
            return 0
        kernel = compiling.load(kernels.LINK, name, self.dtype)
        self._kept.append(kernel)
        return kernel.address("link")

    def add_loss(self, n_targets):
        """Reserve what the loss of the rows takes."""
        loss, words = self.network.loss, self.words
        self.row_function(at.LOSS_KERNEL, kernels.LOSS, LOSSES, loss, "loss")
        words[at.N_TARGETS] = n_targets
        self.constants(at.LOSS_PARAMETERS, (*self.network.loss_parameters, 0.0))
        n_lines = self.n_rows * words[at.RAW_LINES]
        self.buffer(at.BATCH_Y, n_lines * n_targets)
        self.buffer(at.BATCH_WEIGHT, self.n_rows)
        self.buffer(at.BATCH_LOSS_WEIGHT, n_lines)
        self.buffer(at.ROW_LOSS, n_lines, np.float64)

    def pool(self):
        """Make one raw prediction of those of a row's members, if it has several."""
        words, own = self.words, self.graph.rows[-1]
        n_lines = words[own + at.LINES]
        if n_lines == 1:
            return
        row = self.graph.new_part(len(self.network.nodes))
        words[self.reserve(1)] = n_lines  # number at.PRIVATE of the row
        words[row + at.N_OUT], words[row + at.LINES] = words[own + at.N_OUT], 1
        stride = words[row + at.STRIDE] = words[own + at.STRIDE]
        self.buffer(row + at.OUTPUT, self.n_rows * stride)
        kernel = self.kernel(kernels.POOL, self.network.loss.link)
        self.program.rows(kernel.address("pool"), row)
        self.graph.rows.append(row)

    def point_to_raw(self):
        """Write down where the raw predictions are, and their gradient."""
        row = self.graph.rows[-1]
        self.same(at.RAW, row + at.OUTPUT)
        self.words[at.RAW_STRIDE] = self.words[row + at.STRIDE]
        if self.words[row + at.GRADIENT_BY_OUTPUT]:
            self.same(at.RAW_GRADIENT, row + at.GRADIENT_BY_OUTPUT)
        elif self.words[at.N_TARGETS]:  # an evaluation, which does not read it
            size = self.n_rows * self.words[row + at.STRIDE]
            self.buffer(at.RAW_GRADIENT, size)


def begin_forward(plan, change_features=()):
    """Instructions up to the raw predictions.

    Parameters
    ----------
    plan : Plan
    change_features : tuple of str
        Functions of the kernel of augmentations, in their order.
    """
    program, features = plan.program, plan.graph.rows[0]
    if not plan.on_entries:
        kernel = plan.kernel(kernels.BATCH)
        name = "gather_lines" if plan.has_own_rows else "gather"
        program.rows(kernel.address(name), features)
    if change_features:
        kernel = plan.kernel(kernels.AUGMENTATION)
        for name in change_features:
            program.rows(kernel.address(name), features, is_random=True)
    plan.graph.lay_out()
    if not plan.goes_back:
        plan.pool()
    plan.point_to_raw()


@lru_cache(maxsize=64)
def forward_plan(
    network, target, n_rows, builder, n_targets, *, on_entries=False, in_place=False,
    drops=False, drops_inputs=False,
):  # fmt: skip
    """Plan of predictions and, with targets, of evaluations; see `Plan`."""
    plan = Plan(
        network, target, n_rows, builder, on_entries=on_entries, in_place=in_place,
        drops=drops,
    )  # fmt: skip
    if n_targets:
        plan.add_loss(n_targets)
        plan.buffer(at.PREDICTIONS, n_rows * network.n_outputs)
        address_of = plan.kernel(kernels.BATCH).address
        plan.program.rows(address_of("gather_targets"), plan.graph.rows[0])
    begin_forward(plan, ("drop_inputs",) * drops_inputs)
    if n_targets:
        plan.program.rows(address_of("row_losses"), plan.graph.rows[-1])
    plan.buffer(at.NOW, at.NOW_FIELDS, np.int64)
    return plan.finish()
