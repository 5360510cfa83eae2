"""The package as `pip install .` gives it, without a network and beside nothing of the course."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_sources(folder: Path) -> Path:
    """Copy what a package is built from, so that no build folder appears in the course."""
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "svae_helpers", folder / "svae_helpers", ignore=no_caches)
    for name in ("pyproject.toml", "README.md", "LICENSE", "DATA_LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def pip_install(sources: Path, target: Path) -> Path:
    """Install the package alone; what it needs is what the tests' own Python has."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    done = subprocess.run([*command, str(sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
