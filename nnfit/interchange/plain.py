"""Fitted networks of dense layers alone, which other libraries have, too."""

import numpy as np

#: Parts of a description that plain networks do not have, in words.
LACKING = {
    "normalization": "normalization",
    "residual": "residual",
    "inputs": "scaling, embeddings or missing values",
    "members": "members that share weights",
    "body": "the body of RealMLP",
}


def check_plain(estimator, whose, others=None):
    """Refuse what plain networks do not have.

    Parameters
    ----------
    estimator : BaseMLP
        Fitted.
    whose : str
        Whose networks, for the message.
    others : dict of bool, default=None
        What else they do not have, and whether the estimator has it.

    Raises
    ------
    ValueError
    """
    described = estimator._description() if hasattr(estimator, "coefs_") else {}
    found = {
        "n_members": "members_" in vars(estimator),
        **{words: bool(described.get(name)) for name, words in LACKING.items()},
        **(others or {}),
    }
    names = [name for name, is_there in found.items() if is_there]
    if names:
        raise ValueError(
            f"{whose} have no {names[0]}, got a {type(estimator).__name__} with it. "
            "Use nnfit.onnx.to_onnx, or fit a network without it."
        )


def arrays_of(estimator):
    """Weights and intercepts from features as given to outputs, in float64.

    Columns that were standardised, a temperature and the targets' scale are in them.
    """
    coefs = [np.array(coef, np.float64) for coef in estimator.coefs_]
    intercepts = [np.array(each, np.float64) for each in estimator.intercepts_]
    if estimator._standard("features") is not None:
        shifts, scales = estimator.feature_shifts_, estimator.feature_scales_
        coefs[0] /= scales[:, None]
        intercepts[0] -= shifts @ coefs[0]
    temperature = getattr(estimator, "temperature_", 1.0)
    coefs[-1] /= temperature
    intercepts[-1] /= temperature
    return coefs, intercepts
