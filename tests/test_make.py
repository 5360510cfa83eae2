"""`make` on machines where something is missing or goes wrong: a sentence, and nothing lost.

Most of these machines have a Python that only pretends to install; what it was asked for is in a
file of its own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.tools.lowest_versions import lowest_versions

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")

PRETENDING = """#!/bin/sh
printf '%s\\n' "$*" >>"$ASKED"
case "$*" in
    "-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
    "-m pip --version") ;;
    "-m pip install"*)
        case "$PIP" in
            hangs) touch "$ASKED.hangs"; exec sleep 60 ;;
            "") ;;
            *) echo "$PIP" >&2; exit 1 ;;
        esac ;;
    "-m jupyterlab"*) printf '%s|' "in:$PWD" "HOME=$HOME" "PYTHONPATH=$PYTHONPATH" ;;
    "-m pytest"*) printf '%s|' "pytest" "PYTHONPATH=$PYTHONPATH" ;;
    "-c "*) [ -z "$VERSION" ] || exec REAL -c "import sys; sys.version_info = $VERSION
exec(sys.argv.pop(1))" "$2" "$3"; exec REAL "$@" ;;
    *) exec REAL "$@" ;;
esac
"""


class Machine:
    """A clone of what `make` needs, with a Python that notes what it is asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.asked = folder / "asked"
        (folder / "tests" / "tools").mkdir(parents=True)
        (folder / "notebooks").mkdir()
        for name in ("Makefile", "pyproject.toml", "tests/tools/lowest_versions.py"):
            shutil.copy(ROOT / name, folder / name)
        self.python = folder / "a python"
        self.python.write_text(PRETENDING.replace("REAL", f"'{sys.executable}'"))
        self.python.chmod(0o755)

    def environment(self, **changed: str) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"MAKEFLAGS", "MAKELEVEL", "PYTHONPATH"}
        }
        return inherited | {"ASKED": str(self.asked)} | changed

    def make(self, *arguments: str, python: str | None = None, **changed: str):
        command = ["make", *arguments, f"PYTHON={python or self.python}"]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**changed),
            capture_output=True,
            text=True,
        )

    def installs(self) -> list[str]:
        """What pip was asked to install, command by command."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        return [line for line in lines if line.startswith("-m pip install")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "course")


def test_lab_installs_once_and_opens(machine):
    for installs in (1, 1):
        done = machine.make("lab")
        assert done.returncode == 0, done.stderr
        assert f"in:{machine.folder / 'notebooks'}" in done.stdout
        assert len(machine.installs()) == installs
    assert machine.installs()[0].endswith("--editable .[lab]")


def test_a_changed_list_of_dependencies_is_installed(machine):
    machine.make("lab")
    later = time.time() + 10
    os.utime(machine.folder / "pyproject.toml", (later, later))
    machine.make("lab")
    assert len(machine.installs()) == 2


@pytest.mark.parametrize("name", ["with spaces", "Übung № 1 (копия)", "it's & more"])
def test_a_clone_may_lie_in_any_folder(tmp_path, name):
    machine = Machine(tmp_path / name)
    assert f"in:{machine.folder / 'notebooks'}" in machine.make("lab").stdout
    done = machine.make("test")
    assert f"PYTHONPATH={machine.folder}/tests/no_network|" in done.stdout, done.stderr
    cache = machine.folder / "tests" / "a b" / "__pycache__"
    cache.mkdir(parents=True)
    (machine.folder / "svae_helpers").mkdir()
    assert machine.make("clean").returncode == 0
    assert not cache.exists() and cache.parent.exists()
    assert not (machine.folder / ".venv").exists()


# ---- an installation that is interrupted


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_installation_is_taken_up_again(machine, how):
    process = subprocess.Popen(
        ["make", "lab", f"PYTHON={machine.python}"],
        cwd=machine.folder,
        env=machine.environment(PIP="hangs"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Jobs in the background of a shell are started deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(1_000):
        if Path(f"{machine.asked}.hangs").exists():
            break
        time.sleep(0.02)
    os.killpg(process.pid, how)
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (machine.folder / ".venv" / ".installed").exists()
    done = machine.make("lab")
    assert done.returncode == 0 and "in:" in done.stdout
    first, second = machine.installs()
    assert "--ignore-installed" not in first  # nothing can be half written yet
    assert "--ignore-installed" in second
    assert machine.make("lab").returncode == 0 and len(machine.installs()) == 2


# ---- an installation that fails


@pytest.mark.parametrize(
    "pip_says, sentence",
    [
        ("NewConnectionError('<...>: Failed to establish'", "pip cannot reach its packages"),
        ("[Errno -3] Temporary failure in name resolution", "pip cannot reach its packages"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for torch>=2.9", "No matching distribution found"),
        ("ERROR: see https://pip.pypa.io/topics/dependency-resolution/", "last words are above"),
        ("something else", "something else\npip could not install what the course needs"),
    ],
)
def test_a_failed_installation_is_told_in_a_sentence(machine, pip_says, sentence):
    done = machine.make("lab", PIP=pip_says)
    assert done.returncode != 0 and "in:" not in done.stdout
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert "Run the same command again" in done.stderr and len(done.stderr.splitlines()) <= 4
    assert pip_says in (machine.folder / ".venv" / "install.log").read_text()
    assert machine.make("lab").returncode == 0  # once it is mended


def test_a_real_pip_without_a_network_ends_in_that_sentence(machine):
    offline = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",  # where nothing listens
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
    }
    done = machine.make("lab", python=sys.executable, **offline)
    assert done.returncode != 0
    assert "pip cannot reach its packages" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 3
    assert not (machine.folder / ".venv" / ".installed").exists()


# ---- Python


def test_a_python_too_old_is_told(machine):
    done = machine.make("lab", VERSION="(3, 9, 18, 'final', 0)")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert f"needs Python 3.11 or newer, but {machine.python} is 3.9" in done.stderr
    assert "make PYTHON=python3.12" in done.stderr
    assert machine.installs() == [] and not (machine.folder / ".venv").exists()


def test_the_lowest_python_is_taken(machine):
    assert machine.make("lab", VERSION="(3, 11, 0, 'final', 0)").returncode == 0


def test_no_python_is_told(machine):
    done = machine.make("lab", python="python9.99")
    assert done.returncode != 0 and "There is no 'python9.99' here" in done.stderr


# ---- no home folder


@pytest.mark.parametrize("home", ["", "/dev/null/home"])
def test_without_a_home_settings_are_kept_in_the_environments_folder(machine, home):
    done = machine.make("lab", HOME=home)
    assert f"HOME={machine.folder}/.venv/home|" in done.stdout, done.stderr


def test_a_home_is_left_alone(machine, tmp_path):
    assert f"HOME={tmp_path}|" in machine.make("lab", HOME=str(tmp_path)).stdout


# ---- the lowest versions


def test_test_lowest_pins_every_promise_in_an_environment_of_its_own(machine):
    for _ in range(2):
        done = machine.make("test-lowest", "ARGS=-k quadrature")
        assert done.returncode == 0, done.stderr
        assert f"pytest|PYTHONPATH={machine.folder}/tests/no_network|" in done.stdout
    (install,) = machine.installs()
    assert "--constraint .venv-lowest/lowest.txt --editable .[lab,test,grading,book]" in install
    assert not (machine.folder / ".venv").exists()
    pins = (machine.folder / ".venv-lowest" / "lowest.txt").read_text().splitlines()
    text = (ROOT / "pyproject.toml").read_text()
    promised = re.findall(r'^ *(?:\w+ = \[)?"([\w.-]+)>=([\w.]+)"', text, flags=re.MULTILINE)
    wanted = {f"{name}=={version}" for name, version in promised}
    assert sorted(pins) == sorted(wanted) and len(pins) > 20


@pytest.mark.parametrize("requirement", ["torch", "torch==2.9", "torch>=2.9,<3", "torch<3"])
def test_a_promise_without_a_plain_lower_bound_is_refused(requirement):
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pyproject["project"]["dependencies"].append(requirement)
    with pytest.raises(ValueError, match=rf"asks for '{re.escape(requirement)}', wanted"):
        list(lowest_versions(pyproject))
