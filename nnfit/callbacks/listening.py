"""How a fit tells its callbacks what it does."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnfit.callbacks.support import callbacks_of, subtask
from nnfit.numpy_errors import numpy_errors_of_caller


@dataclass
class Training:
    """A training that goes on, which callbacks may look into.

    Attributes
    ----------
    network : nnfit.network.description.Network
    engine : Engine
        ``engine.get_weights()`` are the weights in training, and
        ``engine.get_weights(engine.evaluated())`` those that count.
    settings : nnfit.training.loop.Settings
    X, target, loss_weight, rows
        Rows as the network takes them; of them `rows` are trained on, None for all.
    identity : dict or None
        Whose checkpoint it would be, where a callback needs it.
    record : nnfit.training.history.Record
    best_weights : ndarray or None
        Of the best epoch, in the engine's layout.
    is_over : bool
        Whether the training has come to its end, and was not interrupted before.
    kept : dict
        For what callbacks keep of this training.
    """

    network: Any
    engine: Any
    settings: Any
    X: Any
    target: np.ndarray
    loss_weight: np.ndarray | None
    rows: np.ndarray | None
    identity: dict | None = None
    record: Any = None
    best_weights: np.ndarray | None = None
    is_over: bool = False
    kept: dict = field(default_factory=dict)

    @property
    def evaluated(self):
        """The weights that count, `Weights` of new arrays."""
        return self.engine.get_weights(self.engine.evaluated())


@contextmanager
def listening(estimator, name, n_tasks, data, whole=None, in_turn=True):
    """The `Listener` of a fit; None where nobody listens.

    It must be around everything in a fit that can raise. An error of a callback ends
    the training as Ctrl-C does, and is raised at the end of the block.

    Parameters
    ----------
    estimator : BaseMLP
    name : str
        Of the method.
    n_tasks : int
        Most epochs, or members.
    data : tuple
        X, y and sample weights as the user gave them.
    whole : Listener or None
        Of the ensemble that the estimator is a member of.
    in_turn : bool, default=True
        Whether the tasks follow each other.
    """
    if not callbacks_of(estimator):
        yield None
        return
    context = estimator._init_callback_context(
        task_name=name, max_subtasks=n_tasks, sequential_subtasks=in_turn
    )
    listener = Listener(estimator, context, data, whole)
    listener.tell(context.call_on_fit_task_begin)
    yield listener
    errors = listener.errors
    if not errors:
        listener.tell(context.call_on_fit_task_end, estimator.__dict__.copy)
    elif whole is None:
        try:
            raise errors[0]
        finally:  # an error must not hold the frame that holds it
            errors.clear()


class Listener:
    """Tells the callbacks of an estimator how its training goes on.

    Attributes
    ----------
    data : tuple
        X, y and sample weights as the user gave them to the whole.
    errors : list
        Errors of callbacks: one list for all members of an ensemble, which end at the
        first.
    training : Training or None
        What callbacks may look into, once there is one.
    """

    def __init__(self, estimator, context, data, whole):
        self._estimator, self._context, self._epoch = estimator, context, None
        self.data = data if whole is None else whole.data
        self.errors = [] if whole is None else whole.errors
        self.training = None

    @property
    def needs_identity(self):
        """Whether a callback asks for the fit's `Training.identity`."""
        callbacks = callbacks_of(self._estimator)
        return any(getattr(each, "needs_identity", False) for each in callbacks)

    def tell(self, hook, attributes=None):
        """Call a hook of all callbacks; returns whether one of them wants to stop."""
        X, y, sample_weight = self.data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        with numpy_errors_of_caller():
            return hook(
                estimator=self._estimator,
                X=X,
                y=y,
                metadata=metadata,
                reconstruction_attributes=attributes,
            )

    def begin_epoch(self):
        """Tell of an epoch that begins, once; returns whether to go on.

        After the error of another member's callback there is still a first epoch.
        """
        before = len(self.errors)
        if self._epoch is None:
            self._epoch = self._context.subcontext(task_name="epoch")
            with self._shown():
                self.tell(self._epoch.call_on_fit_task_begin)
        goes_on = len(self.errors) == before
        if not goes_on and self.training.record.n_iter == 0:  # there is no model yet
            raise self.errors.pop()
        return goes_on

    def end_epoch(self, best_weights=None):
        """Tell of an epoch that has ended; returns whether to stop."""
        self.begin_epoch()
        epoch, self._epoch, stops = self._epoch, None, True
        self.training.best_weights = best_weights
        with self._shown():
            stops = self.tell(epoch.call_on_fit_task_end, self._attributes)
        return stops or bool(self.errors)

    def end_training(self, best_weights, is_over):
        """Tell of the end of the training, before its engine is closed."""
        self.training.best_weights, self.training.is_over = best_weights, is_over
        for callback in callbacks_of(self._estimator):
            if hasattr(callback, "after_training"):
                with self._shown(), numpy_errors_of_caller():
                    callback.after_training(self._estimator, self._context)

    def members(self, n_members):
        """Contexts of the members of an ensemble, each for `member`."""
        return [
            self._context.subcontext(task_name="member", task_id=number)
            for number in range(n_members)
        ]

    def member(self, context, member):
        """Context manager in which a member is fitted."""
        return subtask(context, member, callbacks_of(self._estimator))

    @contextmanager
    def leaf(self, context):
        """Tell of a task that has no parts, and is not a fit of nnfit's."""
        self._tell_of_leaf(context.call_on_fit_task_begin)
        yield
        self._tell_of_leaf(context.call_on_fit_task_end)

    def _tell_of_leaf(self, hook):
        try:
            self.tell(hook)
        except Exception as error:
            self.errors.append(error)

    @contextmanager
    def _shown(self):
        """Let callbacks look into the training, and keep the error of one."""
        self._estimator._training = self.training
        try:
            yield
        except Exception as error:
            self.errors.append(error)
        finally:
            del self._estimator._training

    def _attributes(self):
        attributes = self._estimator._attributes_of(self.training.evaluated)
        return {**attributes, "n_iter_": self.training.record.n_iter}
