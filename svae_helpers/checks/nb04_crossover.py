"""Checks of notebook 04: what the responsibility's figure says, and the count it leads to."""

import math

from .question import question

LATENTS, SURE, SPIKE_PROB = 20, 0.8, 0.8


def _size(spike_var: float, logit: float = 0.0) -> float:
    """|z| where the log-odds h z² − c of the slab are `logit` (Eq. 4.8); at 0 the crossover."""
    c = math.log(SPIKE_PROB / (1 - SPIKE_PROB)) - 0.5 * math.log(spike_var)
    return math.sqrt((c + logit) / (0.5 / spike_var - 0.5))


def _sizes(spike_var: float, sure: float = SURE) -> tuple[float, float]:
    """|z| where P(slab | z) is 1 − sure and sure."""
    logit = math.log(sure / (1 - sure))
    return _size(spike_var, -logit), _size(spike_var, logit)


def _beyond(variance: float) -> float:
    """P(|z| > crossover) for z from N(0, variance)."""
    return math.erfc(_size(0.05) / math.sqrt(2 * variance))


@question("4.4", distance=0.05)
def undecided_sizes() -> tuple[float, float]:
    """Sizes |z| where a latent is off, and on, with probability 0.8, for v = 0.05."""
    return _sizes(0.05)


undecided_sizes.mistakes(
    ("the curve of v = 0.01", lambda: _sizes(0.01), "That is the dashed curve; v = 0.05 is solid."),
    ("the curve of v = 0.0025", lambda: _sizes(0.0025), "That is the dotted curve, not the solid."),
    ("in the other order", lambda: _sizes(0.05)[::-1], "The smaller size comes first."),
    (
        "the crossover",
        lambda: [_size(0.05)] * 2,
        lambda: (_sizes(0.05)[0], _size(0.05)),
        lambda: (_size(0.05), _sizes(0.05)[1]),
        "That is the cross, where on and off are equally likely. Go to the heights 0.2 and 0.8.",
    ),
    (
        "heights for sizes",
        lambda: (1 - SURE, SURE),
        "Those are the heights, on the vertical axis. The sizes |z| are below, where the curve is.",
    ),
    ("squares for sizes", lambda: [z**2 for z in _sizes(0.05)], "That is z²; |z| is its root."),
    (
        "minus and plus",
        *(lambda k=k: (-_sizes(0.05)[k], _sizes(0.05)[k]) for k in (0, 1)),
        "Those are one size, on both sides of 0. Wanted are two sizes |z|, at two heights.",
    ),
    (
        "another height",
        lambda: _sizes(0.05, 0.9),
        lambda: _sizes(0.05, 0.7),
        "There the latent is off, and on, with another probability. Go to the heights 0.2 and 0.8.",
    ),
)


@question(
    "4.5",
    factor=4 / 3,
    unit="latents",
    too_low="More than half of the slab's draws lie past the crossover.",
    too_high="Many of the slab's draws lie within the crossover, and few of the spike's past it.",
)
def predicted_count() -> float:
    """Latents past the crossover among 20 drawn from the prior, on average (Eq. 4.11)."""
    return LATENTS * (SPIKE_PROB * _beyond(0.05) + (1 - SPIKE_PROB) * _beyond(1.0))


predicted_count.mistakes(
    (
        "the switches",
        lambda: LATENTS * (1 - SPIKE_PROB),
        "About as many as switches are on. But a latent that is on may still land near 0.",
    ),
    (
        "all from the slab",
        lambda: LATENTS * _beyond(1.0),
        "About as many as of 20 draws from N(0, 1). Here four in five come from the spike.",
    ),
    ("one latent's", lambda: predicted_count.right() / LATENTS, "About one latent's; here are 20."),
)
