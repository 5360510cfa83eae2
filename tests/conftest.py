"""What every test run has in common: no network, one thread, hypothesis without a clock."""

import os
import runpy
import socket
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from . import chromium

NO_NETWORK = Path(__file__).parent / "no_network"

if not getattr(socket.socket.connect, "blocks_network", False):  # not started by `make test`
    runpy.run_path(str(NO_NETWORK / "sitecustomize.py"))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(NO_NETWORK), inherited]))

os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel `python3` is this environment's
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# A slow machine is no failure, and the same examples are drawn in every run.
settings.register_profile("course", deadline=None, derandomize=True)
settings.load_profile("course")


@pytest.fixture(scope="module")
def browser():
    """The machine's own browser; every test of a page asks for it here."""
    with chromium.started() as browser:
        yield browser


def pytest_terminal_summary(terminalreporter):
    """Say aloud what a machine without a browser leaves out."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    without = [reason for reason in reasons if chromium.NO_BROWSER in reason]
    if without:
        what = f"skipped for want of a browser: {len(without)}"
        terminalreporter.write_sep("=", what, yellow=True, bold=True)
        terminalreporter.write_line(without[0].removeprefix("Skipped: "), yellow=True)
