"""Checks of notebook 04: the spike-and-slab density, its samples, its responsibility."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._result import CheckResult


def log_normal(z: Tensor, variance: float) -> Tensor:
    """log N(z; 0, variance), in nats."""
    return -0.5 * (z**2 / variance + math.log(2 * math.pi * variance))


def spike_and_slab(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """Log-density of a latent under the prior with slab variance 1, in z's shape."""
    return torch.logaddexp(
        math.log(spike_prob) + log_normal(z, spike_var),
        math.log1p(-spike_prob) + log_normal(z, 1.0),
    )


def _mixture(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    # Another route than the one that the course teaches: slab first, the spike's excess on top.
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    d = 0.5 * (1 / spike_var - 1)
    slab = torch.distributions.Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)
    return math.log1p(-spike_prob) + slab + torch.nn.functional.softplus(c - d * z**2)


def _responsibility(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return torch.sigmoid(0.5 * (1 / spike_var - 1) * z**2 - c)


def _densities(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    return p * log_normal(z, v).exp(), (1 - p) * log_normal(z, 1.0).exp()


def _cases(g: Generator) -> list[Case]:
    def draw(*shape: int, width: float = 1.1) -> Tensor:
        return width * torch.randn(*shape, generator=g)

    far = torch.tensor([[-21.0, 26.0, 38.0], [45.0, -33.0, 60.0]])
    return [
        Case((draw(6, 5), 0.8, 0.05)),
        Case((draw(40), 0.63, 0.21)),
        Case((draw(4, 1, width=0.3), 0.93, 0.01)),
        Case((draw(1, 7), 0.7, 0.4)),
        Case((draw(2, 3, 4), 0.55, 0.09)),
        Case((draw(1), 0.85, 0.12)),
        Case((far, 0.8, 0.05), extreme=True),
        Case((far / 2.9, 0.9, 0.0025), extreme=True),
    ]


def _underflow(evidence: Evidence) -> bool:
    return evidence.wrong_only_in_extremes()


UNDERFLOW = (
    "It is right near 0 only. Far out both densities are 0 in float32, and their logarithm or "
    "ratio is infinite, NaN or clamped: stay with logarithms (`torch.logaddexp`, "
    "`torch.logsumexp`)."
)
SWAPPED = (
    "That is what you get when `spike_prob` weighs the slab: in this course it is the probability "
    "that the latent is off, drawn from the spike."
)
VARIANCE = "You use `spike_var` as a standard deviation; it is a variance, so σ = √spike_var."

LOG_PROB = Exercise(
    name="log_prob",
    number="4.1",
    parameters=("z", "spike_prob", "spike_var"),
    reference=_mixture,
    cases=_cases,
    differentiable=("z",),
    layout="element",
    misconceptions=(
        Misconception(
            "spike and slab swapped",
            lambda z, p, v: spike_and_slab(z, 1 - p, v),
            SWAPPED,
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda z, p, v: spike_and_slab(z, p, v**2),
            VARIANCE,
        ),
        Misconception(
            "root taken twice",
            lambda z, p, v: spike_and_slab(z, p, v**0.5),
            "You use √spike_var as the variance; `spike_var` is the variance already.",
        ),
        Misconception(
            "sum of logs for log of sum",
            (
                lambda z, p, v: p * log_normal(z, v) + (1 - p) * log_normal(z, 1.0),
                lambda z, p, v: (
                    math.log(p) + log_normal(z, v) + math.log(1 - p) + log_normal(z, 1.0)
                ),
                lambda z, p, v: log_normal(z, v) + log_normal(z, 1.0),
            ),
            "You add log-densities. A mixture adds densities, and the logarithm comes last.",
        ),
        Misconception(
            "underflow",
            (
                lambda z, p, v: sum(_densities(z, p, v)).log(),
                lambda z, p, v: (sum(_densities(z, p, v)) + 1e-12).log(),
                lambda z, p, v: sum(_densities(z, p, v)).clamp(min=1e-30).log(),
            ),
            UNDERFLOW,
            symptom=_underflow,
        ),
        Misconception(
            "logarithm forgotten",
            lambda z, p, v: sum(_densities(z, p, v)),
            "You return the density; its logarithm is asked for.",
        ),
        Misconception(
            "weights forgotten",
            (
                lambda z, p, v: torch.logaddexp(log_normal(z, v), log_normal(z, 1.0)),
                lambda z, p, v: spike_and_slab(z, 0.5, v),
            ),
            "The two components are not weighted with `spike_prob` and 1 − `spike_prob`.",
        ),
        Misconception(
            "weights without a logarithm",
            (
                lambda z, p, v: torch.logaddexp(p + log_normal(z, v), 1 - p + log_normal(z, 1.0)),
                lambda z, p, v: torch.logaddexp(p * log_normal(z, v), (1 - p) * log_normal(z, 1.0)),
            ),
            "Inside a log-sum-exp a weight is added as its logarithm: log π + log N(z).",
        ),
        Misconception(
            "normaliser forgotten",
            lambda z, p, v: torch.logaddexp(
                math.log(p) - z**2 / (2 * v), math.log(1 - p) - z**2 / 2
            ),
            "The Gaussians lack − ½ log(2π · variance). It differs between spike and slab, so it "
            "is no constant that can be left out.",
        ),
        Misconception(
            "2π forgotten",
            lambda z, p, v: _mixture(z, p, v) + 0.5 * math.log(2 * math.pi),
            "The Gaussians lack − ½ log(2π): 0.919 nats a latent.",
        ),
        Misconception(
            "lost ½",
            (
                lambda z, p, v: torch.logaddexp(
                    math.log(p) + 2 * log_normal(z, v), math.log(1 - p) + 2 * log_normal(z, 1.0)
                ),
                lambda z, p, v: torch.logaddexp(
                    math.log(p) - z**2 / v - 0.5 * math.log(2 * math.pi * v),
                    math.log(1 - p) - z**2 - 0.5 * math.log(2 * math.pi),
                ),
                lambda z, p, v: torch.logaddexp(
                    math.log(p) - z**2 / (2 * v) - math.log(2 * math.pi * v),
                    math.log(1 - p) - z**2 / 2 - math.log(2 * math.pi),
                ),
            ),
            "A factor ½ is lost in the Gaussian log-density: −z²/(2·variance) "
            "− ½ log(2π·variance).",
        ),
        Misconception(
            "spike only",
            (
                lambda z, p, v: log_normal(z, v),
                lambda z, p, v: math.log(p) + log_normal(z, v),
            ),
            "The slab is missing.",
        ),
        Misconception(
            "slab only",
            (
                lambda z, p, v: log_normal(z, 1.0),
                lambda z, p, v: math.log(1 - p) + log_normal(z, 1.0),
            ),
            "The spike is missing. It is a narrow Gaussian, not a point at 0.",
        ),
        Misconception(
            "larger component only",
            lambda z, p, v: torch.maximum(
                math.log(p) + log_normal(z, v), math.log(1 - p) + log_normal(z, 1.0)
            ),
            "You keep the larger of the two components; a mixture adds both.",
        ),
        Misconception(
            "summed over latents",
            (
                lambda z, p, v: spike_and_slab(z, p, v).sum(-1),
                lambda z, p, v: spike_and_slab(z, p, v).sum(),
            ),
            "You sum over the latents; here one log-density per latent is asked for, in z's shape.",
        ),
        Misconception(
            "moment-matched Gaussian",
            lambda z, p, v: log_normal(z, p * v + 1 - p),
            "That is one Gaussian with the mixture's variance. It has neither the spike's peak "
            "nor the slab's tails.",
        ),
        Misconception(
            "sign",
            lambda z, p, v: -spike_and_slab(z, p, v),
            "The sign is the wrong way round: log p(z), not − log p(z).",
        ),
    ),
)

SLAB_RESPONSIBILITY = Exercise(
    name="slab_responsibility",
    number="4.3",
    parameters=("z", "spike_prob", "spike_var"),
    reference=_responsibility,
    cases=_cases,
    differentiable=("z",),
    layout="element",
    unit="",
    absolute=2e-5,
    misconceptions=(
        Misconception(
            "responsibility of the spike",
            lambda z, p, v: 1 - _responsibility(z, p, v),
            "That is the spike's responsibility. The slab's is asked for: 1 far out.",
        ),
        Misconception(
            "spike and slab swapped",
            lambda z, p, v: _responsibility(z, 1 - p, v),
            SWAPPED,
        ),
        Misconception(
            "weights forgotten",
            lambda z, p, v: _responsibility(z, 0.5, v),
            "The prior weights `spike_prob` and 1 − `spike_prob` are missing: Bayes' rule weighs "
            "each density with them.",
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda z, p, v: _responsibility(z, p, v**2),
            VARIANCE,
        ),
        Misconception(
            "root taken twice",
            lambda z, p, v: _responsibility(z, p, v**0.5),
            "You use √spike_var as the variance; `spike_var` is the variance already.",
        ),
        Misconception(
            "underflow",
            (
                lambda z, p, v: _densities(z, p, v)[1] / sum(_densities(z, p, v)),
                lambda z, p, v: _densities(z, p, v)[1] / (sum(_densities(z, p, v)) + 1e-12),
            ),
            UNDERFLOW,
            symptom=_underflow,
        ),
        Misconception(
            "hard decision",
            (
                lambda z, p, v: (_responsibility(z, p, v) > 0.5).to(z) + 0 * z,
                lambda z, p, v: (_responsibility(z, p, v) > 0.5).to(z),
            ),
            "You decide for one component. A responsibility is a probability, between 0 and 1.",
        ),
        Misconception(
            "log-responsibility",
            lambda z, p, v: math.log(1 - p) + log_normal(z, 1.0) - spike_and_slab(z, p, v),
            "That is the responsibility's logarithm; exponentiate it.",
        ),
        Misconception(
            "not normalised",
            lambda z, p, v: _densities(z, p, v)[1],
            "You stop at prior times density. Divide by the sum over both components.",
        ),
        Misconception(
            "odds for a probability",
            lambda z, p, v: (math.log((1 - p) / p) + log_normal(z, 1.0) - log_normal(z, v)).exp(),
            "That is slab to spike, the odds. A probability divides by slab plus spike.",
        ),
        Misconception(
            "logit for a probability",
            lambda z, p, v: math.log((1 - p) / p) + log_normal(z, 1.0) - log_normal(z, v),
            "That is the log-odds; the sigmoid turns it into a probability.",
        ),
        Misconception(
            "prior weight only",
            (lambda z, p, v: torch.full_like(z, 1 - p), lambda z, p, v: 1 - p + 0 * z),
            "You return the slab's prior weight; it has not seen z yet.",
        ),
        Misconception(
            "normaliser forgotten",
            lambda z, p, v: torch.sigmoid(math.log((1 - p) / p) + 0.5 * (1 / v - 1) * z**2),
            "The densities lack 1/√variance, which differs between spike and slab.",
        ),
        Misconception(
            "lost ½",
            (
                lambda z, p, v: torch.sigmoid(
                    (1 / v - 1) * z**2 - math.log(p / (1 - p)) + 0.5 * math.log(v)
                ),
                lambda z, p, v: torch.sigmoid(
                    0.5 * (1 / v - 1) * z**2 - math.log(p / (1 - p)) + math.log(v)
                ),
            ),
            "A factor ½ is lost: the Gaussian's log-density is −z²/(2·variance) "
            "− ½ log(2π·variance).",
        ),
        Misconception(
            "log-densities for densities",
            lambda z, p, v: (
                (1 - p) * log_normal(z, 1.0) / (p * log_normal(z, v) + (1 - p) * log_normal(z, 1.0))
            ),
            "You divide log-densities. Bayes' rule divides densities; a quotient of them is a "
            "difference of logarithms.",
        ),
        Misconception(
            "weighted twice",
            lambda z, p, v: (1 - p) * _responsibility(z, p, v),
            "The prior weight is in the responsibility already; you multiply by it once more.",
        ),
    ),
)


def log_prob(answer: Callable) -> CheckResult:
    """Check exercise 4.1: `(z, spike_prob, spike_var) -> log p`, in z's shape and in nats.

    Args:
        answer: the learner's function; the slab's variance is 1.
    """
    return LOG_PROB.check(answer)


def slab_responsibility(answer: Callable) -> CheckResult:
    """Check exercise 4.3: `(z, spike_prob, spike_var) -> P(slab | z)`, in z's shape.

    Args:
        answer: the learner's function; the slab's variance is 1.
    """
    return SLAB_RESPONSIBILITY.check(answer)
