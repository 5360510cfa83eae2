"""Draws and estimates that students may write, each two mistakes or an unusual right way."""

import math

import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from .unseen import ONE_PLACE, RIGHT, UNNAMED, tried
from .unseen_exact import bce, kls, std
from .unseen_first import K as kl
from .unseen_first import bug


class Draw(nn.Module):
    def forward(self, mu, log_var):
        return torch.addcmul(mu, std(log_var), torch.randn_like(mu))


def draw_by_loop(mu, log_var):
    return torch.stack([Normal(m, v.exp().sqrt()).rsample() for m, v in zip(mu, log_var)])


def draw_in_double(mu, log_var):
    eps = torch.empty(mu.shape, dtype=torch.float64).normal_()
    return (mu.double() + log_var.double().mul(0.5).exp() * eps).to(mu.dtype)


tried(
    "reparameterise",
    ("a module", Draw(), RIGHT),
    ("loop", draw_by_loop, RIGHT),
    ("float64", draw_in_double, RIGHT),
    (
        "two noises",
        lambda m, v: m + std(v) * (torch.randn_like(m) + torch.randn_like(m)) / 2**0.5,
        RIGHT,
    ),
    (
        "inverse CDF",
        lambda m, v: m + std(v) * 2**0.5 * torch.erfinv(2 * torch.rand(m.shape).clamp(1e-6) - 1),
        RIGHT,
    ),
    ("keyword-only", lambda *, mu, log_var: mu + std(log_var) * torch.randn_like(mu), RIGHT),
    (
        "variance, detached",
        lambda m, v: (m + v.exp() * torch.randn_like(m)).detach(),
        "variance for standard deviation",
    ),
    (
        "uniform variance",
        lambda m, v: m + v.exp() * torch.rand_like(m),
        "uniform noise, and variance for standard deviation",
    ),
    ("no mean", lambda m, v: std(v) * torch.randn_like(m) + 0 * m, "mean forgotten"),
    ("minus the mean", lambda m, v: std(v) * torch.randn_like(m) - m, ONE_PLACE),
    ("no noise", lambda m, v: m + std(v), "σ for noise"),
    ("noise unscaled", lambda m, v: m + torch.randn_like(m) + 0 * v, "σ forgotten"),
    ("mean doubled", lambda m, v: 2 * m + std(v) * torch.randn_like(m), ONE_PLACE),
    ("one number of noise", lambda m, v: m + std(v) * torch.randn(()), "one ε for everything"),
    ("|noise|", lambda m, v: m + std(v) * torch.randn_like(m).abs(), "positive noise only"),
    (
        "tensor of shape (1, …)",
        lambda m, v: (m + std(v) * torch.randn_like(m))[None],
        ONE_PLACE,
    ),
)


def double_gradient(f, mu, log_var, num_samples):
    leaf = mu.detach().double().requires_grad_()
    z = leaf + std(log_var.detach().double()) * torch.randn(num_samples, len(mu)).double()
    f(z.to(mu.dtype)).mean().backward()
    return leaf.grad.to(mu.dtype)


def by_noise_gradient(f, mu, log_var, num_samples):
    with torch.no_grad():
        z = Normal(mu, std(log_var)).sample((num_samples,))
    z.requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0].mean(0)


def by_functional(f, mu, log_var, num_samples):
    eps = torch.randn(num_samples, mu.numel())
    sigma = std(log_var.detach())
    return torch.func.grad(lambda m: f(m + sigma * eps).mean())(mu.detach())


