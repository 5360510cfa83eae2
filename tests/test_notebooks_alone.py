"""Every notebook runs alone, in an empty folder with the package installed: nothing beside it.

What a student has who uploads one notebook somewhere and installs the package there.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from .bare_package import copy_sources, pip_install
from .conftest import NO_NETWORK

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


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Environment variables with which Python finds the package as pip installs it."""
    sources = copy_sources(tmp_path_factory.mktemp("sources"))
    target = pip_install(sources, tmp_path_factory.mktemp("installed"))
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(target), str(NO_NETWORK)])}


def test_every_notebook_finds_what_it_imports(bare, tmp_path):
    """Each imports cell by itself, in one Python."""
    cells = {}
    for path in PATHS:
        code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        cells[path.stem] = code[0].source
    script = """
import json, sys
for source in json.load(sys.stdin).values():
    exec(source, {})
print(sys.modules["svae_helpers"].__file__)
"""
    options = {"cwd": tmp_path, "env": bare, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", script], input=json.dumps(cells), **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(bare["PYTHONPATH"].partition(os.pathsep)[0])


def run_alone(notebook, folder, environment):
    nbclient = pytest.importorskip("nbclient")
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=environment)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["07_does_it_do_what_it_says", "09_making_it_true"])
def test_a_notebook_that_reads_data_runs_in_an_empty_folder(name, bare, tmp_path):
    """Up to the cell that reads its data; nbval runs all of every notebook in its place."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (reading,) = [cell for cell in code if "read_sweep()" in cell.source]
    reading.source += "\nprint(len(rows))"
    notebook.cells = [code[0], reading]
    run_alone(notebook, tmp_path, bare)
    assert int(reading.outputs[-1].text.split()[-1]) > 100


@pytest.mark.parametrize("name", ["00_start_here", "04_spike_and_slab_prior"])
def test_a_whole_notebook_runs_in_an_empty_folder(name, bare, tmp_path):
    """One with trained models and the table of times, and one with exercises and sliders."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    notebook.cells.append(
        nbformat.v4.new_code_cell("import svae_helpers\nprint(svae_helpers.__file__)")
    )
    run_alone(notebook, tmp_path, bare)
    (found,) = notebook.cells[-1].outputs
    assert found.text.startswith(bare["PYTHONPATH"].partition(os.pathsep)[0])
