"""Where the pages of each version are, for the menu of versions; needs no Sphinx."""

import json
import tomllib
from pathlib import Path

import interface

import nnfit

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


def address_of_pages():
    """The address of `nnfit.pages`, which reads what is installed, from its source."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    return project.get("urls", {}).get("Documentation", "").rstrip("/")


def write_list(path, address):
    """Write what the menu reads: every release, and the version of the code."""
    known = dict.fromkeys([nnfit.__version__, *reversed(interface.releases())])
    entries = [{"version": each, "url": f"{address}/{each}/"} for each in known]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries, indent=2) + "\n")
