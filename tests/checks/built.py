"""Right and wrong answers to the inspections, as functions that make them, by exercise.

`RIGHT["first_vae"]()` is what a learner hands over; `WRONG["first_vae"]` has a list for the name of
each mistake.
"""

import math

import torch
from torch.distributions import Normal

from svae_helpers.checks.estimates import detached, log_ratio
from svae_helpers.checks.mathematics import LOG_2PI

from .built_sparse import WRONG_SPARSE, WRONG_UNITS, right_sparse, right_units
from .built_vaes import WRONG_LOOPS, WRONG_VAES, right_loop, right_vae


def given(*answers):
    return lambda: answers


# --- 1.4


def elbo(
    reduce=lambda log_w: log_w.mean(0),
    width=lambda q: q.stddev,
    share=1.0,
):
    def estimate(log_joint, q, num_samples):
        z = q.sample((num_samples,))
        return reduce(log_joint(z) - share * Normal(q.mean, width(q)).log_prob(z).sum(-1))

    return given(estimate)


WRONG_BOUNDS = {
    "the ELBO itself": [elbo()],
    "a constant added": [
        elbo(lambda w: w.mean(0) + 1000),
        elbo(lambda w: w.mean(0) + math.log(1000)),
    ],
    "a constant": [given(lambda log_joint, q, num_samples: torch.zeros(4))],
    "q's entropy lost": [elbo(share=share) for share in (0.0, 0.5, -1.0)],
    "sum over samples": [elbo(lambda w: w.sum(0))],
    "mean of the weights, then the logarithm": [elbo(lambda w: w.logsumexp(0) - math.log(1000))],
}

# --- 5.3


def broken_kl(terms):
    return given(lambda *arguments: terms(*arguments).sum(2).mean(0))


closed_entropy = log_ratio(density=lambda z, m, v: -0.5 * (1 + LOG_2PI + v))  # which is as right
WRONG_GRADIENTS = {
    "gradient right": [broken_kl(log_ratio()), broken_kl(closed_entropy)],
    "no gradient at all": [broken_kl(lambda *a: log_ratio()(*a).detach())],
    "value wrong": [
        broken_kl(log_ratio(integrand=lambda lq, lp: lp - lq)),
        broken_kl(log_ratio(integrand=lambda lq, lp: -lp)),
    ],
}

# --- 8.3

WRONG_GATES = {
    "the rule is exact": [given(lambda s: s**2), given(lambda s: 2 * s - 1)],
    "the right way": [given(torch.exp), given(lambda s: (s - 0.45) ** 4)],
    "nothing to gain": [given(lambda s: s - s**2)],
    "no slope": [given(lambda s: 3 * s**2 - 2 * s**3), given(torch.ones_like)],
    "a jump": [given(lambda s: 2.0 * (s > 0.5) - s)],
    "not finite": [given(torch.sqrt)],
}

# --- 9.3

DENSE, SCALED = {"prior": "dense"}, {"prior": "scaled"}
ONE, THREE = ({"marginal_weight": weight} for weight in (1.0, 3.0))
WRONG_CONTROLS = {
    "a sparse prior": [given({}, ONE), given(SCALED, ONE)],
    "the same λ": [given(SCALED, SCALED), given(SCALED, DENSE)],
    "two changes": [given(DENSE, SCALED | ONE)],
    "λ in both": [given(SCALED | ONE, SCALED | THREE)],
    "an unknown value": [
        given({"prior": "N(0, 1)"}, {"prior": "N(0, 1)"} | ONE),
        given(SCALED, SCALED | {"marginal_weight": "1.0"}),
    ],
    "not in the sweep": [given(SCALED, SCALED | THREE)],
    "not settings": [given({"λ": 0}, {"λ": 1}), given("a", "b")],
}

# ---

RIGHT = {
    "broken_elbo": elbo(width=lambda q: q.variance),
    "first_vae": right_vae,
    "trained_vaes": right_loop,
    "broken_gradient": broken_kl(log_ratio(detached)),
    "trained_sparse_vae": right_sparse,
    "half_the_count": right_units,
    "misled_gate": given(lambda s: s - torch.sin(2 * torch.pi * s)),
    "control": given(SCALED, SCALED | ONE),
}
WRONG = {
    "broken_elbo": WRONG_BOUNDS,
    "first_vae": WRONG_VAES,
    "trained_vaes": WRONG_LOOPS,
    "broken_gradient": WRONG_GRADIENTS,
    "trained_sparse_vae": WRONG_SPARSE,
    "half_the_count": WRONG_UNITS,
    "misled_gate": WRONG_GATES,
    "control": WRONG_CONTROLS,
}
