"""The graph of a network in an engine's tables: rows of values, and the edges between.

Forward, a layer reads the output of others where they have written it. On the way
back the last layer that reads a value is the first to give a gradient by it; each adds
to what those after it gave, and the first layer multiplies by the value's slopes, if it
has any. So a value that one layer reads costs no pass of its own.
"""

from nnfit.functions.activations import ACTIVATIONS
from nnfit.network.kinds import kind_of


class Graph:
    """Rows of the values of a network; what kinds of layers call is here.

    Parameters
    ----------
    plan : object
        The table while it grows: `network`, `layout`, `n_rows`, `words`, `trains`,
        `goes_back`, `drops`, and ``reserve``, ``buffer``, ``same`` and ``padded`` as
        those of `nnfit.cpu.plans.Plan`.
    at : module
        Numbers of a layer's row and of an edge in the device's table.

    Attributes
    ----------
    plan : object
        Where buffers are reserved.
    network : nnfit.network.description.Network
    rows : list of int
        Where the row of each value begins: of the features, then of the layers.
    adds : bool
        Whether gradients by one value are added up, or copied.
    """

    #: Name of the device, see `nnfit.network.kinds.kind_of`.
    device = None

    def __init__(self, plan, at):
        self.plan, self.network, self._at = plan, plan.network, at
        self._left = list(plan.network.n_consumers)
        self.adds = False
        self._partial = {}  # of values: where gradients of some of their readers are
        self._in_first_part = self._find_first_parts()
        n_values = len(plan.network.nodes) + 1
        self._wants = plan.network.learns if plan.trains else (True,) * n_values
        self._first_tensors = []
        first = plan.words[at.TENSORS]
        for own in plan.network.tensors_of_nodes:
            self._first_tensors.append(first)
            first += len(own) * at.TENSOR
        self.rows = []

    def kind_of(self, node):
        """Module of a layer's kind for the device."""
        return kind_of(node, self.device)

    def _find_first_parts(self):
        """Values that lie at the begin of a wider one, and which that is."""
        found, taken = {}, {0}
        for number, node in enumerate(self.network.nodes):
            widens = getattr(self.kind_of(node), "begins_with_input", False)
            # What is dropped of the whole must not be missing in the part.
            widens = widens and node.dropout is None
            if widens and node.inputs[0] not in taken:
                found[node.inputs[0]] = number + 1
                taken |= {node.inputs[0], number + 1}
        return found

    def lay_out(self):
        """Let every layer write its row and its way forward."""
        for number, node in enumerate(self.network.nodes):
            self.plan.lines = self.network.lines[number + 1]
            self.kind_of(node).lay_out(self, number, node)
        self.plan.lines = 1

    def way_back(self):
        """Let every layer write its way back, then its units.

        Where nothing learns, at a layer and before it, there is no way back.
        """
        nodes = list(enumerate(self.network.nodes))
        for number, node in reversed(nodes):
            if not self._wants[number + 1]:
                continue
            self.plan.lines = self.network.lines[number + 1]
            kind = self.kind_of(node)
            if hasattr(kind, "way_back"):
                kind.way_back(self, number, node)
            elif self.deliver(number, 0):
                self.run_backward(number, node)
        self.plan.lines = 1
        for number, node in nodes:
            if self.trains_at(number):
                self.kind_of(node).add_units(self, number, node)
        self.add_frozen_units()

    def add_frozen_units(self):
        """Add what the way back through layers that are frozen needs of them."""

    # ----------------------------------------------------- what kinds call

    def trains_at(self, number):
        """Whether training changes an array of layer `number`."""
        return self.network.trains_at[number]

    def row_of(self, number):
        """Row of layer `number`."""
        return self.rows[number + 1]

    def tensor_row(self, number, tensor):
        """Row of one of the tensors of layer `number`."""
        return self._first_tensors[number] + tensor * self._at.TENSOR

    def is_activated(self, node):
        """Whether a layer calls its activation: an identity stores no slope.

        It does where units are dropped: what is dropped has no slope either.
        """
        is_dropped = self.plan.drops and node.dropout is not None
        is_identity = node.activation in (None, ACTIVATIONS["identity"])
        return is_dropped or not is_identity

    def new_row(self, number, n_words):
        """Begin the row of a layer, with its sizes, its tensors and its edges."""
        at, words = self._at, self.plan.words
        row = self.plan.reserve(n_words)
        self.rows.append(row)
        words[row + at.N_OUT] = self.network.widths[number + 1]
        words[row + at.STRIDE] = self._stride_of(number + 1)
        words[row + at.LINES] = self.network.lines[number + 1]
        words[row + at.OWN_TENSORS] = self._first_tensors[number]
        for place, value in enumerate(self.network.nodes[number].inputs[:2]):
            self._read(row + at.EDGES + place * at.EDGE, value)
        return row

    def new_part(self, value):
        """A row that has a value as its only input."""
        row = self.plan.reserve(self._at.PRIVATE)
        self.plan.words[row + self._at.LINES] = self.network.lines[value]
        self._read(row + self._at.EDGES, value)
        return row

    def _read(self, edge, value):
        plan, at, row = self.plan, self._at, self.rows[value]
        if plan.words[row + at.OUTPUT]:
            plan.same(edge + at.INPUT, row + at.OUTPUT)
        plan.words[edge + at.INPUT_STRIDE] = plan.words[row + at.STRIDE]
        plan.words[edge + at.N_IN] = plan.words[row + at.N_OUT]

    def _stride_of(self, value):
        """Distance of a value's rows; that of what it is the first part of."""
        if value in self._in_first_part:
            return self._stride_of(self._in_first_part[value])
        return self.plan.layout.stride(self.plan.padded(self._extent_of(value)))

    def _rows_of(self, value):
        """Rows of a value's buffers."""
        return self.plan.n_rows // self.plan.lines * self.network.lines[value]

    def _extent_of(self, value):
        """Elements of a row that are written: a first part has padding at its end."""
        widths, width = self.network.widths, self.network.widths[value]
        first = [v for v, wider in self._in_first_part.items() if wider == value]
        if not first:
            return self.plan.padded(width)
        return self._extent_of(first[0]) + width - widths[first[0]]

    def is_first_part(self, value, number):
        """Whether a value lies at the begin of the output of layer `number`."""
        return self._in_first_part.get(value) == number + 1

    def output(self, number, place=None):
        """Reserve a layer's output, or give it another's buffer."""
        plan, row = self.plan, self.row_of(number)
        if place is None:
            size = plan.n_rows * plan.words[row + self._at.STRIDE]
            plan.buffer(row + self._at.OUTPUT, size)
        else:
            plan.same(row + self._at.OUTPUT, place)

    def gradient(self, number, place=None):
        """Reserve the gradient by a layer's output, or give it another's buffer."""
        plan, at, row = self.plan, self._at, self.row_of(number)
        if not plan.goes_back:
            return
        stride = plan.words[row + at.STRIDE]
        plan.words[row + at.GRADIENT_STRIDE] = stride
        if place is None:
            plan.buffer(row + at.GRADIENT_BY_OUTPUT, plan.n_rows * stride)
        else:
            plan.same(row + at.GRADIENT_BY_OUTPUT, place)

    # ------------------------------------------------------- the way back

    def deliver(self, number, place, in_tiles=False):
        """Write down where a layer's gradient by an input goes.

        Parameters
        ----------
        number, place : int
            The layer, and which of its inputs.
        in_tiles : bool, default=False
            Whether sums and slopes are read before the gradient is written to their
            place.

        Returns
        -------
        is_wanted : bool
            False for features and what is made of them alone, unless the way back goes
            as far as to the features.
        """
        value = self.network.nodes[number].inputs[place]
        if not self._wants[value]:
            return False
        edge = self.row_of(number) + self._at.EDGES + place * self._at.EDGE
        self._deliver(edge, value, in_tiles)
        return True

    def _deliver(self, edge, value, in_tiles):
        plan, at, words, row = self.plan, self._at, self.plan.words, self.rows[value]
        if in_tiles and value in self._partial:
            self._pad_partial(value)
        self._left[value] -= 1
        is_last = self._left[value] == 0
        stride = words[edge + at.GOAL_STRIDE] = words[row + at.STRIDE]
        if value in self._partial:
            self.adds = True
            self._point(edge + at.ADDED, edge + at.ADDED_STRIDE, self._partial[value])
        has_slopes = words[row + at.SLOPE] != 0
        if is_last and has_slopes:
            plan.same(edge + at.SCALE, row + at.SLOPE)
        if is_last and (in_tiles or not has_slopes):
            plan.same(edge + at.GOAL, row + at.GRADIENT_BY_OUTPUT)
            words[row + at.GRADIENT_STRIDE] = stride
            return
        plan.buffer(edge + at.GOAL, self._rows_of(value) * stride)
        if is_last:
            plan.same(row + at.GRADIENT_BY_OUTPUT, edge + at.GOAL)
        else:
            self._partial[value] = (edge + at.GOAL, stride, 0, True)

    def _point(self, index, stride_index, place):
        number, stride, elements, _ = place
        self.plan.same(index, number, elements)
        self.plan.words[stride_index] = stride

    def pass_on(self, number, place, elements=0):
        """Say that the gradient by an input is a layer's own, or a part of it.

        Parameters
        ----------
        number, place : int
            The layer, and which of its inputs.
        elements : int, default=0
            Where in the layer's gradient it begins.
        """
        at, words, own = self._at, self.plan.words, self.row_of(number)
        value = self.network.nodes[number].inputs[place]
        if not self._wants[value]:
            return
        row, source = self.rows[value], own + at.GRADIENT_BY_OUTPUT
        # Behind a part, where padding must be zero, lies the next one.
        n, n_own = words[row + at.N_OUT], words[own + at.N_OUT]
        is_clean = n == n_own or self.plan.padded(n) == n
        is_clean = is_clean or not self._reads_padding(value)
        view = source, words[own + at.GRADIENT_STRIDE], elements, is_clean
        is_only = self._left[value] == 1 and value not in self._partial
        if is_only and is_clean and not words[row + at.SLOPE]:
            self._left[value] = 0
            self._point(row + at.GRADIENT_BY_OUTPUT, row + at.GRADIENT_STRIDE, view)
        elif self._left[value] > 1 and value not in self._partial:
            self._left[value] -= 1
            self._partial[value] = view
        else:
            part = self.new_part(value)
            self._point(part + at.GRADIENT_BY_OUTPUT, part + at.GRADIENT_STRIDE, view)
            self._copy_to(part, value)

    def pass_parts(self, number):
        """Say that a layer's gradient has those by its inputs side by side."""
        begin = 0
        for place, value in enumerate(self.network.nodes[number].inputs):
            self.pass_on(number, place, begin)
            begin += self.network.widths[value]

    def _reads_padding(self, value):
        """Whether a value's layer reads its gradient beyond the units.

        A part of a wider gradient has another part there instead of zeros.
        """
        node = self.network.nodes[value - 1]
        return getattr(self.kind_of(node), "reads_padding", False)

    def _pad_partial(self, value):
        """Copy what was given of a gradient so far, if it has no padding of its own."""
        at, view = self._at, self._partial[value]
        if view[3]:
            return
        part = self.new_part(value)
        self._point(part + at.GRADIENT_BY_OUTPUT, part + at.GRADIENT_STRIDE, view)
        del self._partial[value]
        self._left[value] += 1  # the copy is one more that gives it
        self._copy_to(part, value)

    def _copy_to(self, part, value):
        """Let the gradient of a row of `new_part` be delivered to a value."""
        self.adds = True
        self._deliver(part + self._at.EDGES, value, False)
        self.add_gradient(part)

    def add_gradient(self, part):
        """Let a gradient that lies elsewhere be delivered, a row of `new_part`."""
        raise NotImplementedError
