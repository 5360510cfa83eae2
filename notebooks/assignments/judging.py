"""Judge one submission: run its cells in a process of their own, and ask it what a check asks.

The checks are the course's public engine and run here, where no line of the submission does. The
tests of an assignment NAME are in source/NAME.py, which is never handed out: `TESTS` lists the
parts of each graded cell, as (points, what, function of the `Student` that returns a CheckResult).
"""

import contextlib
import inspect
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import torch
from nbformat import NotebookNode
from torch import Tensor
from wire import Gone, Line

from svae_helpers.checks import CheckResult, guard

FOLDER = Path(__file__).resolve().parent
GRACE = 5  # seconds that an interrupted cell has to end


class Limits(NamedTuple):
    """What a submission may use: seconds of a cell or call, seconds in all, GB of memory."""

    timeout: float = 180
    total: float = 1200
    memory: float = 6


@dataclass
class Part:
    """A verdict on a part of a graded cell."""

    points: float
    out_of: float
    what: str
    text: str
    status: str


@dataclass
class Judgement:
    """What became of a submission: outputs by the number of a cell, parts by a graded cell."""

    outputs: dict[int, list[NotebookNode]] = field(default_factory=dict)
    parts: dict[str, list[Part]] = field(default_factory=dict)


JUDGED: dict[tuple[str, str], Judgement] = {}  # by assignment and student, for nbgrader to take


class _Judge(Line):
    """The judge's end of the line: torch's generator is the same on both."""

    def state(self) -> Tensor | None:
        return torch.get_rng_state()

    def take_state(self, state: Tensor | None, uses_numpy: bool) -> None:
        if state is not None:
            torch.set_rng_state(state)
        if uses_numpy:
            np.random.rand()  # so that a check sees it, as if it had happened here


_nursery: tuple[subprocess.Popen, socket.socket] | None = None


def _fork(message: bytes, descriptor: int) -> int:
    """Have a process forked that serves on a descriptor; the first call starts the nursery."""
    global _nursery
    if _nursery is None or _nursery[0].poll() is not None:
        mine, theirs = socket.socketpair()
        environment = os.environ | {
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, str(FOLDER / "submission.py"), str(theirs.fileno())]
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], **silent)
        theirs.close()
        _nursery = process, mine
    socket.send_fds(_nursery[1], [message], [descriptor])
    return int(_nursery[1].recv(64))


class Student:
    """A submission at work. `student["name"]` is what it has under a name, functions to call."""

    def __init__(self, folder: Path, course: Path, limits: Limits):
        self.folder, self.limits, self.course = folder, limits, course
        self.cells: list[str] = []  # that have run, and run again where the process has to restart
        self.kept: dict[Any, Any] = {}  # for tests, such as a trained model that several look at
        self.ready_made = False
        self.failed: dict[str, BaseException] = {}
        self._process, self._line, self._began = None, None, time.monotonic()

    def __enter__(self) -> "Student":
        self.scratch = Path(tempfile.mkdtemp(prefix="submission-"))
        shutil.copytree(self.folder, self.scratch, dirs_exist_ok=True)
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @property
    def seconds(self) -> float:
        """How long the next answer may take."""
        left = self.limits.total - (time.monotonic() - self._began)
        return max(0.01, min(self.limits.timeout, left))

    def stop(self) -> None:
        """End the process and all that it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process, signal.SIGKILL)
            self._line.connection.close()
        self._process = None

    def _start(self) -> None:
        mine, theirs = Pipe()
        about = [str(self.scratch), self.limits.memory, str(self.course)]
        self._process = _fork(json.dumps(about).encode(), theirs.fileno())
        theirs.close()
        self._line = _Judge(mine)
        for source in self.cells:
            self._ask("cell", source)

    def _ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call a function of the submission's process; end the process where it fails to answer.

        A function that has ended it, or did not come to its end, is not called a second time.
        """
        if name in self.failed:
            raise self.failed[name]
        if self._process is None:
            self._start()
        self._line.seconds = self.seconds
        try:
            return self._line.call(name, *arguments, **named)
        except (Gone, guard.TimeIsUp) as error:
            self.stop()
            if name != "cell":
                self.failed[name] = error
            raise
        except Exception as error:
            self.ready_made |= type(error).__name__ == "ReadyMade"
            raise

    def run(self, source: str) -> list[NotebookNode]:
        """Run a cell, interrupt it past the limit, and return its outputs."""
        try:
            if self._process is None:
                self._start()
            limit = self.seconds
            self._line.seconds = limit + GRACE
            with _Interrupt(self._process, limit) as timer:
                seen = self._line.call("cell", source)
            self.cells.append(source)
        except (Gone, guard.TimeIsUp) as error:
            self.stop()
            if isinstance(error, Gone):
                words = "the cell ended its process (an exit, a crash, or out of memory)"
                return [_error_output("ProcessEnded", words)]
            return [_error_output("CellTimeoutError", f"{LATE}, and would not be interrupted")]
        return list(_as_outputs(seen, timer.fired))

    def __getitem__(self, name: str) -> Any:
        about = self._ask("about", name)
        if about["kind"] == "value":
            return about["value"]
        return Remote(self, name, about["parameters"]) if about["kind"] == "function" else _stub

    def value(self, name: str) -> Any:
        """The number, word or tuple under a name, as a question takes it; dots if there is none."""
        thing = self[name]
        return ... if callable(thing) else thing

    def define(self, function: Callable, needs: str) -> Any:
        """A function of the tests that runs in the submission's process, and calls its names.

        Args:
            needs: the name that it calls; while that is not attempted, what is returned is not.
        """
        mine, name = self[needs], function.__name__
        if not isinstance(mine, Remote):
            return mine
        self._ask("define", inspect.getsource(function), name)
        parameters = inspect.signature(function).parameters.values()
        return Remote(self, f"judge:{name}", [[p.name, p.kind.value, True] for p in parameters])

    @contextlib.contextmanager
    def without(self, *paths: str) -> Iterator[None]:
        """Let functions of packages ("module:Class.method") raise ReadyMade for a while."""
        for path in paths:
            self._ask("hide", path)
        try:
            yield
        finally:
            if self._process is not None:
                self._ask("show")


