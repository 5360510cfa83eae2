"""What a learner's code may do is undone: seeds, modes, replaced functions, endless loops."""

from __future__ import annotations

import _thread
import contextlib
import math
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch

SECONDS = 20.0  # that one call may take


class TimeIsUp(BaseException):
    """Raised inside a function that has run for `SECONDS`; no `except Exception` catches it."""


@contextlib.contextmanager
def laboratory() -> Iterator[int]:
    """Yield a seed; give back generators, gradient mode, dtype, device, warnings and modules."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    dtype, device, kept = torch.get_default_dtype(), torch.get_default_device(), snapshot()
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(False),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            seed = int(torch.randint(2**62, (), device="cpu"))
            torch.set_default_dtype(torch.float32)
            torch.manual_seed(seed + 1)
            yield seed
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        restore(kept)


_DISTRIBUTIONS = [c for c in vars(torch.distributions).values() if isinstance(c, type)]
_GUARDED = [torch, torch.Tensor, torch.nn.Module, torch.nn.functional, torch.autograd]
_GUARDED += [torch.special, torch.distributions, math, random, np.random, *_DISTRIBUTIONS]


def snapshot() -> list[tuple[object, dict]]:
    """Remember what the modules and classes hold that a learner's code could replace."""
    return [(thing, dict(vars(thing))) for thing in _GUARDED]


def restore(kept: list[tuple[object, dict]] | None) -> None:
    """Undo replacements and additions since the snapshot."""
    for thing, before in kept or ():
        now = vars(thing)
        if now == before:  # thousands of names, compared at C's speed
            continue
        for name, value in before.items():
            if now.get(name) is not value:
                setattr(thing, name, value)
        added = now.keys() - before.keys() if len(now) != len(before) else ()
        for name in [n for n in added if not isinstance(now[n], ModuleType)]:  # lazy imports stay
            delattr(thing, name)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TimeIsUp` here once `SECONDS` have passed, and again until it is heeded.

    By a timer's signal, which Unix alone has and only the main thread hears; elsewhere a timer
    interrupts the main thread as Ctrl-C does, once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        before = signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, SECONDS, 0.05)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    else:
        timer = threading.Timer(SECONDS, _thread.interrupt_main)
        timer.start()
        try:
            yield
        except KeyboardInterrupt as error:
            raise TimeIsUp if timer.finished.is_set() else error from None
        finally:
            timer.cancel()


def _time_is_up(*_: object) -> None:
    raise TimeIsUp
