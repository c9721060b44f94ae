"""Training on the workers of a Dask cluster, and lazy predictions of its collections.

Needs the extra ``nnfit[dask]``. The rows of a collection make up logical shards
(`parts.py`), which workers hold (`workers.py`) and train for whole epochs with
``partial_fit`` (`shard.py`). The training loop is that of every fit: its engine
(`engine.py`) lets the shards train in the place of an epoch, and joins their weights
(`outer.py`).
"""

from nnfit.dask.estimators import (
    DaskMLPClassifier,
    DaskMLPRegressor,
    DaskRealMLPClassifier,
    DaskRealMLPRegressor,
    DaskTabMClassifier,
    DaskTabMRegressor,
)

__all__ = [
    "DaskMLPClassifier",
    "DaskMLPRegressor",
    "DaskRealMLPClassifier",
    "DaskRealMLPRegressor",
    "DaskTabMClassifier",
    "DaskTabMRegressor",
]
