"""Checks that name the mistake, one an exercise; each takes the learner's answer.

`checks.log_prob(log_prob)` returns a `CheckResult`: passed, failed (with the mistake's name where
it has one) or not attempted. `ALL` maps the exercises' names to their checks. To write your own,
see `exercise`, `random_exercise`, `question` and `inspection`.
"""

# ruff: noqa: F401  `ALL` gathers what is imported

from .course_questions import (
    opening_benefit,
    predicted_count,
    predicted_draws,
    predicted_floor,
    predicted_kl_draws,
    predicted_slopes,
    printed_count,
    scaled_count,
    silent_from,
    undecided_sizes,
)
from .exercise import Case, Exercise, exercise
from .inspection import Inspection, inspection
from .mistakes import Mistake, Reduction, Terms, mistake
from .nb01_broken_bound import broken_elbo
from .nb01_elbo import elbo, log_marginal
from .nb02_gradient_estimate import gradient_estimate
from .nb02_reparameterise import reparameterise
from .nb03_build_a_vae import first_vae
from .nb03_trained_vaes import trained_vaes
from .nb03_vae_loss import bernoulli_log_likelihood, gaussian_kl, vae_loss
from .nb04_sampling import sample
from .nb04_spike_and_slab import log_prob, slab_responsibility
from .nb05_broken_gradient import broken_gradient
from .nb05_monte_carlo_kl import monte_carlo_kl
from .nb06_build_and_train import trained_sparse_vae
from .nb06_sparse_vae_loss import sparse_vae_loss
from .nb07_active_count import active_count
from .nb07_find_the_bug import find_the_bug
from .nb07_half_the_count import half_the_count
from .nb08_gated_kl import gated_kl
from .nb08_misled_gate import misled_gate
from .nb09_aggregate_kl import aggregate_kl
from .nb09_sweep import control, fashion_count
from .question import Question, question
from .random_exercise import RandomExercise, random_exercise
from .result import Check, CheckResult

_CHECKS = [thing for thing in globals().values() if isinstance(thing, Check)]
ALL = {check.__name__: check for check in sorted(_CHECKS, key=lambda check: check.number)}

__all__ = ["ALL", "Case", "Check", "CheckResult", "Exercise", "Inspection", "Mistake", "Question"]
__all__ += ["RandomExercise", "Reduction", "Terms", "exercise", "inspection", "mistake", "question"]
__all__ += ["random_exercise", *ALL]
