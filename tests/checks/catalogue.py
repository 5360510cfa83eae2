"""The exercises by kind, and their mistakes as complete answers."""

from typing import NamedTuple

from svae_helpers import checks
from svae_helpers.checks import Exercise, Inspection, Question, RandomExercise

from .built import RIGHT, WRONG

EXERCISES = dict(checks.ALL)
FUNCTIONS = {name: e for name, e in EXERCISES.items() if isinstance(e, Exercise)}
RANDOM = {name: e for name, e in FUNCTIONS.items() if isinstance(e, RandomExercise)}
EXACT = {name: e for name, e in FUNCTIONS.items() if name not in RANDOM}
QUESTIONS = {name: e for name, e in EXERCISES.items() if isinstance(e, Question)}
INSPECTIONS = {name: e for name, e in EXERCISES.items() if isinstance(e, Inspection)}


class Named(NamedTuple):
    """A mistake of an inspection, and what is said about it."""

    name: str
    explanation: str


def wrong_answers(exercise):
    """Every mistake of an exercise with its spellings: {mistake: [complete answers]}."""
    if isinstance(exercise, Inspection):
        built = WRONG[exercise.__name__].items()
        return {Named(n, exercise.texts.get(n, "")): [make() for make in by] for n, by in built}
    found = {}
    for mistake, wrong in exercise.catalogue():
        found.setdefault(mistake, []).append(wrong)
    return found


def submit(exercise, answer):
    """Hand in a complete answer, which for an inspection is several things."""
    return exercise(*answer) if isinstance(exercise, Inspection) else exercise(answer)


def right_answer(exercise):
    """A right answer, as `submit` takes it."""
    if isinstance(exercise, Inspection):
        return RIGHT[exercise.__name__]()
    return exercise.reference if hasattr(exercise, "reference") else exercise.right()