def shared_noise(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + std(log_var.detach()) * torch.randn(num_samples, 1)
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def one_draw_repeated(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + std(log_var.detach()) * torch.randn(1, len(mu)).expand(num_samples, -1)
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def at_the_mean(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    return torch.autograd.grad(f(leaf.expand(num_samples, -1)).mean(), leaf)[0]


def of_log_var(f, mu, log_var, num_samples):
    leaf = log_var.detach().clone().requires_grad_()
    z = mu.detach() + std(leaf) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def backward_into_log_var(f, mu, log_var, num_samples):
    own = mu.detach().clone().requires_grad_()
    f(own + std(log_var) * torch.randn(num_samples, len(mu))).mean().backward()
    return own.grad


def minus(f, mu, log_var, num_samples):
    return -by_noise_gradient(f, mu, log_var, num_samples)


def summed_variance(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + log_var.detach().exp() * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).sum(), leaf)[0]


tried(
    "gradient_estimate",
    ("float64", double_gradient, RIGHT),
    ("gradient at z, averaged", by_noise_gradient, RIGHT),
    ("torch.func", by_functional, RIGHT),
    ("noise shared", shared_noise, "ε shared between latents"),
    ("one draw repeated", one_draw_repeated, "one sample where num_samples were asked for"),
    ("at the mean", at_the_mean, "gradient at the mean"),
    ("of log_var", of_log_var, "gradient with respect to log_var"),
    ("into log_var too", backward_into_log_var, "caller's gradient changed"),
    ("minus", minus, "sign"),
    ("summed, variance", summed_variance, UNNAMED),
)


def sample_by_loop(shape, spike_prob, spike_var):
    z = torch.empty(math.prod(shape))
    for i in range(len(z)):
        z[i] = torch.randn(()) * (spike_var**0.5 if torch.rand(()) < spike_prob else 1.0)
    return z.reshape(shape)


def sample_mixture(shape, spike_prob=0.8, spike_var=0.05):
    weights = Categorical(torch.tensor([spike_prob, 1 - spike_prob]))
    return MixtureSameFamily(weights, Normal(0.0, torch.tensor([spike_var**0.5, 1.0]))).sample(
        shape
    )


def where(switch, spike, slab=torch.randn):
    return lambda s, p, v: torch.where(switch(s, p), spike(s, v), slab(s))


def off(s, p):
    return torch.rand(s) < p


tried(
    "sample",
    ("loop", sample_by_loop, RIGHT),
    ("torch's mixture", sample_mixture, RIGHT),
    (
        "bernoulli",
        lambda s, p, v: torch.randn(s) * torch.bernoulli(torch.full(s, p)).mul(v**0.5 - 1).add(1),
        RIGHT,
    ),
    (
        "multinomial",
        lambda s, p, v: (
            torch.tensor([v**0.5, 1.0])[
                torch.multinomial(torch.tensor([p, 1 - p]), math.prod(s), True)
            ].reshape(s)
            * torch.randn(s)
        ),
        RIGHT,
    ),
    (
        "logistic",
        where(
            lambda s, p: torch.rand(s).logit() < math.log(p / (1 - p)),
            lambda s, v: torch.randn(s) * v**0.5,
        ),
        RIGHT,
    ),
    (
        "swapped, v as σ",
        where(lambda s, p: torch.rand(s) > p, lambda s, v: v * torch.randn(s)),
        "swapped, and spike_var used as a standard deviation",
    ),
    (
        "one switch for all",
        where(lambda s, p: torch.rand(1) < p, lambda s, v: v**0.5 * torch.randn(s)),
        "one component for the whole call",
    ),
    ("spike only", lambda s, p, v: v**0.5 * torch.randn(s), "spike only"),
    ("N(0, 1)", lambda s, p, v: torch.randn(s), "slab only"),
    (
        "moment-matched",
        lambda s, p, v: (p * v + 1 - p) ** 0.5 * torch.randn(s),
        "moment-matched Gaussian",
    ),
    ("root twice", where(off, lambda s, v: v**0.25 * torch.randn(s)), "root taken twice"),
    ("uniform slab", where(off, lambda s, v: v**0.5 * torch.randn(s), torch.rand), "uniform slab"),
    ("uniform", where(off, lambda s, v: v**0.5 * torch.rand(s), torch.rand), "uniform noise"),
    (
        "spike added",
        lambda s, p, v: v**0.5 * torch.randn(s) + (torch.rand(s) > p) * torch.randn(s),
        "slab added to the spike",
    ),
    ("a seed", lambda s, p, v: (torch.manual_seed(0), sample_mixture(s, p, v))[1], "fixed seed"),
)


def by_matrix(mu, log_var, log_prior, num_samples):
    q = MultivariateNormal(mu, torch.diag_embed(log_var.exp()))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z).sum(-1)).mean(0)


