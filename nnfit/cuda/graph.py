"""Rows of layers in a table, their phases, and the groups of units of their tensors."""

from nnfit.cuda import fields as at
from nnfit.cuda.operations import (
    drops_apart,
    gradients_of,
    kinds_of,
    operations_of,
)
from nnfit.cuda.phases import Phase, Work
from nnfit.network import graph


class Graph(graph.Graph):
    """What kinds of layers write into a table.

    Parameters
    ----------
    plan : nnfit.cuda.tables.Table

    Attributes
    ----------
    forward, back : list of Phase
        Of the way forward, and of the way back.
    readers : list of int
        Places of the edges that read the features.
    n_tiles, n_units : int
        Tiles of matrices and units of lines, and units of all tensors.
    """

    device = "cuda"

    def __init__(self, plan):
        super().__init__(plan, at)
        kinds = kinds_of(plan.network)
        self._operations, self._gradients = operations_of(kinds), gradients_of(kinds)
        self.forward, self.back, self.readers, self._groups = [], [], [], []
        self._phases = self.forward
        self.n_tiles = self.n_units = 0
        self.rows.append(self._features())

    def _features(self):
        plan, n = self.plan, self.network.n_features
        row = plan.reserve(at.EDGES)
        plan.words[row + at.N_OUT] = plan.words[row + at.STRIDE] = n
        plan.words[row + at.LINES] = lines = self.network.lines[0]
        if plan.n_inputs:
            plan.buffer(row + at.OUTPUT, plan.n_inputs * plan.n_rows * lines * n)
        return row

    def lay_out(self):
        """Let every layer write its row and its way forward."""
        for number, node in enumerate(self.network.nodes):
            self.plan.lines = self.network.lines[number + 1]
            self.kind_of(node).lay_out(self, number, node)
            if self.plan.drops and drops_apart(node):
                self._drop(number)
        self.plan.lines = 1
        if not self.plan.trains and self.network.lines[-1] > 1:
            self._pool()

    def _pool(self):
        """Make one raw prediction of those of a row's members."""
        plan, own = self.plan, self.rows[-1]
        row = self.new_part(len(self.network.nodes))
        plan.words[plan.reserve(1)] = plan.words[own + at.LINES]  # number at.PRIVATE
        n_out = plan.words[row + at.N_OUT] = plan.words[own + at.N_OUT]
        plan.words[row + at.LINES], plan.words[row + at.STRIDE] = 1, n_out
        plan.buffer(row + at.OUTPUT, plan.n_rows * n_out)
        self._phases.append(Phase(at.POOL, row, work=plan.by_rows))
        self.rows.append(row)

    def _drop(self, number):
        """Drop units of a layer without an activation, and give it slopes for it."""
        plan, row = self.plan, self.row_of(number)
        part = plan.reserve(at.EDGES)
        for word in (at.N_OUT, at.STRIDE, at.DROPOUT, at.LINES):
            plan.words[part + word] = plan.words[row + word]
        plan.words[part + at.ACTIVATION] = -1
        plan.same(part + at.OUTPUT, row + at.OUTPUT)
        if plan.trains:
            plan.buffer(row + at.SLOPE, plan.n_rows * plan.words[row + at.STRIDE])
            plan.same(part + at.SLOPE, row + at.SLOPE)
        self._phases.append(Phase(at.DROP, part, work=plan.by_rows))

    def way_back(self):
        """Let every layer write its way back, then its units."""
        self._phases = self.back
        super().way_back()
        words = self.plan.words
        words[at.N_UNITS] = self.n_units
        words[at.GROUPS], words[at.N_GROUPS] = len(words), len(self._groups)
        for group in self._groups:
            place = self.plan.reserve(at.GROUP)
            words[place : place + at.GROUP] = group

    def new_row(self, number, n_words):
        """Begin the row of a layer, with its sizes, its tensors and its edges."""
        row = super().new_row(number, n_words)
        node, words = self.network.nodes[number], self.plan.words
        words[row + at.ACTIVATION] = self.plan.activations.get(node.activation, -1)
        words[row + at.DROPOUT] = -1 if node.dropout is None else node.dropout
        return row

    def _read(self, edge, value):
        super()._read(edge, value)
        if value == 0:
            self.readers.append(edge)
            size = self._rows_of(value) * self.network.n_features
            self.plan.words[edge + at.TURN] = size

    def add_gradient(self, part):
        """Let a gradient that lies elsewhere be delivered, a row of `new_part`."""
        self._phases.append(Phase(at.ADD_GRADIENT, part, work=self.plan.by_rows))

    def run_backward(self, number, node):
        """Let a layer's `backward` find the gradient by its input."""
        self.phase(node, "backward", self.row_of(number))

    # ----------------------------------------------------- what kinds call

    def phase(self, node, name, row, work=None, waits=True):
        """Add a phase: a function of a kind, and the row that it works on.

        Parameters
        ----------
        node : nnfit.network.kinds.Node
        name : str
            One of the kind's ``OPERATIONS``.
        row : int
        work : Work, default=None
            That of elements of rows if it is None.
        waits : bool, default=True
            Whether all blocks wait for each other after it.
        """
        operation = self._operations[self.kind_of(node).__name__, name]
        self._phases.append(Phase(operation, row, waits, work or self.plan.by_rows))

    def of_columns(self, row):
        """Work of a phase that sums the columns of a layer's units."""
        return Work(-(-self.plan.words[row + at.N_OUT] // self.plan.lanes))

    def of_tiles(self, columns, depth):
        """Work of a product with so many columns, of sums of so many terms."""
        return Work(self.plan.tile.count(self.plan.n_rows, columns), depth)

    def add_tiles(self, number, tensor, name, blocks=1):
        """Add the units of a matrix, or of blocks of its lines: tiles.

        Parameters
        ----------
        number, tensor : int
            The layer, and which of its tensors.
        name : str
            One of the kind's ``GRADIENTS``.
        blocks : int, default=1
            Matrices of equal size that the tensor has, one after another.
        """
        rows, columns = self.network.tensors_of_nodes[number][tensor].shape
        n_tiles = blocks * self.plan.tile.count(rows // blocks, columns)
        self.n_tiles += n_tiles
        self._add_group(number, tensor, name, n_tiles)

    def add_columns(self, number, tensor, name):
        """Add the units of a vector, or of lines: an element for each thread."""
        size = self.network.tensors_of_nodes[number][tensor].size_trained
        self._add_group(number, tensor, name, -(-size // self.plan.lanes))

    def add_lines(self, number, tensor, name, n_columns):
        """Add the units of a tensor of which a batch has some lines.

        For each column that a row has a line of, a unit is so many rows of the batch as
        a block has groups of threads; or so many lines of them.
        """
        n_units = n_columns * self.plan.by_lines(self.network.lines[number + 1]).blocks
        self.n_tiles += n_units
        self._add_group(number, tensor, name, n_units)

    def _add_group(self, number, tensor, name, n_units):
        module = self.kind_of(self.network.nodes[number]).__name__
        row, tensor_row = self.row_of(number), self.tensor_row(number, tensor)
        function = self._gradients[module, name]
        self._groups.append((function, row, tensor_row, self.n_units, n_units))
        self.n_units += n_units
