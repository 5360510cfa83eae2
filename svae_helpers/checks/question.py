"""A question whose answer is a number, a word, True or False, or several of these.

    @question("5.2", factor=3, unit="nats", too_low="what such a guess overlooks", too_high="…")
    def predicted_floor() -> float:
        \"\"\"The KL of 20 latents that a Gaussian posterior cannot get below.\"\"\"
        return ...  # the right answer, computed

    predicted_floor.mistakes(("one latent's", lambda: predicted_floor.right() / 20, "Times 20."))

`predicted_floor(6.0)` is the check. A prediction is right within a factor, a reading of a figure
within a distance, anything else exactly. A wrong one gets the name of the mistake whose value it
is as close to, or else is told whether it is too low or too high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

from .mistakes import Check, Mistake
from .result import FAILED, NOT_ATTEMPTED, PASSED, CheckResult, verdict

NOT_YET = "Not attempted yet: put your answer in place of the dots, then run this cell again."


class Question(Check):
    """Judges an answer when called; made by `question`."""

    def __init__(self, right: Callable, number: str, near: Callable, unit: str, texts: tuple):
        super().__init__(right, number)
        self.right, self.near, self.unit = right, near, unit
        self.too_low, self.too_high = texts

    def catalogue(self) -> Iterator[tuple[Mistake, Any]]:
        """Every known wrong answer."""
        return ((mistake, wrong()) for mistake, wrong in super().catalogue())

    def __call__(self, answer: Any) -> CheckResult:
        """Judge an answer; `...` is none yet."""
        right, given, n = _plain(self.right()), _plain(answer), self.number
        known = [(mistake, _plain(wrong)) for mistake, wrong in self.catalogue()]
        if given is None or ... in given:
            return verdict(NOT_ATTEMPTED, n, NOT_YET)
        if len(given) != len(right) or not all(map(_comparable, given, right)):
            words = {w for parts in (right, *(wrong for _, wrong in known)) for w in parts}
            text = f"Your answer is {_listed(given)}; wanted {_kinds(right, words)}."
            return verdict(FAILED, n, text, "wrong type")
        if self._same(given, right):
            return verdict(PASSED, n, f"Right: {_listed(right, self.unit)}.")
        for mistake, wrong in known:
            if self._same(given, wrong):
                return verdict(FAILED, n, mistake.explanation, mistake.name)
        if len(given) > 1 or isinstance(right[0], (str, bool)):
            return verdict(FAILED, n, f"{_listed(given)} is not the answer.")
        low = given[0] < right[0]
        name, why = ("too low", self.too_low) if low else ("too high", self.too_high)
        return verdict(FAILED, n, f"Your number is {name}. {why}".strip(), name)

    def _same(self, given: tuple, wanted: tuple) -> bool:
        return len(given) == len(wanted) and all(map(self.near, given, wanted))


def question(
    number: str,
    factor: float = 1.0,
    distance: float = 1e-9,
    unit: str = "",
    too_low: str = "",
    too_high: str = "",
) -> Callable[[Callable], Question]:
    """Decorate a function that computes the right answer; it becomes the question's check.

    Args:
        number: as the notebook shows it, such as "5.2".
        factor: a number is right within this factor of the right one, such as 3 for a prediction.
        distance: or within this distance of it, for a number that is read off a figure.
        unit: of the answer, shown behind it.
        too_low: what a number that is too low overlooks, where no known mistake is as close.
        too_high: the same for one that is too high.
    """

    def near(given: Any, wanted: Any) -> bool:
        if isinstance(wanted, str):
            return given.strip().lower() == wanted.lower()
        if isinstance(wanted, bool):
            return given == wanted
        within = given * wanted > 0 and abs(math.log(given / wanted)) <= math.log(factor) + 1e-9
        return abs(given - wanted) <= distance or within

    return lambda right: Question(right, number, near, unit, (too_low, too_high))


def _plain(answer: Any) -> tuple | None:
    """An answer as a tuple of plain values; None where there is none."""
    if hasattr(answer, "tolist"):  # a tensor, an array, a series
        answer = answer.tolist()
    if isinstance(answer, (tuple, list)):
        parts = [_plain(part) for part in answer]
        return None if None in parts or not parts else tuple(p for part in parts for p in part)
    return None if answer is None else (answer,)


def _comparable(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, (str, bool)):
        return type(given) is type(wanted)
    number = isinstance(given, Real) and not isinstance(given, bool)
    return number and abs(given) < 1e300  # neither infinite nor NaN


def _listed(values: tuple, unit: str = "") -> str:
    words = (f"{v:.4g}" if isinstance(v, float) else f"`{v}`" for v in values)
    return ", ".join(words) + (f" {unit}" if unit else "")


def _kinds(values: tuple, known: set) -> str:
    words = sorted(f"`{word}`" for word in known if isinstance(word, str))
    kinds = {str: f"one of {', '.join(words)}", bool: "True or False"}
    return " and ".join(kinds.get(type(v), "a finite number") for v in values)
