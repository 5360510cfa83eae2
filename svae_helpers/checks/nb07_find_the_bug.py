"""Check of notebook 07: mending a faulty sparse-VAE loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .common_mistakes import CROSS_ENTROPY, lift
from .estimates import (
    GENERAL,
    LINEAR,
    NARROW,
    SHARED,
    WAVES,
    Prior,
    detached,
    differentiate,
    log_ratio,
    note_gradient,
    note_gradient_scatter,
    posterior,
)
from .mathematics import bce, draw_pixels, kl_standard, wrong_pixels
from .random_exercise import Caller, Findings, random_exercise
from .statistics import mean_p, upper_chi2_p

IMAGES, PIXELS, LATENTS, SAMPLES = 24, 9, 6, 32


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for rows, pixels, latents, K in ((1, 5, 3, 2), (4, 6, 1, 4), (3, 3, 3, 2), (2, 4, 2, 1)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call(*draw_pixels(g, rows, pixels), *q, GENERAL.log_prob, K)
    # Fixed pixels and posterior: what a mistake does to the value is then the same each time.
    fixed = Generator().manual_seed(7)
    pixels = draw_pixels(fixed, IMAGES, PIXELS)
    errors = _errors(call, LINEAR, pixels, 8)  # enough to tell most mistakes from each other
    seen.look("first errors", errors)
    _test_scatter(call, seen, pixels)
    for prior, name, where in (
        (WAVES, "waves", "at q = N(0.3, 0.7²)"),
        (NARROW, "log_var", "for log σ² from −8 to −4"),
    ):
        errors = _errors(call, prior, pixels, 24)
        seen.look(name, errors)
        text = f"{where} the loss is {float(errors.mean()):+.3g} nats off on average"
        seen.test(name, mean_p(errors, floor=1e-4), text)
    errors = _errors(call, LINEAR, wrong_pixels(fixed, IMAGES, PIXELS), 24) / 100
    seen.look("logits", errors)
    text = f"for logits near ±160 the loss is {float(100 * errors.mean()):+.3g} nats off on average"
    seen.test("logits", mean_p(errors, floor=1e-4), text)
    _test_gradients(call, seen, pixels)


def _errors(
    call: Caller, prior: Prior, pixels: tuple[Tensor, Tensor], calls: int, K: int = SAMPLES
) -> Tensor:
    q = posterior(prior, IMAGES, LATENTS)
    exact = prior.kl(*(t.double() for t in q)).sum(1).mean() + _cross_entropy(pixels)
    return call.times(calls, *pixels, *q, prior.log_prob, K) - exact


def _cross_entropy(pixels: tuple[Tensor, Tensor]) -> Tensor:
    return bce(*(t.double() for t in pixels)).sum(1).mean()


def _test_scatter(call: Caller, seen: Findings, pixels: tuple[Tensor, Tensor]) -> None:
    delta = (posterior(LINEAR, IMAGES, LATENTS)[0] - LINEAR.centre) / LINEAR.width
    for K in (SAMPLES, 2):
        errors = _errors(call, LINEAR, pixels, 48, K)
        # Large scatter is told from small by its logarithm, call by call.
        off = (errors - errors.mean()).abs() + 1e-4
        seen.look(f"errors of {K}", errors)
        seen.look(f"scatter of {K}", off.log(), between=True)
        text = f"the loss is {float(errors.mean()):+.3g} nats off on average"
        seen.test(f"mean of {K}", mean_p(errors, floor=1e-4), text)
        e = errors / math.sqrt(float((delta**2 + 0.5).sum()) / (K * IMAGES**2))
        scatter = float(e.square().mean().sqrt())
        text = f"the loss scatters {scatter:.3g} times as much as {K} samples an image allow"
        p = upper_chi2_p(float(e.square().sum()), e.numel())
        seen.test(f"scatter of {K}", p, text)


def _test_gradients(call: Caller, seen: Findings, pixels: tuple[Tensor, Tensor]) -> None:
    q = posterior(GENERAL, IMAGES, LATENTS)
    tensors = [t.double().requires_grad_() for t in q]
    exact = GENERAL.kl(*tensors).sum(1).mean()
    wanted = torch.autograd.grad(exact, tensors)
    exact = exact.detach() + _cross_entropy(pixels)
    values, gradients = [], {"mu": [], "log_var": []}
    names = ("logits", "mu", "log_var")
    for _ in range(16):
        value, given = call(*pixels, *q, GENERAL.log_prob, SAMPLES, gradients=names)
        values.append(value.detach())
        if len(values) == 1:
            _compare_logits(seen, value, given["logits"], pixels)
        for kept, found in zip(gradients.values(), differentiate(value, given)):
            kept.append(found)
    errors = torch.stack(values).double() - exact
    seen.look("general", errors)
    text = f"for a curved prior the loss is {float(errors.mean()):+.3g} nats off on average"
    seen.test("general", mean_p(errors, floor=1e-4), text)
    for (name, kept), want in zip(gradients.items(), wanted):
        note_gradient(seen, name, IMAGES * torch.stack(kept).double(), IMAGES * want)
    q, found = posterior(LINEAR, IMAGES, LATENTS), []
    for _ in range(8):
        value, given = call(*pixels, *q, LINEAR.log_prob, SAMPLES, gradients=names)
        found.append(IMAGES * differentiate(value, given)[0].double())
    note_gradient_scatter(seen, torch.stack(found), SAMPLES)


def _compare_logits(
    seen: Findings, value: Tensor, logits: Tensor, pixels: tuple[Tensor, Tensor]
) -> None:
    want, found = (pixels[0].sigmoid() - pixels[1]) / IMAGES, None
    if value.requires_grad:
        (found,) = torch.autograd.grad(value, logits, allow_unused=True, retain_graph=True)
    if found is None or not found.any():
        seen.fault("gradients do not flow to logits", "No gradient reaches `logits`.")
    elif not torch.allclose(found, want, rtol=1e-3, atol=1e-5):
        seen.fault("gradient logits", "The gradient that reaches `logits` is wrong.")


@random_exercise("7.2", _probe)
def find_the_bug(
    logits: Tensor,
    x: Tensor,
    mu: Tensor,
    log_var: Tensor,
    log_prior: Callable,
    num_samples: int,
) -> Tensor:
    """The mended sparse-VAE loss, in nats per image.

    The answer is `(logits, x, mu, log_var, log_prior, num_samples) -> scalar`: cross-entropy
    summed over the pixels plus log q − log p summed over the latents and averaged over num_samples
    reparameterised draws, both averaged over the batch. z-tests against closed forms in value and
    gradient, also for narrow posteriors and surely wrong pixels; one-sided χ² tests of the scatter;
    the logits' gradient is compared exactly. False alarms: below 1e-6 a check (`statistics`).
    """
    q = torch.distributions.Normal(mu, log_var.exp().sqrt())
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).sum(2).mean(0)
    return (kl + bce(logits, x).sum(1)).mean()


def _kl(terms: Tensor) -> Tensor:
    return terms.mean(0).sum(1).mean()


def _right(cross_entropy: Tensor) -> Tensor:
    return cross_entropy.sum(1).mean()


def _loss(
    reconstruct: Callable = _right,
    regularise: Callable = _kl,
    cross_entropy: Callable = bce,
    ratio: Callable = log_ratio(),
) -> Callable:
    """Put a loss together; `regularise` reduces the (K, B, D) log-ratios."""
    return lambda l, x, m, v, log_prior, K: (
        reconstruct(cross_entropy(l, x)) + regularise(ratio(m, v, log_prior, K))
    )


find_the_bug.mistakes(
    (
        "detached samples and mean over latents",
        _loss(regularise=torch.mean, ratio=log_ratio(detached)),
    ),
    ("detached samples and batch summed in one term", _loss(torch.sum, ratio=log_ratio(detached))),
    ("all faults left in", _loss(torch.sum, regularise=torch.mean, ratio=log_ratio(detached))),
    ("mean over latents", _loss(regularise=torch.mean)),
    (
        "batch summed in one term",
        _loss(torch.sum),
        _loss(regularise=lambda t: t.mean(0).sum()),
        _loss(torch.sum, regularise=torch.mean),
    ),
    *lift(SHARED, lambda f: _loss(ratio=f)),
    ("mean over pixels", _loss(torch.mean)),
    ("mean over everything", _loss(torch.mean, torch.mean)),
    ("batch summed", _loss(torch.sum, lambda t: t.mean(0).sum())),
    ("batch not averaged", _loss(lambda b: b.sum(1), lambda t: t.mean(0).sum(1))),
    ("sign", _loss(lambda b: -_right(b), lambda t: -_kl(t))),
    ("log-likelihood added", _loss(lambda b: -_right(b))),
    ("KL forgotten", _loss(regularise=lambda t: 0 * t.sum())),
    ("reconstruction forgotten", _loss(lambda b: 0 * b.sum())),
    ("sum over samples", _loss(regularise=lambda t: t.sum(0).sum(1).mean())),
    (
        "a β left in",
        *(_loss(regularise=lambda t, beta=beta: beta * _kl(t)) for beta in (0.5, 2.0, 4.0)),
    ),
    ("clamped at 0", _loss(regularise=lambda t: t.mean(0).sum(1).relu().mean())),
    (
        "KL to N(0, I)",
        lambda l, x, m, v, log_prior, K: (bce(l, x).sum(1) + kl_standard(m, v).sum(1)).mean(),
    ),
    *lift(CROSS_ENTROPY, lambda f: _loss(cross_entropy=f)),
)