class Remote:
    """A function in the submission's process; it is called as if it were here."""

    def __init__(self, student: Student, name: str, parameters: list | None):
        self.student, self.name, self.__name__ = student, name, name
        if parameters is not None:
            with contextlib.suppress(Exception):
                self.__signature__ = inspect.Signature(
                    inspect.Parameter(str(n), inspect._ParameterKind(kind))
                    for n, kind, _ in parameters
                )

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.student._ask(self.name, *arguments, **named)


def _stub() -> None:
    raise NotImplementedError


LATE = "it ran past the time limit and was stopped: is there an endless loop?"


class _Interrupt:
    """Interrupts a process after some seconds."""

    def __init__(self, pid: int, seconds: float):
        self.pid, self.seconds, self.fired = pid, seconds, False

    def _fire(self, *_: Any) -> None:
        self.fired = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def __enter__(self) -> "_Interrupt":
        self.before = signal.signal(signal.SIGALRM, self._fire)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        return self

    def __exit__(self, *_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


def _error_output(kind: str, words: str, trace: Sequence[str] = ()) -> NotebookNode:
    lines = [str(line) for line in trace] or [f"{kind}: {words}"]
    return nbformat.v4.new_output("error", ename=kind, evalue=words, traceback=lines)


def _as_outputs(seen: dict, late: bool) -> Iterator[NotebookNode]:
    for name in ("stdout", "stderr"):
        if seen[name]:
            yield nbformat.v4.new_output("stream", name=name, text=str(seen[name]))
    for data, about in seen["shown"]:
        yield nbformat.v4.new_output("display_data", data=data, metadata=about)
    if late:
        yield _error_output("CellTimeoutError", LATE)
    elif seen["error"] is not None:
        yield _error_output(*seen["error"])


def judge(notebook: Path, tests: Path, course: Path, limits: Limits) -> Judgement:
    """Run a submission's cells in their order, and the tests of a graded cell where it stands."""
    cells = nbformat.read(notebook, as_version=4).cells
    graded, found = runpy.run_path(str(tests))["TESTS"], Judgement()
    with Student(notebook.parent, course, limits) as student, _patience(limits.timeout):
        for number, cell in enumerate(cells):
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in graded and cell.metadata.nbgrader.get("grade"):
                parts = [judge_part(student, *part) for part in graded[name]]
                found.parts[name] = parts
            elif cell.cell_type == "code" and cell.source.strip():
                found.outputs[number] = student.run(cell.source)
    return found


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let a check wait as long for one call as the limits say."""
    before, guard.SECONDS = guard.SECONDS, seconds
    try:
        yield
    finally:
        guard.SECONDS = before


def judge_part(student: Student, points: float, what: str, check: Callable) -> Part:
    """Judge one part; whatever happens in it, the others are judged."""
    torch.manual_seed(len(what))
    student.ready_made = False
    try:
        result = check(student)
    except guard.TimeIsUp:
        result = CheckResult("failed", f"✗ – {LATE}")
    except Gone:
        result = CheckResult("failed", "✗ – your code ended its process.")
    except Exception as error:
        words = f"could not be judged ({type(error).__name__}: {error}): look at it by hand."
        result = CheckResult("failed", f"✗ – {words}")
    mark, number, rest = f"{result.message}  ".split(" ", 2)
    name = f", {result.misconception}:" if result.misconception else ""
    text = f"{mark} {number}{name} {rest}".strip()
    return Part(points if result else 0.0, points, what, text, result.status)
