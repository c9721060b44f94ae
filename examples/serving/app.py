"""Serve a fitted pipeline by FastAPI.

Needs ``pip install fastapi uvicorn pandas``. From this folder::

    python app.py                       # fits a small pipeline, writes model.joblib
    uvicorn --factory app:make_app --port 8000

A model file is a pickle: load only what you have written yourself.
"""

import os

import joblib
import numpy as np
import pandas as pd
from fastapi import FastAPI, HTTPException
from pandas.api.types import is_numeric_dtype
from pydantic import BaseModel, Field
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nnfit import MLPClassifier


class Question(BaseModel):
    """Rows to predict, each with a value for every column by name."""

    rows: list[dict[str, float | str]] = Field(min_length=1, max_length=1000)


class Answer(BaseModel):
    """Probabilities of the classes, a list for each row."""

    classes: list[str]
    probabilities: list[list[float]]


def make_app(path=None):
    """Make an application that serves the pipeline of a file.

    Parameters
    ----------
    path : path-like, default=None
        Of what `save` has written. None stands for the environment variable ``MODEL``,
        or model.joblib.
    """
    pipeline, is_number = joblib.load(path or os.environ.get("MODEL", "model.joblib"))
    app = FastAPI(title="Predictions by nnfit")

    # No `async`: FastAPI then calls it on a thread of its pool, and a prediction keeps
    # no other request waiting.
    @app.post("/predict")
    def predict(question: Question) -> Answer:
        for number, row in enumerate(question.rows):
            check(number, row, is_number)
        table = pd.DataFrame(question.rows, columns=list(is_number))
        return Answer(
            classes=[str(label) for label in pipeline.classes_],
            probabilities=pipeline.predict_proba(table).tolist(),
        )

    return app


def check(number, row, is_number):
    """Refuse a row that has not a value of the right kind for every column."""
    lacking, unknown = set(is_number) - set(row), set(row) - set(is_number)
    problems = [f"{name} is missing" for name in sorted(lacking)]
    problems += [f"{name} is unknown" for name in sorted(unknown)]
    for name in set(row) & set(is_number):
        if isinstance(row[name], str) == is_number[name]:
            kind = "number" if is_number[name] else "word"
            problems.append(f"{name} must be a {kind}, got {row[name]!r}")
    if problems:
        expected = f"The columns are {', '.join(is_number)}."
        raise HTTPException(422, f"Row {number}: {'; '.join(problems)}. {expected}")


def fit_example():
    """Fit a pipeline on a made-up table; return it and the table."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.uniform(18, 80, 300), "city": rng.choice(["Rome", "Oslo"], 300)}
    )
    y = np.where((table["age"] > 40) ^ (table["city"] == "Oslo"), "yes", "no")
    columns = make_column_transformer(
        (StandardScaler(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])
    )
    network = MLPClassifier((16,), max_iter=60, random_state=0)
    return make_pipeline(columns, network).fit(table, y), table


def save(pipeline, table, path):
    """Write a pipeline, and which columns of its training table are numbers."""
    kinds = {name: is_numeric_dtype(kind) for name, kind in table.dtypes.items()}
    joblib.dump((pipeline, kinds), path)


if __name__ == "__main__":
    save(*fit_example(), "model.joblib")
