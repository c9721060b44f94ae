"""Files of weights: the format safetensors, and in its header what was fitted as JSON.

Eight bytes with the length of the header, the header, and the arrays one after the
other (https://github.com/huggingface/safetensors). Nothing in a file is run. What the
header says of arrays is compared with the network and with the size of the file before
any of them is made.
"""

import json
import math
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sklearn.base import clone

from nnfit.callbacks import files
from nnfit.estimators import by_hand
from nnfit.network import Weights, fitted
from nnfit.network.description import check_arrays

#: Changes with what the files hold.
FORMAT = 1
#: Attributes that predictions and further training read, beside the arrays.
KEPT = (
    *("_fitted", "_target_kind", "_sparse_target", "_class_counts", "_class_weights"),
    *("_seed", "classes_", "n_features_in_", "feature_names_in_", "n_outputs_"),
    *("n_layers_", "out_activation_", "temperature_", "n_iter_", "t_", "loss_"),
    *("device_", "n_threads_"),
)
#: Attributes of a fit that belong to other weights.
FORGOTTEN = ("_training_state",)
TYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
NAMES = {dtype: name for name, dtype in TYPES.items()}
#: The format's own limit of a header.
LONGEST_HEADER = 100_000_000


def save(estimator, path):
    """Write the weights of a fitted estimator, see `BaseMLP.save_weights`."""
    by_hand.check_fitted(estimator)
    members = vars(estimator).get("members_", [])
    arrays = arrays_of(estimator, "") if not members else {}
    for number, member in enumerate(members):
        arrays |= arrays_of(member, f"members.{number}.")
    told = {"fitted": kept(estimator), "members": [kept(member) for member in members]}
    write(estimator, path, told, arrays)


def load(estimator, path):
    """Take weights from a file, see `BaseMLP.load_weights`."""

    def check(told, described):
        members = [attributes(each) for each in told["members"]]
        whole = attributes(told["fitted"])
        for number, own in enumerate(members or [whole]):
            prefix = f"members.{number}." if members else ""
            check_shapes(own, lists(described, prefix))
        return whole, members

    (whole, of_members), arrays = read(estimator, path, check)
    if not of_members:
        take(estimator, whole | lists(arrays, ""))
        return
    members = [clone(estimator) for _ in of_members]
    for number, (member, own) in enumerate(zip(members, of_members, strict=True)):
        take(member, own | lists(arrays, f"members.{number}."))
    take(estimator, whole | {"members_": members})


