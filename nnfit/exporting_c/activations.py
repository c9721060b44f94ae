"""Activations as C, by the names of the registry."""

from nnfit.functions.activations import (
    ACTIVATIONS,
    SELU_SCALE,
    SELU_SCALE_ALPHA,
    SQRT_HALF,
)

#: Expressions of the weighted input ``z``. They give what the registry's functions
#: give, also for infinite `z`, where inf * 0 would be NaN.
WRITTEN = {
    "identity": "z",
    "logistic": "1.0 / (1.0 + exp(-z))",
    "tanh": "tanh(z)",
    "relu": "z <= 0.0 ? 0.0 : z",
    "leaky_relu": "z > 0.0 ? z : 0.01 * z",
    "elu": "z > 0.0 ? z : expm1(z)",
    "selu": f"z > 0.0 ? {SELU_SCALE} * z : {SELU_SCALE_ALPHA} * expm1(z)",
    "gelu": f"z < -40.0 ? 0.0 : 0.5 * z * (1.0 + erf({SQRT_HALF} * z))",
    "silu": "z < -1000.0 ? 0.0 : z / (1.0 + exp(-z))",
    "mish": "z > 30.0 ? z : z < -1000.0 ? 0.0 : z * tanh(log1p(exp(z)))",
    "softplus": "(z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)))",
    "hard_swish": "z <= -3.0 ? 0.0 : z > 3.0 ? z : z * (z + 3.0) * (1.0 / 6.0)",
}


def activated(source, activation, values):
    """Add the statements that replace numbers by their activations.

    Parameters
    ----------
    source : nnfit.exporting_c.source.Source
    activation : Activation or None
    values : nnfit.exporting_c.source.Values

    Raises
    ------
    ValueError
        If it is a function of the user's own.
    """
    if activation is None or activation is ACTIVATIONS["identity"]:
        return
    name = activation.name
    if ACTIVATIONS.get(name) is not activation:
        raise ValueError(
            f"The activation {name!r} is a Python function, which cannot be written "
            f"as C. Fit with one of {sorted(WRITTEN)}."
        )
    source.function(
        f"static void activate_{name}(real *v, int n)",
        "for (int i = 0; i < n; i++) {",
        "    const real z = v[i];",
        f"    v[i] = {WRITTEN[name]};",
        "}",
    )
    source.add(f"activate_{name}({values.name}, {values.width});")
