"""Configuration of Sphinx. Building needs no network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import scikit_learn  # noqa: E402
import versions  # noqa: E402

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
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "components",
    "mathml",
    "accuracy",
    "peers",
    "figures",
    "drawing",
    "reference",
    "scikit_learn",
    "changelog",
]
exclude_patterns = ["_build", "_tutorial"]
templates_path = ["_templates"]
default_role = "literal"

autosummary_generate = True
toc_object_entries_show_parents = "hide"
# The entries of the docstrings tell the types, with shapes and units.
autodoc_typehints = "none"
html_math_renderer = "mathml"
numpydoc_show_class_members = False
intersphinx_mapping = {
    "sklearn": (
        scikit_learn.ADDRESS,
        scikit_learn.write(HERE / "_build" / "scikit-learn.inv"),
    )
}
# Prompts and outputs are not copied.
copybutton_exclude = ".linenos, .gp, .go"
numpydoc_class_members_toctree = False

# Building runs the pages of the tutorial and the examples, and an error in one is an
# error of the build; with -D plot_gallery=0 it only shows them.
sphinx_gallery_conf = {
    "examples_dirs": ["_tutorial", "../examples"],
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
# A menu of versions, where it is known at which address they are.
if address := versions.address_of_pages():
    html_baseurl = f"{address}/{version}/"
    html_theme_options["navbar_end"] = ["version-switcher", "theme-switcher"]
    html_theme_options["switcher"] = {
        "json_url": f"{address}/versions.json",
        "version_match": version,
    }
    html_theme_options["check_switcher"] = False  # it would ask the network
    versions.write_list(HERE / "_build" / "versions.json", address)
html_static_path = ["_static"]
html_css_files = [
    "formulas.css",
    "gallery.css",
    "output.css",
    "pictures.css",
    "front.css",
    "reference.css",
]
html_show_sourcelink = False
