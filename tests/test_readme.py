"""What the README shows is there and runs, and what it states is what the course shows."""

import base64
import csv
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import torch
from torch.distributions import Normal

import svae_helpers
from svae_helpers import checks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / f"{name}.md").read_text() for name in ("README", "CONTRIBUTING", "CHANGELOG")
}
LINK = re.compile(r"\]\(([^)#\s]+)")
LINKS = LINK.findall(README)


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


FIGURES = runpy.run_path(str(ROOT / "tests" / "tools" / "make_figures.py"))


def test_it_is_short():
    """As its reader sees it: what is folded takes one line."""
    open_lines = re.sub(r"<details>.*?</details>", "", README, flags=re.DOTALL).splitlines()
    assert len(open_lines) <= 76


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = LINK.findall(PAGES[page])
    assert page == "CHANGELOG" or links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_every_notebook_is_on_the_map():
    notebooks = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(LINKS)


def test_every_picture_says_what_it_shows():
    pictures = re.findall(r'<img src="(\S+)" width="\d+" alt="(.*?)">', README, flags=re.DOTALL)
    assert pictures and len(pictures) == README.count("<img") and "![" not in README
    for source, words in pictures:
        assert (ROOT / source).exists() and len(words.split()) >= 8


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
    shown = {
        name: set(re.findall(r"(?:^|`)make ([\w-]+)", text, flags=re.MULTILINE))
        for name, text in PAGES.items()
    }
    assert {"lab", "test", "book"} <= shown["README"] and "test" in shown["CONTRIBUTING"]
    for target in set().union(*shown.values()):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_extras_and_the_version_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r'"\.\[([\w,]+)\]"', README):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert f"version {svae_helpers.__version__}" in README
    newest = re.search(r"^## (\S+)", PAGES["CHANGELOG"], flags=re.MULTILINE)
    assert newest[1] == svae_helpers.__version__


def test_the_verdict_is_what_the_check_prints():
    """The README breaks its lines anew and has the number in bold, as a notebook does."""
    wrong, _ = code_blocks("python")
    scope = {"torch": torch, "Normal": Normal}
    exec(wrong, scope)
    result = checks.monte_carlo_kl(scope["monte_carlo_kl"])
    assert result.misconception == "detached samples"
    lines = [line.removeprefix("> ") for line in README.splitlines() if line.startswith("> ")]
    shown = " ".join(lines).replace("\\ ", "\n").replace("**", "")
    measured = r"[\d.]+(?= times)"
    assert re.sub(measured, "K", shown) == re.sub(measured, "K", result.message)
    on_this_machine = float(re.search(measured, result.message)[0])
    assert float(re.search(measured, shown)[0]) == pytest.approx(on_this_machine, rel=0.3)


def test_the_course_s_table_has_the_minutes_that_the_notebooks_state():
    """Running times differ between machines: the README's is within a factor of 2."""
    entry = r"\(notebooks/(\w+)\.ipynb\) \| (\d+) \+ (\d+) min, (\d+) s \|"
    shown = {name: numbers for name, *numbers in sorted(re.findall(entry, README))}
    with (ROOT / "svae_helpers" / "assets" / "run_times.csv").open(newline="") as file:
        rows = {row["notebook"]: row for row in csv.DictReader(file)}
    assert list(shown) == list(rows)
    for name, (reading, doing, running) in shown.items():
        row = rows[name]
        assert (reading, doing) == (row["reading_minutes"], row["exercise_minutes"]), name
        assert int(row["seconds"]) / 2 <= int(running) <= 2 * int(row["seconds"]), name


def cell_of(notebook, cell_id):
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    (cell,) = [cell for cell in cells if cell.id == cell_id]
    return cell


def test_the_routes_are_notebook_00_s():
    heads = re.search(r"one lecture: (\d+) minutes .* the core: (\d+) minutes", ROUTES)
    shown = re.search(r"the core in (\d+) minutes, one\s+lecture of (\d+)", README)
    assert (shown[2], shown[1]) == heads.groups()
    assert "three routes" in README and ROUTES.startswith("### Three routes")


ROUTES = cell_of("00_start_here", "routes").source


def test_the_findings_are_what_notebooks_07_and_09_show():
    """Every number of "What comes out", from saved outputs."""
    (printed,) = [
        output.data["text/markdown"]
        for output in cell_of("07_does_it_do_what_it_says", "ablation").outputs
        if "text/markdown" in output.get("data", {})
    ]
    counts = {}
    for line in printed.splitlines():
        name, *columns = (part.strip() for part in line.strip("|").split("|"))
        counts[name] = columns[3].partition(" ")[0]
    (output,) = cell_of("09_making_it_true", "frontier-asserts").outputs
    said = output.text
    without, charged = re.search(r"λ = 0 ([\d.]+) .*?λ = 1 ([\d.]+) ", said).groups()
    own = re.search(r"the prior's own ([\d.]+)", said)[1]
    change = re.search(r"ELBO, λ = 1 less λ = 0: (\S+) \((\S+) to (\S+)\) nats", said).groups()
    found = [counts["detached, mean (as printed)"], counts["*the prior's own number*"]]
    story = README.partition("**What comes out.**")[2].partition("\n## ")[0]
    numbers = r"leaves (\S+) of 20 .* prior has (\S+) .* it has (\S+): .* and (\S+) are on, "
    numbers += (
        r"for the prior's own (\S+); .* changes by (\S+) nats, over seeds by (\S+) to (\S+)\."
    )
    shown = re.search(numbers, " ".join(story.split())).groups()
    assert list(shown) == [*found, without, charged, own, *change]


def test_the_ten_lines_run(tmp_path):
    _, code = code_blocks("python")
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
