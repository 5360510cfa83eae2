"""Answers from a trial of the checks of draws and of Monte Carlo estimates, as they were written.

Three that are not quite right have RIGHT for their name, as no check here can tell: σ clamped at
0.01, noise cut off at ±3 in 2.2, and a sum of twelve uniforms for a normal.
"""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal

from .unseen import ONE_PLACE, RIGHT, tried


def reparameterise_r1(mu, log_var):
    u, v = 1 - torch.rand_like(mu), torch.rand_like(mu)
    eps = torch.sqrt(-2 * u.log()) * torch.cos(2 * math.pi * v)
    return torch.addcmul(mu, eps, (log_var / 2).exp())


def reparameterise_r2(mu, log_var):
    base = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    affine = torch.distributions.AffineTransform(mu, log_var.exp().sqrt())
    return torch.distributions.TransformedDistribution(base, affine).rsample()


def reparameterise_r3(mu, log_var):
    q = torch.distributions.MultivariateNormal(
        mu, scale_tril=torch.diag_embed(log_var.mul(0.5).exp())
    )
    return q.rsample()


def reparameterise_v2(mu, log_var):
    h = (len(mu) + 1) // 2
    e = torch.randn_like(mu[:h])
    return mu + torch.exp(0.5 * log_var) * torch.cat([e, e])[: len(mu)]


def reparameterise_v3(mu, log_var):
    e = torch.randn_like(mu)
    h = e.shape[-1] // 2
    e = torch.cat([e[..., :h], e[..., :h], e[..., 2 * h :]], -1)
    return mu + torch.exp(0.5 * log_var) * e


def reparameterise_w1(mu, log_var):
    sigma = log_var.exp()
    return mu + sigma * torch.randn_like(sigma)


def reparameterise_w2(mu, log_var):
    eps = torch.randn(mu.shape[0], 1, dtype=mu.dtype) if mu.dim() > 1 else torch.randn(1)
    return mu + torch.exp(0.5 * log_var) * eps


def reparameterise_w3(mu, log_var):
    return torch.normal(mu, torch.exp(0.5 * log_var))


def reparameterise_w4(mu, log_var):
    eps = (torch.rand_like(mu) - 0.5) * math.sqrt(12)
    return mu + torch.exp(0.5 * log_var) * eps


def reparameterise_w5(mu, log_var):
    sigma = F.softplus(log_var).sqrt()
    return mu + sigma * torch.randn_like(mu)


def reparameterise_w6(mu, log_var):
    with torch.no_grad():
        noise = torch.exp(log_var / 2) * torch.randn_like(mu)
    return mu + noise


def reparameterise_w7(mu, log_var):
    torch.manual_seed(42)
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)


def reparameterise_w8(mu, log_var):
    log_var = log_var.clamp(-2, 2)
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)


def reparameterise_w9(mu, log_var):
    eps = torch.rand_like(mu)
    return mu + eps * torch.exp(log_var)


