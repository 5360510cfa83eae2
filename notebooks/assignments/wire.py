"""Calls between a judge and a submission's process: numbers and tensors cross, code never does.

Each side offers functions; `Line.call` calls one of the other side's as if it were here: gradients
flow through it both ways, a changed argument is changed here too, and torch's generator goes along,
so that a function in the other process draws what it would draw in this one. What arrives is read
as plain data (JSON and the bytes of tensors), so nothing that a submission sends can run here.
"""

import builtins
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from svae_helpers.checks.guard import TimeIsUp

LARGEST = 2**28  # bytes of one message
GRAPHS = 20_000  # calls whose gradients can still be asked for: a loop makes many
_DTYPES = {str(t): t for t in (torch.float32, torch.float64, torch.float16, torch.int64)}
_DTYPES |= {str(t): t for t in (torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)}


class Gone(SystemExit):
    """The other process has ended."""


class Line:
    """One end of the connection.

    Attributes:
        functions: what the other side may call, by name.
        seconds: how long an answer may take; for ever if None.
    """

    caught: tuple[type[BaseException], ...] = (Exception,)  # told the other side, not raised here

    def __init__(self, connection: Connection, seconds: float | None = None):
        self.connection, self.seconds = connection, seconds
        self.functions: dict[str, Callable] = {}
        self.graphs: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self.served = 0

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call a function of the other side."""
        given = list(tensors_in((arguments, named)))
        leaves = [t for t in given if t.requires_grad] if torch.is_grad_enabled() else []
        message, kept = (name, arguments, named), {}
        if leaves:
            parts = iter(_Across.apply(self, message, kept, *leaves))
            value = _replaced(kept["value"], parts)
        else:
            _send_call(self, message, kept)
            value = _replaced(kept["value"], (t.detach() for t in tensors_in(kept["value"])))
        for t, new in kept["changed"]:
            with torch.no_grad():
                given[t].copy_(new)
        return value

    def request(self, kind: str, *payload: Any) -> Any:
        """Send a request, and serve the other side's until the answer is there."""
        self.send(kind, payload)
        while True:
            kind, payload = self.receive()
            if kind == "answer":
                return payload
            if kind == "error":
                raise _error(*payload)
            self.serve(kind, payload)

    def serve(self, kind: str, payload: tuple) -> None:
        """Answer one request of the other side."""
        try:
            answer = self.differentiate(*payload) if kind == "backward" else self.run(*payload)
        except Gone:
            raise
        except self.caught as error:
            self.send("error", self.describe(error))
        else:
            self.send("answer", answer)

    def run(self, name: str, arguments: tuple, named: dict, state: Tensor | None) -> tuple:
        """Call an own function for the other side: value, graph, changed arguments, generators."""
        given = list(tensors_in((arguments, named)))
        before = [t.detach().clone() for t in given]
        with torch.enable_grad():  # also where this side waits inside a step of its own graph
            value = self.functions[name](*arguments, **named)
        leaves = [t for t in given if t.requires_grad]
        outputs = [t for t in tensors_in(value) if t.requires_grad]
        self.served += 1
        if leaves and outputs:
            self.graphs[self.served] = (outputs, leaves)
            self.graphs.pop(next(iter(self.graphs)) if len(self.graphs) > GRAPHS else None, None)
        pairs = enumerate(zip(given, before))
        changed = [(i, t.detach()) for i, (t, b) in pairs if not torch.equal(t, b)]
        return value, self.served, changed, None, False

    def differentiate(self, graph: int, gradients: list[Tensor]) -> list[Tensor | None]:
        """Carry gradients back through an earlier call."""
        outputs, leaves = self.graphs[graph]
        return list(
            torch.autograd.grad(outputs, leaves, gradients, allow_unused=True, retain_graph=True)
        )

    def describe(self, error: BaseException) -> tuple[str, str]:
        """What the other side is told of an error: its kind and its words."""
        return type(error).__name__, str(error)

    def state(self) -> Tensor | None:
        """What goes along with a call: torch's generator, if the other side is to draw from it."""
        return None

    def take_state(self, state: Tensor | None, uses_numpy: bool) -> None:
        """Take the generators back."""

    def send(self, kind: str, payload: Any) -> None:
        """Send a message."""
        blobs: list[bytes] = []
        head = json.dumps([kind, self._pack(payload, blobs), [len(b) for b in blobs]]).encode()
        try:
            self.connection.send_bytes(b"".join([len(head).to_bytes(8, "little"), head, *blobs]))
        except BlockingIOError:
            raise TimeIsUp from None
        except OSError:
            raise Gone("its process has ended") from None

    def receive(self) -> tuple[str, Any]:
        """Wait for a message."""
        try:
            if self.seconds is not None and not self.connection.poll(self.seconds):
                raise TimeIsUp
            data = self.connection.recv_bytes(LARGEST)
        except (EOFError, OSError):
            raise Gone("its process has ended") from None
        start = 8 + int.from_bytes(data[:8], "little")
        kind, packed, sizes = json.loads(data[8:start])
        blobs = []
        for size in sizes:
            blobs.append(bytearray(data[start : start + size]))
            start += size
        return kind, self._unpack(packed, blobs)

    def _pack(self, value: Any, blobs: list[bytes]) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor) and str(value.dtype) in _DTYPES and not value.is_sparse:
            blobs.append(value.detach().cpu().contiguous().numpy().tobytes())
            about = [str(value.dtype), list(value.shape), value.requires_grad]
            return {"tensor": [len(blobs) - 1, *about]}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub":
            return {"numpy": self._pack(torch.as_tensor(np.asarray(value)), blobs)}
        if isinstance(value, tuple | list):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [self._pack(part, blobs) for part in value]}
        if isinstance(value, dict):
            return {"dict": [[str(k), self._pack(v, blobs)] for k, v in value.items()]}
        if isinstance(value, FunctionType | MethodType | partial):
            name = f"#{id(value)}"
            self.functions[name] = value
            return {"function": name}
        return {"object": type(value).__name__}

    def _unpack(self, packed: Any, blobs: list[bytearray]) -> Any:
        if not isinstance(packed, dict):
            return packed
        ((kind, about),) = packed.items()
        if kind == "tensor":
            at, dtype, shape, differentiable = about
            flat = torch.frombuffer(blobs[at], dtype=_DTYPES[dtype]) if math.prod(shape) else None
            t = torch.zeros(shape, dtype=_DTYPES[dtype]) if flat is None else flat.reshape(shape)
            return t.requires_grad_(differentiable)
        if kind == "numpy":
            return self._unpack(about, blobs).numpy()
        if kind in ("tuple", "list"):
            return (tuple if kind == "tuple" else list)(self._unpack(v, blobs) for v in about)
        if kind == "dict":
            return {name: self._unpack(v, blobs) for name, v in about}
        if kind == "function":
            return lambda *arguments, **named: self.call(about, *arguments, **named)
        return type(str(about), (), {})()  # a stranger, of which only the name has come


