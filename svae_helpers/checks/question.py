"""A question whose answer is a number, a word, True or False, or several of these.

`@question("5.2", factor=3)` decorates a function that computes the right answer, and makes it the
check. A prediction is right within a factor, a reading of a figure within a distance, anything
else exactly. A wrong one gets the name of the mistake whose value it is as close to, or else is
told whether it is too low or too high.
"""

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any

from .mistakes import Mistake
from .result import FAILED, NOT_ATTEMPTED, PASSED, Check, CheckResult, verdict

NOT_YET = "Not attempted yet: put your answer in place of the dots, then run this cell again."


class Question(Check):
    """Judges an answer when called; made by `question`."""

    def __init__(self, right: Callable, number: str, near: Callable, unit: str, texts: tuple):
        super().__init__(right, number)
        self.right, self.near, self.unit, self.texts = right, near, unit, texts

    def catalogue(self) -> Iterator[tuple[Mistake, Any]]:
        """Every known wrong answer."""
        return ((mistake, wrong()) for mistake, wrong in super().catalogue())

    def __call__(self, answer: Any) -> CheckResult:
        """Judge an answer; `...` is none yet."""
        right, given, n = _plain(self.right()), _plain(answer), self.number
        known = [(mistake, _plain(wrong)) for mistake, wrong in self.catalogue()]
        if not given or None in given or ... in given:
            return verdict(NOT_ATTEMPTED, n, NOT_YET)
        if len(given) != len(right) or not all(map(_comparable, given, right)):
            words = {f"`{w}`" for _, parts in known for w in (*right, *parts) if isinstance(w, str)}
            kinds = {str: f"one of {', '.join(sorted(words))}", bool: "True or False"}
            wanted = " and ".join(kinds.get(type(r), "a finite number") for r in right)
            text = f"Your answer is {_listed(given)}; wanted {wanted}."
            return verdict(FAILED, n, text, "wrong type")
        if all(map(self.near, given, right)):
            return verdict(PASSED, n, f"Right: {_listed(right)} {self.unit}".strip() + ".")
        close = [m for m in known if len(m[1]) == len(given) and all(map(self.near, given, m[1]))]
        if close:
            mistake, _ = min(close, key=lambda m: _distance(given, m[1]))
            return verdict(FAILED, n, mistake.explanation, mistake.name)
        if len(given) > 1 or isinstance(right[0], (str, bool)):
            return verdict(FAILED, n, f"{_listed(given)} is not the answer.")
        high = given[0] > right[0]
        name = "too high" if high else "too low"
        return verdict(FAILED, n, f"Your number is {name}. {self.texts[high]}".strip(), name)


def question(
    number: str,
    factor: float = 1.0,
    distance: float = 1e-9,
    unit: str = "",
    too_low: str = "",
    too_high: str = "",
) -> Callable[[Callable], Question]:
    """Decorate a function that computes the right answer; it becomes the check of that number.

    A number is right within this `factor` of the right one, or within this `distance` of it.
    `too_low` and `too_high` say what a wrong one overlooks, where no known mistake is as close.
    """

    def near(given: Any, wanted: Any) -> bool:
        if isinstance(wanted, str):
            return given.strip().lower() == wanted.lower()
        if isinstance(wanted, bool):
            return given == wanted
        within = given * wanted > 0 and abs(math.log(given / wanted)) <= math.log(factor) + 1e-9
        return abs(given - wanted) <= distance or within

    return lambda right: Question(right, number, near, unit, (too_low, too_high))


def _plain(answer: Any) -> tuple:
    """An answer as a flat tuple of plain values."""
    if hasattr(answer, "tolist"):  # a tensor, an array, a series
        answer = answer.tolist()
    if isinstance(answer, (tuple, list)):
        return tuple(part for parts in map(_plain, answer) for part in parts)
    return (answer,)


def _distance(given: tuple, known: tuple) -> float:
    return sum(abs(a - b) for a, b in zip(given, known) if isinstance(b, Real))


def _comparable(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, (str, bool)):
        return type(given) is type(wanted)
    number = isinstance(given, Real) and not isinstance(given, bool)
    return number and abs(given) < 1e300  # neither infinite nor NaN


def _listed(values: tuple) -> str:
    return ", ".join(f"{v:.4g}" if isinstance(v, float) else f"`{v}`" for v in values)
