"""environment.yml and pyproject.toml agree, and a notebook finds the kernel that they give."""

import copy
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPI_NAMES = {
    "pytorch": "torch",
    "playwright-python": "playwright",
}  # where conda-forge calls it something else
CONDA_ONLY = {"pip"}
EXTRAS = ("lab", "test")


def canonical(requirement: str) -> tuple[str, frozenset[str]]:
    """Name and bounds of one requirement, under its PyPI name."""
    parsed = Requirement(requirement)
    name = parsed.name.lower().replace("_", "-")
    return PYPI_NAMES.get(name, name), frozenset(map(str, parsed.specifier))


def from_pyproject(pyproject: dict) -> dict[str, frozenset[str]]:
    project = pyproject["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return dict(map(canonical, [*wanted, "python" + project["requires-python"]]))


def from_conda(environment: dict) -> dict[str, frozenset[str]]:
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    found = dict(map(canonical, plain))
    return {name: bounds for name, bounds in found.items() if name not in CONDA_ONLY}


def disagreements(environment: dict, pyproject: dict) -> list[str]:
    """One line for each package that is missing on a side or bounded differently."""
    conda, pypi = from_conda(environment), from_pyproject(pyproject)
    lines = []
    for name in sorted(conda.keys() | pypi.keys()):
        if name not in conda:
            lines.append(f"{name} is missing from environment.yml")
        elif name not in pypi:
            lines.append(f"{name} is missing from pyproject.toml")
        elif conda[name] != pypi[name]:
            here, there = ",".join(sorted(conda[name])), ",".join(sorted(pypi[name]))
            lines.append(f"{name} is '{here}' in environment.yml, '{there}' in pyproject.toml")
    return lines


@pytest.fixture
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


@pytest.fixture
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_both_files_ask_for_the_same(environment, pyproject):
    assert disagreements(environment, pyproject) == []


def test_only_conda_forge_is_asked(environment):
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_the_helpers_are_installed_from_the_checkout(environment):
    assert {"pip": ["-e ."]} in environment["dependencies"]
    assert "pip" in environment["dependencies"]


def test_every_package_has_a_lower_bound_alone(environment, pyproject):
    for name, bounds in {**from_conda(environment), **from_pyproject(pyproject)}.items():
        assert [bound[:2] for bound in bounds] == [">="], f"{name}: {set(bounds)}"


def replaced(environment: dict, old: str, new: str | None) -> dict:
    """The environment with one dependency changed, or removed where `new` is None."""
    changed = copy.deepcopy(environment)
    assert old in changed["dependencies"]
    place = changed["dependencies"].index(old)
    changed["dependencies"][place : place + 1] = [] if new is None else [new]
    return changed


@pytest.mark.parametrize("name", ["python", "pytorch", "jupyterlab", "nbval"])
def test_a_wrong_bound_is_noticed(environment, pyproject, name):
    (line,) = [e for e in environment["dependencies"] if str(e).startswith(name + ">=")]
    found = disagreements(replaced(environment, line, name + ">=0.0.1"), pyproject)
    assert len(found) == 1 and found[0].startswith(PYPI_NAMES.get(name, name) + " is '>=0.0.1'")


@pytest.mark.parametrize("name", ["torchvision", "jupyterlab", "hypothesis"])
def test_a_missing_name_is_noticed_on_either_side(environment, pyproject, name):
    (line,) = [e for e in environment["dependencies"] if str(e).startswith(name + ">=")]
    without = replaced(environment, line, None)
    assert disagreements(without, pyproject) == [f"{name} is missing from environment.yml"]

    environment["dependencies"].append("left-pad>=1")
    assert disagreements(environment, pyproject) == ["left-pad is missing from pyproject.toml"]


FIND_KERNEL = """
from jupyter_client.kernelspec import KernelSpecManager
print(KernelSpecManager().get_kernel_spec("python3").display_name)
"""


def kernel_found(user_folder: Path, prefer_environment: str) -> str:
    """Display name of the kernel `python3` where a user has one of their own."""
    settings = {"JUPYTER_DATA_DIR": str(user_folder), "JUPYTER_PREFER_ENV_PATH": prefer_environment}
    command = [sys.executable, "-c", FIND_KERNEL]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_kernel_is_this_environments_beside_a_users_own(tmp_path):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["elsewhere"], "display_name": "a user's own", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    assert kernel_found(tmp_path, prefer_environment="0") == "a user's own"
    assert kernel_found(tmp_path, prefer_environment="1") != "a user's own"


def test_make_prefers_this_environments_kernel():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^export JUPYTER_PREFER_ENV_PATH := 1$", makefile, flags=re.MULTILINE)


def test_every_notebook_names_that_kernel():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", path.name


def test_make_lab_installs_no_test_tools():
    makefile = (ROOT / "Makefile").read_text()
    rules = dict(re.findall(r"^(\S+): ([^\n]*(?:\n\t[^\n]*)*)", makefile, flags=re.MULTILINE))
    assert rules["lab"].splitlines()[0] == "$(VENV)/.installed"
    extras = {name: re.findall(r"'\.\[(.*?)\]'", rule) for name, rule in rules.items()}
    assert extras["$(VENV)/.installed"] == ["lab"]
    assert extras["$(VENV)/.testing"] == ["lab,test"]
