"""Check of notebook 06: a sparse VAE that the learner assembled and trained, twice."""

from __future__ import annotations

import math
from typing import Any

import torch

from .inspection import Seen, inspection
from .mathematics import log_normal, spike_and_slab
from .small_vae import LATENTS, SPIKE_PROB, SPIKE_VAR, VARIANCE, OnDigits

LEAST_ELBO, MOST_ON = -127.0, 5.0  # the bounds that the notebook states
BLANK = -784 * math.log(2)  # nats of an image, if each pixel has probability ½
WRONG_PRIORS = {
    "the dense prior": lambda z: log_normal(z, 1.0),
    "a Gaussian of the sparse prior's variance": lambda z: log_normal(z, VARIANCE),
    "spike_prob taken for on": lambda z: spike_and_slab(z, 1 - SPIKE_PROB, SPIKE_VAR),
    "spike_var taken for a standard deviation": lambda z: spike_and_slab(
        z, SPIKE_PROB, SPIKE_VAR**2
    ),
    "root taken twice": lambda z: spike_and_slab(z, SPIKE_PROB, SPIKE_VAR**0.5),
}


@inspection("6.2")
def trained_sparse_vae(seen: Seen, first: Any, second: Any) -> str:
    """Two sparse VAEs of 20 latents, trained from two seeds on the package's 4,000 digits.

    Judged on its 1,000 test digits: the ELBO, with the KL by the trapezium rule, and the means past
    the crossover, each against a bound. A plain right answer keeps 3 nats and 0.7 latents away.
    """
    models = [_with_the_prior(seen, model) for model in (first, second)]
    pairs = zip(first.parameters(), second.parameters())
    if all(a.shape == b.shape and torch.equal(a.cpu(), b.cpu()) for a, b in pairs):
        seen.fault("the same model twice")
    numbers = "; ".join(_judge(seen, model) for model in models)
    return f"Two sparse VAEs, within the bounds on the test digits: {numbers}."


def _with_the_prior(seen: Seen, model: Any) -> OnDigits:
    found = OnDigits(seen, model)
    latents = found.mu.shape[1]
    if latents != LATENTS:
        seen.fault("another number of latents", f"It has {latents}.")
    z = torch.linspace(-3, 3, 61)[:, None].expand(-1, LATENTS)
    given, wanted = found.log_prior(z), spike_and_slab(z, SPIKE_PROB, SPIKE_VAR)
    if not torch.allclose(given, wanted, atol=1e-3):
        known = (n for n, log_p in WRONG_PRIORS.items() if torch.allclose(given, log_p(z), 0, 1e-3))
        at_0, right = (float(log_p[30, 0].exp()) for log_p in (given, wanted))
        text = f"Its density at 0 is {at_0:.3f}; wanted is {right:.3f}."
        seen.fault(next(known, "another prior"), text)
    return found


def _judge(seen: Seen, model: OnDigits) -> str:
    kl, reconstruction = float(model.kl().mean()), float(model.reconstruction().mean())
    elbo = reconstruction - kl
    numbers = (
        f"Seen on the test digits: ELBO {elbo:.1f} nats (wanted: at least {LEAST_ELBO:g}), "
        f"that is log p(x|z) {reconstruction:.1f} less KL {kl:.1f}; "
        f"{model.count:.1f} latents on (wanted: at most {MOST_ON:g})."
    )
    faults = {
        "not a number": not math.isfinite(elbo),
        "untrained": abs(reconstruction - BLANK) < 25,
        "no latent says anything": float(model.mu.var(dim=0).max()) < 1e-3,
        "nothing holds the KL down": kl > 60,
        "too many latents on": model.count > MOST_ON,
        "short of the bound": elbo < LEAST_ELBO,
    }
    for name in (name for name, is_so in faults.items() if is_so):
        seen.fault(name, numbers)
    return f"ELBO {elbo:.1f} nats, {model.count:.1f} latents on"
