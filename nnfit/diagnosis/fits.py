"""Symptoms of a training: its learning rate, what it has learnt, and by heart."""

import numpy as np
from scipy.special import logit

from nnfit.diagnosis.report import Symptom
from nnfit.tables.report import number, percent
from nnfit.training.tracing import mean_loss

#: Epochs from which on a curve has a shape.
FEW_EPOCHS = 5
#: A loss that goes up and down: the median step of the last quarter of the epochs as a
#: part of the loss there, if it is that of the loss of a constant prediction, too, and
#: this share of the steps go up. Schedules end low: what jumps before is not wrong.
ROUGH, ROUGH_OF_CONSTANT, RISES = 0.1, 0.02, 0.25
#: A loss that rose: that many times a constant's, and that many times the lowest.
HIGH, RISEN = 2.0, 1.2
#: Skill, see `skill`, from which on no jumps are found: dropout makes some.
WELL = 0.8
#: Share of all progress that the last quarter of the epochs makes; a straight line has
#: 0.25. From the second, a skill, on training went well.
STEEP, LEARNT = 0.15, 0.5
#: Skill, see `skill`, below which nothing was learnt.
LITTLE = 0.1
#: Skill lost from training to validation rows.
GAP = 0.25
#: Rise of the validation loss after its lowest, as a part of a constant's loss.
RISE = 0.1


def constant_loss(network, target):
    """Mean loss of the best constant prediction."""
    target = np.asarray(target, np.float64)
    link, n_outputs = network.loss.link, network.n_outputs
    if network.loss.takes_index:
        shares = np.bincount(target[:, 0].astype(int), minlength=n_outputs)
        raw = np.log(np.maximum(shares, 0.5) / len(target))
    elif link == "sorted":
        raw = np.quantile(target[:, 0], network.loss_parameters)
    else:
        mean = target.mean(axis=0)
        low = 0.5 / len(target)
        raw = {
            "logistic": lambda: logit(np.clip(mean, low, 1.0 - low)),
            "exp": lambda: np.log(np.maximum(mean, low)),
        }.get(link, lambda: mean)()
    raw = np.tile(np.broadcast_to(raw, n_outputs), (len(target), 1))
    return mean_loss(network, raw, target)[0]


def skill(loss, constant):
    """Share of the loss of a constant prediction that is gone: 1 of a perfect fit."""
    return 1.0 - loss / constant if constant > 0.0 else 1.0


def of_rate(histories, constants, skills, owners):
    """Look at the curves of the training losses.

    Parameters
    ----------
    histories : list of dict
        Of each member, losses as ndarrays in the units of the network.
    constants : list of float
        Loss of a constant prediction, in the units of each.
    skills : list of float
        Of each member on training rows.
    owners : list of str
        What each member is called; empty for an only one.
    """
    high, low = [], []
    members = zip(histories, constants, skills, owners, strict=True)
    for history, constant, own, owner in members:
        loss, where = history["loss"], (owner,) if owner else ()
        if len(loss) < FEW_EPOCHS:
            continue
        if not np.isfinite(loss).all():
            high.append((np.inf, "The loss was no longer finite.", where))
            continue
        if own < WELL:
            high += [(*found, where) for found in _high(loss, constant)]
        # A schedule that ends low makes progress until the end.
        rates = history["learning_rate"]
        if own < LEARNT and np.ptp(rates) < 0.01 * rates.max():
            low += [(share, where) for share in _low(loss)]
    if high:
        figure, seen, where = max(high)
        yield Symptom(
            "learning_rate_high",
            where,
            figure,
            ROUGH,
            seen,
            "Lower learning_rate_init, by a factor of 10 at first; "
            "nnfit.find_learning_rate suggests one.",
        )
    elif low:
        figure, where = max(low)
        yield Symptom(
            "learning_rate_low",
            where,
            figure,
            STEEP,
            f"The last quarter of the epochs made {percent(figure)} of all progress "
            f"(more than {percent(STEEP)} is a finding): the loss still fell when the "
            "training ended.",
            "Raise learning_rate_init, nnfit.find_learning_rate suggests one, or "
            "max_iter; lower tol where training ended before max_iter.",
        )


