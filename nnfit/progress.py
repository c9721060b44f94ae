"""How far a training has come, as the training loop reads and writes it."""


def _number(index, table, kind):
    def read(self):
        return kind(getattr(self._engine._tables, table)[index])

    def write(self, value):
        getattr(self._engine._tables, table)[index] = value

    return property(read, write)


def progress_of(at):
    """Class of the progress of an engine whose tables have these fields.

    Parameters
    ----------
    at : module
        `nnfit.cpu.fields` or `nnfit.cuda.fields`.
    """

    class Progress:
        """How far the training of an engine has come; attributes can be set.

        Attributes
        ----------
        epoch : int
            Epochs finished; also the number of the next shuffle.
        step : int
            Steps of the optimizer.
        samples : int
            Rows seen, scikit-learn's ``t_``.
        no_improvement : int
            Epochs in a row without improvement.
        stopped : {0, 1, 2}
            2 when loss or weights are not finite.
        learning_rate, best_loss : float
        """

        def __init__(self, engine):
            self._engine = engine

        @property
        def epoch(self):
            """Epochs finished."""
            return int(self._engine._tables.ints[at.EPOCH])

        @epoch.setter
        def epoch(self, value):
            self._engine._tables.ints[at.EPOCH] = value
            self._engine._is_ordered = False

        step = _number(at.STEP, "ints", int)
        samples = t = _number(at.SAMPLES, "ints", int)
        no_improvement = _number(at.NO_IMPROVEMENT, "ints", int)
        stopped = _number(at.STOPPED, "ints", int)
        learning_rate = _number(at.LEARNING_RATE, "floats", float)
        best_loss = _number(at.BEST_LOSS, "floats", float)

    return Progress
