"""Where there is no browser, `make test` says so, and continuous integration fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import chromium

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = "from tests.conftest import browser, pytest_terminal_summary"
PAGES = "def test_a(browser): pass\ndef test_b(browser): pass\ndef test_c(): pass"


@pytest.fixture
def run(pytester, monkeypatch):
    """Run two tests of pages and another one where no browser is found."""
    monkeypatch.setattr(chromium, "EXECUTABLE", None)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(PAGES)
    return lambda *names: pytester.runpytest_inprocess("-p", "no:cacheprovider", *names)


def test_a_missing_browser_is_told_in_the_summary(run, monkeypatch):
    monkeypatch.delenv("SVAE_REQUIRE_BROWSER", raising=False)
    done = run()
    done.assert_outcomes(passed=1, skipped=2)
    done.stdout.fnmatch_lines(["*skipped for want of a browser: 2*", "No browser: none of *"])


def test_tests_without_pages_say_nothing_of_it(run):
    done = run("-k", "test_c")
    done.assert_outcomes(passed=1, deselected=2)
    done.stdout.no_fnmatch_line("*browser*")


def test_a_missing_browser_fails_where_it_is_required(run, monkeypatch):
    monkeypatch.setenv("SVAE_REQUIRE_BROWSER", "1")
    done = run()
    done.assert_outcomes(passed=1, errors=2)
    done.stdout.fnmatch_lines(["*Failed: No browser: none of *"])


@pytest.mark.parametrize(
    "user, there, installs", [(0, False, True), (0, True, False), (1000, False, False)]
)
def test_continuous_integration_installs_a_browser_where_it_can(tmp_path, user, there, installs):
    """With tools that only note what they are asked for; where apt-get fails, `make` still runs."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    shutil.copy(ROOT / "tests" / "chromium.py", tmp_path / "tests")
    tools = {"chromium": ""} if there else {}
    tools |= {
        "id": f"echo {user}",
        "apt-get": 'echo "apt-get $*" >>asked; [ "$1" = update ]',
        "make": 'echo "make $* $SVAE_REQUIRE_BROWSER" >>asked',
        "python3": f'exec "{sys.executable}" "$@"',
    }
    for name, script in tools.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("bash", "dirname"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    done = subprocess.run(
        [shutil.which("bash"), str(tmp_path / ".ci" / "run")],
        env=inherited | {"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *others, last = (tmp_path / "asked").read_text().splitlines()
    assert last == "make test 1"
    assert [line.split()[-1] for line in others[1:]] == ["chromium"] * installs
