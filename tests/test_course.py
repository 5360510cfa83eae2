"""What holds for the notebooks together, and the cell of 06 that asks to change a line."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELLS = {
    path.stem: nbformat.read(path, as_version=4).cells for path in NOTEBOOKS.glob("[0-9]*.ipynb")
}
SPARSE = {cell.id: cell.source for cell in CELLS["06_sparse_vae"]}
CHOICES = re.findall(r'^    "([\w ]+)": \{"prior"', SPARSE["swap"], flags=re.M)


def test_the_course_is_no_longer_than_it_was():
    """Words that a student reads without opening a folded hint, answer or derivation."""
    words = 0
    for cells in CELLS.values():
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        words += len(re.sub(r"<details>.*?</details>", "", text, flags=re.S).split())
    assert words < 34_000


def test_the_last_cell_of_06_has_suggestions():
    assert len(CHOICES) == 4


@pytest.mark.parametrize("choice", CHOICES)
def test_every_suggestion_of_the_last_cell_of_06_runs(choice, capsys):
    marked = r'^choice = "[\w ]+"'
    source, asked = re.subn(marked, f'choice = "{choice}"', SPARSE["swap"], flags=re.M)
    assert asked == 1
    scope: dict = {"__name__": "__main__"}
    for cell in ("imports", "digits"):
        exec(SPARSE[cell], scope)
    scope["prior"] = scope["SpikeAndSlab"].gaussian(spike_prob=0.8, spike_var=0.05)
    for part in ("train", "test"):
        digits = scope[part]
        scope[part] = type(digits)(digits.images[:300], digits.labels[:300])
    exec(source, scope)
    assert f"{choice}: " in capsys.readouterr().out
