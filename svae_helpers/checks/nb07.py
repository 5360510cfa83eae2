"""Checks of notebook 07: counting active latents, and mending a faulty sparse-VAE loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ._exact import Case, Exercise, Misconception
from ._result import CheckResult
from .nb04 import SWAPPED, VARIANCE


def _crossover(spike_prob: float, spike_var: float) -> float:
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return math.sqrt(c / (0.5 / spike_var - 0.5))


def _torch_crossover(spike_prob: float, spike_var: float) -> Tensor:
    # NaN instead of an error where no crossover exists.
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return (torch.tensor(c) / (0.5 / spike_var - 0.5)).sqrt()


def _count(mu: Tensor, threshold: float) -> Tensor:
    return (mu.abs() > threshold).sum(1)


def _reference(mu: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    # Bayes' rule instead of the crossover: is the slab the likelier of the two?
    spike = torch.distributions.Normal(0.0, spike_var**0.5).log_prob(mu) + math.log(spike_prob)
    slab = torch.distributions.Normal(0.0, 1.0).log_prob(mu) + math.log1p(-spike_prob)
    return (slab > spike).sum(dim=1).double()


def _cases(g: Generator) -> list[Case]:
    def draw(B: int, D: int, p: float, v: float) -> Case:
        edge = _crossover(p, v)
        mu = 2.2 * edge * torch.randn(B, D, generator=g)
        close = (mu.abs() - edge).abs() < 2e-3 * edge
        return Case((torch.where(close, 1.3 * mu, mu), p, v))

    return [
        draw(6, 200, 0.8, 0.05),
        draw(5, 150, 0.65, 0.2),
        draw(4, 300, 0.93, 0.01),
        draw(7, 90, 0.55, 0.6),
        draw(1, 60, 0.8, 0.0025),
        draw(9, 1, 0.75, 0.1),
    ]


def _squared_edge(p: float, v: float) -> float:
    return _crossover(p, v) ** 2


def _soft(mu: Tensor, p: float, v: float) -> Tensor:
    c = math.log(p / (1 - p)) - 0.5 * math.log(v)
    return torch.sigmoid((0.5 / v - 0.5) * mu**2 - c)


ACTIVE_COUNT = Exercise(
    name="active_count",
    number="7.1",
    parameters=("mu", "spike_prob", "spike_var"),
    reference=_reference,
    cases=_cases,
    unit="latents",
    integers=True,
    misconceptions=(
        Misconception(
            "threshold at 0",
            (
                lambda m, p, v: (m > 0).sum(1),
                lambda m, p, v: (m != 0).sum(1),
                lambda m, p, v: (m.abs() > 1e-2).sum(1),
                lambda m, p, v: (m.abs() > 1e-6).sum(1),
            ),
            "You count means that are not (nearly) 0. The spike has a width: a latent is active "
            "where the slab explains its mean better than the spike, past the crossover.",
        ),
        Misconception(
            "absolute value forgotten",
            lambda m, p, v: (m > _crossover(p, v)).sum(1),
            "You miss the negative means: compare |μ| with the crossover.",
        ),
        Misconception(
            "inactive counted",
            lambda m, p, v: (m.abs() <= _crossover(p, v)).sum(1),
            "You count the latents that are off.",
        ),
        Misconception(
            "spike and slab swapped",
            (
                lambda m, p, v: (_soft(m, 1 - p, v) > 0.5).sum(1),
                lambda m, p, v: _count(m, _crossover(1 - p, v)),
                lambda m, p, v: (m.abs() > _torch_crossover(1 - p, v)).sum(1),
            ),
            SWAPPED,
        ),
        Misconception(
            "weights forgotten",
            lambda m, p, v: (_soft(m, 0.5, v) > 0.5).sum(1),
            "The prior weights are missing: at the crossover π times the spike's density equals "
            "1 − π times the slab's.",
        ),
        Misconception(
            "normaliser forgotten",
            lambda m, p, v: _count(m, math.sqrt(math.log(p / (1 - p)) / (0.5 / v - 0.5))),
            "At the crossover the densities meet with their normalisers 1/√variance; yours lack "
            "them.",
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda m, p, v: _count(m, _crossover(p, v**2)),
            VARIANCE,
        ),
        Misconception(
            "root forgotten",
            lambda m, p, v: _count(m, _squared_edge(p, v)),
            "The formula gives the crossover's square; take the root.",
        ),
        Misconception(
            "lost ½",
            (
                lambda m, p, v: _count(m, _crossover(p, v) / math.sqrt(2)),
                lambda m, p, v: _count(m, _crossover(p, v) * math.sqrt(2)),
                lambda m, p, v: _count(
                    m, math.sqrt((math.log(p / (1 - p)) - math.log(v)) / (0.5 / v - 0.5))
                ),
            ),
            "A factor ½ is lost in the crossover: z² = (logit π − ½ log v) / (½ (1/v − 1)).",
        ),
        Misconception(
            "threshold at the spike's width",
            (
                lambda m, p, v: _count(m, math.sqrt(v)),
                lambda m, p, v: _count(m, 2 * math.sqrt(v)),
                lambda m, p, v: _count(m, 3 * math.sqrt(v)),
                lambda m, p, v: _count(m, v),
            ),
            "Your threshold is a multiple of the spike's width. The crossover also knows how "
            "likely and how wide the slab is.",
        ),
        Misconception(
            "fixed threshold",
            (
                lambda m, p, v: _count(m, 0.5),
                lambda m, p, v: _count(m, 0.1),
                lambda m, p, v: _count(m, 1.0),
            ),
            "Your threshold does not depend on the prior; the crossover does.",
        ),
        Misconception(
            "prior's own number",
            (
                lambda m, p, v: (1 - p) * m.shape[1] + 0 * m.sum(1),
                lambda m, p, v: torch.full((m.shape[0],), (1 - p) * m.shape[1]),
            ),
            "(1 − π)·D is what the prior expects; here the given means are counted.",
        ),
        Misconception(
            "expected count",
            lambda m, p, v: _soft(m, p, v).sum(1),
            "You add up responsibilities: another definition of active. Here latents past the "
            "crossover are counted.",
        ),
        Misconception(
            "fraction for count",
            lambda m, p, v: (m.abs() > _crossover(p, v)).float().mean(1),
            "You return a fraction; a count is a sum.",
        ),
        Misconception(
            "wrong axis",
            lambda m, p, v: (m.abs() > _crossover(p, v)).sum(0),
            "You count the images in which each latent is active; count latents in each image.",
        ),
        Misconception(
            "batch averaged",
            lambda m, p, v: _count(m, _crossover(p, v)).float().mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch summed",
            lambda m, p, v: _count(m, _crossover(p, v)).sum(),
            "You sum over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "latents not summed",
            lambda m, p, v: (m.abs() > _crossover(p, v)).float(),
            "You return one number per latent; sum over the last axis.",
        ),
    ),
)


def active_count(answer: Callable) -> CheckResult:
    """Check exercise 7.1: `(mu, spike_prob, spike_var) -> (B,)`, latents past the crossover.

    Args:
        answer: the learner's function of a (B, D) tensor and two Python numbers; the slab's
            variance is 1. Integers and floats are both right.
    """
    return ACTIVE_COUNT.check(answer)
