"""Check of notebook 07: counting the latents past the crossover."""

from collections.abc import Callable, Iterator
from math import log, sqrt

import torch
from torch import Generator, Tensor

from .exercise import Case, exercise
from .mistakes import Reduction, whole
from .mistakes import mistake as M


def _square(spike_prob: float, spike_var: float) -> float:
    """The crossover's square, negative where there is none."""
    c = log(spike_prob / (1 - spike_prob)) - 0.5 * log(spike_var)
    return c / (0.5 / spike_var - 0.5)


def _edge(spike_prob: float, spike_var: float) -> float:
    return sqrt(_square(spike_prob, spike_var))


SIZES = ((6, 200), (5, 150), (4, 300), (7, 90), (1, 60), (9, 1))
PRIORS = ((0.8, 0.05), (0.65, 0.2), (0.93, 0.01), (0.55, 0.6), (0.8, 0.0025), (0.75, 0.1))


def _cases(g: Generator) -> Iterator[Case]:
    for (B, D), (p, v) in zip(SIZES, PRIORS):
        edge = _edge(p, v)
        mu = 2.2 * edge * torch.randn(B, D, generator=g)
        close = (mu.abs() - edge).abs() < 2e-3 * edge
        yield Case((torch.where(close, 1.3 * mu, mu), p, v))


OF_ACTIVE = (
    M("fraction for count", lambda on: on.float().mean(1)),
    M("wrong axis", lambda on: on.sum(0)),
    M("batch averaged", lambda on: on.float().sum(1).mean()),
    M("latents not summed", lambda on: on.float(), lambda on: on),
    M("yes or no for a count", lambda on: on.any(1), lambda on: on.all(1)),
)
COUNT = Reduction(lambda on: on.sum(1), OF_ACTIVE)


@exercise("7.1", _cases, reduction=COUNT, unit="latents")
def active_count(mu: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """`(mu, spike_prob, spike_var) -> (B,)`: latents past the crossover, integers or floats."""
    # Bayes' rule instead of the crossover: is the slab the likelier of the two?
    spike = torch.distributions.Normal(0.0, spike_var**0.5).log_prob(mu) + log(spike_prob)
    slab = torch.distributions.Normal(0.0, 1.0).log_prob(mu) + log(1 - spike_prob)
    return slab > spike


def _soft(mu: Tensor, p: float, v: float) -> Tensor:
    return torch.sigmoid((0.5 / v - 0.5) * (mu**2 - _square(p, v)))


def _past(edge: Callable) -> Callable:
    """Build the answer for another edge, a function of π and v."""
    return lambda m, p, v: m.abs() > edge(p, v)


active_count.mistakes(
    ("threshold at 0", lambda m, p, v: m > 0, lambda m, p, v: m != 0),
    ("threshold at 0", _past(lambda p, v: 1e-2), _past(lambda p, v: 1e-6)),
    ("absolute value forgotten", lambda m, p, v: m > _edge(p, v)),
    ("inactive counted", lambda m, p, v: ~active_count.right(m, p, v)),
    ("spike and slab swapped", lambda m, p, v: active_count.right(m, 1 - p, v)),
    ("spike and slab swapped", _past(lambda p, v: _edge(1 - p, v))),
    ("spike and slab swapped", _past(lambda p, v: torch.tensor(_square(1 - p, v)).sqrt())),
    ("weights forgotten", lambda m, p, v: active_count.right(m, 0.5, v)),
    ("normaliser forgotten", _past(lambda p, v: (_square(p, v) + log(v) / (1 / v - 1)) ** 0.5)),
    ("spike_var used as a standard deviation", _past(lambda p, v: _edge(p, v**2))),
    ("root taken twice", _past(lambda p, v: _edge(p, v**0.5))),
    ("root forgotten", _past(_square)),
    ("lost ½ in the prior", *(_past(lambda p, v, k=k: _edge(p, v) * k**0.5) for k in (0.5, 2))),
    ("lost ½ in the prior", _past(lambda p, v: (_square(p, v) - log(v) / (1 / v - 1)) ** 0.5)),
    ("threshold at the spike's width", _past(lambda p, v: v), _past(lambda p, v: v**0.5)),
    ("threshold at the spike's width", *(_past(lambda p, v, k=k: k * v**0.5) for k in (2, 3))),
    ("fixed threshold", *(_past(lambda p, v, t=t: t) for t in (0.1, 0.5, 0.55, 0.551, 1.0))),
    ("sizes added up", lambda m, p, v: m.abs() * (m.abs() > _edge(p, v)), lambda m, p, v: m.abs()),
    ("prior's own number", whole(lambda m, p, v: (1 - p) * m.shape[1] + 0 * m.sum(1))),
    ("expected count", _soft),
    ("responsibility above another number than ½", lambda m, p, v: _soft(m, p, v) > 0.9),
    ("responsibility above another number than ½", lambda m, p, v: _soft(m, p, v) > 0.8),
    ("responsibility above another number than ½", lambda m, p, v: _soft(m, p, v) > p),
    ("slab's exponent forgotten", _past(lambda p, v: _edge(p, v) * (1 - v) ** 0.5)),
    ("μ² for |μ|", lambda m, p, v: m**2 > _edge(p, v)),
)
