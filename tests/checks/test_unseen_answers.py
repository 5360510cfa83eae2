"""Answers that students may give, and no catalogue was written from: none is misjudged."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import torch

from .catalogue import EXERCISES, INSPECTIONS
from .unseen import MADE, ONE_PLACE, RIGHT, TABLE, UNNAMED

for path in sorted(Path(__file__).parent.glob("unseen_*.py")):
    import_module(f".{path.stem}", __package__)  # each enters its answers into the table
NAMED = 0.97  # of the refusals


@pytest.fixture(scope="module")
def verdicts():
    """What each answer's check says: RIGHT, a name, ONE_PLACE, UNNAMED, or another status."""
    found = []
    for exercise, _, answer, _ in TABLE:
        torch.manual_seed(1)
        if exercise in MADE:
            answer = answer()
        check = EXERCISES[exercise]
        result = check(*answer) if exercise in INSPECTIONS else check(answer)
        name = ONE_PLACE if "All is right but one place" in result.message else result.misconception
        names = {"passed": RIGHT, "failed": name or UNNAMED}
        found.append(names.get(result.status, result.status))
    return found


def test_no_answer_is_misjudged(verdicts):
    wrong = [(*entry, found) for entry, found in zip(TABLE, verdicts) if found != entry.expected]
    assert not wrong, "\n".join(
        f"{e}, {said}: {name}, not {found}" for e, said, _, name, found in wrong
    )


def test_nearly_all_refusals_have_a_name(verdicts):
    refused = [found for found in verdicts if found != RIGHT]
    assert refused.count(UNNAMED) <= (1 - NAMED) * len(refused)


def test_every_exercise_was_tried():
    right, wrong = (
        Counter(t.exercise for t in TABLE if (t.expected == RIGHT) is r) for r in (True, False)
    )
    assert right.keys() == wrong.keys() == EXERCISES.keys()
    assert min(right.values()) >= 3 and min(wrong.values()) >= 10, (right, wrong)
