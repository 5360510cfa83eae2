"""What a reader relies on in every committed notebook; nbval runs the cells."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
HELPERS = sorted((ROOT / "svae_helpers").glob("*.py"))
CHECKED = "nbval-check-output"

pytestmark = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def markdown(path):
    return "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")


def test_valid_with_stable_names(path):
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert not any(re.fullmatch(r"[0-9a-f]{8}", name) for name in ids), "give cells names"
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


def test_committed_from_one_clean_run(path):
    cells = [cell for cell in code_cells(path) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert "execution" not in cell.metadata
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", cell.id
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_headings_are_in_order(path):
    text = re.sub(r"```.*?```", "", markdown(path), flags=re.S)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_opening_and_close(path):
    cells = read(path).cells
    opening, close = cells[0].source, cells[-1].source
    number = int(path.stem[:2])
    for part in ("What you will be able to do", "What you need", "Time"):
        assert part.lower() in opening.lower(), part
    stems = [other.stem for other in PATHS]
    neighbours = [stem for stem in stems if abs(int(stem[:2]) - number) == 1]
    for neighbour in neighbours:
        assert f"({neighbour}.ipynb)" in opening and f"({neighbour}.ipynb)" in close, neighbour
    everything = markdown(path)
    assert re.search(r"^## What we saw", everything, re.M) or number == 0
    assert re.search(r"^## References", everything, re.M)


def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", markdown(path)):
        if not re.match(r"https?:|mailto:", target):
            assert (path.parent / target).exists(), target


def test_references_are_complete(path):
    references = markdown(path).split("## References")[1]
    entries = re.findall(r"^\d+\. (.+(?:\n +\S.*)*)$", references, flags=re.M)
    assert entries
    numbers = [int(n) for n in re.findall(r"^(\d+)\. ", references, flags=re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    prose = re.sub(r"\$[^$]*\$|`[^`]*`", "", markdown(path).split("## References")[0])
    groups = re.findall(r"\[([1-9](?:, [1-9])*)\]", prose)  # [0, 1] is an interval
    cited = {int(number) for group in groups for number in group.split(", ")}
    assert cited <= set(numbers), f"cited, but not listed: {sorted(cited - set(numbers))}"
    for entry in entries:
        assert re.match(r"\D{5,}?\((19|20)\d\d\)[.,:]? \S[^.]{8,}", entry), entry  # who, when, what


def test_every_picture_has_words(path):
    cells = read(path).cells
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) > 20, cell.id
                after = [other.cell_type for other in cells[index + 1 : index + 3]]
                assert "markdown" in after, f"no sentence near the picture of {cell.id}"


def test_compared_cells_have_something_to_compare(path):
    for cell in code_cells(path):
        if CHECKED in cell.metadata.get("tags", []):
            assert cell.execution_count and cell.outputs, cell.id


def test_computes_with_one_thread_unless_told_otherwise(path):
    first = code_cells(path)[0].source
    assert re.search(r"^use_one_thread\(\)$", first, re.M) or path.stem.startswith("00")
    assert "use_one_thread()" in "\n".join(cell.source for cell in code_cells(path))


def test_cells_are_short(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 40, cell.id
        assert not cell.source.rstrip().endswith(";"), cell.id


def test_imports_are_what_the_environment_has(path):
    allowed = {
        "torch",
        "torchvision",
        "numpy",
        "matplotlib",
        "seaborn",
        "ipywidgets",
        "IPython",
        "svae_helpers",
        "pandas",
    }
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, name
                assert importlib.util.find_spec(top)


def test_exercises_are_complete(path):
    """Statement with difficulty and minutes, a stub with its check, a hint, a model answer."""
    cells = read(path).cells
    number = int(path.stem[:2])
    found = []
    for index, cell in enumerate(cells):
        heading = re.search(r"^### Exercise (\d+)\.(\d+): .+", cell.source, re.M)
        if cell.cell_type != "markdown" or not heading:
            continue
        found.append((int(heading[1]), int(heading[2])))
        assert re.search(r"[●○]{3} · \d+ minutes", heading[0]), heading[0]
        stub, folded = cells[index + 1], cells[index + 2]
        assert stub.cell_type == "code" and re.search("# your (code|answer)", stub.source)
        call = r"^checks\.\w+\(\w+(, \w+)*\)$"
        assert re.search(call, stub.source.strip().splitlines()[-1]), stub.id
        shown = str(stub.outputs)
        assert "not attempted" in shown.lower(), stub.id
        assert "<summary>Hint" in folded.source
        assert "Model answer" in folded.source or "<summary>Answer" in folded.source
    assert found == [(number, k + 1) for k in range(len(found))]
    if found:
        assert "## Exercises recap" in markdown(path)


def test_equations_that_prose_names_exist(path):
    tags = all_tags()
    number = path.stem[1]
    for equation in re.findall(r"Eqs?\. (\d\.\d+)", markdown(path)):
        assert equation in tags, equation
    own = [tag for tag in re.findall(r"\\tag\{([\d.]+)\}", markdown(path))]
    assert len(set(own)) == len(own) and all(tag.startswith(f"{number}.") for tag in own)


def all_tags():
    return {tag for path in PATHS for tag in re.findall(r"\\tag\{([\d.]+)\}", markdown(path))}


def test_no_machine_in_the_outputs(path):
    text = path.read_text()
    assert not re.search(
        r"/(?:work|root|tmp|home|Users)/\w", re.sub(r'"image/png": ".*?"', "", text)
    )
