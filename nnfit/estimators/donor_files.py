"""A checkpoint as a donor: what it says of the network whose weights it has.

Checkpoints are read without pickles, so the network is told as a literal of Python:
strings, numbers, tuples, lists and dicts, which `ast.literal_eval` reads back.
"""

import ast
from pathlib import Path

from nnfit.callbacks import files
from nnfit.network import fitted
from nnfit.network.description import check_arrays
from nnfit.training import saving

#: Entry of a checkpoint's header.
ENTRY = "donor"
#: What is told of the description of a fitted network, see `nnfit.network.fitted`.
TOLD = (
    *fitted.ARCHITECTURE,
    *("inputs", "members", "body", "categories", "targets", "dtype"),
)


def describe(estimator, link, names, outputs):
    """Tell what `read` needs beside the weights.

    Parameters
    ----------
    estimator : BaseMLP
        That is about to be trained.
    link : str
        Of its network's loss.
    names : list of str or None
        Of the features.
    outputs : tuple
        What its outputs mean.

    Returns
    -------
    str or None
        None where a value has no literal: a function, or a category that is a date.
    """
    told = {
        "described": {name: estimator._standard(name) for name in TOLD},
        "link": link,
        "names": None if names is None else list(map(str, names)),
        "shifts": estimator.feature_shifts_.tolist(),
        "scales": estimator.feature_scales_.tolist(),
        "outputs": outputs,
    }
    targets = told["described"]["targets"]
    told["described"]["targets"] = fitted.plain(targets)
    text = repr(told)
    try:
        return text if ast.literal_eval(text) == told else None
    except (ValueError, SyntaxError):
        return None


def read(path):
    """Network, weights and what else is told of a donor.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    network : nnfit.network.Network
    weights : nnfit.network.Weights
        Those of the best epoch, or that count at the end; the last ones in the units
        of the targets.
    told : dict
        See `describe`.
    origin : str
        Which checkpoint it is.

    Raises
    ------
    ValueError
        If there is none, or it is damaged or tells nothing of its network.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise ValueError(
            f"init_from must be the file of a checkpoint, and {path} is {what}. Pass "
            "the path of an .npz file that nnfit.callbacks.Checkpoint has written."
        )
    header, arrays = files.read(path)
    if header.get(ENTRY) is None:
        raise ValueError(
            f"{path} does not tell what its network is: that was written by an earlier "
            "version, or has functions or categories that a file does not hold. Pass "
            "the fitted estimator as init_from."
        )
    try:
        told = ast.literal_eval(header[ENTRY])
        described = told["described"]
        weights = saving.evaluated_of(arrays)
        sizes = fitted.sizes_of(weights.coefs, described["members"])
        network = fitted.network_for(described, told["link"], sizes, described["dtype"])
        check_arrays(network.tensors, weights)
        epochs = header["record"]["n_iter"]
        origin = f"checkpoint {path} of {header['estimator']}, {epochs} epochs"
    except Exception as error:  # whatever the bytes are
        raise files.NotACheckpoint(
            f"{path} is a damaged checkpoint: {error}. Pass another one as init_from."
        ) from error
    return network, fitted.in_units(weights, described["targets"]), told, origin
