"""Every equation that a helper's docstring names stands in a notebook."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
HELPERS = sorted((ROOT / "svae_helpers").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def tags_of(notebook):
    """The numbers of a notebook's equations, in the order of appearance."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"\\tag\{([\d.]+)\}", prose)


def notebook_tags():
    return {tag for path in NOTEBOOKS for tag in tags_of(nbformat.read(path, as_version=4))}


def named_equations(text):
    found = set()
    for group in re.findall(r"Eqs?\. ((?:\d\.\d+(?:,? and |, )?)+)", text):
        found.update(re.findall(r"\d\.\d+", group))
    return found


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.stem)
def test_named_equations_exist(path):
    missing = named_equations(path.read_text()) - notebook_tags()
    assert not missing, f"{path.name} names {sorted(missing)}, which no notebook has"


def test_the_search_sees_lists_of_equations():
    assert named_equations("(Eqs. 5.4 and 5.5; x) (Eq. 1.7)") == {"5.4", "5.5", "1.7"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_equations_are_numbered_in_the_order_of_appearance(path):
    tags = tags_of(nbformat.read(path, as_version=4))
    assert tags == [f"{int(path.stem[:2])}.{k + 1}" for k in range(len(tags))]
