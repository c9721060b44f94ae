"""Weights of another network to start from: the parameter ``init_from``.

Layers are taken by position where their arrays agree. What a first layer multiplies are
features, which are matched by name; what a head gives are classes or targets, which
must be the same. What is not taken starts as without ``init_from``.
"""

import warnings
from typing import NamedTuple

import numpy as np

from nnfit.estimators.donors import names_of, outputs_of
from nnfit.network import fitted

# What stands before the layers ------------------------------------------------

#: Parameters that say what stands there.
OF_INPUTS = (
    *("scaling", "numeric_embedding", "categorical_features", "category_embedding"),
)


def adopt_codes(estimator, donor, X):
    """Number categories as the donor has, if what it learnt of columns can be kept.

    Parameters
    ----------
    estimator : BaseMLP
        Whose data have been checked; its ``_fitted["categories"]`` become the donor's.
    donor : Donor or None
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Categories are its own codes.

    Returns
    -------
    ndarray or CSR matrix of shape (n_samples, n_features)
        A category that the donor does not know counts as missing.
    """
    if donor is None or not _has_same_inputs(estimator, donor):
        return X
    own, others = _categories(estimator, donor)
    for column, values in others.items():
        if values is None or values == own[column]:
            continue
        code = {value: number for number, value in enumerate(values)}
        codes = np.array([code.get(value, -1) for value in own[column]] + [-1])
        X = X.copy()
        X[:, column] = codes[X[:, column].astype(int)]
    estimator._fitted = {
        **estimator._fitted,
        "categories": donor.described.get("categories"),
    }
    return X


def adopt_inputs(estimator, donor):
    """Keep what the donor has learnt of the columns, if it can be.

    Bins, quantiles and codes are those of its data: its first layer reads them.

    Parameters
    ----------
    estimator : BaseMLP
        Its ``_fitted`` gets the donor's entries.
    donor : Donor or None

    Returns
    -------
    dict or None
        Arrays as `nnfit.estimators.embeddings.find` returns them; None where the
        estimator is to find its own.
    """
    if donor is None or not _has_same_inputs(estimator, donor):
        return None
    estimator._fitted["inputs"] = donor.inputs
    if donor.members is not None:
        own = estimator._value("n_shared_members"), estimator._value("member_adapters")
        estimator._fitted["members"] = (*own, donor.members[2])
    arrays = [array for arrays in donor.weights for array in arrays]
    tensors = _by_layer(donor.network, donor.inputs).get(None, [])
    return {(each.node, each.name): arrays[each.place] for each in tensors}


def _has_same_inputs(estimator, donor):
    """Whether columns, and what is asked for before the chain, are the same."""
    return donor.inputs is not None and _difference_of_inputs(estimator, donor) is None


def _difference_of_inputs(estimator, donor):
    """What is not the same before the chain, and what to do, or None.

    Categories may be others, but not known by their values here and by codes there.

    Returns
    -------
    tuple of str or None
    """
    names, values = _other_parameters(estimator, donor)
    if names:
        return ", ".join(values), f"Use the same {' and '.join(names)} in both."
    n, n_donor = estimator.n_features_in_, donor.network.n_features
    if not np.array_equal(donor.sources(estimator, n_donor), np.arange(n)):
        own, its = names_of(estimator) or n, donor.names or n_donor
        columns = f"the columns are {own}, in init_from {its}"
        return columns, "Give X the columns of init_from, in their order."
    own, its = (
        {column: values is None for column, values in each.items()}
        for each in _categories(estimator, donor)
    )
    if own != its:
        told = [_told_categories(each) for each in (own, its)]
        return (
            f"categories are {told[0]}, in init_from {told[1]}",
            "Give X the categories of init_from, by codes or by values as there.",
        )
    is_same_shift = np.array_equal(estimator.feature_shifts_, donor.shifts)
    if not (is_same_shift and np.array_equal(estimator.feature_scales_, donor.scales)):
        return (
            "columns far from zero are standardised by other numbers",
            "Subtract from those columns what you have subtracted for init_from.",
        )
    return None


def _other_parameters(estimator, donor):
    """Names of parameters that differ, and sentences with their values."""
    found = {}
    for name in OF_INPUTS:
        own, its = fitted.plain(estimator._value(name)), donor.described.get(name)
        if own != its:
            found[name] = f"{name} is {own!r}, in init_from {its!r}"
    own = estimator._value("n_shared_members")
    if (own > 1) != (donor.members is not None):
        its = donor.described.get("n_shared_members", 1)
        found["n_shared_members"] = f"n_shared_members is {own}, in init_from {its}"
    return list(found), list(found.values())


