"""The models, and where their makers are.

A maker is a function in a module of `models`, or of anybody's, named
``module:function``. It takes the table's task, the number of threads and the seed of
the split, and returns an estimator: ``fit`` gets a DataFrame with categories and
missing values, and a target of numbers or of integers from 0.

That folder has no ``__init__.py``, as `benchmarks.peers.adapters` has none.
"""

import importlib

from ..peers.registry import Peer

#: The first one is marked in pictures, as all are whose name begins so.
OWN = "nnfit"
MODELS = {
    "nnfit": Peer("nnfit, defaults", "nnfit", "networks:plain", ("nnfit",)),
    "nnfit_recipe": Peer("nnfit, recipe", "nnfit", "networks:recipe", ("nnfit",)),
    "nnfit_realmlp": Peer("nnfit, RealMLP", "nnfit", "networks:realmlp", ("nnfit",)),
    "nnfit_tabm": Peer("nnfit, TabM", "nnfit", "networks:tabm", ("nnfit",)),
    **{
        f"nnfit_tabular_{preset}": Peer(
            f"nnfit, Tabular{title}", "nnfit", f"networks:tabular_{preset}",
            ("nnfit",),
        )
        for preset, title in (("fast", " fast"), ("default", ""), ("best", " best"))
    },
    "sklearn_mlp": Peer(
        "scikit-learn MLP", "scikit-learn", "networks:scikit_learn", ("sklearn",)
    ),
    "hist": Peer(
        "scikit-learn HGB", "scikit-learn", "trees:hist", ("sklearn",)
    ),
    "lightgbm": Peer("LightGBM", "lightgbm", "trees:lightgbm", ("lightgbm",)),
    "xgboost": Peer("XGBoost", "xgboost", "trees:xgboost", ("xgboost",)),
    "catboost": Peer("CatBoost", "catboost", "trees:catboost", ("catboost",)),
    "realmlp": Peer(
        "RealMLP, pytabkit", "pytabkit", "torch_networks:realmlp", ("pytabkit",)
    ),
    "tabm": Peer(
        "TabM", "tabm", "torch_networks:tabm",
        ("tabm", "rtdl_num_embeddings", "torch"),
    ),
}  # fmt: skip


def model(name):
    """The entry of a model, which for ``module:function`` is made here.

    Raises
    ------
    ValueError
        There is no such model.
    """
    if name in MODELS:
        return MODELS[name]
    module, _, function = name.partition(":")
    if not function:
        known = ", ".join(MODELS)
        raise ValueError(
            f"unknown model {name!r}; choose from {known}, or give a "
            "maker as module:function"
        )
    return Peer(function, module.partition(".")[0], name, (module,))


def load_maker(name):
    """Import the maker of a model."""
    module, _, function = model(name).adapter.partition(":")
    if name in MODELS:
        module = f"{__package__}.models.{module}"
    return getattr(importlib.import_module(module), function)
