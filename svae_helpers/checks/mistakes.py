"""Mistakes that are known, what is said about them, and how terms are reduced to an answer."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Mistake:
    """A known mistake: its short name, what computes it (several spellings), what to say.

    `extreme` recognises it where its numbers depend on a detail, such as the size of a clamp: the
    answer is right everywhere but in the cases (or, if it is random, in the test) of that name. Or
    a function of exercise and evidence (of the findings) that says whether this is it.
    """

    name: str
    variants: tuple[Callable, ...]
    explanation: str = ""
    extreme: str | Callable = ""


def mistake(name: str, *parts: Callable | str, extreme: str | Callable = "") -> Mistake:
    """Write a mistake down: its name, one or more spellings, and what to say about it.

    Without words it is looked up by its name in explanations.toml.
    """
    variants = tuple(part for part in parts if callable(part))
    words = [part for part in parts if isinstance(part, str)]
    if not variants or len(variants) + len(words) != len(parts) or len(words) > 1:
        raise TypeError(f"{name!r}: wanted functions, then a text, got {parts}")
    return Mistake(name, variants, "".join(words), extreme)


_TEXTS = tomllib.loads(Path(__file__).with_name("explanations.toml").read_text(encoding="utf-8"))


def explained(entries: Iterable[Mistake | tuple], number: str) -> tuple[Mistake, ...]:
    """Mistakes with their words; tuples become mistakes."""
    known = [entry if isinstance(entry, Mistake) else mistake(*entry) for entry in entries]
    texts = _TEXTS["every exercise"] | _TEXTS.get(number, {})
    return tuple(replace(m, explanation=m.explanation or texts[m.name]) for m in known)


class Reduction(NamedTuple):
    """How terms become the answer, and the ways in which that goes wrong."""

    right: Callable
    mistakes: tuple[Mistake, ...]


def whole(wrong: Callable) -> Callable:
    """Mark a mistake that computes the whole answer, not terms for the exercise's reduction."""
    wrong.whole = True
    return wrong


PLAIN = Reduction(lambda terms: terms, ())
