"""What the README shows is there and runs."""

import base64
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import svae_helpers

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\]\(([^)#\s]+)", README)


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


FIGURES = runpy.run_path(str(ROOT / "tests" / "tools" / "make_figures.py"))


def test_it_is_about_one_screen():
    assert len(README.splitlines()) <= 110


@pytest.mark.parametrize("link", [link for link in LINKS if "://" not in link])
def test_a_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_every_notebook_is_on_the_map():
    notebooks = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(LINKS)


def test_every_picture_says_what_it_shows():
    for words in re.findall(r"!\[(.*?)\]\(", README, flags=re.DOTALL):
        assert len(words.split()) >= 8


def test_figures_are_the_notebooks_own():
    """A figure that a notebook draws is the one its saved outputs hold: `make figures`."""
    for name, data in FIGURES["all_pictures"]().items():
        assert (ROOT / "figures" / name).read_bytes() == data, f"{name} is stale: make figures"


def test_a_tagged_cell_gives_its_first_picture():
    png = base64.b64encode(b"a picture").decode()
    outputs = [{"name": "stdout", "text": "x"}, {"data": {"image/png": png}}]
    cell = {"metadata": {"tags": ["figure-codes"]}, "outputs": outputs}
    assert FIGURES["tagged_pictures"]({"cells": [cell]}) == {"codes.png": b"a picture"}
    with pytest.raises(ValueError, match="holds no picture"):
        FIGURES["tagged_pictures"]({"cells": [{**cell, "outputs": outputs[:1]}]})


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    shown = re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE)
    assert {"lab", "test"} <= set(shown)
    for target in shown:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_extras_and_the_version_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r'"\.\[([\w,]+)\]"', README):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert f"version {svae_helpers.__version__}" in README


def test_the_ten_lines_run(tmp_path):
    (code,) = code_blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    line = r"ELBO (-\d+) nats per image, ([\d.]+) active latents"
    found = re.fullmatch(line, done.stdout.strip())
    assert found, done.stdout
    elbo, active = float(found[1]), float(found[2])
    assert -250 < elbo < -80  # trained at all, and no better than 60,000 digits would make it
    assert 0 <= active <= 20