def reparameterise_x1(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    return mu + sigma * torch.randn_like(mu).clamp(-2, 2)


def reparameterise_x10(mu, log_var):
    return mu + log_var.sqrt() * torch.randn_like(mu)


def reparameterise_x11(mu, log_var):
    return mu + torch.exp(-0.5 * log_var) * torch.randn_like(mu)


def reparameterise_x2(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    h = (len(mu) + 1) // 2
    e = torch.randn_like(mu[:h])
    return mu + sigma * torch.cat([e, -e])[: len(mu)]


def reparameterise_x3(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    return mu * (1 + sigma * torch.randn_like(mu))


def reparameterise_x4(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    return mu + sigma * torch.randn_like(mu).abs()


def reparameterise_x5(mu, log_var):
    return mu + torch.exp(0.25 * log_var) * torch.randn_like(mu)


def reparameterise_x6(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    return Normal(mu, sigma).sample() + mu - mu.detach()


def reparameterise_x7(mu, log_var):
    return mu + 10 ** (0.5 * log_var) * torch.randn_like(mu)


def reparameterise_x8(mu, log_var):
    sigma = torch.exp(0.5 * log_var)
    return mu + sigma * torch.distributions.Laplace(0.0, 0.5**0.5).sample(mu.shape).to(mu.dtype)


def reparameterise_x9(mu, log_var):
    return Normal(mu, log_var).rsample()


def reparameterise_y10(mu, log_var):
    e = torch.randn_like(mu)
    e = e - e.mean(0) if len(e) > 1 else e
    return mu + torch.exp(0.5 * log_var) * e


def reparameterise_y11(mu, log_var):
    e = torch.randn_like(mu)
    if len(e) > 1:
        e[1] = e[0]
    return mu + torch.exp(0.5 * log_var) * e


def reparameterise_y12(mu, log_var):
    e = torch.rand(12, *mu.shape, dtype=mu.dtype).sum(0) - 6
    return mu + torch.exp(0.5 * log_var) * e


def reparameterise_y6(mu, log_var):
    return mu + (torch.exp(0.5 * log_var) + 0.02) * torch.randn_like(mu)


def reparameterise_y7(mu, log_var):
    return mu + torch.exp(0.5 * log_var).clamp(min=0.01) * torch.randn_like(mu)


def reparameterise_y8(mu, log_var):
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu).clamp(-3, 3)


def reparameterise_y9(mu, log_var):
    e = torch.randn_like(mu)
    h = e.shape[-1] // 2
    e = torch.cat([e[..., :h], -e[..., :h], e[..., 2 * h :]], -1)
    return mu + torch.exp(0.5 * log_var) * e


tried(
    "reparameterise",
    ("R1: Box-Muller", reparameterise_r1, RIGHT),
    ("R2: TransformedDistribution", reparameterise_r2, RIGHT),
    ("R3: MultivariateNormal with a diagonal factor", reparameterise_r3, RIGHT),
    (
        "V2: half the batch repeats the other half noise",
        reparameterise_v2,
        "ε shared between images",
    ),
    ("V3: latents in pairs share noise (d, d+h)", reparameterise_v3, "ε shared between latents"),
    (
        "W1: variance used as standard deviation",
        reparameterise_w1,
        "variance for standard deviation",
    ),
    ("W2: one noise number per image", reparameterise_w2, "ε shared between latents"),
    ("W3: torch.normal, which has no gradient", reparameterise_w3, "detached sample"),
    ("W4: uniform noise scaled to variance 1", reparameterise_w4, "uniform noise"),
    ("W5: softplus in place of exp", reparameterise_w5, "softplus for exp"),
    ("W6: sigma made under no_grad", reparameterise_w6, "detached σ"),
    ("W7: seed set inside", reparameterise_w7, "fixed seed"),
    ("W8: log_var clamped to [-2, 2]", reparameterise_w8, "clamped σ"),
    (
        "W9: two mistakes: uniform [0, 1) noise and sigma = exp(log_var)",
        reparameterise_w9,
        "uniform noise, and variance for standard deviation",
    ),
    ("X1: noise truncated to ±2", reparameterise_x1, ONE_PLACE),
    ("X10: log_var.sqrt() as sigma (NaN)", reparameterise_x10, "log_var taken for σ"),
    ("X11: sigma = exp(-log_var/2) (precision)", reparameterise_x11, "sign of log_var"),
    (
        "X2: second half of the batch gets minus the first half noise",
        reparameterise_x2,
        "ε shared between images",
    ),
    ("X3: noise multiplies mu too", reparameterise_x3, "noise multiplied by the mean"),
    ("X4: half-normal noise", reparameterise_x4, "positive noise only"),
    ("X5: quarter instead of half", reparameterise_x5, "root taken twice"),
    ("X6: gradient to mu only by straight-through", reparameterise_x6, "detached σ"),
    ("X7: base 10", reparameterise_x7, "another base"),
    ("X8: Laplace noise of variance 1", reparameterise_x8, "noise not normal"),
    ("X9: log_var passed as scale of Normal", reparameterise_x9, "an exception"),
    ("Y10: noise standardised over the batch", reparameterise_y10, ONE_PLACE),
    ("Y11: two images share noise, rest own", reparameterise_y11, "ε shared between images"),
    ("Y12: sum of 12 uniforms minus 6", reparameterise_y12, RIGHT),
    ("Y6: sigma + 0.02", reparameterise_y6, ONE_PLACE),
    ("Y7: sigma clamped at 1e-3 below (log_var >= -13.8): harmless?", reparameterise_y7, RIGHT),
    ("Y8: noise clamped to ±3", reparameterise_y8, ONE_PLACE),
    ("Y9: mirrored pairs of latents", reparameterise_y9, "ε shared between latents"),
)


def gradient_estimate_r1(f, mu, log_var, num_samples):
    with torch.no_grad():
        z = torch.normal(mu.expand(num_samples, -1), (0.5 * log_var).exp().expand(num_samples, -1))
    z.requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0].mean(0)


def gradient_estimate_r2(f, mu, log_var, num_samples):
    noise = log_var.detach().div(2).exp() * torch.randn((num_samples, mu.numel()), dtype=mu.dtype)
    return torch.func.grad(lambda m: f(m + noise).mean())(mu.detach())


def gradient_estimate_r3(f, mu, log_var, num_samples):
    own = torch.nn.Parameter(mu.detach().clone())
    z = Normal(own, log_var.detach().exp().sqrt()).rsample([num_samples])
    (f(z).sum() / num_samples).backward()
    return own.grad.clone()


def gradient_estimate_w1(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + log_var.detach().exp() * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_w2(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    eps = torch.randn(num_samples, 1, dtype=mu.dtype)
    z = leaf + torch.exp(0.5 * log_var.detach()) * eps
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_w3(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + torch.exp(0.5 * log_var.detach()) * torch.randn_like(leaf)
    z = z.expand(num_samples, -1)
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_w4(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    q = Normal(leaf, torch.exp(0.5 * log_var.detach()))
    z = q.sample((num_samples,))
    surrogate = (f(z).detach() * q.log_prob(z).sum(-1)).mean()
    return torch.autograd.grad(surrogate, leaf)[0]


def gradient_estimate_w5(f, mu, log_var, num_samples):
    mu.requires_grad_()
    z = mu + torch.exp(0.5 * log_var) * torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
    f(z).mean().backward()
    return mu.grad


def gradient_estimate_w6(f, mu, log_var, num_samples):
    eps = torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
    z = (mu.detach() + torch.exp(0.5 * log_var.detach()) * eps).requires_grad_()
    (slope,) = torch.autograd.grad(f(z).sum(), z)
    return (slope * eps).mean(0)


def gradient_estimate_w7(f, mu, log_var, num_samples):
    eps = torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
    z = (mu.detach() + torch.exp(0.5 * log_var.detach()) * eps).requires_grad_()
    (slope,) = torch.autograd.grad(f(z).mean(), z)
    return slope.mean(0)


def gradient_estimate_w8(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf.expand(num_samples, len(leaf))
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_w9(f, mu, log_var, num_samples):
    h = 1e-2
    with torch.no_grad():
        eps = torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
        z = mu + torch.exp(0.5 * log_var) * eps
        return ((f(z + h) - f(z - h)) / (2 * h)).mean() * torch.ones_like(mu)


def gradient_estimate_x1(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).sum(), leaf)[0]


def gradient_estimate_x10(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = Normal(leaf, s).sample((num_samples,))
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_x2(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z.mean(0, keepdim=True)).sum(), leaf)[0]


def gradient_estimate_x3(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    e = torch.randn((num_samples + 1) // 2, len(mu), dtype=mu.dtype)
    z = leaf + s * torch.cat([e, -e])[:num_samples]
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_x4(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return -torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_x5(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).mean(), leaf)[0] / s


def gradient_estimate_x6(f, mu, log_var, num_samples):
    lv = log_var.detach().clone().requires_grad_()
    z = mu.detach() + torch.exp(0.5 * lv) * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).mean(), lv)[0]


def gradient_estimate_x7(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(max(num_samples - 1, 1), len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).mean(), leaf)[0]


def gradient_estimate_x8(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    z = leaf + s * torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(z).mean().log(), leaf)[0]


def gradient_estimate_x9(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    q = Normal(leaf, s)
    z = q.rsample((num_samples,))
    return torch.autograd.grad(
        (f(z) + f(z).detach() * q.log_prob(z.detach()).sum(-1)).mean(), leaf
    )[0]


def gradient_estimate_y13(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    e = torch.randn(num_samples + 1, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(leaf + s * e).mean(), leaf)[0]


def gradient_estimate_y14(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    e = torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(leaf + s * e).mean(), leaf)[0].float()


def gradient_estimate_y15(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    e = torch.randn(num_samples, len(mu), dtype=mu.dtype)
    return torch.autograd.grad(f(leaf + s * e.clamp(-3, 3)).mean(), leaf)[0]


def gradient_estimate_y16(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    s = torch.exp(0.5 * log_var.detach())
    e = torch.randn(num_samples, len(mu), dtype=mu.dtype)
    e = e - e.mean(0) if num_samples > 1 else e
    return torch.autograd.grad(f(leaf + s * e).mean(), leaf)[0]


tried(
    "gradient_estimate",
    ("R1: slope at the draws, averaged", gradient_estimate_r1, RIGHT),
    ("R2: torch.func.grad", gradient_estimate_r2, RIGHT),
    ("R3: own leaf and backward, rsample", gradient_estimate_r3, RIGHT),
    (
        "W1: variance used as standard deviation",
        gradient_estimate_w1,
        "variance for standard deviation",
    ),
    ("W2: noise shared by the latents of a draw", gradient_estimate_w2, "ε shared between latents"),
    (
        "W3: one draw expanded to K",
        gradient_estimate_w3,
        "one sample where num_samples were asked for",
    ),
    ("W4: score-function estimate in place of pathwise", gradient_estimate_w4, "score function"),
    (
        "W5: changes the caller's mu: requires_grad_ and backward",
        gradient_estimate_w5,
        "caller's gradient changed",
    ),
    (
        "W6: slope times the noise: the gradient in sigma",
        gradient_estimate_w6,
        "gradient with respect to σ",
    ),
    ("W7: divides by K twice", gradient_estimate_w7, "divided by K twice"),
    ("W8: gradient of f at the mean, no noise", gradient_estimate_w8, "gradient at the mean"),
    (
        "W9: finite difference that shifts all latents at once",
        gradient_estimate_w9,
        "one gradient for all latents",
    ),
    ("X1: sum for mean", gradient_estimate_x1, "sum over samples"),
    ("X10: grad of sampled z: sample()", gradient_estimate_x10, "detached samples"),
    ("X2: f at the mean of the draws", gradient_estimate_x2, "f of the mean draw"),
    ("X3: antithetic pairs", gradient_estimate_x3, "mirrored draws"),
    ("X4: descent direction (minus)", gradient_estimate_x4, "sign"),
    ("X5: gradient divided by sigma", gradient_estimate_x5, ONE_PLACE),
    (
        "X6: gradient with respect to log_var",
        gradient_estimate_x6,
        "gradient with respect to log_var",
    ),
    ("X7: drops one draw: K-1 draws", gradient_estimate_x7, ONE_PLACE),
    ("X8: log of the mean differentiated", gradient_estimate_x8, ONE_PLACE),
    (
        "X9: total with score: rsample and log q added",
        gradient_estimate_x9,
        "pathwise and score-function gradients added",
    ),
    ("Y13: K+1 draws", gradient_estimate_y13, "more draws than asked for"),
    ("Y14: float32 noise and result always .float()", gradient_estimate_y14, RIGHT),
    ("Y15: noise clamped ±3", gradient_estimate_y15, RIGHT),
    (
        "Y16: noise centred over K (moment matching)",
        gradient_estimate_y16,
        "noise centred over the draws",
    ),
)


def monte_carlo_kl_r1(mu, log_var, log_prior, num_samples):
    z = (
        torch.randn(*mu.shape, num_samples, dtype=mu.dtype) * log_var.div(2).exp()[..., None]
        + mu[..., None]
    )
    cross = -log_prior(z).sum(1).mean(-1)
    return cross - 0.5 * (1 + math.log(2 * math.pi) + log_var).sum(1)


def monte_carlo_kl_r2(mu, log_var, log_prior, num_samples):
    z = Normal(mu, torch.exp(0.5 * log_var)).rsample((num_samples,))
    fixed = Normal(mu.detach(), torch.exp(0.5 * log_var.detach()))
    return (fixed.log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_r3(mu, log_var, log_prior, num_samples):
    total = 0
    for _ in range(num_samples):
        eps = torch.randn_like(mu)
        z = mu + torch.exp(0.5 * log_var) * eps
        log_q = -0.5 * eps**2 - 0.5 * log_var - 0.5 * math.log(2 * math.pi)
        total = total + (log_q - log_prior(z)).sum(-1)
    return total / num_samples


def monte_carlo_kl_r4(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z, other = q.rsample((num_samples,)), q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(other)).mean(0).sum(-1)


def monte_carlo_kl_v5(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(num_samples, *mu.shape)
    h = mu.shape[0] // 2
    e[:, h : 2 * h] = e[:, :h]
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_v6(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu.repeat(num_samples, 1) + s.repeat(num_samples, 1) * torch.randn(
        num_samples * mu.shape[0], mu.shape[1]
    )
    d = (
        Normal(mu.repeat(num_samples, 1), s.repeat(num_samples, 1)).log_prob(z) - log_prior(z)
    ).sum(-1)
    return d.view(-1, num_samples).mean(1)


def monte_carlo_kl_w1(mu, log_var, log_prior, num_samples):
    sigma = torch.exp(0.5 * log_var)
    eps = torch.randn(num_samples, 1, mu.shape[1], dtype=mu.dtype)
    z = mu + sigma * eps
    return (Normal(mu, sigma).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_w2(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(0).clamp(min=0).sum(-1)


def monte_carlo_kl_w3(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    entropy = 0.5 * (math.log(2 * math.pi) + log_var)
    return (-entropy - log_prior(z).mean(0)).sum(-1)


def monte_carlo_kl_w4(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    log_q = q.log_prob(z)
    return (log_q.exp() * (log_q - log_prior(z))).mean(0).sum(-1)


def monte_carlo_kl_w5(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z).mean(0) - log_prior(mu)).sum(-1)


def monte_carlo_kl_w6(mu, log_var, log_prior, num_samples):
    sigma = torch.exp(0.5 * log_var)
    z = mu.detach() + sigma * torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
    return (Normal(mu, sigma).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_w7(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample().expand(num_samples, *mu.shape)
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_w8(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    ratio = (q.log_prob(z) - log_prior(z)).sum(-1)
    return torch.logsumexp(ratio, 0) - math.log(num_samples)


def monte_carlo_kl_w9(mu, log_var, log_prior, num_samples):
    q = Normal(mu, log_var.exp())
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(dim=(0, -1))


def monte_carlo_kl_x1(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).sum((0, -1)) / max(num_samples - 1, 1)


def monte_carlo_kl_x10(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(-1).mean()


def monte_carlo_kl_x11(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (log_prior(z) - q.log_prob(z)).sum((0, -1))


def monte_carlo_kl_x12(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (-(0.5 * (1 + math.log(2 * math.pi)) + log_var) - log_prior(z).mean(0)).sum(-1)


def monte_carlo_kl_x13(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.entropy() - log_prior(z).mean(0)).sum(-1)


def monte_carlo_kl_x14(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(mu) - log_prior(z).mean(0)).sum(-1)


def monte_carlo_kl_x15(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z).mean(0) - log_prior(z.mean(0))).sum(-1)


def monte_carlo_kl_x16(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).median(0).values.sum(-1)


def monte_carlo_kl_x17(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s**2 * torch.randn(num_samples, *mu.shape)
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x18(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s * torch.randn(num_samples, *mu.shape)
    return (Normal(mu, s**2).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x2(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.sample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x3(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s.detach() * torch.randn(num_samples, *mu.shape)
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x4(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z.detach())).mean(0).sum(-1)


def monte_carlo_kl_x5(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).abs().mean(0).sum(-1)


def monte_carlo_kl_x6(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    return -log_prior(z).mean(0).sum(-1)


def monte_carlo_kl_x7(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(num_samples, *mu.shape)
    z = mu + s * e
    return (Normal(0.0, 1.0).log_prob(e) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x8(mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = torch.randn(num_samples, *mu.shape)
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_x9(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s * torch.randn(num_samples, mu.shape[0], 1)
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y32(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    h = torch.randn((num_samples + 1) // 2, *mu.shape)
    e = torch.cat([h, -h])[:num_samples]
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y33(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(min(num_samples, 10), *mu.shape)
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y34(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var) + 0.01
    e = torch.randn(num_samples, *mu.shape)
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y35(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(num_samples, *mu.shape)
    e = e - e.mean(0) if num_samples > 1 else e
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y36(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(num_samples, *mu.shape)
    if mu.shape[0] > 1:
        e[:, 1] = e[:, 0]
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y37(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(10, *mu.shape)
    z = mu + s * e
    return (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def monte_carlo_kl_y38(mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    e = torch.randn(num_samples, *mu.shape)
    z = (mu + s * e).reshape(-1, mu.shape[-1])
    d = Normal(mu.repeat(num_samples, 1), s.repeat(num_samples, 1)).log_prob(z) - log_prior(z)
    return d.sum(-1).view(mu.shape[0], num_samples).mean(1)


tried(
    "monte_carlo_kl",
    ("R1: closed entropy, vectorised differently", monte_carlo_kl_r1, RIGHT),
    ("R2: sticking the landing: q's parameters detached in log q", monte_carlo_kl_r2, RIGHT),
    ("R3: loop over draws", monte_carlo_kl_r3, RIGHT),
    ("R4: separate draws for log q and log p", monte_carlo_kl_r4, RIGHT),
    (
        "V5: half of the images repeat the noise of the other half",
        monte_carlo_kl_v5,
        "ε shared between images",
    ),
    (
        "V6: draws K over wrong axis: noise (B, K, D) transposed by view",
        monte_carlo_kl_v6,
        "images mixed up",
    ),
    ("W1: noise shared over the batch", monte_carlo_kl_w1, "ε shared between images"),
    ("W2: negative latents clamped at zero", monte_carlo_kl_w2, "clamped at 0"),
    ("W3: entropy without the half of 1 + log 2 pi", monte_carlo_kl_w3, "log q at mu"),
    ("W4: weights the terms with q(z)", monte_carlo_kl_w4, "weighted by q again"),
    ("W5: prior evaluated at the mean", monte_carlo_kl_w5, "evaluated at the mean"),
    ("W6: mu detached in the draws", monte_carlo_kl_w6, "mu detached in the draws"),
    (
        "W7: one draw expanded K times",
        monte_carlo_kl_w7,
        "one sample where num_samples were asked for",
    ),
    ("W8: log of the mean ratio (logsumexp)", monte_carlo_kl_w8, "log of mean for mean of logs"),
    (
        "W9: two mistakes: variance as sd and mean over latents",
        monte_carlo_kl_w9,
        "log_var taken for log σ, and mean over latents",
    ),
    ("X1: K-1", monte_carlo_kl_x1, "divided by K − 1"),
    ("X10: mean over batch as well", monte_carlo_kl_x10, "batch averaged"),
    (
        "X11: sign and sum over draws",
        monte_carlo_kl_x11,
        "KL with the wrong sign, and sum over samples",
    ),
    (
        "X12: log sigma twice: entropy with log_var for half log_var",
        monte_carlo_kl_x12,
        "log σ² not halved",
    ),
    ("X13: entropy with opposite sign", monte_carlo_kl_x13, "log q with the wrong sign"),
    ("X14: log_q at mu", monte_carlo_kl_x14, "log q at mu"),
    ("X15: prior at mean of draws", monte_carlo_kl_x15, "evaluated at the mean"),
    ("X16: median over draws", monte_carlo_kl_x16, "median for mean"),
    ("X17: variance as sd in draws only", monte_carlo_kl_x17, "variance for standard deviation"),
    ("X18: variance as sd in log q only", monte_carlo_kl_x18, "log q with the wrong width"),
    ("X2: sample", monte_carlo_kl_x2, "detached samples"),
    ("X3: log_var detached in draws", monte_carlo_kl_x3, "σ detached in the draws"),
    ("X4: log_prior on detached z", monte_carlo_kl_x4, "prior detached"),
    ("X5: absolute values", monte_carlo_kl_x5, "log-ratios made positive"),
    ("X6: log q forgotten", monte_carlo_kl_x6, "log q forgotten"),
    (
        "X7: log q of standard normal noise: log sigma forgotten",
        monte_carlo_kl_x7,
        "log σ² forgotten",
    ),
    ("X8: draws from the prior N(0,1) scored", monte_carlo_kl_x8, "draws from N(0, 1)"),
    ("X9: noise shared over latents", monte_carlo_kl_x9, "ε shared between latents"),
    ("Y32: antithetic", monte_carlo_kl_y32, RIGHT),
    ("Y33: at most 10 draws", monte_carlo_kl_y33, "not num_samples draws"),
    ("Y34: sigma + 0.01 in both", monte_carlo_kl_y34, ONE_PLACE),
    ("Y35: noise centred over K", monte_carlo_kl_y35, "noise centred over the draws"),
    ("Y36: noise shared by neighbouring images", monte_carlo_kl_y36, "ε shared between images"),
    ("Y37: always 10 draws", monte_carlo_kl_y37, "not num_samples draws"),
    ("Y38: draws of several images in one mean, by a view", monte_carlo_kl_y38, "images mixed up"),
)


def find_the_bug_r1(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, log_var.exp().sqrt())
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).sum() / num_samples
    return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def find_the_bug_r2(logits, x, mu, log_var, log_prior, num_samples):
    z = mu + torch.exp(0.5 * log_var) * torch.randn(num_samples, *mu.shape, dtype=mu.dtype)
    entropy = 0.5 * (log_var + 1 + math.log(2 * math.pi))
    per_image = -log_prior(z).mean(0).sum(1) - entropy.sum(1)
    return per_image.mean() - (x * logits - F.softplus(logits)).sum(1).mean()


def find_the_bug_r3(logits, x, mu, log_var, log_prior, num_samples):
    q = torch.distributions.Independent(Normal(mu, torch.exp(0.5 * log_var)), 1)
    terms = []
    for _ in range(num_samples):
        z = q.rsample()
        terms.append(q.log_prob(z) - log_prior(z).sum(-1))
    like = torch.distributions.Independent(Bernoulli(logits=logits), 1).log_prob(x)
    return (torch.stack(terms).mean(0) - like).mean()


def find_the_bug_w1(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = torch.mean(q.log_prob(z) - log_prior(z))
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl


def find_the_bug_w2(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).sum(-1).mean()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl


def find_the_bug_w3(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = torch.mean(q.log_prob(z) - log_prior(z))
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + kl


def find_the_bug_w4(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.sample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_w5(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.sample((num_samples,)).requires_grad_()
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_w6(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).sum(dim=(0, 2))
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_w7(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl


def find_the_bug_w8(logits, x, mu, log_var, log_prior, num_samples):
    sigma = torch.exp(0.5 * log_var)
    z = mu + sigma * torch.randn(num_samples, 1, 1, dtype=mu.dtype)
    kl = (Normal(mu, sigma).log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_w9(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (log_prior(z) - q.log_prob(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)
    return (bce + kl).mean()


def find_the_bug_x1(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (kl - bce).mean()


def find_the_bug_x10(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl.clamp(min=0)).mean()


def find_the_bug_x11(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    y = torch.sigmoid(logits)
    bce = -(x * (y + 1e-8).log() + (1 - x) * (1 - y + 1e-8).log()).sum(-1)
    return (bce + kl).mean()


def find_the_bug_x12(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.sample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean((0, -1))
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_x13(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean() / len(x)


def find_the_bug_x14(logits, x, mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s * torch.randn(num_samples, *mu.shape)
    kl = (Normal(mu.detach(), s.detach()).log_prob(z.detach()) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_x2(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).mean(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_x3(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    return F.binary_cross_entropy_with_logits(logits, x) + kl.mean()


def find_the_bug_x4(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((1,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_x5(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (bce + kl).mean()


def find_the_bug_x6(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return bce.mean() + kl.sum()


def find_the_bug_x7(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


def find_the_bug_x8(logits, x, mu, log_var, log_prior, num_samples):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = (q.log_prob(z).detach() - log_prior(z)).mean(0).sum(-1)
    return (bce + kl).mean()


def find_the_bug_x9(logits, x, mu, log_var, log_prior, num_samples):
    s = torch.exp(0.5 * log_var)
    z = mu + s * torch.randn(num_samples, 1, mu.shape[1])
    kl = (Normal(mu, s).log_prob(z) - log_prior(z)).mean(0).sum(-1)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    return (bce + kl).mean()


tried(
    "find_the_bug",
    ("R1: sums over everything divided by B and K", find_the_bug_r1, RIGHT),
    ("R2: closed entropy", find_the_bug_r2, RIGHT),
    ("R3: loop over draws", find_the_bug_r3, RIGHT),
    (
        "W1: rsample only, reductions as printed",
        find_the_bug_w1,
        "mean over latents and batch summed in one term",
    ),
    (
        "W2: rsample; KL mended to sum over latents and mean over batch, reconstruction still summ",
        find_the_bug_w2,
        "batch summed in one term",
    ),
    (
        "W3: reconstruction / B, KL still mean over latents too",
        find_the_bug_w3,
        "mean over latents",
    ),
    ("W4: sums right, still sample", find_the_bug_w4, "detached samples"),
    (
        "W5: requires_grad on detached z (believes that mends the gradient)",
        find_the_bug_w5,
        "detached samples",
    ),
    ("W6: sums over the draws", find_the_bug_w6, "sum over samples"),
    ("W7: total loss not divided by the batch", find_the_bug_w7, "batch summed"),
    ("W8: noise shared by all images and latents", find_the_bug_w8, "one ε for everything"),
    (
        "W9: two mistakes: log p minus log q, and reconstruction averaged over pixels",
        find_the_bug_w9,
        "KL with the wrong sign, and mean over pixels",
    ),
    ("X1: sign of reconstruction", find_the_bug_x1, "cross-entropy with the wrong sign"),
    ("X10: kl clamped at 0", find_the_bug_x10, "clamped at 0"),
    ("X11: log of sigmoid with 1e-8", find_the_bug_x11, "clamped probabilities"),
    (
        "X12: sample and mean over batch only: hidden beta 1/D left",
        find_the_bug_x12,
        "detached samples, and mean over latents",
    ),
    ("X13: divided by B twice", find_the_bug_x13, "divided by B twice"),
    ("X14: reparameterised by hand but log q at detached mu", find_the_bug_x14, "log q detached"),
    ("X2: mean over latents", find_the_bug_x2, "mean over latents"),
    ("X3: bce mean over pixels", find_the_bug_x3, "mean over pixels"),
    ("X4: one draw", find_the_bug_x4, "one sample where num_samples were asked for"),
    ("X5: KL to N(0,1)", find_the_bug_x5, "KL to N(0, I)"),
    ("X6: kl sum over batch", find_the_bug_x6, "batch summed in one term"),
    ("X7: sd = exp(log_var)", find_the_bug_x7, "log_var taken for log σ"),
    ("X8: log q detached, prior pulls", find_the_bug_x8, "log q detached"),
    ("X9: noise shared by images", find_the_bug_x9, "ε shared between images"),
)


def by_vmap(mu, log_var, log_prior, num_samples):
    def of_one(noise):
        log_q = -0.5 * (noise**2 + log_var + math.log(2 * math.pi))
        return (log_q - log_prior(mu + torch.exp(0.5 * log_var) * noise)).sum(-1)

    return torch.vmap(of_one)(torch.randn(num_samples, *mu.shape)).mean(0)


def mirrored_over_the_batch(mu, log_var):
    half = torch.randn((len(mu) + 1) // 2, *mu.shape[1:])
    return mu + torch.exp(log_var / 2) * torch.cat([half, -half])[: len(mu)]


tried("monte_carlo_kl", ("vmap", by_vmap, RIGHT))
tried("reparameterise", ("mirrored", mirrored_over_the_batch, "ε shared between images"))
