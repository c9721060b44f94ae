"""Serving: predictions from many threads at once, and what measures and shows it."""

import importlib.util
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from benchmarks import serving
from nnfit import MLPClassifier, MLPRegressor, fork_lock
from nnfit.cpu import machine_code
from nnfit.training import threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EXAMPLES = Path(__file__).parents[1] / "examples"
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6))
Y = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}
MODELS = {
    "classes": MLPClassifier(**QUICK),
    "float64": MLPClassifier(dtype="float64", **QUICK),
    "ensemble": MLPClassifier(n_members=2, **QUICK),
    "numbers": MLPRegressor(**QUICK),
}


def predicted(model, rows):
    """Probabilities, or numbers in regression."""
    return getattr(model, "predict_proba", model.predict)(rows)


@pytest.mark.parametrize("name", MODELS)
def test_a_prediction_waits_for_nobody_who_compiles(name):
    """Whoever compiles holds this lock, for a second and more."""
    model = MODELS[name].fit(X, Y)
    expected = predicted(model, X[:1])
    inside, done = threading.Event(), threading.Event()

    def compile_for_long():
        with fork_lock.held():
            inside.set()
            done.wait(60)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(compile_for_long)
        inside.wait(60)
        try:
            answer = pool.submit(predicted, model, X[:1]).result(20)
        finally:
            done.set()
    assert_array_equal(answer, expected)


@pytest.mark.parametrize("name", MODELS)
def test_16_threads_predict_the_same_bits(name):
    """Rows that are predicted where the weights are, and rows that are not."""
    model = MODELS[name].fit(X, Y)
    parts = [X[:1], X[:100], X] * 16
    expected = [predicted(model, rows) for rows in parts[:3]] * 16
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda rows: predicted(model, rows), parts))
    for answer, single in zip(answers, expected, strict=True):
        assert_array_equal(answer, single)


@pytest.mark.parametrize(("n_rows", "keeps"), [(1, True), (400, False)])
def test_only_a_short_prediction_keeps_the_lock_of_python(n_rows, keeps, monkeypatch):
    """To give it away and to wait for it takes longer than a row."""
    model = MLPClassifier((300,), max_iter=2).fit(X, Y)
    short, function = {}, machine_code.Kernel.function

    def spy(kernel, name, *types, is_short=False):
        short[name] = is_short
        return function(kernel, name, *types, is_short=is_short)

    monkeypatch.setattr(machine_code.Kernel, "function", spy)
    model.predict_proba(X[:n_rows])
    assert short["predict"] == short["link"] == keeps


def test_calls_at_once_share_the_processors(monkeypatch):
    """The first takes what is free, each other its own thread alone."""
    monkeypatch.setattr(threads, "usable_processors", lambda: 4)
    much = threads.ALL_OPERATIONS

    def taken(depth):
        if depth == 0:
            return []
        with threads.reserve_threads(None, much, much) as n_threads:
            return [n_threads, *taken(depth - 1)]

    assert taken(16) == [4] + 15 * [1]
    assert taken(1) == [4]


def test_the_benchmark_prints_its_tables(capsys):
    arguments = "--calls 6 --seconds 0.01 --rows 1 3 --threads 1 2 --hidden 5"
    serving.main(arguments.split())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for words in (["p50", "p99"], ["1 thread", "2 threads"]):
        assert any(all(word in line for word in words) for line in lines)
    assert sum(line.startswith("scikit-learn") for line in lines) == 4


@pytest.fixture
def service(tmp_path):
    """The example's module, and a client of its application over a file."""
    for name in ("fastapi", "httpx", "pandas"):
        pytest.importorskip(name)
    with warnings.catch_warnings():  # newer clients ask for httpx2
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient
    spec = importlib.util.spec_from_file_location(
        "app", EXAMPLES / "serving" / "app.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.save(*module.fit_example(), tmp_path / "model.joblib")
    return module, TestClient(module.make_app(tmp_path / "model.joblib"))


def test_the_service_answers_as_the_pipeline(service):
    module, client = service
    pipeline, rows = module.fit_example()
    rows = rows[:3]
    answer = client.post("/predict", json={"rows": rows.to_dict("records")})
    assert answer.status_code == 200
    answer = answer.json()
    assert answer["classes"] == pipeline.classes_.tolist()
    assert_array_equal(answer["probabilities"], pipeline.predict_proba(rows))
    turned = rows[rows.columns[::-1]].to_dict("records")  # names decide, not places
    assert client.post("/predict", json={"rows": turned}).json() == answer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda row: row.pop("age"),
            "Row 0: age is missing. The columns are age, city.",
        ),
        (lambda row: row.update(height=1.8), "height is unknown"),
        (lambda row: row.update(city=3), "city must be a word, got 3"),
        (lambda row: row.update(age="old"), "age must be a number, got 'old'"),
    ],
)
def test_the_service_says_which_column_is_wrong(service, change, words):
    module, client = service
    row = module.fit_example()[1].to_dict("records")[0]
    change(row)
    answer = client.post("/predict", json={"rows": [row]})
    assert answer.status_code == 422
    assert words in answer.text
    assert client.post("/predict", json={"rows": []}).status_code == 422