class _Across(torch.autograd.Function):
    """A call of the other side's function as a step of this side's graph."""

    @staticmethod
    def forward(ctx, line: Line, message: tuple, kept: dict, *leaves: Tensor) -> tuple:
        _send_call(line, message, kept)
        outputs = list(tensors_in(kept["value"]))
        ctx.line, ctx.graph = line, kept["graph"]
        ctx.flags = [t.requires_grad for t in outputs]
        outputs = [t.detach() for t in outputs] or [torch.zeros(())]
        ctx.mark_non_differentiable(
            *(t for t, flag in zip(outputs, ctx.flags or [False]) if not flag)
        )
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple:
        wanted = [g for g, flag in zip(gradients, ctx.flags) if flag]
        return None, None, None, *ctx.line.request("backward", ctx.graph, wanted)


def _send_call(line: Line, message: tuple, kept: dict) -> None:
    value, kept["graph"], kept["changed"], state, uses_numpy = line.request(
        "call", *message, line.state()
    )
    kept["value"] = value
    line.take_state(state, uses_numpy)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in tuples, lists and dictionaries, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(part)


def _replaced(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple | list):
        return type(value)(_replaced(part, tensors) for part in value)
    if isinstance(value, dict):
        return {name: _replaced(part, tensors) for name, part in value.items()}
    return value


def _error(kind: str, words: str) -> BaseException:
    known = kind in ("NotImplementedError", "RuntimeError", "SystemExit")
    return (getattr(builtins, kind) if known else type(kind, (Exception,), {}))(words)
