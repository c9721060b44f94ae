"""Rows of layers in a plan's table, their instructions and units."""

from functools import lru_cache

from nnfit.cpu import fields as at
from nnfit.cpu import kernels
from nnfit.network import graph
from nnfit.network.kinds import KINDS, Node, kind_of


@lru_cache(maxsize=64)
def takes_entries(network):
    """Whether all layers that read features can read a sparse matrix's entries."""
    return network.lines[0] == 1 and all(
        node.inputs.index(0) == 0
        and node.inputs.count(0) == 1
        and getattr(kind_of(node, "cpu"), "takes_entries", False)
        for node in network.nodes
        if 0 in node.inputs
    )


def kernel_of_kind(node):
    """Builder of a layer's kind, and what it takes besides dtype and target."""
    module = kind_of(node, "cpu")
    if hasattr(module, "NAMES"):
        return _builder_of(module), module.kernel_name(node)
    return (_builder_of(module),)


def kernels_of_kinds():
    """`kernel_of_kind` of all nodes that there may be, a list."""
    modules = [kind_of(Node(kind, ()), "cpu") for kind in KINDS]
    plain = [(_builder_of(each),) for each in modules if not hasattr(each, "NAMES")]
    named = [each for each in modules if hasattr(each, "NAMES")]
    return plain + [(_builder_of(each), name) for each in named for name in each.NAMES]


def _builder_of(module):
    return getattr(module, "BUILDER", f"{module.__name__}:build")