def _high(loss, constant):
    end = loss[-max(FEW_EPOCHS, len(loss) // 4) :]
    steps = np.diff(end)
    size, level = float(np.median(np.abs(steps))), float(np.median(end))
    rises = np.mean(steps > 0.0)
    is_rough = size > ROUGH * abs(level) and size > ROUGH_OF_CONSTANT * constant
    if is_rough and rises >= RISES:
        part = size / abs(level)
        yield (
            part,
            f"The loss jumps by {percent(part)} from epoch to epoch (more than "
            f"{percent(ROUGH)} is a finding), and {percent(rises)} of the steps go up.",
        )
    elif level > HIGH * constant and loss[-1] > RISEN * loss.min():
        part = level / constant
        yield (
            part,
            f"The loss is {number(part)} times that of a constant prediction (more "
            f"than {number(HIGH)} is a finding), and has risen.",
        )


def _low(loss):
    progress = loss[0] - loss[-1]
    begin = loss[-1 - max(1, (len(loss) - 1) // 4)]
    if progress > 0.0:
        share = float((begin - loss[-1]) / progress)
        if share > STEEP:
            yield share


def of_fit(skills, skills_val=(), *, names, where=()):
    """Whether too little was learnt, or by heart.

    Parameters
    ----------
    skills, skills_val : sequence of float
        Of each member, on training and on validation rows, none without such.
    names : tuple of str
        What training and validation rows are called.
    where : tuple of str
        What the members together are called.
    """
    mean = float(np.mean(skills))
    if mean < LITTLE:
        yield Symptom(
            "underfitting",
            where,
            mean,
            LITTLE,
            "On the rows that it was trained on the network has taken away "
            f"{percent_of(mean)} of the loss of a constant prediction (less than "
            f"{percent(LITTLE)} is a finding).",
            "First mend what else is found here; then take more epochs, more or larger "
            "hidden layers, less alpha and dropout, and ask whether X tells of y.",
        )
    if not skills_val:
        return
    gap = mean - float(np.mean(skills_val))
    if gap > GAP and mean >= LITTLE:
        yield Symptom(
            "overfitting",
            where,
            gap,
            GAP,
            f"Of the loss of a constant prediction, the network has taken away "
            f"{percent(mean)} on {names[0]} and {percent_of(mean - gap)} on {names[1]} "
            f"(a distance of more than {percent(GAP)} is a finding).",
            ADVICE_OF_OVERFITTING,
        )


ADVICE_OF_OVERFITTING = (
    "Use early_stopping=True, dropout, weight_decay or a larger alpha, fewer units, or "
    "more rows; n_members=5 helps, too."
)


def of_curve(histories, constants, keep_best, owners):
    """Whether the validation loss rose and the last epoch's weights were kept."""
    found = []
    for history, constant, owner in zip(histories, constants, owners, strict=True):
        loss = history["val_loss"]
        if len(loss) >= FEW_EPOCHS and np.isfinite(loss).all() and not keep_best:
            rise = float((loss[-1] - loss.min()) / constant)
            found.append((rise, 1 + int(loss.argmin()), len(loss), owner))
    rise, best, n_epochs, owner = max(found, default=(0.0, 0, 0, ""))
    if rise > RISE:
        yield Symptom(
            "overfitting",
            (owner,) if owner else (),
            rise,
            RISE,
            f"The validation loss was lowest in epoch {best} of {n_epochs} and rose by "
            f"{percent_of(rise)} of the loss of a constant prediction since (more than "
            f"{percent(RISE)} is a finding).",
            ADVICE_OF_OVERFITTING,
        )


def percent_of(share):
    """A share that may be negative, or above all, in percent."""
    return f"{100 * share + 0.0:.0f} %".replace("-0 %", "0 %")
