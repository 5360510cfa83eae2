"""Checks that name the mistake, one function an exercise; each takes the learner's function.

`checks.log_prob(log_prob)` returns a `CheckResult`: passed, failed (with the mistake's name where
it has one) or not attempted. `ALL` maps the exercises' names to their checks.
"""

from collections.abc import Callable

from ._result import CheckResult
from .nb01 import elbo, log_marginal
from .nb02 import gradient_estimate, reparameterise
from .nb03 import bernoulli_log_likelihood, gaussian_kl, vae_loss
from .nb04 import log_prob, sample, slab_responsibility
from .nb05 import monte_carlo_kl
from .nb06 import sparse_vae_loss
from .nb07 import active_count, find_the_bug
from .nb08 import gated_kl
from .nb09 import aggregate_kl

ALL: dict[str, Callable[[Callable], CheckResult]] = {
    check.__name__: check
    for check in (
        log_marginal,
        elbo,
        reparameterise,
        gradient_estimate,
        bernoulli_log_likelihood,
        gaussian_kl,
        vae_loss,
        log_prob,
        sample,
        slab_responsibility,
        monte_carlo_kl,
        sparse_vae_loss,
        active_count,
        find_the_bug,
        gated_kl,
        aggregate_kl,
    )
}

__all__ = ["ALL", "CheckResult", *ALL]
