"""
Few labels, many rows
=====================

Labels are dear and rows are cheap: here 20 to 200 rows have labels, and all of the
training rows go into pretraining without them. Whether that helps depends on the table
and on how few labels there are. The network, its rows and its epochs are the same each
time; only the weights that training starts from differ. With ``--seeds 10`` the script
repeats it ten times, as for the table in :ref:`pretraining`.
"""

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from nnfit import (
    ContrastivePretrainer,
    DenoisingAutoencoder,
    MaskedPretrainer,
    MLPClassifier,
)

parser = argparse.ArgumentParser()
parser.add_argument("--seeds", type=int, default=2)
SEEDS, SIZES = range(parser.parse_known_args()[0].seeds), (128, 128)
PRETRAINERS = {
    "denoising": DenoisingAutoencoder,
    "masked": MaskedPretrainer,
    "contrast": ContrastivePretrainer,
}
STARTS = ("new weights", *PRETRAINERS)
TABLES = {
    "digits": load_digits(return_X_y=True),
    "clusters": make_classification(
        3000, 30, n_informative=12, n_redundant=10, n_classes=4, random_state=0
    ),
    "breast cancer": load_breast_cancer(return_X_y=True),
}
LABELS = (20, 50, 200)
warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs


def accuracies(X, y, seed):
    """In percent, by number of labels and by what training starts from."""
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    given = {"hidden_layer_sizes": SIZES, "random_state": seed}
    starts = [kind(**given, max_iter=50).fit(X) for kind in PRETRAINERS.values()]
    found = np.empty((len(LABELS), len(STARTS)))
    for line, n in enumerate(LABELS):
        few, _, y_few, _ = train_test_split(
            X, y, train_size=n, stratify=y, random_state=seed
        )
        for column, start in enumerate((None, *starts)):
            network = MLPClassifier(**given, init_from=start).fit(few, y_few)
            found[line, column] = 100 * network.score(X_test, y_test)
    return found


# %%
# Mean and standard deviation over the seeds, and in how many of them the pretrained
# network is the better one:

results = {}
print(f"{'accuracy, %':18}" + "".join(f"{name:>15}" for name in STARTS))
for table, (X, y) in TABLES.items():
    of_seeds = np.array([accuracies(X, y, seed) for seed in SEEDS])
    for line, n in enumerate(LABELS):
        found = results[table, n] = of_seeds[:, line]
        better = (found > found[:, :1]).sum(axis=0)
        cells = [f"{found[:, 0].mean():.1f} ±{found[:, 0].std():.1f}"] + [
            f"{own.mean():.1f} ±{own.std():.1f} ({count})"
            for own, count in zip(found.T[1:], better[1:], strict=True)
        ]
        print(f"{table:13}{n:>5}" + "".join(f"{cell:>15}" for cell in cells))

# %%
# What pretraining adds to the accuracy. Each point is a seed, and lines join the means:

figure, axes = plt.subplots(
    1, len(TABLES), figsize=(9, 3.4), sharey=True, layout="constrained"
)
for ax, table in zip(axes, TABLES, strict=True):
    ax.axhline(0, color="0.5", linewidth=1)
    for column, name in enumerate(PRETRAINERS, 1):
        gains = np.array(
            [results[table, n][:, column] - results[table, n][:, 0] for n in LABELS]
        )
        places = np.arange(len(LABELS)) + 0.2 * (column - 2)
        ax.plot(places, gains, ".", color=f"C{column - 1}", alpha=0.4)
        ax.plot(places, gains.mean(axis=1), "s-", color=f"C{column - 1}", label=name)
    ax.set(title=table, xticks=range(len(LABELS)), xticklabels=LABELS, xlabel="labels")
axes[0].set_ylabel("gain in accuracy, points")
axes[0].legend()
plt.show()