def _told_categories(are_codes):
    """Columns of categories, and how these are known, in words."""
    kinds = ("values", "codes")
    columns = [f"{kinds[is_code]} in column {n}" for n, is_code in are_codes.items()]
    return " and ".join(columns) or "in no column"


def _categories(estimator, donor):
    known = estimator._standard("categories"), donor.described.get("categories")
    return [each or {} for each in known]


# What is taken ---------------------------------------------------------------


def take(estimator, donor, network, weights):
    """Weights to start from, those of the donor where they fit; sets `init_report_`.

    Parameters
    ----------
    estimator : BaseMLP
        To be trained, whose data have been looked at.
    donor : Donor
    network : Network
        Its own.
    weights : Weights
        That it would start from.

    Returns
    -------
    Weights

    Warns
    -----
    UserWarning
        If features are new or missing, if what stands before the layers is not the
        same, or if nothing is taken.
    """
    return _Transfer(estimator, donor, network, weights).run()


class _Transfer:
    """One call of `take`."""

    def __init__(self, estimator, donor, network, weights):
        self.estimator, self.donor, self.network = estimator, donor, network
        targets = estimator._standard("targets")
        given = fitted.without_units(donor.weights, targets, network.dtype)
        self.given = [array for arrays in given for array in arrays]
        self.arrays = [array for arrays in weights for array in arrays]
        self.own = _by_layer(network, estimator._standard("inputs"))
        self.of_donor = _by_layer(donor.network, donor.inputs)
        self.sources = donor.sources(estimator, network.n_features)
        self.new, self.missing = _changed(names_of(estimator), donor.names)
        self.remedy = None  # of a difference before the first layer

    def run(self):
        """Weights to start from."""
        last = self.network.n_layers - 1
        layers = [self._take_first()]
        layers += [self._take_layer(layer) for layer in range(1, last)]
        if last:
            layers.append(self._take_head())
        self.estimator.init_report_ = {
            "donor": self.donor.origin,
            "layers": layers,
            "new_features": self.new,
            "missing_features": self.missing,
        }
        if not any(text.startswith("taken") for text in layers):
            warnings.warn(
                f"init_from has no layer that fits, so that all weights are new: "
                f"{layers}. Use hidden_layer_sizes and other parameters of the "
                "architecture as they were there."
            )
        elif self.remedy is not None:
            what, remedy = self.remedy
            warnings.warn(f"init_from gives no first layer, for {what}. {remedy}")
        elif layers[0].startswith("taken") and (self.new or self.missing):
            warnings.warn(
                f"X has other features than init_from: the weights of {self.new} start "
                f"at zero, and those of {self.missing} are dropped."
            )
        return self.network.weights_of(self.arrays)

    def _take_first(self):
        """The first layer, and what stands before it."""
        donor, inputs = self.donor, self.estimator._standard("inputs")
        if self.sources is None:
            n, n_donor = self.network.n_features, donor.network.n_features
            return f"new: {n} features and not {n_donor}, without names to match them"
        if self.network.n_layers == 1 and (reason := self._difference_of_outputs()):
            return reason
        if inputs is None and donor.inputs is None:
            return self._take_features()
        difference = _difference_of_inputs(self.estimator, donor)
        if difference is None and inputs != donor.inputs:
            difference = "what columns hold is not the same", "Give X the same columns."
        if difference is not None:
            self.remedy = difference
            return f"new: {difference[0]}"
        self._take(None, None)
        return self._take_layer(0)

    def _has_same_columns(self):
        """Whether columns are standardised by the same numbers."""
        shifts, scales = self._columns()
        return not shifts.any() and (scales == 1.0).all()

    def _columns(self):
        """A donor's column is the one of the estimator times scales, plus shifts."""
        known = self.sources >= 0
        places = self.sources[known]
        of_donor = self.donor.shifts[places], self.donor.scales[places]
        shift = self.estimator.feature_shifts_[known]
        scale = self.estimator.feature_scales_[known]
        return (shift - of_donor[0]) / of_donor[1], scale / of_donor[1]

    def _take_features(self):
        """A first layer that reads the features: an array's lines follow them."""
        own, other = self.own[0], self.of_donor[0]
        shifts, scales = self._columns()
        is_plain = [each.name for each in own] == ["coef", "intercept"]
        if not is_plain and not self._has_same_columns():
            return "new: columns are standardised by other numbers"
        if [each.name for each in own] != [each.name for each in other]:
            return _other_shapes(own, other)
        pairs = zip(own, other, strict=True)
        found = [self._by_features(tensor, given) for tensor, given in pairs]
        if any(a.shape != each.shape for a, each in zip(found, own, strict=True)):
            return _other_shapes(own, other)
        known = self.sources >= 0
        if is_plain:
            coef, intercept = found
            found[1] = intercept + shifts @ coef[known]
            coef[known] *= scales[:, None]
        for tensor, array in zip(own, found, strict=True):
            self._put(tensor, array)
        is_whole = known.all()
        return "taken" if is_whole else f"taken: {known.sum()} of {len(known)} features"

    def _by_features(self, tensor, other):
        """The donor's array, whose lines follow the features if it has one for each."""
        given, axis = self.given[other.place], 0 if tensor.name == "coef" else -1
        n, n_donor = self.network.n_features, self.donor.network.n_features
        if (tensor.shape[axis], given.shape[axis]) != (n, n_donor):
            return given
        start = self.arrays[tensor.place].astype(np.float64)
        lines, given = np.moveaxis(start, axis, 0), np.moveaxis(given, axis, 0)
        if lines.shape[1:] != given.shape[1:]:
            return given
        if tensor.name == "coef":
            lines[:] = 0.0
        known = self.sources >= 0
        lines[known] = given[self.sources[known]]
        return start

    def _take_layer(self, layer):
        """A layer before the last."""
        n_hidden = self.donor.described.get(
            "body_layers", self.donor.network.n_layers - 1
        )
        if layer >= n_hidden and layer > 0:
            return "new: init_from has fewer layers"
        return self._take(layer, layer)

    def _take_head(self):
        """The last layer."""
        if reason := self._difference_of_outputs():
            return reason
        last, of_donor = self.network.n_layers - 1, self.donor.network.n_layers - 1
        return self._take(last, of_donor)

    def _difference_of_outputs(self):
        """Why a head cannot be taken, or None."""
        outputs, own = self.donor.outputs, outputs_of(self.estimator)
        if "body_layers" in self.donor.described:  # learnt without targets
            return "new: init_from has no outputs"
        if outputs is None or outputs == own:
            return None
        return "new: other classes or targets, or another link"

    def _take(self, layer, other):
        own, theirs = self.own.get(layer, []), self.of_donor.get(other, [])
        if [each.signature for each in own] != [each.signature for each in theirs]:
            return _other_shapes(own, theirs)
        for tensor, place in zip(own, theirs, strict=True):
            self._put(tensor, self.given[place.place])
        return "taken"

    def _put(self, tensor, array):
        array = np.array(array, dtype=self.network.dtype, order="C")
        self.arrays[tensor.place] = array