def by_loop(mu, log_var, log_prior, num_samples):
    q, total = Independent(Normal(mu, std(log_var)), 1), torch.zeros(len(mu))
    for _ in range(num_samples):
        z = q.rsample()
        total = total + q.log_prob(z) - log_prior(z).sum(1)
    return total / num_samples


class Estimate(nn.Module):
    def forward(self, mu, log_var, log_prior, num_samples):
        eps = torch.randn(num_samples, *mu.shape)
        log_q = -0.5 * (eps.square() + log_var + math.log(2 * math.pi))
        return torch.einsum("kbd->b", log_q - log_prior(mu + std(log_var) * eps)) / num_samples


def antithetic(mu, log_var, log_prior, num_samples):
    eps = torch.randn(num_samples, *mu.shape)
    z = mu + std(log_var) * eps
    return (-Normal(mu, std(log_var)).entropy() - log_prior(z)).sum(-1).mean(0)


def variance(q, m, v, k):
    return m + v.exp() * torch.randn(k, *m.shape)


def detached(q, m, v, k):
    return q.sample((k,))


def one(q, m, v, k):
    return q.rsample((1,)).expand(k, *m.shape)


RIGHT_KL = [
    ("matrices", by_matrix),
    ("loop", by_loop),
    ("a module", Estimate()),
    ("entropy", antithetic),
]
WRONG_KL = [
    ("variance", kl(variance), "variance for standard deviation"),
    ("one draw repeated", kl(one), "one sample where num_samples were asked for"),
    (
        "detached and halved",
        kl(detached, red=lambda t: 0.5 * t.mean(0).sum(1)),
        "KL halved",
    ),
    (
        "detached and summed over K",
        kl(detached, red=lambda t: t.sum(0).sum(1)),
        "detached samples, and sum over samples",
    ),
    (
        "variance and mean over latents",
        kl(variance, red=lambda t: t.mean(0).mean(1)),
        "variance for standard deviation, and mean over latents",
    ),
    ("largest", kl(red=lambda t: t.amax(0).sum(1)), "largest sample"),
    ("prior's mean", kl(integ=lambda q, p: q - p.mean()), UNNAMED),
    (
        "noise shared between images",
        kl(lambda q, m, v, k: m + std(v) * torch.randn(k, 1, m.shape[1])),
        "ε shared between images",
    ),
]
tried("monte_carlo_kl", *((said, f, RIGHT) for said, f in RIGHT_KL))
tried("monte_carlo_kl", *WRONG_KL)
tried("find_the_bug", *((said, bug(f), RIGHT) for said, f in RIGHT_KL))


def half_mended(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, std(log_var))
    z = q.rsample((num_samples,))
    return bce(logits, x).sum() + (q.log_prob(z) - log_prior(z)).mean()


tried(
    "find_the_bug",
    ("rsample alone mended", half_mended, "mean over latents and batch summed in one term"),
    ("all divided by B", lambda l, x, *a: half_mended(l, x, *a) / len(x), UNNAMED),
    ("no KL", bug(kl(), comb=lambda r, k: r + 0 * k.mean()), "KL forgotten"),
    (
        "closed form",
        lambda l, x, m, v, p, k: (bce(l, x).sum(1) + kls(m, v).sum(1)).mean(),
        "KL to N(0, I)",
    ),
    (
        "sigmoid twice, sample",
        bug(kl(detached), lambda l, x: bce(l.sigmoid(), x).sum(1).mean()),
        "sigmoid twice",
    ),
)
