"""The course's questions about a number, and what their usual wrong answers overlook."""

import csv
import math
from functools import cache
from importlib.resources import files
from statistics import mean

import torch
from torch import Tensor
from torch.distributions import Normal

from .mathematics import kl_standard, spike_and_slab
from .question import question
from .small_vae import LATENTS, SPIKE_PROB, SPIKE_VAR, VARIANCE, digits, draws_past

PRODUCT = "the weight of 20 latents is a product of 20 weights, so E[w²] is a 20th power."


def _second_moment() -> float:
    """E[w²] of the notebook's one-latent toy (W = (1, ½), b = (0, 1), s = ½) by Eq. 1.6."""
    precision = 1 + (1.0**2 + 0.5**2) / 0.5**2
    centre, variance = (1.2 + 0.5 * (1.4 - 1)) / 0.5**2 / precision, 1 / precision
    return math.exp(centre**2 / (2 - variance)) / math.sqrt(variance * (2 - variance))


E2 = _second_moment()
ONE = (E2 - 1) / 0.1**2  # draws for one latent
LESS = f"It grows exponentially: {PRODUCT}"
MORE = "E[w²] is raised to the power 20; then K = (E[w²] − 1) / 0.1²."


@question("1.1", factor=3, unit="draws", too_low=LESS, too_high=MORE)
def predicted_draws() -> float:
    """Draws from the prior for a relative error of 10% with 20 independent latents."""
    return (E2**20 - 1) / 0.1**2


predicted_draws.mistakes(
    ("one latent's number", lambda: ONE, "A draw now has to suit all 20 latents at once."),
    ("linear in the latents", lambda: 20 * ONE, f"That is like D, as variances add. But {PRODUCT}"),
    ("polynomial in the latents", lambda: 20**2 * ONE, f"That is like D². But {PRODUCT}"),
    ("root of the second moment", lambda: (E2**10 - 1) / 0.1**2),
    ("variances multiplied", lambda: (E2 - 1) ** 20 / 0.1**2),
    ("error not squared", lambda: (E2**20 - 1) / 0.1),
    ("error forgotten", lambda: E2**20),
    ("a grid's number", lambda: 1e20, "That is the grid with 10 points an axis, 10^20."),
)

SHRUNK = SPIKE_VAR / (SPIKE_VAR + 0.5**2)


@question("2.3", factor=1.5)
def predicted_slopes() -> tuple:
    """Slope of the learned μ in x near 0, with a KL from `q.sample` and from `q.rsample`."""
    return 1.0, SHRUNK


BEYOND = [(first, second) for first in (2.0, 4.5) for second in (SHRUNK, 1.0, 5.0)]
predicted_slopes.mistakes(
    ("both shrink", *(lambda slope=s: (slope, SHRUNK) for s in (SHRUNK, 0.3, 0.5))),
    ("no gradient taken for no slope", lambda: (0.0, SHRUNK)),
    ("swapped", lambda: (SHRUNK, 1.0), "The first number is `q.sample`'s, whose KL does not pull."),
    ("neither shrinks", lambda: (1.0, 1.0), lambda: (1.0, 0.8)),
    ("a negative slope", lambda: (1.0, -SHRUNK), lambda: (-1.0, SHRUNK)),
    ("beyond the image", *(lambda pair=p: pair for p in BEYOND)),
    ("halfway", lambda: (1.0, 0.5)),
    ("the spike's variance squared", lambda: (1.0, SPIKE_VAR**2 / (SPIKE_VAR**2 + 0.5**2))),
    ("the spike's variance", lambda: (1.0, SPIKE_VAR)),
    ("shrunk to nothing", lambda: (1.0, 0.0), "The spike has a width: some of x comes through."),
)


@cache
def _worths() -> Tensor:
    """Nats of likelihood that the first nat of each latent is worth, the best first.

    A decoder whose logits are nearly those of the mean image is linear, and the likelihood
    quadratic: the worths are the eigenvalues of the pixels' covariance, each pixel divided by the
    standard deviation √(y(1 − y)) that a Bernoulli of its mean y has.
    """
    x = digits()[0]
    y = x.mean(0)
    x, y = x[:, y > 0], y[y > 0]
    return torch.linalg.eigvalsh(((x - y) / (y * (1 - y)).sqrt()).T.cov(correction=0)).flip(0)


LESS = "At this price the first nats of the code still gain more than they cost."
MORE = "No nat of this code gains as much: it is silent long before."


