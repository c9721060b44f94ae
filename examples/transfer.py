"""
Last year's network, this year's task
=====================================

A network that has learnt from many rows starts another one with ``init_from``. Whether
that helps depends on what the two tasks share. Both are tried here on images of digits,
with one, five and twenty labels for each digit, over ten seeds.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPClassifier

images, y = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8) / 16
warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs
LABELS, SEEDS = (1, 5, 20), range(10)


def accuracies(donor_rows, rows, Z, seed, donor_epochs=30):
    """Accuracy by labels of each digit, without and with the donor's weights."""
    donor = MLPClassifier((64, 64), max_iter=donor_epochs, random_state=seed)
    donor.fit(images.reshape(-1, 64)[donor_rows], y[donor_rows])
    found = []
    for n in LABELS:
        few = np.concatenate([rows[y[rows] == digit][:n] for digit in set(y[rows])])
        rest = np.setdiff1d(rows, few)
        for init_from in (None, donor):
            net = MLPClassifier(
                (64, 64), max_iter=100, init_from=init_from, random_state=seed
            )
            found.append(net.fit(Z[few], y[few]).score(Z[rest], y[rest]))
    return np.reshape(found, (len(LABELS), 2))


def show(results):
    """Print means and standard deviations over the seeds; returns both."""
    mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
    print(f"{'labels a digit':16}{'new weights':>16}{'init_from':>16}")
    for n, m, s in zip(LABELS, mean, spread, strict=True):
        print(f"{n:<16}{m[0]:10.3f} ±{s[0]:.3f}{m[1]:10.3f} ±{s[1]:.3f}")
    return mean, spread


# %%
# The same digits from another scanner
# ------------------------------------
#
# The donor has 900 images. Those of the new task are smeared: each pixel is the mean of
# itself and two neighbours. What was learnt of digits holds, and few labels do.

smeared = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)) / 3
same = []
for seed in SEEDS:
    order = np.random.default_rng(seed).permutation(len(y))
    same.append(accuracies(order[:900], order[900:], smeared.reshape(-1, 64), seed))
same_mean, same_spread = show(same)

# %%
# Other digits
# ------------
#
# The donor knows 0 to 4; the new task is 5 to 9. Units that tell 0 from 1 say little of
# 7 and 9, and the network has to unlearn them: new weights are better. The last layer
# is new in any case, since the classes are others.

other = []
for seed in SEEDS:
    order = np.random.default_rng(seed).permutation(len(y))
    old, new = order[y[order] < 5], order[y[order] >= 5]
    other.append(accuracies(old, new, images.reshape(-1, 64), seed))
other_mean, other_spread = show(other)

# %%
# Both beside each other
# ----------------------

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
titles = "the same digits, smeared", "other digits"
starts = ("new weights", "o"), ("init_from", "s")
means, spreads = (same_mean, other_mean), (same_spread, other_spread)
for ax, title, mean, spread in zip(axes, titles, means, spreads, strict=True):
    for column, (label, marker) in enumerate(
        [("new weights", "o"), ("init_from", "s")]
    ):
        ax.errorbar(
            LABELS, mean[:, column], spread[:, column],
            label=label, marker=marker, capsize=3,
        )  # fmt: skip
    ax.set(title=title, xlabel="labels of each digit", xscale="log", xticks=LABELS)
    ax.set_xticklabels(LABELS)
    ax.minorticks_off()
axes[0].set_ylabel("accuracy")
axes[0].legend(loc="lower right")
plt.show()
