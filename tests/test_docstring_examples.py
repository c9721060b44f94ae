"""Examples of public docstrings do what they say."""

import doctest
import importlib
import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

pytestmark = pytest.mark.slow
#: Public modules.
MODULES = ("nnfit", "nnfit.callbacks", "nnfit.dask", "nnfit.inspection", "nnfit.onnx")


def examples():
    """Docstrings with examples, of classes, functions and methods, by their names."""
    finder, found = doctest.DocTestFinder(recurse=True), {}
    for module in map(importlib.import_module, MODULES):
        for name in dir(module):
            value = getattr(module, name)
            if name.startswith("_") or not callable(value):
                continue
            for test in finder.find(value, f"{module.__name__}.{name}", globs={}):
                if test.examples:
                    found[test.name] = test
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    if name.startswith("nnfit.dask."):
        pytest.importorskip("dask.array", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        runner.run(EXAMPLES[name])
    assert runner.failures == 0
