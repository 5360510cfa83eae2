"""The repository keeps the shape that the README promises."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "svae_helpers"
TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DATA_LICENSE",
    "LICENSE",
    "Makefile",
    "README.md",
    "environment.yml",
    "figures",
    "notebooks",
    "pyproject.toml",
    "svae_helpers",
    "tests",
}

# What each helper may import from the package directly; what those import comes with it.
ARROWS = {
    "arguments": set(),
    "whole_files": set(),
    "devices": {"arguments"},
    "mnist_files": set(),
    "data": {"devices", "mnist_files"},
    "quadrature": {"arguments"},
    "spike_and_slab": {"quadrature"},
    "gated": {"arguments"},
    "divergences": {"gated", "quadrature", "spike_and_slab"},
    "likelihoods": {"arguments"},
    "models": {"likelihoods"},
    "objectives": {"divergences", "models"},
    "metrics": {"quadrature", "spike_and_slab"},
    "images": {"data", "models"},
    "evaluation": {"images", "objectives"},
    "history": {"metrics", "objectives"},
    "training": {"evaluation", "history"},
    "checkpoints": {"history", "models", "whole_files"},
    "surgery": set(),
    "classifier": {"data", "devices"},
    "tables": {"whole_files"},
    "settings": {"gated", "spike_and_slab"},
    "measures": {"classifier", "evaluation", "metrics", "settings", "surgery"},
    "runs": {"measures", "training"},
    "sweep": {"runs", "tables"},
    "trained_models": {"models", "settings"},
    "export": {"runs", "trained_models"},
    "plotting": {"arguments"},
    "widgets": {"arguments"},
}
MOST_LINES = 250  # a file, "read in one sitting"

# A path of one machine, or where one machine takes its packages from.
MACHINE = re.compile(
    r"(?<![\w.~$}/+-])/(?:work|root|home/[a-z]\w*|Users/[A-Za-z]\w*|tmp|opt)/[\w.-]+"
    r"|--?(?:extra-)?index-url[ =]|--find-links[ =]|file:///"
    r"|\b(?:10|192\.168)\.\d+\.\d+(?:\.\d+)?\b(?=[:/])"
)


def tracked() -> list[str]:
    """Names of the files under version control; none where the course is not a git checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def reachable(module: str) -> set[str]:
    """Every module that `module` may import: the arrows, followed downwards."""
    direct = ARROWS[module]
    return direct.union(*map(reachable, direct))


def package_imports(source: str) -> Iterator[str]:
    """Names of the svae_helpers modules that a top-level module of the package imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "svae_helpers" if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "svae_helpers":
                yield rest.partition(".")[0]


def upward(module: str, source: str) -> set[str]:
    """Imports that the arrows do not allow; the assets are `mnist_files`' alone."""
    allowed = reachable(module) | ({"assets"} if module == "mnist_files" else set())
    return set(package_imports(source)) - allowed


def test_the_top_level_holds_nothing_else():
    assert {Path(name).parts[0] for name in tracked()} <= TOP_LEVEL


def test_forks_run_what_everybody_runs():
    """On GitHub, with the lowest Python that the package promises."""
    job = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]["tests"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "with" in step]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]) == SpecifierSet(f">={python}")


def test_every_helper_has_its_place_among_the_arrows():
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert modules == ARROWS.keys()


@pytest.mark.parametrize("module", ARROWS)
def test_arrows_point_downwards(module):
    path = PACKAGE / f"{module}.py"
    assert not path.exists() or upward(module, path.read_text()) == set()


@pytest.mark.parametrize(
    "line",
    [
        "from svae_helpers.training import fit",
        "from svae_helpers import fit",
        "import svae_helpers.training",
        "from .training import fit",
        "from . import training",
        "def f():\n    from .training import fit",
    ],
)
def test_an_arrow_upwards_is_noticed(line):
    assert upward("metrics", line)
    assert not upward("metrics", "from svae_helpers.spike_and_slab import SpikeAndSlab")


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_every_helper_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def machine_traces(text: str) -> list[str]:
    return [found.group() for found in MACHINE.finditer(text)]


def test_no_file_knows_one_machine():
    own = str(Path(__file__).relative_to(ROOT))  # holds the pattern itself
    found = {}
    for name in tracked():
        if name != own and not name.endswith((".npz", ".png")):
            found[name] = machine_traces((ROOT / name).read_text(encoding="utf-8"))
    assert {name: traces for name, traces in found.items() if traces} == {}


def test_traces_of_a_machine_are_noticed():
    for trace in ("'/home/ada/x.py'", "/root/course", "(/Users/ada/x)", "--index-url x"):
        assert machine_traces(trace), trace
    for fine in ("~/work/notes", "figures/home/page", "a/tmp", "https://arxiv.org/abs/1312.6114"):
        assert not machine_traces(fine), fine
