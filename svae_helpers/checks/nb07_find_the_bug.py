"""Check of notebook 07: mending a faulty sparse-VAE loss."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from . import estimates
from .common_mistakes import CROSS_ENTROPY, LOSS, ROUNDED, lift
from .draws import draw_pixels, draw_posterior, sure_pixels, wrong_pixels
from .estimates import (
    GENERAL,
    LINEAR,
    REDUCED,
    SHARED,
    detached,
    differentiate,
    kl_at_draws,
    log_ratio,
    posterior,
)
from .mathematics import bce, bce_terms, kl_standard
from .mistakes import Terms, whole
from .mistakes import mistake as M
from .random_exercise import Caller, Findings, random_exercise
from .statistics import mean_p

B, PIXELS = 24, 9


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    sizes = [(3 + k % 4, 5 + k, 2 + k % 3, 2 + k % 2) for k in range(9)]  # tell terms apart
    for rows, pixels, latents, K in (
        (1, 5, 3, 2),
        (4, 6, 1, 4),
        (3, 3, 3, 2),
        (2, 4, 2, 1),
        *sizes,
    ):
        q = draw_posterior(g, rows, latents)
        call(*draw_pixels(g, rows, pixels), *q, GENERAL.log_prob, K)
    # Fixed pixels and posterior: what a mistake does to the value is then the same each time.
    fixed = Generator().manual_seed(7)
    pixels = draw_pixels(fixed, B, PIXELS)
    estimates.probe_kl(call, seen, B, D=6, K=32, pixels=pixels)
    _compare_logits(call, seen, pixels)
    q, call.extreme = posterior(LINEAR, B, 6), "logits"
    for far in (wrong_pixels(fixed, B, PIXELS), sure_pixels(fixed, B, PIXELS)):
        exact = (LINEAR.kl(*(t.double() for t in q)).sum(1) + bce(*far).double().sum(1)).mean()
        errors = (call.times(24, *far, *q, LINEAR.log_prob, 32) - exact) / 100
        text = f"for logits near ±160 it is {100 * errors.mean():+.3g} nats off on average"
        seen.test(f"logits {len(seen.tests)}", mean_p(errors, floor=1e-4), text)


def _compare_logits(call: Caller, seen: Findings, pixels: tuple[Tensor, Tensor]) -> None:
    q = posterior(LINEAR, B, 6)
    value, given = call(*pixels, *q, LINEAR.log_prob, 2, gradients=("logits",))
    want, (found,) = (pixels[0].sigmoid() - pixels[1]) / B, differentiate(value, given["logits"])
    if not found.any():
        seen.fault("gradients do not flow to logits", "No gradient reaches `logits`.")
    elif not torch.allclose(found, want, rtol=1e-3, atol=1e-5):
        seen.fault("gradient logits", "The gradient that reaches `logits` is wrong.")


OF_LOSS = lift(LOSS.mistakes, lambda f: lambda terms: f((terms[0], terms[1].mean(0))))
OF_LOSS += lift(REDUCED, lambda f: lambda terms: terms[0].sum(1).mean() + f(terms[1]).mean())
OF_LOSS += (
    M("cross-entropy divided by K", lambda t: LOSS.right((t[0] / len(t[1]), t[1].mean(0)))),
    M("KL divided by K twice", lambda t: LOSS.right((t[0], t[1].mean(0) / len(t[1])))),
)
MENDED = LOSS._replace(right=lambda t: LOSS.right((t[0], t[1].mean(0))), mistakes=OF_LOSS)


@random_exercise("7.2", _probe, ["logits", "mu", "log_var"], MENDED)
def find_the_bug(logits, x, mu, log_var, log_prior: Callable, num_samples: int) -> Terms:
    """`(logits, x, mu, log_var, log_prior, num_samples) -> scalar`: the mended loss, in nats.

    Examined by `estimates.probe_kl`, and the gradient in the logits exactly.
    """
    return Terms(bce_terms(logits, x) | kl_at_draws(mu, log_var, log_prior, num_samples))


def _all_faults(l, x, m, v, log_prior, K):
    return bce(l, x).sum() + log_ratio(detached)(m, v, log_prior, K).mean()


def _two_faults(l, x, m, v, log_prior, K):
    return bce(l, x).sum() + log_ratio()(m, v, log_prior, K).mean()


find_the_bug.mistakes(
    ("all faults left in", whole(_all_faults)),
    ("mean over latents and batch summed in one term", whole(_two_faults)),
    *lift(SHARED, lambda f: lambda l, x, *q: (bce(l, x), f(*q))),
    ("KL to N(0, I)", lambda l, x, m, v, p, K: (bce(l, x), kl_standard(m, v)[None])),
    *lift(CROSS_ENTROPY + ROUNDED, lambda f: lambda l, x, *q: (f(l, x), log_ratio()(*q))),
)
