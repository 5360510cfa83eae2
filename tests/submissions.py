"""What the tests of the graded assignment share: the course folder, and submissions to it."""

import copy
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks" / "assignments"
FILES = ("grading.py", "judging.py", "submission.py", "wire.py", "nbgrader_config.py")


def copy_course(to: Path) -> Path:
    """A course folder with the committed files alone."""
    shutil.copytree(FOLDER / "source", to / "source")
    for name in FILES:
        shutil.copy(FOLDER / name, to)
    return to


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def read_source() -> NotebookNode:
    return read(FOLDER / "source" / "sparse_vae" / "assignment.ipynb")


def cell_named(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell of that grade_id."""
    (found,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name]
    return found


def solution_of(source: NotebookNode, name: str) -> str:
    """The solution in a cell of the source notebook, as a student would write it."""
    lines = cell_named(source, name).source.splitlines()
    return "\n".join(line for line in lines if "### " not in line)


def solve(released: NotebookNode, source: NotebookNode, leave: tuple = ()) -> NotebookNode:
    """The released notebook with the source's solutions, as a student would hand it in."""
    solved = copy.deepcopy(released)
    for cell in source.cells:
        marks = cell.metadata.nbgrader
        if marks.solution and marks.grade_id not in leave:
            cell_named(solved, marks.grade_id).source = solution_of(source, marks.grade_id)
    return solved


def replace(notebook: NotebookNode, name: str, old: str, new: str) -> NotebookNode:
    """A copy of the notebook with a change in one cell."""
    notebook = copy.deepcopy(notebook)
    cell = cell_named(notebook, name)
    assert old in cell.source
    cell.source = cell.source.replace(old, new)
    return notebook


def without(notebook: NotebookNode, *names: str) -> NotebookNode:
    """A copy of the notebook that lacks some cells."""
    notebook = copy.deepcopy(notebook)
    gone = [cell_named(notebook, name) for name in names]
    notebook.cells = [cell for cell in notebook.cells if cell not in gone]
    return notebook


def begun_with(notebook: NotebookNode, code: str) -> NotebookNode:
    """A copy of the notebook with a cell of the student's own on top."""
    notebook = copy.deepcopy(notebook)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    return notebook
