"""What the fits of a run say: ranks, errors over the best, intervals, tests."""

import warnings

import numpy as np
from scipy import stats

#: Of intervals and tests.
LEVEL = 0.05
RESAMPLES = 2000


def compared(fits, models):
    """Splits that all models have tried, by table, in the order of the fits.

    Parameters
    ----------
    fits : dict
        Of (table, model, split) to a record.
    models : list of str

    Returns
    -------
    splits : dict of list of int
    """
    found = {}
    for table, _, split in fits:
        found.setdefault(table, set()).add(split)
    common = {
        table: [
            split
            for split in sorted(splits)
            if all((table, model, split) in fits for model in models)
        ]
        for table, splits in found.items()
    }
    return {table: splits for table, splits in common.items() if splits}


def scores(fits, models, splits, name="error"):
    """A list with an array of shape (n_splits, n_models) for each table that has the
    score, infinite where a fit has failed; half of a wrong row stands for none."""
    arrays = []
    for table, numbers in splits.items():
        rows = [[fits[table, model, split] for model in models] for split in numbers]
        known = [record for row in rows for record in row if "failed" not in record]
        if not any(name in record for record in known):
            continue
        least = 0.0
        if name == "error" and known[0]["task"] == "classification":
            least = 0.5 / known[0]["test_rows"]
        arrays.append(
            np.array(
                [
                    [max(record.get(name, np.inf), least) for record in row]
                    for row in rows
                ]
            )
        )
    return arrays


def ranks(means):
    """Ranks along the last axis, 1 for the smallest, ties sharing their mean."""
    # scipy.stats.rankdata takes seconds for all resamples.
    others, own = means[..., None, :], means[..., :, None]
    return (1.0 + (others < own).sum(axis=-1) + (others <= own).sum(axis=-1)) / 2.0


def over_the_best(means):
    """Geometric means, over the tables, of scores over the best of each table.

    Parameters
    ----------
    means : ndarray of shape (..., n_tables, n_models)
        Tables on which a model has failed count for the others alone.
    """
    best = means.min(axis=-1, keepdims=True)
    counts = np.isfinite(means)
    logs = np.log(np.where(counts, means, best)) - np.log(best)
    with np.errstate(invalid="ignore"):  # of a model that has failed everywhere
        return np.exp(logs.sum(axis=-2) / counts.sum(axis=-2))


