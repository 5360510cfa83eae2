"""Check of notebook 07: mending a faulty sparse-VAE loss."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from . import estimates
from .common_mistakes import CROSS_ENTROPY, lift, rounded
from .draws import draw_pixels, wrong_pixels
from .estimates import (
    GENERAL,
    LINEAR,
    REDUCED,
    SHARED,
    TWOFOLD,
    detached,
    differentiate,
    log_ratio,
    posterior,
    twofold,
)
from .mathematics import bce, kl_standard
from .mistakes import mistake as M
from .random_exercise import Caller, Findings, random_exercise
from .statistics import mean_p

B, PIXELS = 24, 9


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for rows, pixels, latents, K in ((1, 5, 3, 2), (4, 6, 1, 4), (3, 3, 3, 2), (2, 4, 2, 1)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call(*draw_pixels(g, rows, pixels), *q, GENERAL.log_prob, K)
    # Fixed pixels and posterior: what a mistake does to the value is then the same each time.
    fixed = Generator().manual_seed(7)
    pixels = draw_pixels(fixed, B, PIXELS)
    estimates.probe_kl(call, seen, B, D=6, K=32, pixels=pixels)
    _compare_logits(call, seen, pixels)
    q, wrong = posterior(LINEAR, B, 6), wrong_pixels(fixed, B, PIXELS)
    exact = (LINEAR.kl(*(t.double() for t in q)).sum(1) + bce(*wrong).double().sum(1)).mean()
    errors = (call.times(24, *wrong, *q, LINEAR.log_prob, 32) - exact) / 100
    seen.look("logits", errors)
    text = f"for logits near ±160 it is {100 * errors.mean():+.3g} nats off on average"
    seen.test("logits", mean_p(errors, floor=1e-4), text)


def _compare_logits(call: Caller, seen: Findings, pixels: tuple[Tensor, Tensor]) -> None:
    q = posterior(LINEAR, B, 6)
    value, given = call(*pixels, *q, LINEAR.log_prob, 2, gradients=("logits",))
    want, (found,) = (pixels[0].sigmoid() - pixels[1]) / B, differentiate(value, given["logits"])
    if not found.any():
        seen.fault("gradients do not flow to logits", "No gradient reaches `logits`.")
    elif not torch.allclose(found, want, rtol=1e-3, atol=1e-5):
        seen.fault("gradient logits", "The gradient that reaches `logits` is wrong.")


@random_exercise("7.2", _probe)
def find_the_bug(logits, x, mu, log_var, log_prior: Callable, num_samples: int) -> Tensor:
    """`(logits, x, mu, log_var, log_prior, num_samples) -> scalar`: the mended loss, in nats.

    Examined by `estimates.probe_kl`, and the gradient in the logits exactly.
    """
    kl = log_ratio()(mu, log_var, log_prior, num_samples).sum(2).mean(0)
    return (kl + bce(logits, x).sum(1)).mean()


def _right(cross_entropy: Tensor) -> Tensor:
    return cross_entropy.sum(1).mean()


def _kl(terms: Tensor) -> Tensor:
    return terms.mean(0).sum(1).mean()


def _batch_summed(terms: Tensor) -> Tensor:
    return terms.mean(0).sum()


def _loss(reconstruct=_right, regularise=_kl, cross_entropy=bce, ratio=log_ratio()) -> Callable:
    """Build a loss; `regularise` reduces the (K, B, D) log-ratios."""
    return lambda l, x, m, v, log_prior, K: (
        reconstruct(cross_entropy(l, x)) + regularise(ratio(m, v, log_prior, K))
    )


def _standard(l, x, m, v, log_prior, K):
    return (bce(l, x).sum(1) + kl_standard(m, v).sum(1)).mean()


def _infinite(seen: Findings) -> bool:
    """Whether far-out logits alone go wrong, and not to finite values."""
    return seen.failed == {"logits"} and not seen.finite


cut = log_ratio(detached)
PIXELS_AVERAGED, SUMMED = (
    M("mean over pixels", torch.mean),
    M("batch summed in one term", torch.sum),
)
find_the_bug.mistakes(
    ("detached samples and mean over latents", _loss(_right, torch.mean, ratio=cut)),
    ("detached samples and batch summed in one term", _loss(torch.sum, ratio=cut)),
    ("all faults left in", _loss(torch.sum, torch.mean, ratio=cut)),
    ("mean over latents and batch summed in one term", _loss(torch.sum, torch.mean)),
    ("batch summed in one term", _loss(torch.sum), _loss(_right, _batch_summed)),
    *lift(SHARED, lambda f: _loss(ratio=f)),
    *twofold("7.2", TWOFOLD, [PIXELS_AVERAGED], lambda f, g: _loss(g, ratio=f)),
    *twofold("7.2", TWOFOLD[::2], [SUMMED], lambda f, g: _loss(g, ratio=f)),  # short names
    *twofold(
        "7.2",
        TWOFOLD,
        REDUCED[:1],
        lambda f, g: _loss(_right, lambda t: g(t).mean(), ratio=f),
    ),
    ("mean over pixels", _loss(torch.mean)),
    ("divided by B twice", _loss(lambda b: _right(b) / len(b), lambda t: _kl(t) / t.shape[1])),
    ("mean over everything", _loss(torch.mean, torch.mean)),
    ("batch summed", _loss(torch.sum, _batch_summed)),
    ("batch not averaged", _loss(lambda b: b.sum(1), lambda t: t.mean(0).sum(1))),
    ("sign", _loss(lambda b: -_right(b), lambda t: -_kl(t))),
    ("cross-entropy with the wrong sign", _loss(lambda b: -_right(b))),
    ("KL forgotten", _loss(_right, lambda t: 0 * t.sum())),
    ("cross-entropy forgotten", _loss(lambda b: 0 * b.sum())),
    *lift(REDUCED, lambda f: _loss(_right, lambda t: f(t).mean())),
    ("KL to N(0, I)", _standard),
    *lift(CROSS_ENTROPY + rounded(_infinite), lambda f: _loss(cross_entropy=f)),
    M("cross-entropy off", _loss(lambda b: _right(b) / 784), extreme=estimates.off_alike),
)
