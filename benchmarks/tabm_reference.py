"""TabM beside its authors' package: steps, epochs and scores.

``steps`` starts both from the same weights and compares predictions after some steps on
all rows. ``epochs`` times an epoch of both, in turn. ``scores`` trains both on tables,
seed by seed on the same rows, and compares errors on others. Where ``tabm``,
``rtdl_num_embeddings`` or ``torch`` is not installed, ``epochs`` and ``scores`` print
nnfit's columns alone.
"""

import argparse
import importlib.util
import time
import warnings
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.accuracy import tables
from benchmarks.accuracy.registry import load_maker
from nnfit import TabMClassifier, TabMRegressor
from nnfit.network import initial_weights

PACKAGES = ("torch", "tabm", "rtdl_num_embeddings")
HAS_REFERENCE = all(map(importlib.util.find_spec, PACKAGES))
#: Forms by the name of the adapters here.
FORMS = {"all": "tabm", "first": "tabm-mini"}
RATE, CLIP, BATCH = 2e-3, 1.0, 256
#: Rows to test on, at most.
TESTED = 4000
#: Seconds in which the threads of the one before cease to spin.
PAUSE = 0.5


def ours(task, n_members, width, **parameters):
    """An estimator of nnfit with the settings of the package's example."""
    make = TabMClassifier if task == "classification" else TabMRegressor
    return make(
        "paper", n_shared_members=n_members, hidden_layer_sizes=(width, width),
        member_rows="shared", batch_size=BATCH, scoring="loss", **parameters,
    )  # fmt: skip


class Theirs:
    """The package's module and its optimizer.

    Parameters
    ----------
    X : ndarray of float32
        From whose columns the bins are.
    n_out, n_members, width, n_bins, d : int
    adapters : {"all", "first"}
    dropout : float
    """

    def __init__(self, X, n_out, n_members, width, n_bins, d, adapters, dropout):
        import rtdl_num_embeddings as embeddings
        import tabm
        import torch

        self.torch, self.is_class = torch, n_out > 1
        bins = embeddings.compute_bins(torch.as_tensor(X), n_bins=n_bins)
        embedding = embeddings.PiecewiseLinearEmbeddings(
            bins, d, activation=False, version="B"
        )
        self.module = tabm.TabM.make(
            n_num_features=X.shape[1], d_out=n_out, k=n_members, d_block=width,
            n_blocks=2, arch_type=FORMS[adapters], num_embeddings=embedding,
            dropout=dropout,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=RATE, weight_decay=3e-4
        )

    def step(self, X, y):
        """Train on a batch of tensors."""
        functional = self.torch.nn.functional
        self.optimizer.zero_grad()
        outputs = self.module(X)
        y = y[:, None].expand(outputs.shape[:2]).flatten()
        if self.is_class:
            loss = functional.cross_entropy(outputs.flatten(0, 1), y)
        else:
            loss = functional.mse_loss(outputs.flatten(), y)
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self.optimizer.step()

    def arrays(self):
        """The parameters by name, in NumPy."""
        named = self.module.named_parameters()
        return {name: each.detach().numpy().copy() for name, each in named}

    def predict(self, X):
        """Probabilities or numbers."""
        self.module.eval()
        with self.torch.inference_mode():
            outputs = self.module(self.torch.as_tensor(X))
        if self.is_class:
            return outputs.softmax(-1).mean(1).numpy()
        return outputs.mean(1)[:, 0].numpy()


# Steps -------------------------------------------------------------------------


def steps_apart(n_classes, adapters, n_steps=8, n_rows=600, n_features=5):
    """Largest difference of predictions after steps from the same weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    y = np.sin(2.0 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=n_rows)
    y = (y - y.mean()) / y.std()
    task, n_out = "regression", 1
    if n_classes:
        task, n_out = "classification", n_classes
        y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    n_members, width, n_bins, d = 6, 24, 8, 3
    theirs = Theirs(X, n_out, n_members, width, n_bins, d, adapters, dropout=0.0)
    start = theirs.arrays()
    tensors = (
        theirs.torch.as_tensor(X),
        theirs.torch.as_tensor(y if n_classes else y.astype(np.float32)),
    )
    for _ in range(n_steps):
        theirs.step(*tensors)
    embedding = {"kind": "piecewise_linear", "n_bins": n_bins, "n_outputs": d}
    model = ours(
        task, n_members, width, member_adapters=adapters, dropout=0.0,
        numeric_embedding=embedding,
    ).set_params(batch_size=n_rows)  # fmt: skip
    model.scaling = None  # they are normal numbers
    classes = {"classes": np.unique(y)} if n_classes else {}

    def begin(network, *arguments, **others):
        weights = initial_weights(network, *arguments, **others)
        return mapped(start, weights)

    with mock.patch("nnfit.estimators.mlp.initial_weights", begin):
        for _ in range(n_steps):
            model.partial_fit(X, y, **classes)
    mine = model.predict_proba(X) if n_classes else model.predict(X)
    return float(np.abs(mine - theirs.predict(X)).max())


def mapped(start, weights):
    """The package's first weights in the order of nnfit's."""
    blocks = [f"backbone.blocks.{i}.0." for i in range(2)]
    bins, *_, of_bins = weights.others[:4]
    others = [
        bins,
        start["num_module.linear0.weight"],
        start["num_module.linear0.bias"],
        start["num_module.linear.weight"].reshape(of_bins.shape),
    ]
    if "backbone.affine.weight" in start:
        others.append(start["backbone.affine.weight"])
    else:
        others += [start[f"{block}{name}"] for block in blocks for name in "rs"]
    head = start["output.weight"]
    coefs = [start[f"{block}weight"].T for block in blocks]
    coefs.append(head.swapaxes(1, 2).reshape(-1, head.shape[1]))
    intercepts = [start[f"{block}bias"] for block in blocks] + [start["output.bias"]]
    found = {"coefs": coefs, "intercepts": intercepts, "others": others}
    for place, arrays in found.items():
        pairs = zip(arrays, getattr(weights, place), strict=True)
        found[place] = [
            np.ascontiguousarray(new, old.dtype).reshape(old.shape)
            for new, old in pairs
        ]
    return weights._replace(**found)


def print_steps(options):
    """Differences after eight steps."""
    for adapters in FORMS:
        for n_classes in (0, 3):
            task = f"{n_classes} classes" if n_classes else "regression"
            apart = steps_apart(n_classes, adapters)
            print(f"{FORMS[adapters]:10} {task:12} {apart:.1e}", flush=True)


# Epochs ------------------------------------------------------------------------


def print_epochs(options):
    """Seconds of an epoch of both in turn, medians, by the clock and of processors."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(options.rows, options.features)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] ** 2).astype(np.float32)
    for adapters in FORMS:
        model = ours(
            "regression", options.members, options.width, member_adapters=adapters,
            n_jobs=options.threads, random_state=0,
        ).partial_fit(X, y)  # fmt: skip
        runs = {"nnfit": lambda model=model: model.partial_fit(X, y)}
        if HAS_REFERENCE:
            runs["tabm"] = _epoch(X, y, adapters, options)
        seconds = {name: [] for name in runs}
        for _ in range(options.turns):
            for name, run in runs.items():
                time.sleep(PAUSE)
                started = clocks()
                run()
                seconds[name].append(clocks() - started)
        medians = {name: np.median(each, axis=0) for name, each in seconds.items()}
        text = "  ".join(
            f"{name} {wall:.3f} s, of processors {processors:.3f} s"
            for name, (wall, processors) in medians.items()
        )
        if HAS_REFERENCE:
            ratios = np.divide(seconds["tabm"], seconds["nnfit"])
            text += "  ratios {:.2f}, {:.2f}".format(*np.median(ratios, axis=0))
        print(f"{FORMS[adapters]:10} {text}", flush=True)


