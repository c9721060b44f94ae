"""Configuration of Sphinx. Building needs no network."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parent.parent)]

import nnfit  # noqa: E402
from nnfit.cache import compiled  # noqa: E402

# Pages of examples do not depend on what the cache holds.
compiled._announced.add("this machine")

project = "nnfit"
author = "The nnfit developers"
copyright = "2026, the nnfit developers"
version = release = nnfit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "components",
    "mathml",
    "accuracy",
    "peers",
    "figures",
    "drawing",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "literal"

autosummary_generate = True
# The entries of the docstrings tell the types, with shapes and units.
autodoc_typehints = "none"
html_math_renderer = "mathml"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Building runs the pages of the tutorial and the examples, and an error in one is an
# error of the build; with -D plot_gallery=0 it only shows them.
sphinx_gallery_conf = {
    "examples_dirs": ["../tutorial", "../examples"],
    "gallery_dirs": ["tutorial", "examples"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery.position",
    "capture_repr": (),
    "remove_config_comments": True,
    "download_all_examples": False,
    "notebook_extensions": set(),
    "show_signature": False,
    # Pages are the same whenever they are built.
    "min_reported_time": 1e9,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"nnfit {version}"
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without subpages have nothing to list beside them.
html_sidebars = {
    page: []
    for page in (
        "installation",
        "which_estimator",
        "accuracy",
        "components",
        "architecture",
        "architecture_gpu",
        "compile_time",
        "performance",
        "trust",
    )
}
html_static_path = ["_static"]
html_css_files = [
    "formulas.css",
    "gallery.css",
    "output.css",
    "pictures.css",
    "front.css",
]
html_show_sourcelink = False


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what scikit-learn's base classes bring: their docstrings refer to
    pages of scikit-learn's own documentation."""
    function = getattr(obj, "fget", obj)  # of a property
    module = getattr(function, "__module__", None) or ""
    return True if name.startswith("set_") or module.startswith("sklearn") else None


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited)
