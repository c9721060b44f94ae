"""What embeddings and shared members cost, on one thread.

``python -m benchmarks.bench_embeddings`` prints for each kind, on 20 features before
three layers of 256 units, nanoseconds per row and feature: of a prediction and of a
training step, beside those of the dense layer that reads it, and the part of an epoch
that is the embedding; then what a step of 16 members takes for each row and member,
beside a plain network whose batch has 16 times the rows, and their shares of the
processor's peak. Where PyTorch, rtdl_num_embeddings and tabm are installed, the forward
and backward pass of their modules too.
"""

import argparse
import time
import warnings
from itertools import pairwise

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnfit import MLPRegressor

from .bench_kernels import peak_gflops
from .brief import few, values

N_ROWS, N_FEATURES, HIDDEN, BATCH = 8192, 20, (256, 256, 256), 256
#: Categories of each feature where features are categories.
N_CATEGORIES = 50
N_MEMBERS = 16
EPOCHS = 2
KINDS = {
    "piecewise_linear": {"numeric_embedding": "piecewise_linear"},
    "piecewise_linear_encoding": {"numeric_embedding": "piecewise_linear_encoding"},
    "periodic": {"numeric_embedding": "periodic"},
    "periodic, lite": {"numeric_embedding": {"kind": "periodic", "lite": True}},
    "pbld": {"numeric_embedding": "pbld"},
    "categories": {"categorical_features": list(range(N_FEATURES))},
}


def make_rows(kind, seed=0):
    """Features of a kind, and targets."""
    rng = np.random.default_rng(seed)
    if "categorical_features" in KINDS[kind]:
        X = rng.integers(N_CATEGORIES, size=(N_ROWS, N_FEATURES))
    else:
        X = rng.normal(size=(N_ROWS, N_FEATURES))
    return X.astype(np.float32), rng.normal(size=N_ROWS).astype(np.float32)


