"""Codes of categories as numbers, on a GPU.

    forward        lines of a row's codes, of which training masks some, and the output;
                   a lane takes a column
    give_nothing   the gradient by the codes, 0
    vectors        sums over the rows of a line, for each line that the batch has

A group of threads takes a row of the batch and an embedded column. If no row before it
has the same line, the group adds up all rows that have it, in order: the work depends
on the batch alone.
"""

from collections import namedtuple

import numpy as np

from nnfit.cuda import fields as at
from nnfit.cuda.kernels.batches import make_random
from nnfit.functions.random import MASK as MASK_STREAM
from nnfit.network.kinds.category_embedding import MASK, Column, columns_of

OPERATIONS = ("forward", "give_nothing")
GRADIENTS = ("vectors",)

#: Numbers of the layer's row.
N_COLUMNS = at.PRIVATE
LINES = N_COLUMNS + 1  # int64 (batch, n_columns): line of each code
MASK_LIMIT = N_COLUMNS + 2  # random bits below it are masked, of 32 bits
MASK_PURPOSE = N_COLUMNS + 3
EMBEDDED = N_COLUMNS + 4  # where numbers of the embedded columns begin in the row
COLUMNS = N_COLUMNS + 5  # what is known of each column, then those numbers
#: Numbers of a column, those of `Column`.
UNIT, N_CODES, FIRST_CODE, N_LINES, FIRST_LINE, FIRST_OUTPUT, COLUMN_WIDTH = range(7)
COLUMN = len(Column._fields)

#: Lines of a column of the batch; what a group of units has.
Lines = namedtuple("Lines", "address stride")
Values = namedtuple("Values", "lines gradient stride size first_line update")


def traits(node):
    """None."""
    return ()


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, columns = graph.plan, columns_of(node)
    embedded = [place for place, column in enumerate(columns) if column.is_embedded]
    size = COLUMNS + len(columns) * COLUMN
    row = graph.new_row(number, size + len(embedded))
    words = plan.words
    words[row + N_COLUMNS], words[row + EMBEDDED] = len(columns), size
    known = [each for column in columns for each in column]
    words[row + COLUMNS : row + size + len(embedded)] = [*known, *embedded]
    words[row + MASK_LIMIT] = int(node.options[MASK] * 2**32) if plan.masks else 0
    words[row + MASK_PURPOSE] = MASK_STREAM + number
    if plan.trains:
        plan.buffer(row + LINES, plan.n_rows * len(columns), np.int64)
    graph.output(number)
    graph.gradient(number)
    graph.phase(node, "forward", row)


def way_back(graph, number, node):
    """0 by the codes, if anything learns from it."""
    if graph.deliver(number, 0):
        graph.phase(node, "give_nothing", graph.row_of(number))


def add_units(graph, number, node):
    """Rows of the batch, for each embedded column."""
    n_embedded = sum(column.is_embedded for column in columns_of(node))
    if n_embedded:
        graph.add_lines(number, 1, "vectors", n_embedded)


def make(build, traits):
    """Device functions `forward` and `give_nothing`; a group of threads takes a row."""
    if not build.kind.trains:
        return {"forward": _make_forward(build)}
    return {"forward": _make_forward(build), "give_nothing": _make_nothing(build)}


def _make_line_of(build):
    """Build ``line_of(m, column, code, lines)``: 0 for what is no code."""
    scalar = build.scalar
    zero, none = scalar(0.0), np.int64(0)

    @build.device
    def line_of(m, column, code, lines):
        # Comparisons with NaN are false.
        if not (code >= zero and code < scalar(m.longs[column + N_CODES])):
            return none
        number = np.int64(code)
        if scalar(number) != code:
            return none
        found = m.floats[lines + m.longs[column + FIRST_CODE] + number]
        if not (found >= zero and found < scalar(m.longs[column + N_LINES])):
            return none
        return np.int64(found)

    return line_of


def _make_is_masked(build):
    """Build ``is_masked(m, net, row, now, r, i)``: whether training drops a code."""
    random = make_random(build.cuda)
    stream, stream_of, bits = random.stream, random.stream_of, random.bits
    low_word, high_word, trains = random.low_word, random.high_word, build.kind.trains

    @build.device
    def is_masked(m, net, row, now, r, i):
        longs = m.longs
        limit = longs[row + MASK_LIMIT]
        if not trains or limit == 0 or longs[net + at.COLLECTING] != 0:
            return False
        seed, purpose = longs[net + at.SEED], longs[row + MASK_PURPOSE]
        start = np.int64(stream_of(seed, now.step, purpose))
        key = stream(start, now.position + r)
        return bits(low_word(key), high_word(key), i) < np.uint32(limit)

    return is_masked


