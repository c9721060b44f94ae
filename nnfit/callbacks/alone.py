"""Callbacks of an estimator alone, for scikit-learn before 1.9.

The names, and what callbacks are given, are those of `sklearn.callback`.
"""

import copy
import uuid
from functools import cache, wraps
from inspect import Parameter, signature

HOOKS = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")


class CallbackContext:
    """A task of a fit, as scikit-learn's class of this name tells of it."""

    source_estimator_name = source_task_name = None

    def __init__(
        self, estimator_name, callbacks, task_name, task_id, max_subtasks, sequential
    ):
        self.estimator_name, self._callbacks = estimator_name, callbacks
        self.task_name, self.task_id = task_name, task_id
        self.max_subtasks, self.sequential_subtasks = max_subtasks, sequential
        self.parent, self.root_uuid = None, uuid.uuid4()
        self._n_children = 0

    def subcontext(
        self, task_name="", task_id=None, max_subtasks=0, sequential_subtasks=True
    ):
        """Context of a task that is a part of this one."""
        task_id = self._n_children if task_id is None else task_id
        self._n_children += 1
        context = CallbackContext(
            self.estimator_name, self._callbacks, task_name, task_id, max_subtasks,
            sequential_subtasks,
        )  # fmt: skip
        context.parent, context.root_uuid = self, self.root_uuid
        return context

    def call_on_fit_task_begin(self, *, estimator, **given):
        """Tell the callbacks that the task begins."""
        self._call(estimator, "on_fit_task_begin", given)
        return self

    def call_on_fit_task_end(self, *, estimator, **given):
        """Tell the callbacks that the task has ended; True if one wants to stop."""
        return self._call(estimator, "on_fit_task_end", given)

    def _call(self, estimator, hook, given):
        wants_to_stop, made = False, {}
        for callback in self._callbacks:
            arguments = {}
            for name in _keywords(getattr(type(callback), hook)):
                if name not in made:
                    made[name] = _argument(estimator, name, given)
                arguments[name] = made[name]
            wants_to_stop |= bool(getattr(callback, hook)(estimator, self, **arguments))
        return wants_to_stop


@cache
def _keywords(hook):
    parameters = signature(hook).parameters.values()
    return [each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY]


def _argument(estimator, name, given):
    if name != "fitted_estimator":
        return given.get(name)
    attributes = given.get("reconstruction_attributes")
    if attributes is None:
        return None
    made = copy.copy(estimator)
    vars(made).update(attributes())
    return made


class CallbackSupportMixin:
    """Part of an estimator that has callbacks."""

    def set_callbacks(self, *callbacks):
        """Set the callbacks of the estimator; none to remove them."""
        for callback in callbacks:
            if isinstance(callback, type) or not all(
                callable(getattr(callback, hook, None)) for hook in HOOKS
            ):
                raise TypeError(
                    "callbacks must be instances following the FitCallback protocol, "
                    f"with the methods {', '.join(HOOKS)}, got {callback!r}."
                )
        if callbacks:
            self._skl_callbacks = list(callbacks)
        else:
            vars(self).pop("_skl_callbacks", None)
        return self

    def _init_callback_context(
        self, task_name="fit", task_id=0, max_subtasks=0, sequential_subtasks=True
    ):
        callbacks = vars(self).get("_skl_callbacks", [])
        name, parent = type(self).__name__, vars(self).get("_parent_callback_ctx")
        context = CallbackContext(
            name, callbacks, task_name, task_id, max_subtasks, sequential_subtasks
        )
        if parent is not None:  # this fit is that task
            context.parent, context.task_id = parent.parent, parent.task_id
            context.root_uuid = parent.root_uuid
            context.source_task_name = parent.task_name
            context.source_estimator_name = parent.estimator_name
        self._callback_fit_ctx, self._skl_callbacks_to_teardown = context, []
        for callback in callbacks:
            self._skl_callbacks_to_teardown.append(callback)
            callback.setup(estimator=self, context=context)
        return context

    def __sklearn_clone__(self):
        from sklearn.base import _clone_parametrized

        made = _clone_parametrized(self)
        if "_skl_callbacks" in vars(self):
            made._skl_callbacks = self._skl_callbacks
        return made


def with_callbacks(method):
    """Decorate a method that makes a context: callbacks are torn down after it."""

    @wraps(method)
    def managed(estimator, *args, **kwargs):
        try:
            return method(estimator, *args, **kwargs)
        finally:
            kept = vars(estimator)
            context = kept.pop("_callback_fit_ctx", None)
            for callback in kept.pop("_skl_callbacks_to_teardown", ()):
                callback.teardown(estimator=estimator, context=context)

    return managed
