"""Answers that students may give, and no catalogue was written from: none is misjudged."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import torch

from .catalogue import EXERCISES, submit
from .unseen import MADE, ONE_PLACE, RIGHT, TABLE, UNNAMED

for path in sorted(Path(__file__).parent.glob("unseen_*.py")):
    import_module(f".{path.stem}", __package__)  # each enters its answers into the table
NAMED = 0.97  # of the refusals


@pytest.mark.parametrize("tried", TABLE, ids=[f"{t.exercise}: {t.said}" for t in TABLE])
def test_an_answer_is_judged_as_it_should_be(tried):
    torch.manual_seed(1)
    answer = tried.answer() if tried.exercise in MADE else tried.answer
    result = submit(EXERCISES[tried.exercise], answer)
    name = ONE_PLACE if "All is right but one place" in result.message else result.misconception
    said = {"passed": RIGHT, "failed": name or UNNAMED}.get(result.status, result.status)
    assert said == tried.expected, result.message


def test_nearly_all_refusals_have_a_name():
    refused = [tried.expected for tried in TABLE if tried.expected != RIGHT]
    assert refused.count(UNNAMED) <= (1 - NAMED) * len(refused)


def test_every_exercise_was_tried():
    right, wrong = (
        Counter(t.exercise for t in TABLE if (t.expected == RIGHT) is r) for r in (True, False)
    )
    assert right.keys() == wrong.keys() == EXERCISES.keys()
    assert min(right.values()) >= 3 and min(wrong.values()) >= 10, (right, wrong)