def write(estimator, path, told, arrays):
    """Write a file.

    Parameters
    ----------
    estimator : object
        Whose class alone may read it.
    path : str or path
    told : dict
        As JSON has it.
    arrays : dict of ndarray
        Of float32 or float64, by name.
    """
    told = {"format": FORMAT, "estimator": type(estimator).__name__, **told}
    header, offset = {"__metadata__": {"nnfit": json.dumps(told)}}, 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with files.replacing(Path(path)) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def read(estimator, path, check):
    """Read a file that an estimator of the same class has written.

    Parameters
    ----------
    estimator : object
    path : str or path
    check : callable
        ``check(told, described)`` takes what the file tells, and by name shapes and
        types of its arrays, of which none is there yet.

    Returns
    -------
    checked : object
        What `check` returns.
    arrays : dict of ndarray

    Raises
    ------
    ValueError
        If the file is something else or damaged.
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            told, described = _header(file, path.stat().st_size)
            if told["format"] != FORMAT:
                raise ValueError(
                    f"it has the format {told['format']}, and this version of nnfit "
                    f"reads the format {FORMAT}"
                )
            name = type(estimator).__name__
            if told["estimator"] != name:
                raise ValueError(f"it is of a {told['estimator']}, got a {name}")
            checked = check(told, described)
            arrays = {each: _read(file, where) for each, where in described.items()}
        except Exception as error:  # whatever the bytes are
            raise ValueError(
                f"{path} is no file of weights for this estimator, or a damaged one: "
                f"{error}. Pass one that save_weights of a {type(estimator).__name__} "
                "has written."
            ) from error
    return checked, arrays


def take(estimator, attributes, names=KEPT):
    """Set what was fitted, and forget all of a fit before.

    Parameters
    ----------
    estimator : object
    attributes : dict
    names : tuple of str, default=KEPT
        Of attributes of a fit whose names begin with an underscore.
    """
    own = vars(estimator)
    old = [
        name
        for name in own
        if (name.endswith("_") and not name.startswith("_"))
        or name in (*names, *FORGOTTEN)
    ]
    for name in old:
        del own[name]
    own.update(attributes)


def arrays_of(network, prefix):
    """Arrays of a single network by their names, a dict."""
    return {
        f"{prefix}{place}.{number}": np.ascontiguousarray(
            array, np.float32 if np.asarray(array).dtype == np.float32 else np.float64
        )
        for place in Weights._fields
        for number, array in enumerate(getattr(network, f"{place}_", ()))
    }


def lists(values, prefix):
    """Attributes with the values of a network, list by list."""
    found = {}
    for place in Weights._fields:
        first = f"{prefix}{place}."
        n = sum(name.startswith(first) for name in values)
        found[f"{place}_"] = [values[f"{first}{number}"] for number in range(n)]
    return found


# The header ------------------------------------------------------------------


def _header(file, size):
    """What a file tells, and of each array shape and type, compared with its size."""
    start = file.read(8)
    (length,) = struct.unpack("<Q", start)
    if not 0 < length <= min(LONGEST_HEADER, size - 8):
        raise ValueError(f"its header of {length} bytes is longer than the file")
    header = json.loads(file.read(length))
    told = json.loads(header.pop("__metadata__")["nnfit"])
    described, end = {}, 0
    entries = sorted(header.items(), key=lambda entry: entry[1]["data_offsets"])
    for name, entry in entries:
        dtype, shape = TYPES[entry["dtype"]], tuple(entry["shape"])
        first, last = entry["data_offsets"]
        is_shape = all(type(n) is int and n >= 0 for n in shape)
        n_bytes = math.prod(shape) * dtype.itemsize if is_shape else -1
        if first != end or last - first != n_bytes:
            raise ValueError(f"the array {name!r} does not have the size of {shape}")
        described[name] = SimpleNamespace(shape=shape, dtype=dtype)
        end = last
    if 8 + length + end != size:
        raise ValueError(f"it has {size} bytes instead of {8 + length + end}")
    return told, described


def _read(file, where):
    data = bytearray(math.prod(where.shape) * where.dtype.itemsize)
    file.readinto(data)
    return np.frombuffer(data, where.dtype).reshape(where.shape)


def check_shapes(told, arrays):
    """See that arrays, by their shapes alone, are those of the network described."""
    described = told["_fitted"]
    sizes = fitted.sizes_of(arrays["coefs_"], described.get("members"))
    link = by_hand.link_of(told["out_activation_"], described["levels"])
    network = fitted.network_for(described, link, sizes, "float32")
    if network.n_features != told["n_features_in_"]:
        raise ValueError(
            f"its network reads {network.n_features} features, and X had "
            f"{told['n_features_in_']}"
        )
    check_arrays(network.tensors, Weights(*(arrays[f"{p}_"] for p in Weights._fields)))


# Values as JSON has them -----------------------------------------------------


def kept(estimator, names=KEPT):
    """Attributes of an estimator with these names, as JSON has them."""
    own = vars(estimator)
    return {name: _packed(own[name], name) for name in names if name in own}


def _packed(value, name):
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_packed(item, name) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, name) for item in value]}
    if isinstance(value, dict):
        pairs = value.items()
        return {"dict": [[_packed(k, name), _packed(v, str(k))] for k, v in pairs]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        kind = value.dtype.kind if value.dtype.kind in "UO" else value.dtype.str
        return {"array": kind, "values": _packed(value.tolist(), name)}
    shown = getattr(value, "__name__", repr(value))
    raise ValueError(
        f"Files of weights hold numbers and strings, got {name}={shown!r}. Save the "
        "estimator by joblib."
    )


def attributes(told, names=KEPT):
    """What `kept` has packed, of which there is nothing else."""
    if not told.keys() <= set(names):
        raise ValueError(f"it holds {sorted(told)[:3]}, which is not known")
    return {name: _unpacked(own) for name, own in told.items()}


def _unpacked(value):
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tuple"}:
        return tuple(_unpacked(item) for item in value["tuple"])
    if value.keys() == {"dict"}:
        return {_unpacked(k): _unpacked(v) for k, v in value["dict"]}
    if value.keys() == {"array", "values"}:
        dtype = {"U": str, "O": object}.get(value["array"]) or np.dtype(value["array"])
        return np.array(_unpacked(value["values"]), dtype)
    raise ValueError(f"it holds {sorted(value)[:3]}, which is not known")
