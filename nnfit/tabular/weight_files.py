"""Files of weights of mixtures, see `nnfit.estimators.weight_files`.

They hold networks. What scikit-learn's trees have learnt is left to pickles.
"""

from nnfit.estimators import weight_files as files
from nnfit.tabular.families import NETWORKS
from nnfit.tabular.mixing import Part
from nnfit.tabular.models import NetworkModel

#: Attributes that predictions and reports read, beside the parts.
KEPT = (
    *("_fitted", "_target_kind", "_sparse_target", "_class_weights", "_temperature"),
    *("_is_vector", "_range", "_explanation", "classes_", "n_features_in_"),
    *("feature_names_in_", "n_iter_", "leaderboard_"),
)
#: Attributes of a fit that are made anew, or belong to other weights.
OTHERS = ("_parts", "_intervals")


def save(estimator, path):
    """Write the networks of a fitted estimator, see `Tabular.save_weights`."""
    others = estimator._as_mixture().others
    if others:
        raise ValueError(
            f"Files of weights hold networks, and {', '.join(others)} predicts beside "
            "them. Fit with partner=None, or save the estimator by joblib."
        )
    parts, arrays = [], {}
    for number, part in enumerate(estimator._parts):
        for place, network in enumerate(part.networks):
            arrays |= files.arrays_of(network, _prefix(number, place))
        own = [files.kept(network) for network in part.networks]
        numbers = {"weight": float(part.weight), "temperature": part.temperature}
        parts.append({"name": part.name, "networks": own, **numbers})
    told = {"fitted": files.kept(estimator, KEPT), "parts": parts}
    files.write(estimator, path, told, arrays)


def load(estimator, path):
    """Take networks from a file, see `Tabular.load_weights`."""

    def check(told, described):
        for number, part in enumerate(told["parts"]):
            part["networks"] = [files.attributes(own) for own in part["networks"]]
            part["class"] = NETWORKS[part["name"]][estimator._task == "regression"]
            for place, own in enumerate(part["networks"]):
                files.check_shapes(own, files.lists(described, _prefix(number, place)))
        return files.attributes(told["fitted"], KEPT), told["parts"]

    (whole, told), arrays = files.read(estimator, path, check)
    how = {name: getattr(estimator, name) for name in ("dtype", "n_jobs", "device")}
    parts = []
    for number, each in enumerate(told):
        networks = [each["class"](**how) for _ in each["networks"]]
        for place, (network, own) in enumerate(
            zip(networks, each["networks"], strict=True)
        ):
            files.take(network, own | files.lists(arrays, _prefix(number, place)))
        part = Part(each["name"], list(map(NetworkModel, networks)), 0.0)
        part.weight, part.temperature = each["weight"], each["temperature"]
        parts.append(part)
    files.take(estimator, whole | {"_parts": parts}, KEPT + OTHERS)


def _prefix(part, network):
    return f"parts.{part}.networks.{network}."
