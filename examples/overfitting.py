"""
Against overfitting
===================

Five hundred digits, one label in six wrong: a network can learn these by heart, and
does unless something keeps it from it. Here is what each ingredient does about it.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnfit import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(
    X / 16, y, train_size=500, stratify=y, random_state=0
)
rng = np.random.default_rng(0)
wrong = rng.random(len(y_train)) < 1 / 6
noisy = np.where(wrong, (y_train + rng.integers(1, 10, len(y_train))) % 10, y_train)

# All train for sixty epochs, whatever the loss does.
warnings.simplefilter("ignore", ConvergenceWarning)


def train(**parameters):
    """Fit a network to the noisy labels and watch it on the right ones."""
    net = MLPClassifier(
        (200, 200),
        batch_size=50,
        max_iter=60,
        n_iter_no_change=60,
        tol=0,
        random_state=0,
    )
    net.set_params(**parameters)
    return net.fit(X_train, noisy, X_val=X_val, y_val=y_val)


# %%
# Nothing against it
# ------------------
#
# The training loss keeps falling. On other digits, whose labels are right, the network
# is best after fifteen epochs; what it learns later are the wrong labels.

plain = train()
epochs = range(1, 61)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
left.plot(epochs, plain.history_["loss"], label="training")
left.plot(epochs, plain.history_["val_loss"], label="validation")
left.set(xlabel="epoch", ylabel="loss")
left.legend()
right.plot(epochs, plain.history_["val_score"], color="C1")
right.set(xlabel="epoch", ylabel="validation accuracy")
plt.show()

# %%
# One at a time
# -------------
#
# Learned by heart is the part of the wrong labels that the network predicts. The grey
# curve is that of the plain network. Averages follow the weights in training and are
# smoother than they; label smoothing learns as much by heart and is yet more often
# right.

ingredients = {
    "dropout": {"dropout": 0.5},
    "input_dropout": {"input_dropout": 0.4},
    "alpha": {"alpha": 0.3},
    "l1": {"l1": 0.03},
    "weight_decay": {"solver": "adamw", "alpha": 0, "weight_decay": 2.0},
    "max_norm": {"max_norm": 0.7},
    "label_smoothing": {"label_smoothing": 0.3},
    "mixup": {"mixup": 1.0},
    "input_noise": {"input_noise": 0.3},
    "ema_decay": {"ema_decay": 0.995},
    "swa": {"swa": 0.8},
    "several": {"dropout": 0.4, "mixup": 0.4, "input_noise": 0.2, "ema_decay": 0.99},
}
figure, grid = plt.subplots(
    3, 4, figsize=(10, 6.5), sharex=True, sharey=True, layout="constrained"
)
print(f"{'':18}{'learned by heart':>16}{'validation accuracy':>21}")
nets = {"plain": plain} | {name: train(**each) for name, each in ingredients.items()}
for name, net in nets.items():
    by_heart = np.mean(net.predict(X_train)[wrong] == noisy[wrong])
    print(f"{name:18}{by_heart:16.2f}{net.score(X_val, y_val):21.3f}")
for name, axes in zip(ingredients, grid.flat, strict=True):
    axes.plot(epochs, plain.history_["val_score"], color="lightgrey")
    axes.plot(epochs, nets[name].history_["val_score"], color="C1")
    axes.set(title=name, ylim=(0.85, 0.97))
figure.supxlabel("epoch")
figure.supylabel("validation accuracy")
plt.show()