class Graph(graph.Graph):
    """What kinds of layers write into a plan.

    Parameters
    ----------
    plan : nnfit.cpu.plans.Plan
        Where buffers and functions are reserved.
    """

    device = "cpu"

    def __init__(self, plan):
        super().__init__(plan, at)
        self._passing = set()  # values, see `passes`
        self._shared = {}  # by word, stride and lines: where the address is
        self.rows.append(self._features())

    def _features(self):
        plan, n = self.plan, self.network.n_features
        row, lines = plan.reserve(at.EDGES), self.network.lines[0]
        stride = plan.layout.stride(plan.padded(n))
        plan.words[row + at.N_OUT], plan.words[row + at.WIDTH] = n, plan.padded(n)
        plan.words[row + at.STRIDE], plan.words[row + at.LINES] = stride, lines
        if not plan.on_entries:
            plan.buffer(row + at.OUTPUT, plan.n_rows * lines * stride)
        if plan.goes_back and not plan.trains:
            plan.words[row + at.GRADIENT_STRIDE] = stride
            plan.buffer(row + at.GRADIENT_BY_OUTPUT, plan.n_rows * lines * stride)
        return row

    def lay_out(self):
        """Let every layer write its row and its way forward."""
        for number, node in enumerate(self.network.nodes):
            self.plan.lines = self.network.lines[number + 1]
            self.kind_of(node).lay_out(self, number, node)
            if self.plan.drops and node.dropout is not None:
                self._drop(number, node)
        self.plan.lines = 1

    def add_frozen_units(self):
        """Add units of frozen layers with a way back: matrices are transposed once."""
        self.plan.units.end_trained()
        for number, node in enumerate(self.network.nodes):
            if self._wants[number + 1] and not self.trains_at(number):
                self.kind_of(node).add_units(self, number, node)

    def _drop(self, number, node):
        """Drop units of a layer's output and of its slopes."""
        plan, row = self.plan, self.rows[number + 1]
        part, slopes = plan.reserve(at.EDGES + 1), self.slope_word(number)
        kernel = plan.kernel(kernels.DROPOUT)
        for word in (at.N_OUT, at.STRIDE, at.LINES):
            plan.words[part + word] = plan.words[row + word]
        plan.same(part + at.OUTPUT, row + at.OUTPUT)
        has_slopes = bool(plan.words[row + slopes])
        if not has_slopes:
            plan.buffer(row + slopes, plan.n_rows * plan.words[row + at.STRIDE])
        plan.same(part + at.SLOPE, row + slopes)
        plan.words[part + at.EDGES] = node.dropout
        function = kernel.address("drop" if has_slopes else "drop_alone")
        plan.program.rows(function, part, is_random=True)

    def slope_word(self, number):
        """Number in a layer's row that has the address of its slopes."""
        node = self.network.nodes[number]
        return getattr(self.kind_of(node), "SLOPES", at.SLOPE)

    def _only_reader(self, number):
        """Number of the one layer that reads an output, and its kind; or None."""
        nodes = list(enumerate(self.network.nodes))
        readers = [n for n, node in nodes for v in node.inputs if v == number + 1]
        if len(readers) != 1:
            return None, None
        return readers[0], self.kind_of(self.network.nodes[readers[0]])

    def freed(self, number):
        """Where the gradient by a layer's output may lie: in its place, or None.

        For layers that do not read it themselves on the way back, if the one layer
        that does is done with it before it writes the gradient there.
        """
        _, kind = self._only_reader(number)
        frees = getattr(kind, "frees_input", False)
        return self.row_of(number) + at.OUTPUT if frees else None

    def passing_gradient(self, number):
        """Where the gradient by a layer's output may lie until its way back, or None.

        For layers whose way back alone reads it. If the one layer that reads the
        output is the next, no other writes a gradient in between: all such gradients
        of one shape share a buffer, which so stays in the cache.
        """
        reader, _ = self._only_reader(number)
        return self._share(number, at.GRADIENT_BY_OUTPUT, reader == number + 1)

    def passing_output(self, number):
        """The same of an output that the next layer copies for its way back."""
        reader, kind = self._only_reader(number)
        copies_input = getattr(kind, "copies_input", None)
        passes = reader == number + 1 and copies_input and copies_input(self, reader)
        if passes and self.plan.goes_back:
            self._passing.add(number + 1)
        return self._share(number, at.OUTPUT, passes)

    def _share(self, number, word, is_shared):
        """Another layer's number with the address for that of a layer, or None."""
        if not is_shared or not self.plan.goes_back:
            return None
        words, place = self.plan.words, self.row_of(number) + word
        shape = words[self.row_of(number) + at.STRIDE], self.plan.lines
        first = self._shared.setdefault((word, *shape), place)
        return None if first == place else first

    def passes(self, value):
        """Whether a value is there until the next layer has read it, not after."""
        return value in self._passing

    def reads_entries(self, value):
        """Whether a value is the entries of a sparse matrix."""
        return value == 0 and self.plan.on_entries

    def new_row(self, number, n_words):
        """Begin the row of a layer, with its sizes, its tensors and its edges."""
        row = super().new_row(number, n_words)
        width = self.network.widths[number + 1]
        self.plan.words[row + at.WIDTH] = self.plan.padded(width)
        return row

    def _deliver(self, edge, value, in_tiles):
        words, row = self.plan.words, self.rows[value]
        words[edge + at.GOAL_WIDTH] = self.plan.padded(words[row + at.N_OUT])
        words[edge + at.SCALE_STRIDE] = words[row + at.STRIDE]
        super()._deliver(edge, value, in_tiles)

    def add_gradient(self, part):
        """Let a gradient that lies elsewhere be delivered, a row of `new_part`."""
        self.instruct(self.plan.kernel(kernels.BATCH), "add_gradient", part)

    def instruct(self, kernel, name, row):
        """Let a function of a kernel work on the rows of a batch."""
        self.plan.program.rows(kernel.address(name), row)

    def run_backward(self, number, node):
        """Let a layer's `backward` find the gradient by its input."""
        kernel = self.plan.kernel_of(node)
        self.instruct(kernel, "backward", self.row_of(number))

    def instruct_columns(self, kernel, name, row):
        """Let threads share out the units of a layer, and wait before and after."""
        width = self.plan.words[row + at.WIDTH]
        function, lanes = kernel.address(name), self.plan.layout.lanes
        self.plan.program.share(function, row, width, lanes)

    def add_vector(self, number, tensor, gradient, cost):
        """Add a tensor of a layer that is one vector, as a unit and a group of its own.

        Parameters
        ----------
        number, tensor : int
            The layer, and which of its tensors.
        gradient : int
            Address of a function.
        cost : tuple of int
        """
        size = self.plan.words[self.row_of(number) + at.WIDTH]
        self.plan.units.begin_group()
        self.add_unit(number, tensor, gradient, size=size, cost=cost)

    def add_unit(
        self, number, tensor, gradient, after=0, *, start=0, size, place=(0, 0, 0),
        lines=None, cost,
    ):  # fmt: skip
        """Add a unit of a layer's tensor, see `nnfit.cpu.programs.Units`.

        Parameters
        ----------
        number, tensor : int
            The layer, and which of its tensors.
        gradient, after : int
            Addresses of functions.
        start, size : int
            Elements of the tensor in the engine's layout.
        place : tuple of int
        lines : int, default=None
            Of each row that its gradient is a sum over; None for all.
        cost : tuple of int
            Of each element, in lines of a batch: for each line, and besides.
        """
        per_line, fixed = cost
        lines = lines or self.plan.words[self.row_of(number) + at.LINES]
        cost = size * per_line * lines, size * fixed
        functions = gradient, after
        self._add(number, tensor, functions, start, size, place, 0, size, cost)

    def _add(self, number, tensor, functions, start, size, place, touched, held, cost):
        plan, row = self.plan, self.row_of(number)
        tensor_row = self.tensor_row(number, tensor)
        order = self.network.tensor_order
        counted = (tensor_row - plan.words[at.TENSORS]) // at.TENSOR
        item = plan.layout.dtype.itemsize
        plan.units.add(
            row, *functions, tensor_row, order.index(counted),
            plan.words[tensor_row + at.ADDRESS] + start * item, size, place, touched,
            held, cost,
        )  # fmt: skip

    def add_lines(self, number, tensor, gradient, column, first, n_lines, cost):
        """Add a unit and group of lines of a tensor, of which a batch touches some.

        Its function says which ones, see `nnfit.cpu.fields`.

        Parameters
        ----------
        number, tensor, gradient
            See `add_vector`.
        column : int
            The layer's own number of it.
        first, n_lines : int
            Lines of the tensor.
        cost : tuple of int
            For an element of a line: of each row of the batch, and of each of the
            unit's lines that it may touch.
        """
        plan = self.plan
        line = plan.words[self.tensor_row(number, tensor) + at.LINE]
        n_rows = plan.n_rows * plan.words[self.row_of(number) + at.LINES]
        most = min(n_rows, n_lines)
        touched = plan.reserve(1)
        plan.buffer(touched, at.TOUCHED + most, "int64")
        plan.units.begin_group()
        self._add(
            number, tensor, (gradient, 0), first * line, n_lines * line,
            (column, first, n_lines), touched, most * line,
            (cost[0] * line, cost[1] * most * line),
        )  # fmt: skip
