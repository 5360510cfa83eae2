"""Checks of notebook 03: Bernoulli log-likelihood, Gaussian KL, and a VAE's loss."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from .common_mistakes import CROSS_ENTROPY, FAR_OUT, GAUSSIAN_KL, LOSS, lift, per_image
from .draws import draw_pixels, draw_posterior, narrow_posterior, sure_pixels, wrong_pixels
from .exercise import Case, exercise
from .mathematics import bce, bce_terms, kl_standard, kl_terms
from .mistakes import Terms, whole


def _pixel_cases(g: Generator) -> Iterator[Case]:
    for shape in ((4, 7), (5, 5), (3, 784), (1, 9), (6, 1)):
        yield Case(draw_pixels(g, *shape))
    yield Case((0.1 + 0.8 * torch.rand(3, 5, generator=g), draw_pixels(g, 3, 5)[1]))
    yield Case(wrong_pixels(g, 3, 6), extreme="logits")
    yield Case(sure_pixels(g, 3, 6), extreme="logits")


@exercise("3.1", _pixel_cases, gradients=["logits"], reduction=per_image("pixels"))
def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Terms:
    """`(logits, x) -> (B,)`: log p(x | z) in nats, of (B, P) logits and binary pixels."""
    return Terms({name.split(": ")[1]: -t for name, t in bce_terms(logits, x).items()})


def _likelihood(logits: Tensor, x: Tensor) -> Tensor:
    return x * logits.sigmoid() + (1 - x) * (1 - logits.sigmoid())


bernoulli_log_likelihood.mistakes(
    ("sign", bce),
    ("logarithm forgotten", _likelihood),
    ("log of sum for sum of logs", whole(lambda l, x: _likelihood(l, x).sum(1).log())),
    ("likelihoods multiplied", whole(lambda l, x: _likelihood(l, x).prod(1).log())),
    *lift(CROSS_ENTROPY + FAR_OUT, lambda f: lambda l, x: -f(l, x)),
)


def _posterior_cases(g: Generator) -> Iterator[Case]:
    for shape in ((4, 6), (5, 5), (32, 20), (1, 4), (7, 1)):
        yield Case(draw_posterior(g, *shape))
    yield Case((torch.randn(3, 2, generator=g), 0.2 + torch.rand(3, 2, generator=g)))
    yield Case(narrow_posterior(g, 5, 4), extreme="log_var")
    far = torch.tensor([[-9.0, 5.0, 0.2], [3.0, -7.0, 1.0]])
    yield Case((torch.full((2, 3), 9.0), far), extreme="log_var")


@exercise("3.2", _posterior_cases, ["mu", "log_var"], reduction=per_image("latents"))
def gaussian_kl(mu: Tensor, log_var: Tensor) -> Terms:
    """`(mu, log_var) -> (B,)`: KL(q ‖ N(0, I)) in nats, for (B, D) parameters of q."""
    return kl_terms(mu, log_var)


gaussian_kl.mistakes(
    ("sign", lambda m, v: -gaussian_kl.right(m, v)),
    ("−1 once for all", whole(lambda m, v: 0.5 * ((m**2 + v.exp() - v).sum(1) - 1))),
    ("square of the sum", whole(lambda m, v: 0.5 * (m.sum(1) ** 2 + (v.exp() - 1 - v).sum(1)))),
    ("μ not squared", whole(lambda m, v: 0.5 * (m.norm(dim=1) + (v.exp() - 1 - v).sum(1)))),
    *lift(GAUSSIAN_KL, lambda f: f),
)


def _loss_cases(g: Generator) -> Iterator[Case]:
    more = [(3 + k % 4, 5 + k, 2 + k % 3) for k in range(9)]  # one number each tells terms apart
    for B, P, D in [(4, 9, 3), (7, 784, 20), (5, 5, 5), (1, 6, 2), (3, 8, 1), *more]:
        yield Case((*draw_pixels(g, B, P), *draw_posterior(g, B, D)))
    logits, x = draw_pixels(g, 4, 6)
    mu, log_var = draw_posterior(g, 4, 2)
    yield Case((logits, x, mu, 0.2 + log_var.abs().clamp(max=0.6)))
    yield Case((logits.sigmoid(), x, mu, log_var))
    for far in (wrong_pixels, sure_pixels):
        yield Case((*far(g, 2, 5), *draw_posterior(g, 2, 4)), extreme="logits")
    yield Case((*draw_pixels(g, 3, 6), *narrow_posterior(g, 3, 4)), extreme="log_var")


@exercise("3.3", _loss_cases, gradients=["logits", "mu", "log_var"], reduction=LOSS)
def vae_loss(logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Terms:
    """`(logits, x, mu, log_var) -> scalar`: minus the ELBO, of (B, P) and (B, D) tensors."""
    return Terms(bce_terms(logits, x) | kl_terms(mu, log_var))


vae_loss.mistakes(
    *lift(CROSS_ENTROPY + FAR_OUT, lambda f: lambda l, x, m, v: (f(l, x), kl_standard(m, v))),
    *lift(GAUSSIAN_KL, lambda f: lambda l, x, m, v: (bce(l, x), f(m, v))),
)
