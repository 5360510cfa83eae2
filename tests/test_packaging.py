"""`pip install .` alone gives the helpers, whole, and asks for nothing that they do not import."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .bare_package import copy_sources, pip_install
from .conftest import NO_NETWORK

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "svae_helpers"
IMPORT_NAMES = {"ipython": "IPython"}
NOT_AT_RUN_TIME = ("jupyterlab", "pytest", "nbval", "nbgrader", "hypothesis", "scipy", "ruff")


def imported_packages(source: str) -> Iterator[str]:
    """Top-level names of every absolute import in a module, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def undeclared(source: str) -> set[str]:
    """Imports that neither Python nor the run-time dependencies provide."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(line).name.lower() for line in project["dependencies"]}
    provided = {IMPORT_NAMES.get(name, name) for name in names} | sys.stdlib_module_names
    return set(imported_packages(source)) - provided - {"svae_helpers"}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_helper_imports_only_run_time_dependencies(path):
    assert undeclared(path.read_text()) == set()


def test_an_undeclared_import_is_noticed():
    source = "import os, torch\ndef f():\n    from scipy.stats import norm\n"
    assert undeclared(source) == {"scipy"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the sources, without a network."""
    copy = copy_sources(tmp_path_factory.mktemp("sources"))
    build = "from setuptools.build_meta import build_wheel; build_wheel('wheel')"
    (copy / "wheel").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (path,) = (copy / "wheel").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_module_and_the_digits(wheel):
    packed = {name for name in wheel.namelist() if name.startswith("svae_helpers/")}
    modules = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}
    assert modules <= packed
    assets = ("mnist_5000.npz", "pretrained.npz", "run_times.csv", "sweep.csv")
    assert {f"svae_helpers/assets/{name}" for name in assets} <= packed


def test_the_wheel_holds_both_licences(wheel):
    names = {Path(name).name for name in wheel.namelist() if "/licenses/" in name}
    assert {"LICENSE", "DATA_LICENSE"} <= names


def test_a_plain_install_needs_neither_jupyterlab_nor_test_tools(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    plain = {req.name for req in requirements if req.marker is None}
    assert plain.isdisjoint(NOT_AT_RUN_TIME) and "torch" in plain
    extras = {extra for req in requirements for extra in re.findall(r'"(\w+)"', str(req.marker))}
    assert {"lab", "test"} <= extras


def test_the_package_imports_where_only_run_time_dependencies_are():
    """Stands in for a bare environment: every other tool refuses to be imported."""
    script = f"""
import sys
for name in {NOT_AT_RUN_TIME!r}:
    sys.modules[name] = None
import svae_helpers
from svae_helpers import checks
train, test = svae_helpers.load_mnist()
print(tuple(train.images.shape), tuple(test.images.shape))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "(4000, 784) (1000, 784)", done.stderr


def test_a_bare_installation_works_in_an_empty_folder(tmp_path):
    """`pip install` as in Colab or a JupyterHub: digits, weights, sweep, checks and commands."""
    script = """
import svae_helpers
from svae_helpers import checks
from svae_helpers.sweep import read_sweep
print(svae_helpers.__file__)
print(svae_helpers.load_mnist()[1].images.shape, svae_helpers.pretrained("sparse").latent_dim)
print(len(read_sweep()) > 100, checks.gaussian_kl(lambda mu, log_var: mu.sum(1)).status)
"""
    for name in ("sources", "empty"):
        (tmp_path / name).mkdir()
    target = pip_install(copy_sources(tmp_path / "sources"), tmp_path / "installed")
    path = os.pathsep.join([str(target), str(NO_NETWORK)])
    options = {"cwd": tmp_path / "empty", "capture_output": True, "text": True}
    options["env"] = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", script], **options)
    assert done.returncode == 0, done.stderr
    found, *lines = done.stdout.splitlines()
    assert found.startswith(str(target))
    assert lines == ["torch.Size([1000, 784]) 20", "True failed"]
    done = subprocess.run([sys.executable, "-m", "svae_helpers.sweep", "--help"], **options)
    assert "--output" in done.stdout, done.stderr
    assert list((tmp_path / "empty").iterdir()) == []
