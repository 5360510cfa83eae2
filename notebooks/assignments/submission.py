"""The process of a submission: it runs the cells, and calls their functions when it is asked.

judging.py has it started and asks. Nothing that decides about points is in here, so a submission
that replaces what it finds in this process changes its own answers, and nothing else.
"""

import contextlib
import importlib
import inspect
import json
import os
import random
import resource
import signal
import socket
import sys
import textwrap
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from torch import Tensor
from traitlets.config import Config
from wire import Gone, Line

import svae_helpers
from svae_helpers.checks.stub import is_stub

PRINTED = 50_000  # characters of a cell's prints that are kept
FILES = 2**28  # bytes that a file may grow to
DENIED = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pty.spawn")
DENIED += ("os.kill", "os.killpg", "socket.connect", "socket.bind")


class ReadyMade(RuntimeError):
    """Called by an answer that was to do without it."""


class Server(Line):
    """The submission's end of the line."""

    caught = (BaseException,)

    def __init__(self, connection: Connection, shell: InteractiveShell):
        super().__init__(connection)
        self.shell, self.names, self.hidden = shell, shell.user_ns, []
        asked = (self.cell, self.about, self.define, self.hide, self.show)
        self.functions |= {f.__name__: f for f in asked}

    def run(self, name: str, arguments: tuple, named: dict, state: Tensor | None) -> tuple:
        """The same, silently and with torch as a check finds it, whatever a cell has set."""
        if state is None:
            return super().run(name, arguments, named, None)
        torch.set_rng_state(state)
        torch.set_default_dtype(torch.float32)
        before = _other_generators()
        with torch.inference_mode(False):
            value, graph, changed, *_ = super().run(name, arguments, named, state)
        return value, graph, changed, torch.get_rng_state(), before != _other_generators()

    def describe(self, error: BaseException) -> tuple[str, str]:
        """An error's kind and words, with the line of the submission's that raised it."""
        words = (str(error).strip().splitlines() or [""])[0]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.line for f in frames if f.filename.startswith("<ipython-input") and f.line]
        return type(error).__name__, words + (f" (in the line `{lines[-1]}`)" if lines else "")

    def cell(self, source: str) -> dict:
        """Run a cell: what it prints and displays, and its error."""
        trace: list[str] = []
        self.shell._showtraceback = lambda kind, value, lines: trace.extend(lines)
        with capture_output() as seen:
            result = self.shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        shown = [(o.data, o.metadata or {}) for o in seen.outputs]
        found = None if error is None else [*self.describe(error), trace]
        if isinstance(error, SyntaxError):
            found[1] = f"{error.msg} (line {error.lineno})"
        return {
            "stdout": seen.stdout[:PRINTED],
            "stderr": seen.stderr[:PRINTED],
            "shown": [[data, about] for data, about in shown],
            "error": found,
        }

    def about(self, name: str) -> dict:
        """What the submission has under a name: a function's parameters, or a value."""
        thing = self.names.get(name, ...)
        if not callable(thing):
            return {"kind": "nothing" if thing is ... else "value", "value": thing}
        self.functions[name] = lambda *a, **k: self.names[name](*a, **k)
        try:
            found = inspect.signature(thing).parameters.values()
            parameters = [[p.name, p.kind.value, p.default is p.empty] for p in found]
        except (TypeError, ValueError):
            parameters = None
        return {"kind": "stub" if is_stub(thing) else "function", "parameters": parameters}

    def define(self, source: str, name: str) -> None:
        """Define a function of the judge's beside the submission's; it calls them by name."""
        exec(compile(textwrap.dedent(source), f"<{name}>", "exec"), self.names)
        self.functions[f"judge:{name}"] = self.names[name]

    def hide(self, path: str) -> None:
        """Let a function of a package raise `ReadyMade`, under whatever name it is called."""
        module, _, rest = path.partition(":")
        function = importlib.import_module(module)
        for name in rest.split("."):
            function = inspect.getattr_static(function, name)
        cells = function.__code__.co_freevars  # the new code must have as many
        source = f"def outer():\n    {' = '.join([*cells, 'none'])} = None\n    def f(*a, **k):\n"
        source += f"        raise ReadyMade({path!r})\n        {', '.join(cells)}\n    return f"
        names = {"ReadyMade": ReadyMade}
        exec(source, names)
        function.__globals__.setdefault("ReadyMade", ReadyMade)
        self.hidden.append((function, function.__code__))
        function.__code__ = names["outer"]().__code__

    def show(self) -> None:
        """Bring back what was hidden."""
        while self.hidden:
            function, code = self.hidden.pop()
            function.__code__ = code


def _other_generators() -> tuple:
    state = np.random.get_state()
    return state[2], state[1][:4].tobytes(), random.getstate()[1][-3:]


def close_doors(folder: Path) -> None:
    """Refuse to open the course folder and other processes, to start programs, and the network.

    No wall against who sets out to climb it: the README says what it holds.
    """
    closed, mine = os.path.realpath(folder), f"/proc/{os.getpid()}"

    def inside(thing: Any) -> bool:
        try:
            path = os.path.realpath(os.fsdecode(thing))
        except (TypeError, ValueError):
            return False
        other = path.startswith("/proc/") and path[6:7].isdigit() and not path.startswith(mine)
        return other or path == closed or path.startswith(closed + os.sep)

    def hook(event: str, arguments: tuple) -> None:
        if event in DENIED:
            raise PermissionError(f"{event} is not allowed while a submission is graded")
        files = event == "open" or event.startswith(("os.", "shutil.", "sqlite3."))
        if files and any(inside(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)):
            raise PermissionError("this file is out of reach while a submission is graded")

    sys.addaudithook(hook)


def main(descriptor: int, scratch: str, gigabytes: float, folder: str) -> None:
    """Serve the judge until it hangs up."""
    os.setsid()
    os.chdir(scratch)
    os.environ["IPYTHONDIR"] = os.path.join(scratch, ".ipython")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    for kind in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(
            kind, signal.SIG_DFL if kind == signal.SIGCHLD else signal.default_int_handler
        )
    resource.setrlimit(resource.RLIMIT_DATA, (int(gigabytes * 2**30),) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
    sys.path[0] = ""
    config = Config()
    config.HistoryManager.enabled = False
    server = Server(Connection(descriptor), InteractiveShell.instance(config=config))
    close_doors(Path(folder))
    with contextlib.suppress(Gone):
        while True:
            server.serve(*server.receive())


def nursery(descriptor: int) -> None:
    """Fork a process for each submission that is sent here: what all need is imported once."""
    asked = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    svae_helpers.SpikeAndSlab.gaussian()  # some of torch is imported at the first use
    while True:
        message, descriptors, *_ = socket.recv_fds(asked, 2**16, 1)
        if not message:
            return
        process = os.fork()
        if process == 0:
            asked.close()
            with contextlib.suppress(BaseException):
                main(descriptors[0], *json.loads(message))
            os._exit(0)
        os.close(descriptors[0])
        asked.sendall(str(process).encode())


if __name__ == "__main__":
    nursery(int(sys.argv[1]))
