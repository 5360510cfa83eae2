"""Check of notebook 05: the Monte Carlo estimate of KL(q ‖ p)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .common_mistakes import lift
from .estimates import (
    GENERAL,
    LINEAR,
    NARROW,
    SHARED,
    WAVES,
    Prior,
    differentiate,
    log_ratio,
    note_gradient,
    note_gradient_scatter,
    posterior,
)
from .mathematics import kl_standard
from .random_exercise import Caller, Findings, random_exercise
from .statistics import mean_p, upper_chi2_p

B, D, SAMPLES = 24, 6, 16


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for rows, latents, K in ((1, 4, 2), (5, 1, 4), (4, 4, 1), (3, 2, 6)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call(*q, GENERAL.log_prob, K)
    _test_scatter(call, seen)
    _test_gradient(call, seen)
    for prior, name, where in (
        (WAVES, "waves", "at q = N(0.3, 0.7²)"),
        (NARROW, "log_var", "for log σ² from −8 to −4"),
    ):
        errors = _errors(call, prior, 20)
        seen.look(name, errors.mean(1))
        text = f"{where} the estimate is {float(errors.mean()):+.3g} nats off on average"
        seen.test(name, mean_p(errors.flatten(), floor=1e-4), text)


def _errors(call: Caller, prior: Prior, calls: int, K: int = SAMPLES) -> Tensor:
    """Return estimate − exact KL, (calls, B) in nats."""
    q = posterior(prior, B, D)
    exact = prior.kl(*(t.double() for t in q)).sum(1)
    return call.times(calls, *q, prior.log_prob, K) - exact


def _test_scatter(call: Caller, seen: Findings) -> None:
    mu = posterior(LINEAR, B, D)[0]
    delta = (mu - LINEAR.centre) / LINEAR.width
    largest = (delta**2 + 0.5).sum(1).double()  # variance, closed-form entropy or not
    for K in (SAMPLES, 2):
        errors = _errors(call, LINEAR, 24, K)
        e = errors / (largest / K).sqrt()
        scatter = e - e.mean(0)
        seen.look(f"errors of {K}", errors.mean(1))
        looks = [(scatter.std(1) + 1e-3).log(), scatter.mean(1)]
        seen.look(f"scatter of {K}", torch.stack(looks, dim=1), between=True)
        offset, width = float(errors.mean()), float(e.square().mean().sqrt())
        text = f"the estimate is {offset:+.3g} nats off on average"
        seen.test(f"mean of {K}", mean_p(errors.flatten(), floor=1e-4), text)
        text = f"the estimate scatters {width:.3g} times as much as {K} samples allow"
        seen.test(f"scatter of {K}", upper_chi2_p(float(e.square().sum()), e.numel()), text)
        together = e.mean(dim=1) * math.sqrt(B)
        text = "the estimates of different images err together: their noise is shared"
        p = upper_chi2_p(float(together.square().sum()), together.numel())
        seen.test(f"images of {K}", p, text)


def _test_gradient(call: Caller, seen: Findings) -> None:
    q = posterior(GENERAL, 20, 5)
    tensors = [t.double().requires_grad_() for t in q]
    exact = GENERAL.kl(*tensors).sum(1)
    wanted = torch.autograd.grad(exact.sum(), tensors)
    values, gradients = [], {"mu": [], "log_var": []}
    for _ in range(16):
        value, given = call(*q, GENERAL.log_prob, SAMPLES, gradients=("mu", "log_var"))
        values.append(value.detach())
        for kept, found in zip(gradients.values(), differentiate(value, given)):
            kept.append(found)
    errors = torch.stack(values).double() - exact.detach()
    seen.look("general", errors.mean(1))
    text = f"for a curved prior the estimate is {float(errors.mean()):+.3g} nats off on average"
    seen.test("general", mean_p(errors.flatten(), floor=1e-4), text)
    for (name, kept), want in zip(gradients.items(), wanted):
        note_gradient(seen, name, torch.stack(kept).double(), want)
    q, found = posterior(LINEAR, B, D), []
    for _ in range(8):
        value, given = call(*q, LINEAR.log_prob, SAMPLES, gradients=("mu", "log_var"))
        found.append(differentiate(value, given)[0].double())
    note_gradient_scatter(seen, torch.stack(found), SAMPLES)


@random_exercise("5.1", _probe)
def monte_carlo_kl(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
    """`(mu, log_var, log_prior, num_samples) -> (B,)`, in nats.

    `log_prior(z)` gives log p per latent, in z's shape. z-tests of the estimate against closed
    forms for four priors, one of them under posteriors as narrow as trained ones, and of its
    gradients in mu and log_var (320 to 580 independent estimates each); one-sided χ² tests of the
    scatter of single estimates, of batch means and of the gradient in mu, so that antithetic draws
    and a closed-form entropy pass and a score function does not. False alarms: below 1e-6 a check
    (`statistics`).
    """
    q = torch.distributions.Normal(mu, log_var.exp().sqrt())
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(1)


def _reduced(reduce: Callable) -> Callable:
    return lambda *arguments: reduce(log_ratio()(*arguments))


monte_carlo_kl.mistakes(
    *lift(SHARED, lambda f: lambda *a: f(*a).mean(0).sum(-1)),
    ("mean over latents", _reduced(lambda t: t.mean(0).mean(-1))),
    (
        "batch averaged",
        _reduced(lambda t: t.mean(0).sum(-1).mean()),
        _reduced(lambda t: t.mean()),
        _reduced(lambda t: t.mean(0).sum()),
        _reduced(lambda t: t.sum()),
    ),
    ("latents not summed", _reduced(lambda t: t.mean(0))),
    ("samples not averaged", _reduced(lambda t: t.sum(-1))),
    ("sum over samples", _reduced(lambda t: t.sum(0).sum(-1))),
    (
        "clamped at 0",
        _reduced(lambda t: t.mean(0).sum(-1).relu()),
        _reduced(lambda t: t.mean(0).relu().sum(-1)),
        _reduced(lambda t: t.mean(0).sum(-1).abs()),
    ),
    ("KL to N(0, I)", lambda m, v, log_prior, K: kl_standard(m, v).sum(1)),
    (
        "log of mean for mean of logs",
        _reduced(lambda t: t.sum(-1).logsumexp(0) - math.log(t.shape[0])),
    ),
)
