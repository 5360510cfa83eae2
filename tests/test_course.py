"""What holds for the notebooks together, and the cell of 06 that asks to change a line."""

import csv
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELLS = {
    path.stem: nbformat.read(path, as_version=4).cells for path in NOTEBOOKS.glob("[0-9]*.ipynb")
}
HEADING = re.compile(r"^### Exercise (\d\.\d+): .+ · (\d+) minutes$", flags=re.M)
STATED = re.compile(
    r"^\*\*Time\*\*: Reading: about (\d+) minutes(?:, exercises? (\d+) more)? · Running: ",
    flags=re.M,
)
SPARSE = {cell.id: cell.source for cell in CELLS["06_sparse_vae"]}
CHOICES = re.findall(r'^    "([\w ]+)": \{"prior"', SPARSE["swap"], flags=re.M)


def test_the_course_is_no_longer_than_it_was():
    """Words that a student reads without opening a folded hint, answer or derivation."""
    words = 0
    for cells in CELLS.values():
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        words += len(re.sub(r"<details>.*?</details>", "", text, flags=re.S).split())
    assert words < 34_000


def prose(stem):
    return "\n\n".join(cell.source for cell in CELLS[stem] if cell.cell_type == "markdown")


def exercise_minutes(stem):
    """The minutes of a notebook's exercises, by number."""
    return {number: int(minutes) for number, minutes in HEADING.findall(prose(stem))}


def table_of_times():
    path = NOTEBOOKS.parent / "svae_helpers" / "assets" / "run_times.csv"
    with path.open(newline="") as file:
        return {row["notebook"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("stem", CELLS)
def test_a_first_cell_states_the_minutes_of_its_exercises(stem):
    stated = STATED.search(CELLS[stem][0].source)
    assert stated, "**Time**: Reading: about N minutes, exercises M more · Running: …"
    assert int(stated[2] or 0) == sum(exercise_minutes(stem).values())


@pytest.mark.parametrize("stem", CELLS)
def test_the_table_of_times_is_what_the_notebooks_state(stem):
    row, stated = table_of_times()[stem], STATED.search(CELLS[stem][0].source)
    assert int(row["exercise_minutes"]) == sum(exercise_minutes(stem).values())
    assert int(row["reading_minutes"]) == int(stated[1]) and int(row["seconds"]) > 0


def test_the_table_of_times_has_every_notebook():
    assert table_of_times().keys() == CELLS.keys()


def test_the_tool_that_writes_the_table_counts_the_same_minutes():
    tool = pytest.importorskip("tests.tools.remake_notebooks")
    for stem in CELLS:
        counted = tool.exercise_minutes(NOTEBOOKS / f"{stem}.ipynb")
        assert counted == str(sum(exercise_minutes(stem).values()))


def test_students_do_at_least_half_as_long_as_they_read():
    reading = sum(int(STATED.search(cells[0].source)[1]) for cells in CELLS.values())
    exercises = sum(sum(exercise_minutes(stem).values()) for stem in CELLS)
    assert exercises >= reading / 2, (exercises, reading)


def routes():
    """Of 00's table of routes: the heads of its columns, and by notebook the cells below them."""
    (cell,) = [cell for cell in CELLS["00_start_here"] if cell.id == "routes"]
    lines = [line for line in cell.source.splitlines() if line.startswith("|")]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    stems = {stem[:2]: stem for stem in CELLS}
    return rows[0][1:], {stems[name]: cells for name, *cells in rows[2:]}


def minutes_of(cell):
    """Reading and exercises, as a cell of the table of routes says them: "16 + 5 min"."""
    if not cell:
        return 0, 0
    found = re.search(r": (\d+)(?: \+ (\d+))? min$", cell)
    return int(found[1]), int(found[2] or 0)


def test_the_routes_add_up():
    heads, rows = routes()
    for k, head in enumerate(heads):
        total = sum(sum(minutes_of(cells[k])) for cells in rows.values())
        assert total == int(re.search(r"(\d+) minutes", head)[1]), head


def test_the_routes_lead_through_sections_and_exercises_that_exist():
    _, rows = routes()
    for stem, cells in rows.items():
        sections = re.findall(r"^## (.+)$", prose(stem), flags=re.M)
        known = exercise_minutes(stem)
        for cell in cells:
            places = [sections.index(name) for name in re.findall(r"\*([^*]+)\*", cell)]
            assert places == sorted(places), cell
            reading, doing = minutes_of(cell)
            stated = int(STATED.search(CELLS[stem][0].source)[1])
            assert bool(cell) == bool(places) and reading <= stated, cell
            named = re.findall(r"(\d\.\d+)(?: to (\d\.\d+))?", cell)
            wanted = set()
            for first, last in named:
                order = list(known)
                wanted |= set(order[order.index(first) : order.index(last or first) + 1])
            assert doing == sum(known[number] for number in wanted), cell


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
