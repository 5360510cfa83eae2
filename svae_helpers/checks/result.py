"""What every check is, and what it hands back: a verdict for a notebook and for a terminal."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .guard import laboratory
from .mistakes import Mistake, explained
from .stub import is_stub

PASSED, FAILED, NOT_ATTEMPTED = "passed", "failed", "not attempted"
_MARKS = {PASSED: "✓", FAILED: "✗", NOT_ATTEMPTED: "○"}
_COLOURS = {PASSED: "#009E73", FAILED: "#D55E00", NOT_ATTEMPTED: "#888888"}
NOT_YET = "Not attempted yet: replace the body of the function, then run this cell again."


@dataclass(frozen=True, repr=False)
class CheckResult:
    """The verdict on one exercise: true where it passed.

    `status` is "passed", "failed" or "not attempted"; `message` has the mark, the number, the
    diagnosis, and what was seen; `misconception` is the mistake's name, or None where it has none;
    `details` are long tensors in full, or what belongs where; a notebook folds them under `fold`.
    """

    status: str
    message: str
    misconception: str | None = None
    details: str = ""
    fold: str = "The whole case"

    def __bool__(self) -> bool:
        return self.status == PASSED

    def require(self) -> CheckResult:
        """Return the result if it passed, raise AssertionError with the message if not."""
        if not self:
            raise AssertionError(self.message)
        return self

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        colour = _COLOURS[self.status]
        text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(self.message, quote=False))
        head, *rest = text.splitlines()
        head = re.sub(r"^(\S+ \d+\.\d+)", r"<b>\1</b>", head)
        body = "".join(f"<div>{line}</div>" for line in (head, *rest) if line.strip())
        if self.details:
            text = html.escape(self.details, quote=False)
            body += f"<details><summary>{self.fold}</summary><pre>{text}</pre></details>"
        return (
            f'<div style="border-left: 5px solid {colour}; background: {colour}22; color: inherit;'
            f' padding: 6px 12px; margin: 4px 0; border-radius: 3px">{body}</div>'
        )


def verdict(status: str, number: str, text: str, *rest: str | None) -> CheckResult:
    """Build a result whose message carries the mark and the exercise's number."""
    return CheckResult(status, f"{_MARKS[status]} {number} {text}", *rest)


class Check:
    """The check of one exercise, which a decorator makes of its right answer or examination.

    Each kind of check has its `judge(answer, seed)` for a function that is no stub, or calls
    itself in its own way.
    """

    def __init__(self, function: Callable, number: str):
        self.__name__, self.__module__ = function.__name__, function.__module__
        self.__doc__ = f"Check exercise {number}: {inspect.getdoc(function)}"
        self.parameters = tuple(inspect.signature(function).parameters)
        self.number = number
        self.known: tuple[Mistake, ...] = ()

    def mistakes(self, *entries: Mistake | tuple) -> None:
        """Register the known mistakes, the likeliest first."""
        self.known += explained(entries, self.number)

    def catalogue(self) -> Iterator[tuple[Mistake, Any]]:
        """Every mistake with each of its spellings, as a complete answer."""
        return ((mistake, wrong) for mistake in self.known for wrong in mistake.variants)

    def __call__(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global state as it was."""
        if not callable(answer):
            call = f"checks.{self.__name__}({self.__name__})"
            text = f"Hand over the function itself, `{call}`, without calling it; this is a "
            return verdict(FAILED, self.number, f"{text}{type(answer).__name__}.", "not a function")
        if is_stub(answer):
            return verdict(NOT_ATTEMPTED, self.number, NOT_YET)
        with laboratory() as seed:
            return self.judge(answer, seed)
