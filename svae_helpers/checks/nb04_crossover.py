"""Checks of notebook 04: what the responsibility's figure says, and the count it leads to."""

import math

from ..metrics import prior_slab_count
from ..quadrature import crossover_constants
from ..spike_and_slab import SpikeAndSlab, gaussian_parameters
from .question import question

LATENTS, SURE = 20, 0.8
PRIOR = SpikeAndSlab.gaussian(spike_prob=0.8, spike_var=0.05)


def _sizes(spike_var: float, sure: float = SURE) -> tuple[float, float]:
    """|z| where P(slab | z) is 1 − sure and sure: there h z² − c is ∓ its logit (Eq. 4.8)."""
    prior = SpikeAndSlab.gaussian(PRIOR.spike_prob, spike_var)
    c, h = map(float, crossover_constants(*gaussian_parameters(prior)))
    logit = math.log(sure / (1 - sure))
    return math.sqrt((c - logit) / h), math.sqrt((c + logit) / h)


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
        lambda: [float(PRIOR.crossover)] * 2,
        lambda: (_sizes(0.05)[0], float(PRIOR.crossover)),
        lambda: (float(PRIOR.crossover), _sizes(0.05)[1]),
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
    return prior_slab_count(PRIOR, LATENTS)


predicted_count.mistakes(
    (
        "the switches",
        lambda: LATENTS * (1 - PRIOR.spike_prob),
        "About as many as switches are on. But a latent that is on may still land near 0.",
    ),
    (
        "all from the slab",
        lambda: LATENTS * math.erfc(float(PRIOR.crossover) / math.sqrt(2)),
        "About as many as of 20 draws from N(0, 1). Here four in five come from the spike.",
    ),
    ("one latent's", lambda: predicted_count.right() / LATENTS, "About one latent's; here are 20."),
)
