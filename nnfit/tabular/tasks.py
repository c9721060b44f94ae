"""Models of a mixture as tasks of its fit: callbacks, and where to go on from."""

from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from nnfit.callbacks.listening import Listener
from nnfit.estimators.fitting import Member


class Task(NamedTuple):
    """What a model is told beside its data, and who is told of it.

    Attributes
    ----------
    listener : Listener or None
        Of the mixture.
    context : CallbackContext or None
        A leaf of the tasks of the mixture's fit.
    resume_from : str, path or None
    member : Member or None
    """

    listener: Listener | None
    context: object
    resume_from: object
    member: Member | None

    @contextmanager
    def of_network(self, estimator):
        """Keywords for the fit of a network, which tells of its epochs itself."""
        told = {"member": self.member, "resume_from": self.resume_from}
        if self.listener is None:
            yield told
            return
        with self.listener.member(self.context, estimator):
            yield {**told, "whole": self.listener}

    def of_others(self):
        """Context of the fit of another model, which has no epochs to tell of."""
        if self.listener is None:
            return nullcontext()
        return self.listener.leaf(self.context)


#: Nobody listens.
ALONE = Task(None, None, None, None)


def tasks_of(listener, n_models, resume_from, random_state):
    """A `Task` for each model of a mixture, whose `random_state` it is."""
    contexts = [None] * n_models
    if listener is not None:
        contexts = listener.members(n_models)
    return [
        Task(listener, context, resume_from, Member(number, n_models, random_state))
        for number, context in enumerate(contexts)
    ]
