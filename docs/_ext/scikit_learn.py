"""An inventory of scikit-learn's documentation, for intersphinx, without the network.

The names are those of the installed version; its pages have addresses that follow from
the names. What a docstring of another version refers to beside them is text, no link.
"""

import inspect
import zlib
from importlib import import_module

import sklearn
from sklearn.experimental import (  # noqa: F401
    enable_halving_search_cv,
    enable_iterative_imputer,
)

#: Version of the documentation that the links lead to.
ADDRESS = f"https://scikit-learn.org/{'.'.join(sklearn.__version__.split('.')[:2])}/"
#: Labels of sections that inherited docstrings refer to, and their pages.
LABELS = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "modules/df_output_transform.html#df-output-transform",
    "metadata_routing": "metadata_routing.html#metadata-routing",
    "r2_score": "modules/model_evaluation.html#r2-score",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}
#: Entries of the glossary that they refer to.
TERMS = ("classes_", "fit", "meta-estimator")


def entries():
    """Lines of the inventory: name, kind, priority, address, shown text."""
    modules = [module for module in sklearn.__all__ if not module.startswith("__")]
    for module in ("", *sorted(modules)):
        path = f"sklearn.{module}".rstrip(".")
        for name, value in _public(path):
            page = f"modules/generated/{path}.{name}.html"
            if inspect.isclass(value):
                yield f"{path}.{name} py:class 1 {page}#$ -"
                for each in dir(value):
                    if not each.startswith("_"):
                        yield f"{path}.{name}.{each} py:method 1 {page}#$ -"
            elif inspect.isroutine(value):
                yield f"{path}.{name} py:function 1 {page}#$ -"
    for label, page in LABELS.items():
        yield f"{label} std:label 1 {page} {label}"
    for term in TERMS:
        yield f"{term} std:term 1 glossary.html#term-{term.replace(' ', '-')} -"


def _public(path):
    try:
        module = import_module(path)
    except ImportError:  # an estimator or function in sklearn.__all__
        return
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name, None)
        if not name.startswith("_") and not inspect.ismodule(value):
            yield name, value


def is_unknown(app, domain, node):
    """Whether a reference is in a docstring of scikit-learn: no warning then."""
    source = node.source or (node.parent and node.parent.source) or ""
    return "docstring of sklearn." in source or None


def write(path):
    """Write the inventory and return its path, as `intersphinx_mapping` takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = (
        "# Sphinx inventory version 2\n# Project: scikit-learn\n"
        f"# Version: {sklearn.__version__}\n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    body = "".join(f"{line}\n" for line in entries())
    path.write_bytes(header.encode() + zlib.compress(body.encode()))
    return str(path)


def setup(app):
    app.connect("warn-missing-reference", is_unknown)
    return {"parallel_read_safe": True}