def bootstrap(arrays, statistic, seed=0):
    """Interval of a statistic of the means of splits.

    Tables are drawn with replacement, and of each its splits.

    Parameters
    ----------
    arrays : list of ndarray of shape (n_splits, n_models)
    statistic : callable
        Of an array of shape (n_resamples, n_tables, n_models).

    Returns
    -------
    low, high : ndarray of shape (n_models,)
    """
    rng = np.random.default_rng(seed)
    means = np.stack(
        [
            array[rng.integers(len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
            for array in arrays
        ],
        axis=1,
    )
    chosen = rng.integers(len(arrays), size=(RESAMPLES, len(arrays)))
    found = statistic(np.take_along_axis(means, chosen[..., None], axis=1))
    with warnings.catch_warnings():  # of a model that has failed everywhere
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanquantile(found, (LEVEL / 2, 1 - LEVEL / 2), axis=0)


def critical_difference(n_models, n_tables):
    """Difference of mean ranks from which on Nemenyi's test tells two models apart."""
    quantile = stats.studentized_range.ppf(1 - LEVEL, n_models, np.inf) / np.sqrt(2)
    return quantile * np.sqrt(n_models * (n_models + 1) / (6 * n_tables))


def against(means, base):
    """Wilcoxon's signed-rank test of every model against one, on the logarithms of
    their scores, with Holm's correction.

    Parameters
    ----------
    means : ndarray of shape (n_tables, n_models)
    base : int

    Returns
    -------
    p : ndarray of shape (n_models,)
        NaN for ``base`` itself.
    """
    # A failure is worse than everything.
    logs = np.log(np.where(np.isfinite(means), means, np.finfo(float).max))
    p = np.full(means.shape[1], np.nan)
    for i in range(len(p)):
        if i != base:
            differences = logs[:, i] - logs[:, base]
            p[i] = stats.wilcoxon(differences).pvalue if differences.any() else 1.0
    order = np.argsort(np.where(np.isnan(p), np.inf, p))[: len(p) - 1]
    corrected = p[order] * np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(corrected), 1.0)
    return p


def paired(fits, model, base, is_in=None):
    """Mean errors of two models by table, on the splits that both have.

    Parameters
    ----------
    fits : dict
        Of (table, model, split) to a record.
    model, base : str
    is_in : callable, optional
        Of a record of a table, whether the table counts.

    Returns
    -------
    pairs : dict of tuple
    """
    splits = {
        table: numbers
        for table, numbers in compared(fits, [model, base]).items()
        if is_in is None or is_in(fits[table, base, numbers[0]])
    }
    if not splits:
        raise ValueError(f"There is no split that {model} and {base} have both tried.")
    means = [array.mean(axis=0) for array in scores(fits, [model, base], splits)]
    return dict(zip(splits, map(tuple, means), strict=True))


def summarize(records, models):
    """Compare models on the splits that all of them have tried.

    Parameters
    ----------
    records : records.Records
    models : list of str

    Returns
    -------
    summary : dict
        ``models``, the best first, each with ``name``, ``rank``, ``ratio``, ``first``
        (tables on which it is the best), ``p``, costs and scores; ``tables``, with the
        ``errors`` in that order; ``splits``, ``critical_difference``, ``failed`` and
        ``left_out``.
    """
    fits = records.fits
    splits = compared(fits, models)
    if not splits:
        raise ValueError("There is no split that all models have tried.")
    arrays = scores(fits, models, splits)
    if len(arrays) < len(splits):
        raise ValueError("On some table every fit has failed.")
    means = np.stack([array.mean(axis=0) for array in arrays])
    rank, ratio = ranks(means).mean(axis=0), over_the_best(means)
    intervals = {
        "rank": bootstrap(arrays, lambda found: ranks(found).mean(axis=1)),
        "ratio": bootstrap(arrays, over_the_best),
    }
    order = np.argsort(rank, kind="stable")
    p = against(means, order[0])
    others = {
        name: over_the_best(np.stack([array.mean(axis=0) for array in found]))
        for name in ("log_loss", "brier")
        if (found := scores(fits, models, splits, name))
    }
    entries = [
        {
            "name": models[i],
            "rank": rank[i],
            "ratio": ratio[i],
            "first": int((means[:, i] == means.min(axis=1)).sum()),
            "p": p[i],
            **{f"{name}_interval": both[:, i] for name, both in intervals.items()},
            **{name: values[i] for name, values in others.items()},
            **costs(fits, models[i], splits),
        }
        for i in order
    ]
    several = len(models) > 1
    return {
        "runs": records.runs,
        "models": entries,
        "tables": [
            {"name": table, "errors": means[i, order]} for i, table in enumerate(splits)
        ],
        "splits": sorted({len(numbers) for numbers in splits.values()}),
        "critical_difference": several
        and critical_difference(len(models), len(splits)),
        "failed": [
            record
            for (table, model, split), record in fits.items()
            if model in models and "failed" in record
        ],
        "left_out": sorted({table for table, _, _ in fits} - set(splits)),
    }


def costs(fits, model, splits):
    """Medians over the tables: processor seconds of training and of prediction for a
    thousand rows, megabytes, and seconds of the first small fit."""
    found = []
    for table, numbers in splits.items():
        done = [fits[table, model, split] for split in numbers]
        done = [record for record in done if "failed" not in record]
        if done:
            found.append(
                np.mean(
                    [
                        [
                            1000 * record["fit_seconds"][1] / record["rows"],
                            1000 * record["predict_seconds"][1] / record["test_rows"],
                            float(record["megabytes"]),
                            record["first_seconds"],
                        ]
                        for record in done
                    ],
                    axis=0,
                )
            )
    medians = np.median(found, axis=0) if found else np.full(4, np.nan)
    names = ("fit_seconds", "predict_seconds", "megabytes", "first_seconds")
    return dict(zip(names, medians, strict=True))
