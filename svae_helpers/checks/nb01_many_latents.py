"""Check of notebook 01: how many draws from the prior an estimate of p(x) needs."""

from __future__ import annotations

import math

from .question import question

LATENTS, ERROR = 20, 0.1


def _second_moment() -> float:
    """E[w²] of the notebook's one-latent toy (W = (1, ½), b = (0, 1), s = ½) by Eq. 1.6."""
    precision = 1 + (1.0**2 + 0.5**2) / 0.5**2
    mean, variance = (1.2 + 0.5 * (1.4 - 1)) / 0.5**2 / precision, 1 / precision
    return math.exp(mean**2 / (2 - variance)) / math.sqrt(variance * (2 - variance))


E2 = _second_moment()
ONE = (E2 - 1) / ERROR**2  # draws for one latent
PRODUCT = "the weight of 20 latents is a product of 20 weights, so E[w²] is a 20th power."


@question(
    "1.1",
    factor=3,
    unit="draws",
    too_low=f"It grows exponentially: {PRODUCT}",
    too_high="E[w²] is raised to the power 20; then K = (E[w²] − 1) / 0.1².",
)
def predicted_draws() -> float:
    """Draws from the prior for a relative error of 10% with 20 independent latents."""
    return (E2**LATENTS - 1) / ERROR**2


predicted_draws.mistakes(
    ("one latent's number", lambda: ONE, "A draw now has to suit all 20 latents at once."),
    (
        "linear in the latents",
        lambda: LATENTS * ONE,
        f"That is about 20 times one latent's number, as if variances added. But {PRODUCT}",
    ),
    ("polynomial in the latents", lambda: LATENTS**2 * ONE, f"That is like D². But {PRODUCT}"),
    (
        "root of the second moment",
        lambda: (E2 ** (LATENTS / 2) - 1) / ERROR**2,
        "That is about what the root of E[w²] gives. (E[w²] − 1) / K is the error's *square*.",
    ),
    (
        "variances multiplied",
        lambda: (E2 - 1) ** LATENTS / ERROR**2,
        "That is about the product of the variances, E[w²] − 1. E[w²] multiplies; take 1 off last.",
    ),
    (
        "error not squared",
        lambda: (E2**LATENTS - 1) / ERROR,
        "That is about (E[w²] − 1) / 0.1. But (E[w²] − 1) / K is the error's *square*, 0.1².",
    ),
    (
        "error forgotten",
        lambda: E2**LATENTS,
        "That is about E[w²] itself. K divides E[w²] − 1, the rest is the error's *square*, 0.1².",
    ),
    ("a grid's number", lambda: 1e20, "That is the grid with 10 points an axis, 10^20."),
)
