"""Every notebook runs alone, in an empty folder with the package installed: nothing beside it."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
FILE = re.compile(r"""["'](?:\.\.?/|figures/|notebooks/|svae_helpers/)|__file__|Path\(|open\(""")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_cell_reaches_for_a_file_beside_the_notebook(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not FILE.search(cell.source), f"{cell.id} reads or writes a file"


@pytest.mark.parametrize(
    "line", ['open("../figures/x.csv")', "Path('..') / 'x'", "'figures/x.csv'"]
)
def test_a_file_beside_the_notebook_is_noticed(line):
    assert FILE.search(line)


@pytest.mark.parametrize("name", ["00_start_here", "07_does_it_do_what_it_says"])
def test_a_notebook_that_reads_data_runs_in_an_empty_folder(name, tmp_path):
    """Up to the cell that reads its data; nbval runs all of every notebook in its place."""
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    reads = "read_sweep()" if name.startswith("07") else "run_times.csv"
    (reading,) = [cell for cell in code if reads in cell.source]
    notebook.cells = [code[0], reading]
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert any(output.output_type == "stream" for output in reading.outputs)
    assert list(tmp_path.iterdir()) == []
