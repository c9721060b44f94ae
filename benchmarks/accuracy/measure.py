"""Fits of all models to all tables, one after the other."""

from ..peers.process import WorkerError, WorkerProcess

WORKER = "benchmarks.accuracy.worker"


def measure(records, paths, models, splits, most, n_threads, timeout, report=print):
    """Make the fits that are not among the records.

    Parameters
    ----------
    records : records.Records
    paths : list of Path
        Of tables.
    models : list of str
    splits : int
    most : int
        Training rows.
    n_threads : int
    timeout : float
        Seconds for one fit.
    report : callable
        Takes lines about what goes on.
    """
    for path in paths:
        for model in models:
            wanted = [
                split
                for split in range(splits)
                if (path.stem, model, split) not in records.fits
            ]
            if wanted:
                report(f"{path.stem}: {model}, {len(wanted)} fits")
                fit_splits(
                    records, path, model, wanted, most, n_threads, timeout, report
                )


def fit_splits(records, path, model, splits, most, n_threads, timeout, report):
    """Fit a model to splits of a table in one process; one that has failed makes no
    more of them."""
    key, asked = {"table": path.stem, "model": model}, list(splits)
    try:
        with WorkerProcess(model, n_threads, timeout, module=WORKER) as worker:
            first = worker.ask("load", path=str(path.resolve()), most=most)
            while asked:
                found = worker.ask("fit", split=asked[0])["record"]
                records.add({**key, "split": asked.pop(0), **found, **first})
    except WorkerError as error:
        report(f"{path.stem}: {model} failed: {error}")
        for split in asked:
            records.add({**key, "split": split, "failed": str(error)})
