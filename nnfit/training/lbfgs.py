"""Training by L-BFGS on the whole data set."""

import math
import time
import warnings

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from nnfit.blas import one_blas_thread
from nnfit.interruption import check_interruption
from nnfit.network.fitted import loss_in_units
from nnfit.training.loop import INTERRUPTED, OUT_OF_TIME, divergence_message


class _OutOfTime(Exception):
    """Ends SciPy's minimisation."""


class _Ended(Exception):
    """A callback ends it."""


def train_lbfgs(engine, settings, max_fun, record, validation=None, listener=None):
    """Minimise the penalised loss with SciPy's L-BFGS-B.

    Parameters
    ----------
    engine : Engine
        Configured, with weights and data set. Leaves with the weights found.
    settings : Settings
        Of which ``max_iter``, ``max_time``, ``reporter``, ``unit`` and
        ``engine.tol`` are used.
    max_fun : int
        Largest number of evaluations of the loss.
    record : Record
        Gets one row of history per iteration and the number of iterations.
    validation : Validation or None
        Recorded after every iteration; never stops the training.
    listener : nnfit.callbacks.listening.Listener or None
        Told of every iteration; may end the training.

    Returns
    -------
    loss : float
        Penalised loss of the weights found.

    Raises
    ------
    ValueError
        If the weights found are not finite.
    """
    now = time.perf_counter()
    started, deadline = now - record.seconds, now + settings.max_time
    dtype = engine.flat.dtype
    latest = scipy.optimize.OptimizeResult(x=engine.flat.copy(), fun=math.nan)

    def loss_and_gradient(flat):
        # Not before the first evaluation, which tells the loss of the first weights.
        if not math.isnan(latest.fun):
            check_interruption()
            if time.perf_counter() > deadline:
                raise _OutOfTime
        loss, gradient = engine.loss_and_gradient(flat.astype(dtype, copy=False))
        if math.isnan(latest.fun):
            latest.fun = float(loss)
        # SciPy works in float64 whatever the network computes in.
        return float(loss), np.asarray(gradient, dtype=np.float64)

    def after_iteration(intermediate_result):
        latest.update(x=intermediate_result.x.copy(), fun=intermediate_result.fun)
        val_loss = val_score = math.nan
        if validation is not None or listener is not None:
            engine.flat[...] = latest.x
        if validation is not None:
            val_loss, val_score = validation.evaluate(engine)
        seconds = time.perf_counter() - started
        loss = loss_in_units(float(latest.fun), settings.unit)
        record.add_epoch(loss, math.nan, seconds, val_loss, val_score)
        if settings.reporter is not None:
            settings.reporter.after_epoch(record)
        if listener is not None and listener.end_epoch():
            raise _Ended

    if validation is not None:
        validation.begin(engine)
    if settings.reporter is not None:
        settings.reporter.begin(record)
    try:
        with one_blas_thread():  # of SciPy's vector products
            result = scipy.optimize.minimize(
                loss_and_gradient,
                engine.flat.astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options={
                    "maxfun": max_fun,
                    "maxiter": settings.max_iter,
                    "gtol": settings.engine.tol,
                },
            )
        record.n_iter = _check_optimize_result("lbfgs", result, settings.max_iter)
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED)
        result = latest
    except _OutOfTime:
        done = (settings.max_time, record.n_iter)
        warnings.warn(OUT_OF_TIME % done, ConvergenceWarning)
        result = latest
    except _Ended:
        result = latest
    engine.flat[...] = result.x
    if settings.reporter is not None:
        settings.reporter.end(record)
    if listener is not None:
        listener.end_training(None, True)
    if not np.isfinite(engine.flat).all():
        raise ValueError(divergence_message(settings.engine, has_rate=False))
    return loss_in_units(float(result.fun), settings.unit)
