"""Going on from a checkpoint: whose it is, and whether it is that of this fit."""

import hashlib
import warnings

import numpy as np
from scipy.sparse import issparse

from nnfit.callbacks import files
from nnfit.callbacks.checkpoint import checked_path, file_of
from nnfit.callbacks.support import callbacks_of
from nnfit.training import saving

#: Parameters that the weights do not depend on.
FREE = ("n_jobs", "device", "verbose", "max_time", "n_members")
#: What differs, by the entry of a checkpoint that does.
OTHER = {
    "estimator": "another estimator",
    "data": "other data",
    "seed": "another random state",
    "rows": "other validation data or another split",
    "weights": "another network to begin with",
}


def check_place(resume_from, estimator):
    """Refuse what is no path, and warn where there is nothing to go on from."""
    path = checked_path(resume_from, "resume_from")
    solver = getattr(estimator, "solver", None)  # None of a mixture of networks
    if solver == "lbfgs":
        raise ValueError(
            "resume_from is for mini-batches, got solver='lbfgs', whose fits write no "
            "checkpoints. Choose another solver, or leave out resume_from and pickle "
            "the estimator between short fits with warm_start=True."
        )
    is_one = solver is not None and estimator.n_members == 1
    if files.is_file_name(path) and not is_one:
        raise ValueError(
            f"resume_from={str(path)!r} is one file, and the networks of {estimator!r} "
            "have one each. Pass the folder that Checkpoint has written."
        )
    # The first run of a program that writes there and goes on from there is no news.
    writes = [getattr(each, "path", None) for each in callbacks_of(estimator)]
    if path not in writes and not path.exists():
        warnings.warn(
            f"resume_from={str(path)!r} does not exist, so the fit starts anew."
        )


def identity_of(estimator, data, member):
    """Whose checkpoint it is: a dict of what JSON has.

    Parameters
    ----------
    estimator : BaseMLP
    data : nnfit.estimators.fitting.Data
    member : nnfit.estimators.fitting.Member or None
    """
    parameters = estimator.get_params(deep=False)
    if member is not None:
        parameters["random_state"] = member.random_state
    if not isinstance(parameters["random_state"], int | np.integer):
        del parameters["random_state"]  # of which the file keeps the state
    parameters = {
        name: _plain(value)
        for name, value in sorted(parameters.items())
        if name not in FREE
    }
    arrays = data.X, data.target, data.sample_weight, data.loss_weight
    return {
        "estimator": type(estimator).__name__,
        "parameters": {**parameters, "member": member and member.number},
        "data": digest(*arrays),
    }


def _plain(value):
    """A parameter as JSON has it; of functions and the like the name."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return digest(value) if value.size > 100 else _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def digest(*arrays):
    """Hash of arrays, CSR matrices and None."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if issparse(array):
            found.update(digest(array.data, array.indices, array.indptr).encode())
        elif array is not None:
            found.update(f"{array.shape} {array.dtype}".encode())
            found.update(np.ascontiguousarray(array))
        found.update(b";")
    return found.hexdigest()


class Saved:
    """A checkpoint that a fit goes on from.

    Parameters
    ----------
    path : Path
    identity : dict
        Of the fit, see `identity_of`.

    Raises
    ------
    ValueError
        If it is damaged, or that of another fit.
    """

    def __init__(self, path, identity):
        self.path = path
        self._header, self._arrays = files.read(path)
        self._check(identity)

    def _check(self, identity):
        for name, value in identity.items():
            its = self._header.get(name)
            if its == value:
                continue
            what = OTHER.get(name)
            if what is None:
                what = _difference(its, value)
            raise ValueError(
                f"{self.path} is a checkpoint of a fit with {what}. Fit as it was, or "
                "leave out resume_from to start anew."
            )

    def random_state(self):
        """Generator as it was at the begin of the fit."""
        state = self._header["random_state"]
        generator = getattr(np.random, state["bit_generator"])()
        made = np.random.RandomState(generator)
        if isinstance(state["state"].get("key"), list):
            key = np.array(state["state"]["key"], np.uint32)
            state = {**state, "state": {**state["state"], "key": key}}
        made.set_state(state)
        return made

    def check_begin(self, begin):
        """See that the training begins as that one did."""
        self._check(begin)

    def continued(self, settings, n_rows):
        """See `nnfit.training.saving.continued`."""
        return saving.continued(settings, self._header, n_rows)

    def restore(self, engine, network, record):
        """See `nnfit.training.saving.restore`."""
        try:
            return saving.restore(engine, network, record, self._header, self._arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise files.NotACheckpoint(
                f"{self.path} is not the checkpoint of this network: {error}. Delete "
                "it to start anew."
            ) from error


def find(resume_from, identity):
    """The checkpoint of a fit, None where there is none."""
    path = file_of(checked_path(resume_from, "resume_from"), identity)
    return Saved(path, identity) if path.exists() else None


def state_of_generator(random_state):
    """State of a RandomState, as JSON has it."""
    state = random_state.get_state(legacy=False)
    inner = {name: _plain_state(value) for name, value in state["state"].items()}
    return {**state, "state": inner}


def _plain_state(value):
    return value.tolist() if isinstance(value, np.ndarray) else value


def _difference(its, mine):
    """The first parameter that differs."""
    its = its if isinstance(its, dict) else {}
    for name, value in mine.items():
        if its.get(name, ...) != value:
            return f"{name}={its.get(name)!r}, and this one has {name}={value!r}"
    return "other parameters"
