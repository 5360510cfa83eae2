"""Checks that name the mistake, one an exercise; each takes the learner's answer.

`checks.log_prob(log_prob)` returns a `CheckResult`: passed, failed (with the mistake's name where
it has one) or not attempted. `ALL` maps the exercises' names to their checks. To write your own,
see `exercise`, `random_exercise`, `question` and `inspection`.
"""

from .exercise import Case, Exercise, exercise
from .inspection import Inspection, inspection
from .mistakes import Mistake, Reduction, mistake
from .nb01_elbo import elbo, log_marginal
from .nb02_gradient_estimate import gradient_estimate
from .nb02_reparameterise import reparameterise
from .nb03_build_a_vae import first_vae
from .nb03_silent_code import silent_from
from .nb03_trained_vaes import trained_vaes
from .nb03_vae_loss import bernoulli_log_likelihood, gaussian_kl, vae_loss
from .nb04_sampling import sample
from .nb04_spike_and_slab import log_prob, slab_responsibility
from .nb05_monte_carlo_kl import monte_carlo_kl
from .nb06_sparse_vae_loss import sparse_vae_loss
from .nb07_active_count import active_count
from .nb07_find_the_bug import find_the_bug
from .nb08_gated_kl import gated_kl
from .nb09_aggregate_kl import aggregate_kl
from .question import Question, question
from .random_exercise import RandomExercise, random_exercise
from .result import CheckResult

ALL: dict[str, Exercise | RandomExercise | Question | Inspection] = {
    check.__name__: check
    for check in (
        log_marginal,
        elbo,
        reparameterise,
        gradient_estimate,
        bernoulli_log_likelihood,
        gaussian_kl,
        vae_loss,
        first_vae,
        trained_vaes,
        silent_from,
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

__all__ = [
    "ALL",
    "Case",
    "CheckResult",
    "Exercise",
    "Inspection",
    "Mistake",
    "Question",
    "RandomExercise",
    "Reduction",
    "exercise",
    "inspection",
    "mistake",
    "question",
    "random_exercise",
    *ALL,
]