@question("3.6", factor=2, too_low=LESS, too_high=MORE)
def silent_from() -> float:
    """The β from which on a code of the digits is silent."""
    return float(_worths()[0])


def _average() -> float:
    first = _worths()[:2]  # at β = 1 a latent gains (λ − 1) / 2 nats for a KL of log(λ) / 2
    return float((first - 1).sum() / first.log().sum())


silent_from.mistakes(
    ("the average nat", _average),
    ("one for one", lambda: 1.0),
    ("the hidden β", lambda: 784.0),
)


def _sizes(spike_var: float, sure: float = 0.8) -> list[float]:
    """|z| where P(slab | z) is 1 − sure, ½ and sure: the log-odds are h z² − c (Eq. 4.8)."""
    c = math.log(SPIKE_PROB / (1 - SPIKE_PROB)) - 0.5 * math.log(spike_var)
    logit = math.log(sure / (1 - sure))
    return [math.sqrt((c + at) / (0.5 / spike_var - 0.5)) for at in (-logit, 0.0, logit)]


LOW, EVEN, HIGH = _sizes(SPIKE_VAR)


@question("4.4", distance=0.05)
def undecided_sizes() -> tuple[float, float]:
    """Sizes |z| where a latent is off, and on, with probability 0.8, for v = 0.05."""
    return LOW, HIGH


undecided_sizes.mistakes(
    ("the curve of v = 0.01", lambda: _sizes(0.01)[::2], "v = 0.01 is dashed; v = 0.05 is solid."),
    ("the curve of v = 0.0025", lambda: _sizes(0.0025)[::2], "That is the dotted curve."),
    ("in the other order", lambda: (HIGH, LOW), "The smaller size comes first."),
    ("the crossover", lambda: (EVEN, EVEN), lambda: (LOW, EVEN), lambda: (EVEN, HIGH)),
    ("the spike's width", lambda: (math.sqrt(SPIKE_VAR), EVEN)),
    ("heights for sizes", lambda: (0.2, 0.8)),
    ("squares for sizes", lambda: (LOW**2, HIGH**2), "That is z²; |z| is its root."),
    ("minus and plus", lambda: (-LOW, LOW), lambda: (-HIGH, HIGH)),
    ("another height", *(lambda sure=p: _sizes(SPIKE_VAR, sure)[::2] for p in (0.7, 0.9))),
)


LESS = "More than half of the slab's draws lie past the crossover."
MORE = "Many of the slab's draws lie within the crossover, and few of the spike's past it."


@question("4.5", factor=4 / 3, unit="latents", too_low=LESS, too_high=MORE)
def predicted_count() -> float:
    """Latents past the crossover among 20 drawn from the prior, on average (Eq. 4.11)."""
    return SPIKE_PROB * draws_past(SPIKE_VAR) + (1 - SPIKE_PROB) * draws_past(1.0)


predicted_count.mistakes(
    ("the switches", lambda: LATENTS * (1 - SPIKE_PROB)),
    ("all from the slab", lambda: draws_past(1.0)),
    ("one latent's", lambda: predicted_count.right() / LATENTS, "About one latent's; here are 20."),
)

ADD = "Variances add over 20 latents, and K divides the sum: 20 s² / K, with s about 1.5 nats."


def _moments(mu: float, sigma: float) -> tuple[float, float]:
    """Mean (the KL) and variance of log q − log p under q = N(mu, sigma²), by a sum on a grid."""
    q = Normal(torch.tensor(mu, dtype=torch.float64), sigma)
    z = q.loc + q.scale * torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight, terms = q.log_prob(z).softmax(0), q.log_prob(z) - spike_and_slab(z, 0.8, 0.05)
    kl = float((weight * terms).sum())
    return kl, float((weight * terms**2).sum()) - kl**2


VARIANCE_OF_ONE = _moments(0.8, 0.5)[1]


@question("5.2", factor=2, unit="draws", too_low=ADD, too_high=ADD)
def predicted_kl_draws() -> float:
    """Draws K for a standard error of 0.1 nats in the KL of 20 such latents (Eq. 5.3)."""
    return 20 * VARIANCE_OF_ONE / 0.1**2


predicted_kl_draws.mistakes(
    ("one latent's", lambda: VARIANCE_OF_ONE / 0.1**2, f"About what one latent needs. {ADD}"),
    ("the square forgotten", lambda: math.sqrt(20 * VARIANCE_OF_ONE) / 0.1),
    ("errors added, and the square forgotten", lambda: 20 * math.sqrt(VARIANCE_OF_ONE) / 0.1),
    ("errors added", lambda: 20**2 * VARIANCE_OF_ONE / 0.1**2, f"Errors partly cancel. {ADD}"),
)


