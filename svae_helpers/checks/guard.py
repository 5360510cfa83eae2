"""What a learner's code may do is undone: seeds, modes, replaced functions, endless loops."""

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
from torch import overrides

SECONDS = 20.0  # that one call may take


class TimeIsUp(BaseException):
    """Raised inside a function that has run for `SECONDS`; no `except Exception` catches it."""


@contextlib.contextmanager
def laboratory() -> Iterator[int]:
    """Yield a seed; give back generators, gradient mode, dtype, device, warnings and modules."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    device, kept = torch.get_default_device(), snapshot()
    modes = len(overrides._get_current_function_mode_stack())
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
        while len(overrides._get_current_function_mode_stack()) > modes:
            overrides._pop_mode()  # where a timer struck while it was taken off
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        restore(kept)


_GUARDED = [torch, torch.Tensor, torch.nn.Module, torch.nn.functional, torch.autograd]
_GUARDED += [torch.special, torch.distributions, math, random, np.random]
_GUARDED += [c for c in vars(torch.distributions).values() if isinstance(c, type)]


def snapshot() -> tuple:
    """Remember the default dtype, and what code could replace in modules and classes."""
    return torch.get_default_dtype(), [(thing, dict(vars(thing))) for thing in _GUARDED]


def restore(kept: tuple) -> None:
    """Undo changes of the dtype, replacements and additions since the snapshot."""
    dtype, things = kept
    torch.set_default_dtype(dtype)
    for thing, before in things:
        now = vars(thing)
        if now == before:  # thousands of names, compared at C's speed
            continue
        for name in [n for n in before if now.get(n) is not before[n]]:
            setattr(thing, name, before[name])
        for name in now.keys() - before.keys():
            if not isinstance(now[name], ModuleType):  # lazy imports stay
                delattr(thing, name)


@contextlib.contextmanager
def time_limit(seconds: float | None = None) -> Iterator[None]:
    """Raise `TimeIsUp` here once so many seconds (`SECONDS`) have passed, again until it is heeded.

    By a timer's signal, which Unix alone has and only the main thread hears; elsewhere a timer
    interrupts the main thread as Ctrl-C does, once.
    """
    seconds = SECONDS if seconds is None else seconds
    if threading.current_thread() is not threading.main_thread():
        yield
    elif hasattr(signal, "setitimer"):
        before = signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
        try:
            yield
        finally:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0)
            finally:  # it may have rung in between
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
    else:
        timer = threading.Timer(seconds, _thread.interrupt_main)
        timer.start()
        try:
            yield
        except KeyboardInterrupt as error:
            raise TimeIsUp if timer.finished.is_set() else error from None
        finally:
            timer.cancel()


def _time_is_up(*_: object) -> None:
    raise TimeIsUp