def seconds(X, y, **changes):
    """Processor time of an epoch and of a prediction, each for a row."""
    given = {"hidden_layer_sizes": HIDDEN, "batch_size": BATCH, "max_iter": EPOCHS}
    model = MLPRegressor(**{**given, **changes}, random_state=0, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        begin = time.process_time()
        model.set_params(warm_start=True).fit(X, y)
        middle = time.process_time()
    model.predict(X)
    end = time.process_time()
    return np.array([middle - begin, end - middle]) / (EPOCHS, 1) / len(X), model


def costs(kind, repeats):
    """Nanoseconds per row of training and of prediction.

    Returns
    -------
    with_it, without, first_layer : ndarray of shape (2,)
        With the kind; of a network that reads as many numbers as the kind gives; and
        how much that one takes more than one that reads a single number: its first
        layer.
    """
    X, y = make_rows(kind)
    found = []
    for _ in range(repeats + 1):
        embedded, model = seconds(X, y, **KINDS[kind])
        width = model.coefs_[0].shape[0]
        wide = np.random.default_rng(1).normal(size=(len(X), width))
        plain, _ = seconds(wide.astype(np.float32), y)
        thin, _ = seconds(wide[:, :1].astype(np.float32), y)
        found.append([embedded, plain, plain - thin])
    return 1e9 * np.median(found[1:], axis=0)  # the first one compiles


def torch_costs(kind, repeats):
    """Nanoseconds per row of forward and backward, and of forward, by rtdl's module."""
    import rtdl_num_embeddings as rtdl
    import torch

    torch.set_num_threads(1)
    X = torch.from_numpy(make_rows("pbld")[0])
    modules = {
        "piecewise_linear": lambda: rtdl.PiecewiseLinearEmbeddings(
            rtdl.compute_bins(X, n_bins=48), 16, activation=False, version="B"
        ),
        "piecewise_linear_encoding": lambda: rtdl.PiecewiseLinearEncoding(
            rtdl.compute_bins(X, n_bins=48)
        ),
        "periodic": lambda: rtdl.PeriodicEmbeddings(N_FEATURES, lite=False),
        "periodic, lite": lambda: rtdl.PeriodicEmbeddings(N_FEATURES, lite=True),
    }
    if kind not in modules:
        return None
    module, found = modules[kind](), []
    learns = any(True for _ in module.parameters())
    for _ in range(repeats + 1):
        marks = [time.process_time()]
        for begin in range(0, N_ROWS, BATCH):
            out = module(X[begin : begin + BATCH])
            if learns:
                out.sum().backward()
        marks.append(time.process_time())
        with torch.no_grad():
            for begin in range(0, N_ROWS, BATCH):
                module(X[begin : begin + BATCH])
        marks.append(time.process_time())
        found.append(np.diff(marks) / N_ROWS)
    return 1e9 * np.median(found[1:], axis=0)


def member_costs(repeats):
    """Nanoseconds of a training step for each row and member, by form.

    Returns
    -------
    dict of float
        Of members with "all" adapters and the "first", and of a "plain" network.
    """
    X, y = make_rows("pbld")
    few = len(X) // N_MEMBERS
    cases = {
        "plain": (X, y, {"batch_size": BATCH * N_MEMBERS}, 1),
        **{
            adapters: (
                X[:few],
                y[:few],
                {"n_shared_members": N_MEMBERS, "member_adapters": adapters},
                N_MEMBERS,
            )
            for adapters in ("all", "first")
        },
    }
    found = {name: [] for name in cases}
    for _ in range(repeats + 1):
        for name, (rows, targets, changes, lines) in cases.items():
            taken, _ = seconds(rows, targets, **changes)
            found[name].append(1e9 * taken[0] / lines)
    return {name: np.median(taken[1:]) for name, taken in found.items()}


def operations():
    """Additions and multiplications of a step for each row and member.

    Of the plain network; members also need the gradient by what the first layer reads.
    """
    sizes = (N_FEATURES, *HIDDEN, 1)
    products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    plain = 6 * sum(products) - 2 * products[0]
    return {"plain": plain, "all": 6 * sum(products), "first": 6 * sum(products)}


def torch_member_costs(repeats):
    """The same of the tabm package, forward and backward pass and a step of AdamW."""
    import tabm
    import torch

    torch.set_num_threads(1)
    X, y = map(torch.from_numpy, make_rows("pbld"))
    found = {}
    for name, arch in (("all", "tabm"), ("first", "tabm-mini")):
        model = tabm.TabM.make(
            n_num_features=N_FEATURES, d_out=1, k=N_MEMBERS, arch_type=arch,
            n_blocks=len(HIDDEN), d_block=HIDDEN[0], dropout=0.0,
        )  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters())
        times = []
        for _ in range(repeats + 1):
            start = time.process_time()
            for begin in range(0, N_ROWS // N_MEMBERS, BATCH):
                out = model(X[begin : begin + BATCH])[..., 0]
                optimizer.zero_grad()
                (out - y[begin : begin + BATCH, None]).square().mean().backward()
                optimizer.step()
            times.append(time.process_time() - start)
        found[name] = 1e9 * np.median(times[1:]) / N_ROWS
    return found


class Embeddings:
    """Part of an epoch that is the embedding."""

    params = values(KINDS)
    param_names = ["kind"]
    timeout = 120

    def track_part_of_an_epoch(self, kind):
        (embedded, _), (plain, _), _ = costs(kind, repeats=few(3))
        return 1.0 - plain / embedded

    track_part_of_an_epoch.unit = "of an epoch"


def print_members(repeats):
    """The second table."""
    own, peak, counts = member_costs(repeats), peak_gflops("float32"), operations()
    try:
        torch = torch_member_costs(repeats)
    except ImportError:
        torch = {}
    print(f"\n{'ns per row and member':27}{'nnfit':>8}{'torch':>8}{'of the peak':>14}")
    for name, taken in own.items():
        theirs = f"{torch[name]:.0f}" if name in torch else ""
        share = counts[name] / taken / peak
        print(f"{name:27}{taken:8.0f}{theirs:>8}{share:14.2f}")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_embeddings")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{'ns per row and feature':27}{'training':>24}{'prediction':>24}")
    print(f"{'':27}" + 2 * f"{'own':>8}{'dense':>8}{'torch':>8}" + "   of an epoch")
    for kind in KINDS:
        with_it, without, first_layer = costs(kind, options.repeats)
        try:
            torch = torch_costs(kind, options.repeats)
        except ImportError:
            torch = None
        line = f"{kind:27}"
        for step in range(2):
            line += f"{(with_it - without)[step] / N_FEATURES:8.1f}"
            line += f"{first_layer[step] / N_FEATURES:8.1f}"
            line += f"{'' if torch is None else f'{torch[step] / N_FEATURES:.1f}':>8}"
        print(f"{line}{1.0 - without[0] / with_it[0]:14.3f}")
    print_members(options.repeats)


if __name__ == "__main__":
    main()
