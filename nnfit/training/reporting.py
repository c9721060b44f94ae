"""Progress of a training for people: a table that grows by a line now and then.

Lines are plain ones, so that they are tidy in a terminal, a notebook and a file.
"""

import math
import threading
import time

import numpy as np

from nnfit.training.tracing import trace

#: Seconds between two lines: at most five a second.
SPACING = 0.2
#: A fit that takes longer says so after its first epoch.
LONG = 10.0
#: Rows on which gradients are looked at: 1.2 ms in a network of 100 units on digits.
SAMPLE = 64
BEST = " *"


class Pace:
    """Says when it is time for a line, for one fit or all members of an ensemble."""

    def __init__(self):
        self._next, self._lock = -math.inf, threading.Lock()
        self.has_header = False

    def is_due(self):
        """Whether the last line is long enough ago; the next one counts from here."""
        with self._lock:
            now = time.perf_counter()
            is_due = now >= self._next
            if is_due:
                self._next = now + SPACING
            return is_due

    def first(self):
        """True once, for the one who prints the header."""
        with self._lock:
            is_first, self.has_header = not self.has_header, True
            return is_first


#: Of all calls of `partial_fit`, which may follow each other fast.
OF_CALLS = Pace()


class Reporter:
    """Prints the epochs of a training.

    Parameters
    ----------
    max_iter : int
        Epochs at most.
    max_time : float, default=inf
        Seconds at most.
    look_inside : callable, default=None
        Returns the norm of the gradient and the share of dead units, which are printed
        too.
    who : str, default=""
        Whose lines they are.
    pace : Pace, default=None
        Of all that print together; None for one of its own.
    in_calls : bool, default=False
        Whether the epochs are calls of `partial_fit`, of which nobody knows how many
        there will be.
    """

    def __init__(
        self,
        max_iter,
        max_time=math.inf,
        look_inside=None,
        who="",
        pace=None,
        in_calls=False,
    ):
        self.max_iter, self.max_time = max_iter, max_time
        self._look_inside, self._who = look_inside, who
        if pace is None:
            pace = OF_CALLS if in_calls else Pace()
        self._pace, self._in_calls = pace, in_calls
        self._best, self._best_epoch = -math.inf, None
        self._told, self._begin, self._ended = None, None, False

    def begin(self, record):
        """Take the record, which the epochs before this training may be in."""
        self._begin = record.n_iter, record.seconds

    def after_epoch(self, record):
        """Print the last epoch, if it is time to."""
        validated = not math.isnan(record.history["val_loss"][-1])
        column = "val_score" if validated else "loss"
        value = record.history[column][-1]
        value = value if validated else -value
        is_best = value > self._best
        if is_best:
            self._best, self._best_epoch = value, record.n_iter
        if record.n_iter == self._begin[0] + 1 and not self._in_calls:
            self._tell_of_length(record)
        self._last = record.n_iter, is_best, validated
        if self._pace.is_due():
            self._print(record)

    def end(self, record):
        """Print the last epoch, if it has not been, and which was the best."""
        if self._in_calls or self._ended or record.n_iter == self._begin[0]:
            return
        self._ended = True
        if record.n_iter != self._told:
            self._print(record)
        if self._last[2] and self._best_epoch != record.n_iter:
            self.say(f"Best epoch: {self._best_epoch}, val. score {self._best:#.5g}.")

    def say(self, sentence):
        """Print a sentence between the lines."""
        _print(f"{self._who}{sentence}")

    def _seconds_left(self, record):
        epochs, seconds = record.n_iter - self._begin[0], record.seconds
        spent = seconds - self._begin[1]
        left = spent / max(1, epochs) * (self.max_iter - record.n_iter)
        return max(0.0, min(left, self.max_time - spent))

    def _tell_of_length(self, record):
        seconds = self._seconds_left(record)
        if seconds > LONG:
            each = record.seconds - self._begin[1]
            most = self.max_iter - self._begin[0]
            self.say(
                f"This fit will take about {duration(seconds)}, or less if it ends "
                f"early: at most {most} epochs of {duration(each)}."
            )

    def _print(self, record):
        n_iter, is_best, validated = self._last
        self._told = n_iter
        number = len(record.history["loss"]) if self._in_calls else n_iter
        last = {name: values[-1] for name, values in record.history.items()}
        mark = BEST if is_best else "  "
        cells = [("epoch", f"{number:>{max(5, len(str(self.max_iter)))}}")]
        cells.append(("loss", f"{last['loss']:#.5g}{'' if validated else mark}"))
        if validated:
            cells.append(("val. score", f"{last['val_score']:#.5g}{mark}"))
        if not math.isnan(last["learning_rate"]):
            cells.append(("learning rate", f"{last['learning_rate']:.3g}"))
        if self._look_inside is not None:
            norm, dead = self._look_inside()
            cells += [("gradient", f"{norm:.3g}"), ("dead units", f"{dead:.1%}")]
        if not self._in_calls:
            cells.append(("time left", duration(self._seconds_left(record))))
        widths = [max(len(title), 10) for title, _ in cells]
        widths[0] = len(cells[0][1])
        lines = [self._who + "  ".join(map(str.rjust, [c[1] for c in cells], widths))]
        if number == 1 if self._in_calls else self._pace.first():
            header = "  ".join(map(str.rjust, [c[0] for c in cells], widths))
            lines.insert(0, " " * len(self._who) + header)
        _print("\n".join(lines))


def glance(network, engine, X, target, rows):
    """Norm of the gradient of the mean loss, and the share of hidden units without one.

    Parameters
    ----------
    network : Network
    engine : Engine
        With the weights in training.
    X, target : ndarray or CSR matrix
        Of which some rows are looked at, evenly spaced.
    rows : ndarray or None
        Those to train on, None for all.
    """
    rows = np.arange(X.shape[0]) if rows is None else rows
    rows = rows[:: -(-len(rows) // SAMPLE)]
    layers = trace(network, engine.get_weights(), X[rows], target[rows]).layers
    norm = math.hypot(*(layer.gradient for layer in layers))
    dead = [layer.dead for layer in layers[:-1]] or [[0.0]]
    return norm, float(np.mean(np.concatenate(dead)))


def _print(text):
    # One write, which the lines of other threads cannot break.
    print(text + "\n", end="", flush=True)


def duration(seconds):
    """Seconds in the words of a reader: ``"0.4 s"``, ``"3 min 20 s"``, ``"2 h"``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