def clocks():
    """Wall clock, and of the processors, all threads together."""
    return np.array([time.perf_counter(), time.process_time()])


def _epoch(X, y, adapters, options):
    """An epoch of the package, as a function of nothing."""
    import torch

    torch.set_num_threads(options.threads)
    theirs = Theirs(X, 1, options.members, options.width, 48, 16, adapters, dropout=0.1)
    X, y = torch.as_tensor(X), torch.as_tensor(y)

    def run():
        theirs.module.train()
        for rows in torch.randperm(len(X)).split(BATCH):
            theirs.step(X[rows], y[rows])

    run()
    return run


# Scores ------------------------------------------------------------------------


def print_scores(options):
    """A line for each table, and how far apart the two are."""
    makers = {"nnfit": partial(_ours_on_tables, options)}
    if HAS_REFERENCE:
        makers["tabm"] = partial(_theirs_on_tables, options)
    differences = []
    for path in tables.find(options.data, options.tables):
        table = tables.read(path)
        errors = []
        for seed in range(options.seeds):
            rows, test = table.rows(seed, max(options.rows, TESTED))
            rows, found = rows[: options.rows], []
            for make in makers.values():
                model = make(table.task, table.X.iloc[rows], table.y[rows], seed)
                found.append(error(model, table, test))
            errors.append(found)
        errors = np.array(errors)
        text = " ".join(f"{each:8.4f}" for each in errors.mean(axis=0))
        if HAS_REFERENCE:
            ratio = np.log(errors[:, 0] / errors[:, 1])
            differences.append(ratio.mean())
            apart = ratio.std(ddof=1) / np.sqrt(len(ratio)) if len(ratio) > 1 else 0.0
            text += f"  ratio {np.exp(ratio.mean()):.3f} +- {apart:.3f}"
        print(f"{table.name:24} {text}", flush=True)
    if len(differences) > 1:
        apart = np.std(differences, ddof=1) / np.sqrt(len(differences))
        print(f"all: ratio {np.exp(np.mean(differences)):.3f} +- {apart:.3f}")


def _ours_on_tables(options, task, X, y, seed):
    model = ours(
        task, options.members, options.width, n_jobs=options.threads, random_state=seed
    )
    return model.fit(X, y)


def _theirs_on_tables(options, task, X, y, seed):
    import tabm

    sizes = {"k": options.members, "d_block": options.width}
    make = partial(tabm.TabM.make, **sizes)
    with mock.patch.object(tabm.TabM, "make", make):
        model = load_maker("tabm")(task, options.threads, seed)
        return model.fit(X, y)


def error(model, table, rows):
    """Part of wrong classes, or root mean square over the targets' deviation."""
    X, y = table.X.iloc[rows], table.y[rows]
    if table.task == "classification":
        chosen = model.classes_[model.predict_proba(X).argmax(axis=1)]
        return np.mean(chosen != y)
    return np.sqrt(np.mean((model.predict(X) - y) ** 2)) / y.std()


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabm_reference",
        description=__doc__.split("\n", 1)[0],
    )
    parser.add_argument("what", choices=["steps", "epochs", "scores"])
    parser.add_argument("--data", type=Path, help="folder of tables")
    parser.add_argument("--tables", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--features", type=int, default=8, help="of epochs")
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--turns", type=int, default=7, help="of epochs")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"packages of the reference: {HAS_REFERENCE}")
    functions = {"steps": print_steps, "epochs": print_epochs, "scores": print_scores}
    functions[options.what](options)


if __name__ == "__main__":
    main()
