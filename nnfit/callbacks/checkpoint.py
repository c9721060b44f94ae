"""Checkpoints: a fit that is killed goes on from the last of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

from nnfit.callbacks import files
from nnfit.callbacks.base import Callback
from nnfit.training.saving import state_of

#: Time between two checkpoints over the time that the first of them took: writing takes
#: at most a twentieth of the fit.
SPACING = 20.0


class Checkpoint(Callback):
    """Writes what a fit needs to go on after it was killed.

    ``fit(X, y, resume_from=path)`` with the same data and parameters goes on from the
    last checkpoint and ends with the same weights, bit for bit. A file is replaced at
    once, when the new one is complete on the disk.

    Parameters
    ----------
    path : str or path
        A name that ends in ``.npz`` is a file, for one fit of one network. Any other is
        a folder, in which every fit has a file of its own: the members of an ensemble,
        the candidates and folds of a search. Files are told apart by the estimator's
        parameters and the data.
    every : int, default=None
        Epochs from one checkpoint to the next. None writes as often as takes at most a
        twentieth of the time. The end of the training is always written.

    Notes
    -----
    The weights are not the same if X, y or the parameters are not, which is refused.
    `n_jobs`, `device`, `verbose` and `max_time` may change. Not for ``solver="lbfgs"``,
    whose state SciPy keeps to itself, and not for `partial_fit`: between its calls, and
    between short fits with ``warm_start=True``, the estimator can be pickled.

    If a file cannot be written, such as on a full disk, the fit warns once and goes on;
    the file before stays.

    Examples
    --------
    >>> from nnfit import MLPClassifier
    >>> from nnfit.callbacks import Checkpoint
    >>> net = MLPClassifier().set_callbacks(Checkpoint("fit.npz"))
    >>> net.fit(X, y, resume_from="fit.npz")  # doctest: +SKIP
    """

    #: Tells fits to find out who they are.
    needs_identity = True

    def __init__(self, path: str | os.PathLike[str], *, every: int | None = None):
        is_number = isinstance(every, Integral) and not isinstance(every, bool)
        if every is not None and not (is_number and every > 0):
            raise ValueError(
                f"every must be a number of epochs, at least 1, or None, got {every!r}."
            )
        self.path, self.every = checked_path(path, "path"), every

    def setup(self, estimator: Any, context: Any) -> None:
        """Refuse fits that cannot go on, and make the folder."""
        if context.task_name == "partial_fit":
            raise ValueError(
                "Checkpoint is for fit, got a call of partial_fit. Remove the callback "
                "and pickle the estimator between the calls: it keeps all that the "
                "next one needs."
            )
        solver = getattr(estimator, "solver", None)  # None of a mixture of networks
        if solver == "lbfgs":
            raise ValueError(
                "Checkpoint is for mini-batches, got solver='lbfgs', whose state SciPy "
                "keeps to itself. Choose another solver, or remove the callback and "
                "pickle the estimator between short fits with warm_start=True."
            )
        is_one = solver is not None and estimator.n_members == 1
        if files.is_file_name(self.path) and not is_one:
            raise ValueError(
                f"Checkpoint({str(self.path)!r}) is one file, and the networks of "
                f"{estimator!r} write one each. Pass a folder."
            )
        folder = self.path.parent if files.is_file_name(self.path) else self.path
        folder.mkdir(parents=True, exist_ok=True)

    def after_epoch(self, estimator: Any, context: Any) -> None:
        """Write a checkpoint if it is time to."""
        training = estimator._training
        if self.every is None:
            is_due = time.perf_counter() >= self._kept(training).get("next", 0.0)
        else:
            is_due = training.record.n_iter % self.every == 0
        if is_due:
            self._write(training)

    def after_training(self, estimator: Any, context: Any) -> None:
        """Write the end, from which nothing is left to train."""
        if estimator._training.is_over:
            self._write(estimator._training)

    def _kept(self, training):
        """What belongs to this callback in a fit."""
        return training.kept.setdefault(id(self), {})

    def _write(self, training):
        kept, started = self._kept(training), time.perf_counter()
        path = file_of(self.path, training.identity)
        try:
            if not kept:
                files.remove_unfinished(path)
            numbers, arrays = state_of(training)
            files.write(path, {**training.identity, **numbers}, arrays)
        except OSError as error:
            if not kept.get("warned"):
                kept["warned"] = True
                warnings.warn(
                    f"No checkpoint could be written to {path}: {error}. The fit goes "
                    "on, and the file before stays."
                )
        ended = time.perf_counter()
        kept["next"] = ended + SPACING * (ended - started)


def checked_path(path, name):
    """A path that a user gives."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"{name} must be the path of a file or folder, got {path!r}.")
    return Path(path)


def file_of(path, identity):
    """File of a fit: the path itself, or a name in the folder.

    Parameters
    ----------
    path : Path
    identity : dict
        With "estimator", "parameters" and "data".
    """
    if files.is_file_name(path):
        return path
    who = {name: identity[name] for name in ("estimator", "parameters", "data")}
    text = json.dumps(who, sort_keys=True).encode()
    digest = hashlib.blake2b(text, digest_size=8).hexdigest()
    return path / f"{identity['estimator']}-{digest}{files.SUFFIX}"
