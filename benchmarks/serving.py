"""Serving: how long a call takes, and how many rows threads predict in a second.

Compares nnfit with scikit-learn's MLPClassifier and, where onnx and onnxruntime are
installed, with onnxruntime on nnfit's network as `nnfit.onnx.to_onnx` gives it. They
take turns, call by call and second by second. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE,
if set, slow scikit-learn.

    python -m benchmarks.serving
"""

import argparse
import importlib.util
import threading
import time
import warnings

import numpy as np
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import nnfit

N_FEATURES, N_CLASSES, N_TRAINING, WARMING, ROUNDS = 30, 3, 2000, 5, 3


def libraries(hidden):
    """What predicts probabilities of rows, by the name of its library."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_TRAINING, N_FEATURES))
    y = rng.integers(0, N_CLASSES, N_TRAINING)
    models = {
        name: library.MLPClassifier(hidden, max_iter=3, random_state=0).fit(X, y)
        for name, library in (("nnfit", nnfit), ("scikit-learn", neural_network))
    }
    calls = {name: model.predict_proba for name, model in models.items()}
    if all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        calls["onnxruntime"] = _in_onnxruntime(models["nnfit"])
    return calls


def _in_onnxruntime(model):
    """Probabilities by one thread for each call, as the others have them."""
    import onnxruntime

    from nnfit.onnx import to_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = to_onnx(model).SerializeToString()
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    given, probabilities = session.get_inputs()[0].name, session.get_outputs()[1].name
    kind = np.float64 if "double" in session.get_inputs()[0].type else np.float32
    return lambda rows: session.run([probabilities], {given: rows.astype(kind)})


def latencies(calls, rows, n_calls):
    """Milliseconds of each call, by library."""
    times = []
    for _ in range(n_calls + WARMING):
        marks = [time.perf_counter()]
        for call in calls.values():
            call(rows)
            marks.append(time.perf_counter())
        times.append(np.diff(marks))
    return dict(zip(calls, 1e3 * np.array(times[WARMING:]).T, strict=True))


def rows_per_second(call, rows, n_threads, seconds):
    """Rows that threads predict together, each call after call."""
    barrier, stop = threading.Barrier(n_threads + 1), threading.Event()
    counts = [0] * n_threads

    def work(number):
        barrier.wait()
        while not stop.is_set():
            call(rows)
            counts[number] += len(rows)

    members = [threading.Thread(target=work, args=(k,)) for k in range(n_threads)]
    for member in members:
        member.start()
    barrier.wait()
    started = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for member in members:
        member.join()
    return sum(counts) / (time.perf_counter() - started)


def print_latencies(calls, sizes, n_calls):
    """Print the percentiles of a call, and its ratio to nnfit's."""
    print("milliseconds of a call; ratio: median of turns, nnfit's is 1")
    print(f"{'':14}{'rows':>7}{'p50':>10}{'p99':>10}{'ratio':>8}")
    for size in sizes:
        rows = np.random.default_rng(1).normal(size=(size, N_FEATURES))
        times = latencies(calls, rows, n_calls)
        for name, each in times.items():
            p50, p99 = np.percentile(each, [50, 99])
            ratio = np.median(each / times["nnfit"])
            print(f"{name:14}{size:7}{p50:10.3f}{p99:10.3f}{ratio:8.2f}", flush=True)


def print_rates(calls, sizes, thread_numbers, seconds):
    """Print rows per second of so many threads, the median of rounds."""
    names = [f"{n} thread{'s' * (n > 1)}" for n in thread_numbers]
    print("\nrows per second")
    print(f"{'':14}{'rows':>7}" + "".join(f"{name:>13}" for name in names))
    for size in sizes:
        rows = np.random.default_rng(1).normal(size=(size, N_FEATURES))
        rates = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                rates[name].append(
                    [rows_per_second(call, rows, n, seconds) for n in thread_numbers]
                )
        for name, rounds in rates.items():
            numbers = "".join(f"{rate:13,.0f}" for rate in np.median(rounds, axis=0))
            print(f"{name:14}{size:7}{numbers}", flush=True)


def main(arguments=None):
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100, 10000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 16])
    parser.add_argument("--hidden", type=int, nargs="+", default=[100])
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        calls = libraries(tuple(options.hidden))
    print_latencies(calls, options.rows, options.calls)
    print_rates(calls, options.rows, options.threads, options.seconds)


if __name__ == "__main__":
    main()
