"""Symptoms of layers: units without slope, gradients that vanish or explode."""

from functools import lru_cache

import numpy as np

from nnfit.diagnosis.report import Symptom
from nnfit.tables.report import number, percent

#: Share of a layer's units that no row gives a gradient. Of a ReLU network with R2 0.94
#: on Friedman's function, whose y was not scaled, 54 % of the last layer were so.
DEAD = 0.6
#: Share of the slopes of a layer's bounded activations below `FLAT` of the steepest.
SATURATED, FLAT = 0.5, 0.05
#: Norm of the gradient by the first layer's matrix as a part of the largest one's.
VANISHING = 1e-3
#: Norm of the gradient by a matrix as a multiple of the norm of the matrix: a step at a
#: rate of 0.001 would move it by its own size.
EXPLODING = 1e3
#: Stands for the norm of a matrix of zeros.
TINY = 1e-30
#: The loss is at its lowest: gradients below are rounding.
NO_GRADIENT = 1e-10


def of_layers(traces, owners):
    """Look at the layers of networks that have the same.

    Parameters
    ----------
    traces : list of nnfit.training.tracing.Traced
        Of each member.
    owners : list of str
        What each member is called; empty for an only one.

    Yields
    ------
    Symptom
        At most one of a kind for a layer, that of the worst member.
    """
    for n in range(len(traces[0].layers)):
        same = [
            (_name(owner, traced.layers[n]), traced.layers[n])
            for owner, traced in zip(owners, traces, strict=True)
        ]
        for check in (_dead, _saturated):
            found = [s for name, layer in same for s in check(layer, name)]
            yield from _worst(found, max)
    yield from _worst(_exploding(traces, owners), max)
    yield from _worst(_vanishing(traces, owners), min)


def _name(owner, layer):
    return f"{layer.name} of {owner}" if owner else layer.name


def _worst(found, which):
    return [which(found, key=lambda symptom: symptom.figure)] if found else []


def _dead(layer, name):
    if layer.slope is None or is_bounded(layer.activation):
        return
    share = layer.dead_share
    if share > DEAD:
        yield Symptom(
            "dead_units",
            (name,),
            share,
            DEAD,
            f"{percent(share)} of the units have no slope on any row (more than "
            f"{percent(DEAD)} is a finding): they are the same for all rows and learn "
            "nothing more.",
            "Lower learning_rate_init, scale X, or choose an activation with a slope "
            "everywhere, such as activation='leaky_relu' or 'gelu'.",
        )


def _saturated(layer, name):
    if layer.slope is None or not is_bounded(layer.activation):
        return
    steepest = steepest_slope(layer.activation)
    share = float(np.mean(np.abs(layer.slope) < FLAT * steepest))
    if share > SATURATED:
        yield Symptom(
            "saturated_units",
            (name,),
            share,
            SATURATED,
            f"{percent(share)} of the outputs of {layer.activation.name} lie where its "
            f"slope is below {percent(FLAT)} of the steepest (more than "
            f"{percent(SATURATED)} is a finding): hardly a gradient passes.",
            "Scale X, lower learning_rate_init, raise alpha, or use "
            "normalization='batch' or activation='relu'.",
        )


def _exploding(traces, owners):
    return [
        Symptom(
            "exploding_gradients",
            (_name(owner, layer),),
            size,
            EXPLODING,
            f"The gradient by the weights is {number(round(size))} times as large as "
            f"the weights (more than {number(EXPLODING)} is a finding).",
            "Scale y and X (target_scaling='standard', scaling='standard'), set "
            "clip_norm=1.0, or use normalization='layer'.",
        )
        for owner, traced in zip(owners, traces, strict=True)
        for layer in traced.layers
        for size in [layer.gradient / max(layer.weight, TINY)]
        if size > EXPLODING
    ]


def _vanishing(traces, owners):
    found = []
    for owner, traced in zip(owners, traces, strict=True):
        *hidden, _ = traced.layers
        norms = [layer.gradient for layer in traced.layers]
        if len(hidden) < 2 or any(layer.dead.all() for layer in hidden):
            continue
        if not NO_GRADIENT < max(norms) < np.inf:
            continue
        share = norms[0] / max(norms)
        if share < VANISHING:
            found.append(
                Symptom(
                    "vanishing_gradients",
                    (_name(owner, hidden[0]),),
                    share,
                    VANISHING,
                    "The gradient by the weights of the first layer is "
                    f"{share:.2g} of the largest layer's (less than "
                    f"{number(VANISHING)} is a finding): it learns next to nothing.",
                    "Use residual=True, normalization='layer' or 'batch', "
                    "activation='relu' or 'gelu', or fewer layers.",
                )
            )
    return found


@lru_cache
def is_bounded(activation):
    """Whether an activation becomes flat on both sides."""
    ends = [activation.function(z) for z in (-100.0, 100.0)]
    return all(abs(slope) < 1e-3 for _, slope in ends)


@lru_cache
def steepest_slope(activation):
    """The largest slope of an activation."""
    return max(abs(activation.function(z)[1]) for z in np.linspace(-8, 8, 161).tolist())