SLAB = "If q is the spike, p is π times it plus the slab, and more than π q: it costs less."
LESS = "No single Gaussian is spike and slab at once, and 20 latents pay for that."
MORE = "q may choose its width, and a narrow one costs far less than a nat per latent."


@question("5.4", factor=2, unit="nats", too_low=LESS, too_high=MORE)
def predicted_floor() -> float:
    """The KL of 20 latents that a Gaussian posterior cannot get below."""
    return 20 * min(_moments(0.0, k / 400)[0] for k in range(40, 201, 2))


predicted_floor.mistakes(
    ("free", lambda: 0.0, "A KL of 0 needs q = p, and no single Gaussian is this mixture."),
    ("one latent's", lambda: predicted_floor.right() / 20, "About one latent's; here are 20."),
    ("the spike alone", lambda: -20 * math.log(SPIKE_PROB), f"About 20 · (−log π). {SLAB}"),
    ("q = N(0, 1)", lambda: 20 * _moments(0.0, 1.0)[0], "q = N(0, 1) pays that; a narrower, less."),
)


LESS = "There is no sparsity in it: every latent is N(0, 0.24). Ask how often |z| > 0.551."
MORE = "Its latents are half as wide as the dense model's: ask how often |z| > 0.551."
UNIT = "latents (20 draws from N(0, 0.24); a trained model comes near)"


@question("6.3", factor=1.25, unit=UNIT, too_low=LESS, too_high=MORE)
def scaled_count() -> float:
    """Latents of the scaled model past the sparse prior's crossover, of 20."""
    return draws_past(VARIANCE)


scaled_count.mistakes(
    ("as many as in the dense model", lambda: draws_past(1.0)),
    ("(1 − π)·D", lambda: (1 - SPIKE_PROB) * LATENTS),
    ("the share", lambda: draws_past(VARIANCE) / LATENTS, "About one latent's share; here are 20."),
    ("next to none", lambda: draws_past(VARIANCE**2), lambda: 0.0),
)

PRINTED = {
    **{"source": "embedded", "prior": "sparse", "latent_dim": "20", "pixels": "grey"},
    **{"gradient": "detached", "reduction": "mean", "schedule": "constant"},
}


LESS, MORE = "What is left in this loss to hold a mean near 0?", "There are only 20 latents."


@question("7.3", 1.2, unit="of 20, the mean of three seeds", too_low=LESS, too_high=MORE)
@cache
def printed_count() -> float:
    """Latents past the crossover after training with the loss as printed, of 20."""
    with files("svae_helpers.assets").joinpath("sweep.csv").open() as file:
        runs = [row for row in csv.DictReader(file) if PRINTED.items() <= row.items()]
    return mean(float(run["count"]) for run in runs)


printed_count.mistakes(
    ("(1 − π)·D", lambda: (1 - SPIKE_PROB) * LATENTS),
    ("as many as draws of N(0, 1)", lambda: draws_past(1.0)),
    ("none", lambda: 0.0),
)

G = float(kl_standard(torch.tensor(1.5), torch.tensor(0.4**2).log()))  # of N(1.5, 0.4²), Eq. 3.6
FOUR, OPEN = math.log(0.8 / 0.2), math.log(0.95 / 0.05)  # −logit α, and logit γ at 95%
PARTS = "Eq. 8.5, solved for b, has three parts, and each of them makes opening dearer."


@question("8.2", distance=0.12, unit="nats", too_low=PARTS, too_high=PARTS)
def opening_benefit() -> float:
    """The benefit at which the best gate is open in 95% of the draws (Eq. 8.5)."""
    return OPEN + FOUR + G


opening_benefit.mistakes(
    ("the value's price", lambda: G, "That pays for the value, not yet for being on at all."),
    ("a coin", lambda: FOUR + G),
    ("the prior's sign", lambda: OPEN - FOUR + G),
    ("the prior forgotten", lambda: OPEN + G, "−logit α is missing: gates are shut by default."),
    ("G forgotten", lambda: OPEN + FOUR, "G, the price of the value, is missing."),
    ("log α for its logit", lambda: OPEN - math.log(0.2) + G, "Eq. 8.5 holds logit α, not log α."),
    ("γ for its logit", lambda: 0.95 + FOUR + G, "Eq. 8.5 holds logit γ, log(0.95 / 0.05)."),
)
