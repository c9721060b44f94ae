"""What is done with a batch, written down: segments of instructions, and units.

`nnfit.cpu.kernels.program` carries it out.
"""

from typing import NamedTuple

from nnfit.cpu import fields as at

#: A share that is worked on as a whole.
ALL = 1 << 62


class Instruction(NamedTuple):
    """A function, the row of the layer that it works on, and whether it is random."""

    function: int
    row: int
    is_random: bool = False


class Segment:
    """Instructions that threads carry out on their shares of an extent.

    Parameters
    ----------
    shares : int
        How the extent is shared out, see `nnfit.cpu.fields`.
    extent : int, default=0
        0 for the rows of the batch.
    grain : int, default=1
    block : int, default=ALL
        Most that is worked on together.
    waits : bool, default=True
        Whether threads wait for each other after it.
    always : bool, default=False
        Whether it runs for a batch without weight.
    """

    def __init__(
        self, shares, extent=0, grain=1, block=ALL, waits=True, always=False
    ):  # fmt: skip
        self.numbers = [shares, extent, grain, block, waits, always]
        self.instructions = []

    def without_random(self):
        """A copy that leaves out what is random."""
        shares, extent, grain, block, waits, always = self.numbers
        copy = Segment(shares, extent, grain, block, waits, always)
        copy.instructions = [each for each in self.instructions if not each.is_random]
        return copy


class Program:
    """Segments in their order.

    Parameters
    ----------
    grain, block : int
        Of segments of rows.
    """

    def __init__(self, grain, block):
        self.grain, self._block = grain, block
        self._segments, self._later, self._once = [], [], []
        self._shared_last = []
        self._statistics = []
        self._n_of_parts = None
        self._takes_rows = False  # whether the last segment is of rows and open

    def rows(self, function, row, is_random=False):
        """Let a function work on the rows of a batch, block by block."""
        if not self._takes_rows:
            segment = Segment(at.EVENLY, 0, self.grain, self._block)
            self._segments.append(segment)
            self._takes_rows = True
        instruction = Instruction(function, row, is_random)
        self._segments[-1].instructions.append(instruction)

    def wait(self):
        """Let threads wait for each other before the next rows: these read others."""
        self._takes_rows = False

    def rows_last(self, function, row):
        """Let a function work on rows when the way back is done."""
        self._later.append((function, row))

    def share_last(self, function, row, extent):
        """Let threads share out an extent when the way back is done."""
        self._shared_last.append((function, row, extent))

    def once(self, function, row):
        """Let thread 0 call a function beside the last of the rows."""
        self._once.append((function, row))

    def share(self, function, row, extent=0, grain=1, shares=at.EVENLY, **options):
        """Let threads share out an extent, and wait for each other before and after."""
        self._takes_rows = False
        segment = Segment(shares, extent, grain, **options)
        segment.instructions.append(Instruction(function, row))
        self._segments.append(segment)

    def end_statistics(self):
        """What was written so far finds the statistics of a batch."""
        self._statistics = [each.without_random() for each in self._segments]

    def end_part(self):
        """What was written so far is done with each part of a batch, the rest once."""
        self._n_of_parts = len(self._segments)

    def end_rows(self):
        """The way back is done: what waited for that, by rows or shared out, then what
        thread 0 does.
        """
        for function, row in self._later:
            self.rows(function, row)
        self._takes_rows = False
        for function, row, extent in self._shared_last:
            self.share(function, row, extent, waits=False)
        for function, row in self._once:
            self._segments[-1].numbers[4] = False
            self.share(function, row, 1, shares=at.FIRST_THREAD)
        self._segments[-1].numbers[4] = True  # the last of them waits

    def write(self, plan):
        """Write segments and instructions into a plan's table."""
        segments = self._segments + self._statistics
        begin = plan.reserve(len(segments) * at.SEGMENT)
        words = plan.words
        words[at.SEGMENTS], words[at.N_SEGMENTS] = begin, len(self._segments)
        words[at.STATISTICS_END] = len(segments)
        words[at.N_PART_SEGMENTS] = self._n_of_parts or len(self._segments)
        for number, segment in enumerate(segments):
            place = begin + number * at.SEGMENT
            first = plan.reserve(len(segment.instructions) * at.INSTRUCTION)
            end = len(words)
            words[place : place + at.SEGMENT] = (first, end, *segment.numbers)
            for step, each in enumerate(segment.instructions):
                at_step = first + step * at.INSTRUCTION
                words[at_step + at.FUNCTION] = each.function
                words[at_step + at.ROW] = each.row


class Units:
    """Units of parameters in the order of the layers, see `nnfit.cpu.fields`.

    Attributes
    ----------
    largest : int
        Elements of the largest gradient of a unit.
    """

    def __init__(self):
        self._units, self._groups, self._touched = [], [], []
        self.largest = 0
        self._per_row = self._fixed = 0
        self._n_trained = self._n_groups = 0

    def __len__(self):
        return len(self._units)

    def make_room(self, size):
        """Make the scratch of a thread, where it has a unit's gradient, as large."""
        self.largest = max(self.largest, size)

    def end_trained(self):
        """The next units are not updated: what follows from them is found once."""
        self._n_trained, self._n_groups = len(self._units), len(self._groups)

    def begin_group(self):
        """The next units belong to one panel."""
        self._groups.append([len(self._units), len(self._units)])

    def add(
        self, row, gradient, after, tensor, number, address, size, place, touched,
        held, cost,
    ):  # fmt: skip
        """Add a unit, whose numbers are those of a unit's row.

        Parameters
        ----------
        address : int
            Bytes from the begin of the parameters.
        place : tuple of int
            Column, first row and rows in the tensor.
        touched : int
            Which number of the table is the address of what a batch touches; 0 for
            none.
        held : int
            Most elements of its gradient.
        cost : tuple of int
            In rows of a batch: for each row, and besides.
        """
        before = self._per_row, self._fixed
        self._units.append(
            (row, gradient, after, tensor, number, address, size, *place, 0, *before)
        )
        self._touched.append(touched)
        self._per_row += cost[0]
        self._fixed += cost[1]
        self._groups[-1][1] = len(self._units)
        self.make_room(held)

    def write(self, plan):
        """Write units and groups into a plan's table."""
        n, n_trained, words = len(self._units), self._n_trained, plan.words
        begin = plan.reserve((n + 1) * at.UNIT)  # the last one ends the costs
        words[at.UNITS], words[at.N_UNITS] = begin, n_trained
        words[at.N_FROZEN_UNITS] = n - n_trained
        for number, unit in enumerate(self._units):
            place = begin + number * at.UNIT
            words[place : place + at.UNIT] = unit
            plan.set_parameter(place + at.U_ADDRESS)
            if self._touched[number]:
                plan.same(place + at.U_TOUCHED, self._touched[number])
        end = begin + n * at.UNIT
        words[end + at.U_PER_ROW_BEFORE] = self._per_row
        words[end + at.U_FIXED_BEFORE] = self._fixed
        words[at.GROUPS], words[at.N_GROUPS] = len(words), self.n_groups
        for first, last in self._groups[: self.n_groups]:
            group = plan.reserve(at.GROUP)
            words[group + at.G_FIRST], words[group + at.G_END] = first, last

    @property
    def n_groups(self):
        """Number of groups that are trained."""
        return self._n_groups
