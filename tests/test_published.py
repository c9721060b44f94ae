"""What README and pages take from files of measurements and from tables of names."""

import importlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sklearn.base import BaseEstimator

import nnfit
from benchmarks import bars, published
from benchmarks.peers.registry import PEERS

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT / "docs").as_posix(): path.read_text()
    for path in sorted((ROOT / "docs").rglob("*.rst"))
}
TREES = ("hist", "lightgbm", "xgboost", "catboost")


def uses(role):
    """What pages give to a role."""
    found = re.compile(rf":{role}:`([^`]+)`")
    return sorted({words for text in PAGES.values() for words in found.findall(text)})


def test_generated_files_are_those_of_the_measurements():
    made = published.contents()
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "run python -m benchmarks.published"


def test_every_figure_in_a_sentence_is_known():
    assert uses("measured")
    for words in uses("measured"):
        text = published.figure(" ".join(words.split()))
        assert re.fullmatch(r"[\d.]+%?", text) or words == "behind"
    for words in ("error nnfit", "errors", "errors nobody", "epoch nobody"):
        with pytest.raises(ValueError, match=r"no (figure|split|times)"):
            published.figure(words)


def test_every_name_from_elsewhere_is_known(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    here = importlib.import_module("describing").here
    assert here("lr") == "learning_rate_init"
    assert here("loss mse") == 'loss="squared_error"'
    assert all(map(here, uses("here")))


#: Networks whose time is that of large products.
LARGE = ("wide", "batch", "big")


def test_what_the_front_page_claims():
    """In its first sentence, and in those below the pictures."""
    small = [name for name in published.peers()["shapes"] if name not in LARGE]
    for peer in ("jax", "torch"):
        assert min(published.epochs(peer)[name] for name in small) > 1
    for name in ("nnfit_tabular_default", "nnfit_tabular_best"):
        assert max(published.errors(name, tree) for tree in TREES) < 1
    assert published.errors("nnfit", "sklearn_mlp") < 1.02
    assert published.training("sklearn_mlp", "nnfit") > 1


def test_a_panel_has_every_label_and_bars_by_their_values():
    drawn = [bars.Bar("a <b>", 2.0, "2"), bars.Bar("c", 4.0, "4", bars.OWN)]
    root = ElementTree.fromstring(bars.standalone(bars.panel("Title", "words", drawn)))
    texts = [node.text for node in root if node.tag.endswith("text")]
    assert texts == ["Title", "words", "a <b>", "2", "c", "4"]
    widths = [float(n.get("width")) for n in root if n.tag.endswith("rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.1)
    size = float(root.get("width"))
    assert widths[1] + bars.LETTER * 1 < size


def test_pictures_name_every_library_and_model():
    speed, accuracy = (draw() for draw in published.PANELS.values())
    measured = next(iter(published.peers()["shapes"].values()))["peers"]
    assert all(f">{PEERS[name].title}<" in speed for name in measured)
    for name in published.COMPARED:
        assert f">{published.model(name).title}<" in accuracy


def test_which_estimator_has_every_estimator():
    page = PAGES["which_estimator.rst"]
    for name in nnfit.__all__:
        kind = getattr(nnfit, name)
        if isinstance(kind, type) and issubclass(kind, BaseEstimator):
            assert f"`~nnfit.{name}`" in page, name


def test_readme_begins_as_the_front_page_does():
    """Whose code and output `tests.test_documentation` tries."""
    readme = (ROOT / "README.md").read_text()
    _, _, below = PAGES["index.rst"].partition("=\n\n.. rst-class:: lead\n\n")
    first = below.partition("\n\n")[0]
    assert " ".join(first.split()) == " ".join(readme.split("\n\n")[1].split())
    for language in ("python", "text"):
        block = re.search(rf"```{language}\n(.*?)```", readme, re.DOTALL)[1]
        lines = "".join(f"   {line}\n" if line else "\n" for line in block.splitlines())
        assert f".. code-block:: {language}\n\n{lines}" in below