def _make_forward(build):
    threads, input_of, tensor_of = build.threads, build.input_of, build.tensor_of
    groups, lanes, trains = threads.groups, threads.lanes, build.kind.trains
    zero, one, none = build.scalar(0.0), build.scalar(1.0), np.int64(0)
    line_of, is_masked = _make_line_of(build), _make_is_masked(build)

    @build.device
    def write(m, column, line, vectors, output):
        """A column's block of the output."""
        first, width = m.longs[column + FIRST_LINE], m.longs[column + COLUMN_WIDTH]
        for j in range(width):
            value = zero
            if first >= 0:
                value = m.floats[vectors + (first + line) * width + j]
            elif m.longs[column + N_LINES] == 3 and line > 0:
                value = one if line == 1 else -one
            elif line == j + 1:
                value = one
            m.floats[output + m.longs[column + FIRST_OUTPUT] + j] = value

    @build.device
    def forward(m, net, place, now, block, n_blocks):
        """Blocks of columns side by side."""
        longs, row = m.longs, net + place
        edge, lines = row + at.EDGES, tensor_of(m, net, row, 0)
        x, x_stride = input_of(m, edge, now), longs[edge + at.INPUT_STRIDE]
        # Read by embedded columns, which have it behind the lines.
        vectors, n = tensor_of(m, net, row, 1), longs[row + N_COLUMNS]
        first = now.begin + block * groups + threads.group()
        for r in range(first, now.end, n_blocks * groups):
            output = longs[row + at.OUTPUT] + r * longs[row + at.STRIDE]
            for i in range(threads.lane(), n, lanes):
                column = row + COLUMNS + i * COLUMN
                code = m.floats[x + r * x_stride + longs[column + UNIT]]
                line = line_of(m, column, code, lines)
                if is_masked(m, net, row, now, r, i):
                    line = none
                if trains:
                    longs[longs[row + LINES] + r * n + i] = line
                write(m, column, line, vectors, output)

    return forward


def _make_nothing(build):
    threads, (open_goal, deliver) = build.threads, build.delivering
    groups, lanes, zero = threads.groups, threads.lanes, build.scalar(0.0)

    @build.device
    def give_nothing(m, net, place, now, block, n_blocks):
        """Delivers a gradient of 0."""
        edge = net + place + at.EDGES
        c, n = open_goal(m, edge), m.longs[edge + at.N_IN]
        first = block * groups + threads.group()
        for r in range(first, now.size, n_blocks * groups):
            for j in range(threads.lane(), n, lanes):
                deliver(m, c, r, j, zero)

    return give_nothing


def make_gradients(build, traits, store):
    """Device function `vectors`: sums over the rows of a line, in order."""
    scalar = build.scalar

    @build.device
    def take(m, c, here, r, j, size, given):
        total = 0.0
        for other in range(r, size):
            if m.longs[c.lines.address + other * c.lines.stride] == here:
                total += np.float64(m.floats[c.gradient + other * c.stride + j])
        p = c.update.place + (c.first_line + here) * c.size + j
        return store(m, c.update, p, scalar(total))

    vectors = _make_walk(build, take)

    @build.device
    def gradient(m, net, group, now, parts, block, n_blocks):
        vectors(m, net, group, now, parts, parts, block, n_blocks)

    return {"vectors": gradient}


def make_steps(build, traits, step):
    """Device function `vectors`: a step of each parameter that the batch has."""

    @build.device
    def take(m, c, here, r, j, size, factor):
        p = c.update.place + (c.first_line + here) * c.size + j
        step(m, c.update, p, factor)
        return 0.0

    vectors, nowhere = _make_walk(build, take), np.int64(-1)

    @build.device
    def steps(m, net, group, now, factor, block, n_blocks):
        vectors(m, net, group, now, factor, nowhere, block, n_blocks)

    return {"vectors": steps}


def _make_walk(build, take):
    """Build what goes through the lines that a batch has, element by element.

    ``take(m, c, line, r, j, size, given) -> float`` gets the first row of a line; what
    it returns is added up by unit, at `parts` if that is not negative.
    """
    threads, open_update = build.threads, build.open_update
    groups, lanes = threads.groups, threads.lanes

    @build.device
    def open_column(m, net, group, place, now):
        longs = m.longs
        row, tensor = net + longs[group + at.G_ROW], net + longs[group + at.G_TENSOR]
        number = longs[row + longs[row + EMBEDDED] + place]
        column = row + COLUMNS + number * COLUMN
        gradient = longs[row + at.GRADIENT_BY_OUTPUT] + longs[column + FIRST_OUTPUT]
        return Values(
            Lines(longs[row + LINES] + number, longs[row + N_COLUMNS]), gradient,
            longs[row + at.GRADIENT_STRIDE], longs[column + COLUMN_WIDTH],
            longs[column + FIRST_LINE], open_update(m, net, tensor, now.weight_sum),
        )  # fmt: skip

    @build.device
    def is_first(m, lines, r, size):
        """Whether no row before r has its line; all threads of a block call it."""
        found = 0.0
        if r < size:
            here = m.longs[lines.address + r * lines.stride]
            for other in range(threads.lane(), r, lanes):
                if m.longs[lines.address + other * lines.stride] == here:
                    found = 1.0
        return threads.sum_of_lanes(m, found) == 0.0 and r < size

    @build.device
    def walk(m, net, group, now, given, parts, block, n_blocks):
        longs = m.longs
        each = (longs[net + at.BUFFER_ROWS] + groups - 1) // groups
        first = longs[group + at.G_FIRST]
        begin = (block - first) % n_blocks
        for number in range(begin, longs[group + at.G_UNITS], n_blocks):
            c = open_column(m, net, group, number // each, now)
            r, part = number % each * groups + threads.group(), 0.0
            if is_first(m, c.lines, r, now.size):
                here = longs[c.lines.address + r * c.lines.stride]
                for j in range(threads.lane(), c.size, lanes):
                    part += take(m, c, here, r, j, now.size, given)
            part = threads.sum_of_block(m, part)
            if parts >= 0 and threads.number() == 0:
                m.doubles[parts + first + number] = part

    return walk


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
