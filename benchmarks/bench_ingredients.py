"""What each ingredient of training adds to an epoch, on one thread."""

import argparse
import statistics
import warnings

from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier

from .brief import few, values
from .shapes import make_data, parameters

#: Each beside the defaults; Muon replaces Adam, as the other solvers do.
INGREDIENTS = {
    "dropout": {"dropout": 0.1},
    "input_dropout": {"input_dropout": 0.1},
    "input_noise": {"input_noise": 0.1},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "feature_swap": {"feature_swap": 0.1},
    "label_smoothing": {"label_smoothing": 0.1},
    "l1": {"l1": 1e-4},
    "clip_value": {"clip_value": 1.0},
    "clip_norm": {"clip_norm": 1.0},
    "max_norm": {"max_norm": 2.0},
    "ema_decay": {"ema_decay": 0.99},
    "swa": {"swa": 0.5},
    "layer normalization": {"normalization": "layer"},
    "batch normalization": {"normalization": "batch"},
    "residual": {"residual": True},
    "cosine, warmup": {"learning_rate": "cosine", "warmup": 0.1},
    "learning_rate_factors": {"learning_rate_factors": [1.0, 1.0, 1.0]},
    "sgd": {"solver": "sgd"},
    "adamw": {"solver": "adamw"},
    "nadam": {"solver": "nadam"},
    "rmsprop": {"solver": "rmsprop"},
    "lion": {"solver": "lion", "learning_rate_init": 1e-4},
    "schedule_free": {"solver": "schedule_free"},
    "muon": {"solver": "muon"},
}
EPOCHS = 2


def epoch_seconds(shape, changes, X, y):
    """Mean seconds of the epochs of a fit on one thread."""
    model = MLPClassifier(**{**parameters(shape, EPOCHS), "n_jobs": 1, **changes})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    return model.history_["seconds"][-1] / EPOCHS


def ratios(shape, names, repeats):
    """Median ratio of an epoch with each of some ingredients to the plain one."""
    X, y, *_ = make_data(shape)
    for name in names:  # compiles
        epoch_seconds(shape, INGREDIENTS[name], X[:1000], y[:1000])
    found = {name: [] for name in names}
    for _ in range(repeats):
        plain = epoch_seconds(shape, {}, X, y)
        for name in names:
            taken = epoch_seconds(shape, INGREDIENTS[name], X, y)
            found[name].append(taken / plain)
    return {name: statistics.median(values) for name, values in found.items()}


class Ratio:
    """An epoch of 'cover' with an ingredient, over the plain epoch."""

    # Those that do more than a few operations a weight.
    params = values(
        [
            "dropout",
            "layer normalization",
            "batch normalization",
            "ema_decay",
            "max_norm",
            "muon",
        ]
    )
    param_names = ["ingredient"]
    timeout = 120

    def track_ratio_to_the_plain_epoch(self, name):
        return ratios("cover", [name], repeats=few(3))[name]

    track_ratio_to_the_plain_epoch.unit = "times"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_ingredients")
    parser.add_argument("--shape", default="cover")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = ratios(options.shape, list(INGREDIENTS), options.repeats)
    for name, ratio in found.items():
        print(f"{name:24}{ratio:6.2f}")


if __name__ == "__main__":
    main()