class _Place(NamedTuple):
    """A tensor of a layer, the number of its node, and its place in the network."""

    kind: str
    name: str
    shape: tuple
    node: int
    place: int

    @property
    def signature(self):
        """What must agree."""
        return self.kind, self.name, self.shape


def _by_layer(network, inputs):
    """Tensors by number of the layer; under None those of what stands before."""
    n_before = 0 if inputs is None else len(inputs[1])
    found, count = {}, 0
    places = {number: place for place, number in enumerate(network.tensor_order)}
    nodes = zip(network.nodes, network.tensors_of_nodes, strict=True)
    for number, (node, own) in enumerate(nodes):
        layer = None if number < n_before else node.layer
        for tensor in own:
            place = places[count]
            each = _Place(node.kind, tensor.name, tensor.shape, number, place)
            found.setdefault(layer, []).append(each)
            count += 1
    return found


def _changed(names, others):
    """Names that a list has and another has not, and the other way round."""
    if names is None or others is None:
        return [], []
    new = [name for name in names if name not in others]
    return new, [name for name in others if name not in names]


def _other_shapes(own, other):
    shapes = [" and ".join(str(each.shape) for each in each) for each in (own, other)]
    return f"new: arrays of the shapes {shapes[0]}, in init_from {shapes[1]}"
