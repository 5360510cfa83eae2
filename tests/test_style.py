"""Code passes ruff and prose passes a spelling check, in the notebooks too."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("svae_helpers", "tests", "notebooks")


def prose_and_code(notebook: dict) -> str:
    """The sources of a notebook's cells: no outputs, whose pictures are letters by chance."""
    return "\n\n".join("".join(cell["source"]) for cell in notebook["cells"])


def spelling(folder: Path) -> str:
    """What codespell complains about in a folder, with the words of pyproject.toml let pass."""
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


def ignored(paths: list[Path]) -> set[Path]:
    """Those that git ignores, such as what students hand in; none outside a git checkout."""
    names = "\0".join(str(path.relative_to(ROOT)) for path in paths)
    command = ["git", "check-ignore", "--stdin", "-z"]
    done = subprocess.run(command, cwd=ROOT, input=names, capture_output=True, text=True)
    return {ROOT / name for name in done.stdout.split("\0") if name}


def test_code_passes_ruff():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    command += FOLDERS
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_laid_out_by_ruff():
    command = [sys.executable, "-m", "ruff", "format", "--check", "--no-cache", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_notebook_that_is_laid_out_otherwise_is_noticed(tmp_path):
    cell = nbformat.v4.new_code_cell("x = {'a':1}   # aligned")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "page.ipynb")
    command = [sys.executable, "-m", "ruff", "format", "--check", "--no-cache"]
    command += ["--config", str(ROOT / "pyproject.toml"), "page.ipynb"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 1


def test_skipping_the_formatter_has_a_reason():
    """What skips the formatter is followed by a comment that says why."""
    marker = "# fmt: " + "skip"
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for line in path.read_text(encoding="utf-8").splitlines():
                assert marker not in line or re.search(marker + r"  # \S.*", line), (
                    f"{path}: {line}"
                )


def test_spelling(tmp_path):
    paths = [*ROOT.glob("*.md"), *ROOT.glob("*LICENSE")]
    for folder in FOLDERS:
        for suffix in ("*.md", "*.py", "*.ipynb"):
            paths += (ROOT / folder).rglob(suffix)
    skipped = ignored(paths)
    for path in paths:
        if path in skipped:
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = prose_and_code(json.loads(text))
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    assert spelling(tmp_path) == ""


@pytest.mark.parametrize("suffix", ["py", "md"])
def test_a_misspelling_is_noticed(tmp_path, suffix):
    typo = "t" + "eh"  # in two, or this file would not pass
    (tmp_path / f"page.{suffix}").write_text(f"# {typo} posterior\n")
    assert typo in spelling(tmp_path)


def test_what_students_hand_in_is_not_spell_checked():
    handed_in = ROOT / "notebooks" / "assignments" / "submitted" / "ada" / "assignment.ipynb"
    assert ignored([handed_in, Path(__file__)]) == {handed_in}
