"""Types in files of skops that hold estimators of nnfit."""

import nnfit

#: Packages whose classes are estimators.
PACKAGES = ("estimators", "model_selection", "preprocessing", "pretraining", "tabular")
#: What mixtures keep besides: their parts, and scikit-learn's boosted trees.
OF_MIXTURES = [
    "functools.partial",
    "nnfit.estimators.tabular_network.TabularNetworkClassifier",
    "nnfit.estimators.tabular_network.TabularNetworkRegressor",
    "nnfit.tabular.intervals.Intervals",
    "nnfit.tabular.mixing.Part",
    "nnfit.tabular.models.BoostingModel",
    "nnfit.tabular.models.Columns",
    "nnfit.tabular.models.NetworkModel",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]

#: Names of types for the argument ``trusted`` of ``skops.io.load``.
SKOPS_TRUSTED_TYPES: list[str] = sorted(
    [
        f"{module}.{name}"
        for name, module in nnfit._EXPORTS.items()
        if module.split(".")[1] in PACKAGES
        and name[0].isupper()
        and not name.endswith("Display")
    ]
    + OF_MIXTURES
)
