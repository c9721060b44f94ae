"""``python -m nnfit demo``: the digits, beside scikit-learn's own MLP."""

import statistics
import sys
import time
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnfit import MLPClassifier

PARAMETERS = {"hidden_layer_sizes": (100,), "max_iter": 300, "random_state": 0}
REPEATS = 3


def run_demo(picture="nnfit-demo.png"):
    """Train, compare, print and draw; return the exit status.

    Parameters
    ----------
    picture : str or path
        File that receives the loss curves, if matplotlib is installed.
    """
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    print(
        f"digits: {X.shape[0]} images of 8 x 8 pixels, 10 classes; "
        f"{len(y_train)} to train on, {len(y_test)} to test on"
    )
    parameters = ", ".join(f"{name}={value}" for name, value in PARAMETERS.items())
    print(f"make_pipeline(StandardScaler(), MLPClassifier({parameters}))")

    with warnings.catch_warnings():
        # Reaching max_iter is no news here: the table shows the number of epochs.
        warnings.simplefilter("ignore", ConvergenceWarning)

        first = make_pipeline(StandardScaler(), MLPClassifier(verbose=1, **PARAMETERS))
        start = time.perf_counter()
        first.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        print(f"first fit, with whatever had to be compiled: {seconds:.2f} s\n")

        # The fits that are compared print nothing and take turns, so that a busy
        # moment of the machine does not fall on one of the two alone.
        models = {"nnfit": MLPClassifier, "scikit-learn": SklearnMLPClassifier}
        fitted, times = {}, {name: [] for name in models}
        for _ in range(REPEATS):
            for name, estimator in models.items():
                model = make_pipeline(StandardScaler(), estimator(**PARAMETERS))
                start = time.perf_counter()
                fitted[name] = model.fit(X_train, y_train)
                times[name].append(time.perf_counter() - start)

    print(f"{'':14}{'accuracy':>9}{'epochs':>8}{'seconds':>9}{'ms/epoch':>10}")
    for name, model in fitted.items():
        seconds = statistics.median(times[name])
        epochs = model[-1].n_iter_
        print(
            f"{name:14}{model.score(X_test, y_test):9.4f}{epochs:8d}"
            f"{seconds:9.3f}{1000 * seconds / epochs:10.3f}"
        )
    print(f"(seconds: median of {REPEATS} fits of the whole pipeline)\n")

    return _save_picture(
        {name: model[-1].loss_curve_ for name, model in fitted.items()}, picture
    )


def _save_picture(loss_curves, picture):
    try:
        # The object interface: no window system, no global state.
        from matplotlib.figure import Figure
    except ImportError:
        print("For a picture of the loss curves: python -m pip install matplotlib")
        return 0

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    # The curves nearly coincide; the second is dashed so that both are seen.
    for (name, curve), style in zip(loss_curves.items(), ("-", "--"), strict=True):
        axes.plot(range(1, len(curve) + 1), curve, style, label=name)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log", title="digits")
    axes.legend()
    try:
        figure.savefig(picture)
    except (OSError, ValueError) as error:
        print(f"Could not save the picture to {picture}: {error}", file=sys.stderr)
        return 1
    print(f"loss curves: {Path(picture).resolve()}")
    return 0
