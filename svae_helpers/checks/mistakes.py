"""Mistakes that are known, what is said about them, and how terms are reduced to an answer."""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_TEXTS = tomllib.loads(Path(__file__).with_name("explanations.toml").read_text(encoding="utf-8"))


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


def texts_of(number: str) -> dict[str, str]:
    """What is said about mistakes of one of the course's exercises, by name; else nothing."""
    own = [texts for heading, texts in _TEXTS.items() if number in heading.split(", ")]
    return {n: t for texts in (_TEXTS["every exercise"], *own) for n, t in texts.items() if own}


def explained(entries: Iterable[Mistake | tuple], number: str) -> tuple[Mistake, ...]:
    """Mistakes with their words, those of one name (one spelling a line) taken together."""
    texts, known = texts_of(number), {}
    for entry in entries:
        m = entry if isinstance(entry, Mistake) else mistake(*entry)
        before = known.get(m.name, Mistake(m.name, ()))
        words = before.explanation or m.explanation or texts.get(m.name, "")
        spellings, extreme = before.variants + m.variants, before.extreme or m.extreme
        known[m.name] = Mistake(m.name, spellings, words, extreme)
    silent = [name for name, m in known.items() if not m.explanation]
    if silent:
        raise ValueError(f"exercise {number}: nothing is said about {', '.join(silent)}")
    return tuple(known.values())


class Terms(dict):
    """Named terms of a right answer, {"log q": …, "log p": −…}; their sum is the answer.

    Terms of a group, {"KL: μ²": …, "KL: σ²": …}, are named by the group where all are wrong alike.
    """


class Reduction(NamedTuple):
    """How terms become the answer, and the ways in which that goes wrong.

    `combine` makes of a list of named terms what `right` and the mistakes take: their sum.
    """

    right: Callable
    mistakes: tuple[Mistake, ...]
    combine: Callable = sum


def whole(wrong: Callable) -> Callable:
    """Mark a mistake that computes the whole answer, not terms for the exercise's reduction."""
    wrong.whole = True
    return wrong


def composed(outer: Callable, inner: Callable) -> Callable:
    """What `outer` makes of what `inner` gives."""
    return lambda *arguments: outer(inner(*arguments))


PLAIN = Reduction(lambda terms: terms, ())
