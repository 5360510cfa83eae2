"""Check of notebook 07: counting the latents past the crossover."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from .exercise import Case, exercise
from .mistakes import Reduction, whole
from .mistakes import mistake as M


def _edge(spike_prob: float, spike_var: float) -> float:
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return math.sqrt(c / (0.5 / spike_var - 0.5))


def _torch_edge(spike_prob: float, spike_var: float) -> Tensor:
    # NaN instead of an error where no crossover exists.
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return (torch.tensor(c) / (0.5 / spike_var - 0.5)).sqrt()


def _cases(g: Generator) -> Iterator[Case]:
    for B, D, p, v in (
        (6, 200, 0.8, 0.05),
        (5, 150, 0.65, 0.2),
        (4, 300, 0.93, 0.01),
        (7, 90, 0.55, 0.6),
        (1, 60, 0.8, 0.0025),
        (9, 1, 0.75, 0.1),
    ):
        edge = _edge(p, v)
        mu = 2.2 * edge * torch.randn(B, D, generator=g)
        close = (mu.abs() - edge).abs() < 2e-3 * edge
        yield Case((torch.where(close, 1.3 * mu, mu), p, v))


ONE = "the answer has one number per image, shape (B,)."
COUNT = Reduction(
    lambda on: on.sum(1),
    (
        M("fraction for count", lambda on: on.float().mean(1)),
        M("wrong axis", lambda on: on.sum(0)),
        M("batch averaged", lambda on: on.float().sum(1).mean()),
        M("batch summed", lambda on: on.sum()),
        M("latents not summed", lambda on: on.float(), lambda on: on),
        M("yes or no for a count", lambda on: on.sum(1) > 0, lambda on: on.sum(1) == on.shape[1]),
    ),
)


@exercise("7.1", _cases, reduction=COUNT, unit="latents")
def active_count(mu: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """`(mu, spike_prob, spike_var) -> (B,)`, latents past the crossover; the slab's variance is 1.

    Integers and floats are both right.
    """
    # Bayes' rule instead of the crossover: is the slab the likelier of the two?
    spike = torch.distributions.Normal(0.0, spike_var**0.5).log_prob(mu) + math.log(spike_prob)
    slab = torch.distributions.Normal(0.0, 1.0).log_prob(mu) + math.log1p(-spike_prob)
    return slab > spike


def _soft(mu: Tensor, p: float, v: float) -> Tensor:
    c = math.log(p / (1 - p)) - 0.5 * math.log(v)
    return torch.sigmoid((0.5 / v - 0.5) * mu**2 - c)


active_count.mistakes(
    ("threshold at 0", lambda m, p, v: m > 0),
    ("threshold at 0", lambda m, p, v: m != 0),
    ("threshold at 0", lambda m, p, v: m.abs() > 1e-2),
    ("threshold at 0", lambda m, p, v: m.abs() > 1e-6),
    ("absolute value forgotten", lambda m, p, v: m > _edge(p, v)),
    ("inactive counted", lambda m, p, v: m.abs() <= _edge(p, v)),
    ("spike and slab swapped", lambda m, p, v: active_count.right(m, 1 - p, v)),
    ("spike and slab swapped", lambda m, p, v: m.abs() > _edge(1 - p, v)),
    ("spike and slab swapped", lambda m, p, v: m.abs() > _torch_edge(1 - p, v)),
    ("weights forgotten", lambda m, p, v: active_count.right(m, 0.5, v)),
    (
        "normaliser forgotten",
        lambda m, p, v: m.abs() > math.sqrt(math.log(p / (1 - p)) / (0.5 / v - 0.5)),
    ),
    ("spike_var used as a standard deviation", lambda m, p, v: m.abs() > _edge(p, v**2)),
    ("root taken twice", lambda m, p, v: m.abs() > _edge(p, v**0.5)),
    ("root forgotten", lambda m, p, v: m.abs() > _edge(p, v) ** 2),
    (
        "lost ½",
        lambda m, p, v: m.abs() > _edge(p, v) / math.sqrt(2),
        lambda m, p, v: m.abs() > _edge(p, v) * math.sqrt(2),
        lambda m, p, v: (
            m.abs() > math.sqrt((math.log(p / (1 - p)) - math.log(v)) / (0.5 / v - 0.5))
        ),
    ),
    ("threshold at the spike's width", lambda m, p, v: m.abs() > math.sqrt(v)),
    ("threshold at the spike's width", lambda m, p, v: m.abs() > 2 * math.sqrt(v)),
    ("threshold at the spike's width", lambda m, p, v: m.abs() > 3 * math.sqrt(v)),
    ("threshold at the spike's width", lambda m, p, v: m.abs() > v),
    ("fixed threshold", lambda m, p, v: m.abs() > 0.5),
    ("fixed threshold", lambda m, p, v: m.abs() > 0.1),
    ("fixed threshold", lambda m, p, v: m.abs() > 1.0),
    ("fixed threshold", lambda m, p, v: m.abs() > 0.551),
    ("fixed threshold", lambda m, p, v: m.abs() > 0.55),
    (
        "sizes added up",
        lambda m, p, v: torch.where(m.abs() > _edge(p, v), m.abs(), 0.0),
        lambda m, p, v: m.abs(),
        "You add up the sizes |μ|. Count how many are past the crossover.",
    ),
    ("prior's own number", whole(lambda m, p, v: (1 - p) * m.shape[1] + 0 * m.sum(1))),
    ("prior's own number", whole(lambda m, p, v: torch.full((m.shape[0],), (1 - p) * m.shape[1]))),
    ("expected count", _soft),
    ("responsibility above another number than ½", lambda m, p, v: _soft(m, p, v) > 0.9),
    ("responsibility above another number than ½", lambda m, p, v: _soft(m, p, v) > 0.8),
    ("μ² for |μ|", lambda m, p, v: m**2 > _edge(p, v)),
)
