"""The API reference: complete, grouped, with versions and words to search for."""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest
from packaging.version import Version

import nnfit
from nnfit import pages
from nnfit.estimators.mlp import BaseMLP
from nnfit.estimators.parameters import GROUPS, HEADINGS
from nnfit.tabular.base import Tabular

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def extension(monkeypatch):
    """Import a module of the documentation's extensions, which needs no Sphinx."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module


def listed():
    """Qualified names of the tables of the page, in their order."""
    module = None
    for line in (DOCS / "api.rst").read_text().splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.fullmatch(r"   (\w+)", line):
            yield f"{module}.{found[1]}"


def test_every_public_name_is_listed_once(extension):
    interface = extension("interface")
    assert sorted(listed()) == sorted(name for name, _ in interface.public())


def test_every_parameter_has_one_heading(extension):
    names = [n for group in GROUPS for n in (*group.constraints, *group.own)]
    assert len(names) == len(set(names))
    used = set()
    for name, kind in extension("interface").public():
        is_network = inspect.isclass(kind) and issubclass(kind, BaseMLP | Tabular)
        if is_network or name.startswith("nnfit.dask."):
            own = set(inspect.signature(kind).parameters)
            assert own <= set(HEADINGS), (
                f"{kind.__name__}: put these into a group of nnfit.estimators."
                f"parameters: {own - set(HEADINGS)}"
            )
            used |= own
    assert used == set(HEADINGS), "there is no such parameter"


def test_a_name_came_with_the_first_release_that_has_it(extension):
    interface = extension("interface")
    recorded = interface.releases()
    versions = [Version(version) for version in recorded]
    assert versions == sorted(versions) and versions[0] == Version("0.1.0")
    for name, version in {
        "nnfit.MLPClassifier": None,
        "nnfit.MLPClassifier(class_weight)": None,
        "nnfit.MLPClassifier.score": None,
        "nnfit.MLPClassifier(dropout)": "0.2.0",
        "nnfit.MLPClassifier.save_weights": "0.2.0",
        "nnfit.MLPClassifier.fit(groups)": "0.2.0",
        "nnfit.MLPClassifier.norms_": "0.2.0",
        "nnfit.TabularClassifier": "0.2.0",
        "nnfit.TabularClassifier(preset)": None,
        "nnfit.TabularClassifier.fit(X)": None,
        "nnfit.onnx.to_onnx": "0.2.0",
    }.items():
        assert interface.since(name, recorded, "0.2.0") == version, name
    # A name of a later version is new there, once what 0.2.0 has is recorded.
    recorded["0.2.0"] = set(interface.names())
    assert interface.since("nnfit.MLPClassifier(dropout)", recorded, "0.3.0") == "0.2.0"
    assert interface.since("nnfit.later", recorded, "0.3.0") == "0.3.0"


def test_releases_before_this_one_are_recorded(extension):
    dated = re.findall(
        r"^## (\d\S*) ", (DOCS.parent / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    missing = set(dated) - set(extension("interface").releases())
    assert missing <= {nnfit.__version__}, "docs/contributing/releasing.rst"


def test_others_names_lead_to_what_they_mean(extension):
    words = extension("search_words")
    assert {"epochs", "max iter"} <= set(
        words.of_parameters("nnfit.MLPClassifier", ["max_iter"])
    )
    assert "sigmoid" in words.of_value("activation", "logistic")
    assert "learning rate init" in words.of_parameters(
        "nnfit.MLPClassifier", ["learning_rate_init"]
    )
    # Every name of the table leads somewhere, on one page.
    found = []
    for kind in words.KINDS:
        for name in inspect.signature(kind).parameters:
            found += words.of_parameters(f"nnfit.{kind.__name__}", [name])
    for parameter, values in words.SECTIONS.items():
        for value in values:
            found += words.of_value(parameter, value)
    assert words.every() <= set(found)


def test_notebooks_lead_to_pages_that_exist(monkeypatch):
    model = nnfit.MLPClassifier()
    assert model._get_doc_link() == "" or pages.address_of_pages()
    monkeypatch.setattr(pages, "address_of_pages", lambda: "https://address.local")
    template = f"https://address.local/{nnfit.__version__}/api/generated/"
    names = list(listed())
    for name in ("MLPClassifier", "CategoryEncoder", "TabularRegressor"):
        kind = getattr(nnfit, name)
        assert kind()._get_doc_link() == f"{template}nnfit.{name}.html"
        assert f"nnfit.{name}" in names
    assert model._get_doc_link() in model._repr_html_()

    class Mine(nnfit.MLPClassifier):
        pass

    assert Mine()._get_doc_link() == ""
    Mine.__module__ = "nnfit.mine"
    assert Mine()._get_doc_link() == ""


def test_a_menu_of_versions_leads_to_those_that_are_recorded(extension, tmp_path):
    versions = extension("versions")
    assert versions.address_of_pages() == pages.address_of_pages()
    path = tmp_path / "_build" / "versions.json"
    versions.write_list(path, "https://address.local")
    entries = json.loads(path.read_text())
    assert entries[0]["version"] == nnfit.__version__
    assert entries[-1] == {"version": "0.1.0", "url": "https://address.local/0.1.0/"}
