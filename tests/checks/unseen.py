"""A table of answers that the catalogues of mistakes were not written from.

`tried("elbo", ("what it is", answer, "its name"), …)`: a right answer has RIGHT for its name, a
wrong one that is refused without a name has UNNAMED, one that is shown the one place to change has
ONE_PLACE. An answer to an exercise in MADE is a function that makes what is handed over.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

RIGHT, UNNAMED, ONE_PLACE = "(right)", "(refused without a name)", "(one place)"
MADE = {"trained_vaes", "trained_sparse_vae", "half_the_count"}


class Tried(NamedTuple):
    """An answer that a student might give, and what its check should say."""

    exercise: str
    said: str
    answer: Any
    expected: str


TABLE: list[Tried] = []


def tried(exercise: str, *rows: tuple) -> None:
    """Enter answers into the table."""
    TABLE.extend(Tried(exercise, *row) for row in rows)


def answer(exercise: str, expected: str) -> Callable:
    """Enter the function below it into the table, under its name."""
    return lambda f: tried(exercise, (f.__name__, f, expected))
