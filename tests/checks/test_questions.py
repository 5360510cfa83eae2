"""Questions about numbers, and inspections of what a learner built."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from svae_helpers import checks
from svae_helpers.checks import inspection, question

from .catalogue import EXERCISES, INSPECTIONS, QUESTIONS, right_answer, submit, wrong_answers


@pytest.mark.parametrize("name", QUESTIONS | INSPECTIONS)
def test_the_right_answer_passes_and_dots_are_not_attempted(name):
    exercise = EXERCISES[name]
    submit(exercise, right_answer(exercise)).require()
    right = right_answer(exercise)
    dots = (...,) * len(right) if isinstance(right, tuple) else ...
    assert submit(exercise, dots).status == "not attempted"
    assert wrong_answers(exercise), "no mistake is known"


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers_of_another_kind_are_told(name):
    for wrong in ("nonsense", math.nan, ("a", "b", "c", "d", "e", "f", "g", "h"), object()):
        result = QUESTIONS[name](wrong)
        assert result.status == "failed" and result.message


@question("9.7", factor=3, unit="nats", too_low="Lows are.", too_high="Highs are.")
def floor() -> float:
    """A floor."""
    return 6.2


floor.mistakes(("one latent's", lambda: 0.31, "Times 20."))


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (6.0, None),
        (2.1, None),
        (18, None),
        (torch.tensor(5.0), None),
        (0.3, "one latent's"),
        (0.5, "one latent's"),
        (1e-6, "too low"),
        (-6.0, "too low"),
        (0, "too low"),
        (400, "too high"),
        ("6", "wrong type"),
        (True, "wrong type"),
        (math.inf, "wrong type"),
        ((1.0, 2.0), "wrong type"),
        (np.array([6.0]), None),
        (np.float32(0.31), "one latent's"),
        (10**400, "wrong type"),
    ],
)
def test_a_prediction_is_right_within_its_factor(answer, name):
    result = floor(answer)
    assert result.misconception == name and bool(result) == (name is None)


def test_a_prediction_hears_what_it_overlooked():
    assert "Lows are." in floor(1e-6).message and "Highs are." in floor(1e6).message
    assert "6.2 nats" in floor(6).message and "6.2" not in floor(100).message


@question("9.6", distance=0.1)
def reading() -> tuple:
    """Words, a number and whether."""
    return "dense", 2.0, True


reading.mistakes(("the other one", lambda: ("sparse", 2.0, True), "Look again."))


def test_several_answers_at_once():
    assert reading(("Dense ", 2.05, True)) and reading(["dense", 1.95, True])
    assert reading(("sparse", 2.0, True)).misconception == "the other one"
    assert reading(("dense", 2.2, True)).misconception is None
    assert "one of `dense`, `sparse`" in reading((1, 2, 3)).message
    assert reading((..., ..., ...)).status == reading(None).status == "not attempted"


@inspection("9.5")
def line(seen, network, slope):
    """A function and its slope."""
    value = seen.call(network, torch.ones(2, 3), like=torch.zeros(2, 3))
    if not torch.allclose(value, torch.full((2, 3), float(slope))):
        seen.fault("slope", f"It gives {float(value.mean().detach()):g}.")
    return "Every slope is right."


line.mistakes({"slope": "The slope is another."})


def test_what_is_built_is_called_and_judged():
    assert line(lambda x: 2 * x, 2).message == "✓ 9.5 Every slope is right."
    wrong = line(lambda x: 3 * x, 2)
    assert wrong.misconception == "slope"
    assert wrong.message == "✗ 9.5 The slope is another. It gives 3."
    assert line(lambda x: x[:1], 2).misconception == "wrong shape"
    assert line(lambda x: x.nonsense, 2).misconception == "an exception"
    assert line(lambda x: None, 2).status == line(..., 2).status == "not attempted"
    assert line(3).misconception == "wrong number of arguments"
    network = nn.Linear(3, 3)
    assert line(network, 2).misconception == "slope"


def test_an_inspection_leaves_nothing_behind():
    def meddler(x):
        torch.manual_seed(1)
        torch.Tensor.exp = None
        torch.set_grad_enabled(False)
        raise KeyboardInterrupt

    kept, state = torch.Tensor.exp, torch.get_rng_state()
    assert line(meddler, 2).misconception == "an exception"
    assert torch.Tensor.exp is kept and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert checks.Inspection is type(line) and checks.Question is type(floor)
