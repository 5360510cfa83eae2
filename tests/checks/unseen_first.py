"""The first answers that were tried on the functions of the course, before there was this table."""

import math
from math import sqrt as sq

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Laplace, Normal, StudentT, kl_divergence

from .unseen import ONE_PLACE, RIGHT, UNNAMED, tried
from .unseen_exact import bce, each, edge, kls, std
from .unseen_exact import gates as gt
from .unseen_exact import log_p as logp

N = Normal


def gradient_first_attempt_autograd_on_mu(f, mu, log_var, num_samples):
    z = mu + std(log_var) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).mean(), mu)[0]


def gradient_in_place_requires_grad(f, mu, log_var, num_samples):
    mu.requires_grad_(True)
    z = mu + std(log_var) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).mean(), mu)[0]


def gradient_one_draw_less(f, mu, log_var, num_samples):
    m = mu.detach().clone().requires_grad_()
    z = m + std(log_var.detach()) * torch.randn(max(num_samples - 1, 1), len(mu))
    return torch.autograd.grad(f(z).mean(), m)[0]


def gradient_score_function(f, mu, log_var, num_samples):
    z = N(mu.detach(), std(log_var.detach())).sample((num_samples,))
    q = N(mu.detach().clone().requires_grad_(), std(log_var.detach()))
    m = q.loc
    s = (f(z).detach() * q.log_prob(z).sum(1)).mean()
    return torch.autograd.grad(s, m)[0]


def gradient_grad_wrt_z_not_averaged_sum(f, mu, log_var, num_samples):
    m = mu.detach().clone().requires_grad_()
    z = m + std(log_var.detach()) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).sum(), m)[0]


def gradient_finite_differences_with_own_noise(f, mu, log_var, num_samples):
    h = 1e-2
    out = []
    for d in range(len(mu)):
        e = torch.zeros_like(mu)
        e[d] = h
        eps = std(log_var) * torch.randn(num_samples, len(mu))
        out.append(((f(mu + e + eps) - f(mu - e + eps)) / (2 * h)).mean())
    return torch.stack(out).detach()


def gradient_variance(f, mu, log_var, num_samples):
    m = mu.detach().clone().requires_grad_()
    z = m + log_var.detach().exp() * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).mean(), m)[0]


def gradient_tuple_returned(f, mu, log_var, num_samples):
    m = mu.detach().clone().requires_grad_()
    z = m + std(log_var.detach()) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).mean(), m)


def gradient_fs_value_returned(f, mu, log_var, num_samples):
    z = mu + std(log_var) * torch.randn(num_samples, len(mu))
    return f(z)


def gradient_loop_one_at_a_time_only_last(f, mu, log_var, num_samples):
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + std(log_var.detach()) * torch.randn(1, len(mu))
        f(z).mean().backward()
    return m.grad


def gradient_backward_on_mu_graph_left(f, mu, log_var, num_samples):
    m = mu.clone().requires_grad_()
    z = m + std(log_var) * torch.randn(num_samples, len(mu))
    f(z).mean().backward()
    return m.grad


def gradient_std_and_mean(f, mu, log_var, num_samples):
    m = mu.detach().clone().requires_grad_()
    z = m + std(log_var.detach()) * torch.randn(num_samples, len(mu))
    return torch.autograd.grad(f(z).std(), m)[0]


def K(sampler=None, dens=None, red=lambda t: t.mean(0).sum(1), integ=lambda q, p: q - p):
    """A Monte Carlo KL, with a part of it replaced."""

    def f(mu, log_var, log_prior, num_samples):
        q = N(mu, std(log_var))
        z = (sampler or (lambda q, m, v, k: q.rsample((k,))))(q, mu, log_var, num_samples)
        log_q = (dens or (lambda q, z, m, v: q.log_prob(z)))(q, z, mu, log_var)
        return red(integ(log_q, log_prior(z)))

    return f


def score_function(m, v, p, k):
    q = N(m, std(v))
    z = q.sample((k,))
    log_q = q.log_prob(z)
    cost = (log_q - p(z)).detach()
    return (cost + (log_q - log_q.detach()) * cost).mean(0).sum(1)


def bug(kl, rec=lambda l, x: bce(l, x).sum(1).mean(), comb=lambda r, k: r + k.mean()):
    """The loss of 7.2 from a KL and a reconstruction."""

    def loss(logits, x, mu, log_var, log_prior, num_samples):
        return comb(rec(logits, x), kl(mu, log_var, log_prior, num_samples))

    return loss


def S(
    ce=bce,
    lq=lambda z, m, v: N(m, std(v)).log_prob(z),
    lp=logp,
    red=lambda c, k: (c.sum(1) + k.sum(1)).mean(),
):
    """The loss of 6.1, with a part of it replaced."""
    return lambda logits, x, mu, log_var, z, spike_prob, spike_var: red(
        ce(logits, x), lq(z, mu, log_var) - lp(z, spike_prob, spike_var)
    )


tried(
    "log_marginal",
    ("eps in log", lambda j, q: torch.log(torch.exp(j - q).mean(0) + 1e-8), "underflow"),
    (
        "global max",
        lambda j, q: (lambda w: (w - w.max()).exp().mean(0).log() + w.max())(j - q),
        "maximum of the whole batch",
    ),
    (
        "softmax weights sum",
        lambda j, q: (torch.softmax(j - q, 0) * (j - q)).sum(0),
        "self-normalised weights",
    ),
    (
        "logsumexp of both minus",
        lambda j, q: torch.logsumexp(j, 0) - torch.logsumexp(q, 0),
        "ratio of sums",
    ),
    (
        "K-1",
        lambda j, q: (
            torch.logsumexp(j - q, 0) - math.log(j.shape[0] - 1)
            if j.shape[0] > 1
            else torch.logsumexp(j - q, 0)
        ),
        ONE_PLACE,
    ),
    ("dims swapped", lambda j, q: torch.logsumexp(j - q, 1) - math.log(j.shape[1]), "wrong axis"),
    ("log B for log K", lambda j, q: torch.logsumexp(j - q, 0) - math.log(j.shape[1]), ONE_PLACE),
    (
        "mean then log detach",
        lambda j, q: torch.logsumexp(j - q.detach(), 0) - math.log(j.shape[0]),
        "detached log_q",
    ),
    (
        "log2",
        lambda j, q: (torch.logsumexp(j - q, 0) - math.log(j.shape[0])) / math.log(2),
        ONE_PLACE,
    ),
    ("max only", lambda j, q: (j - q).max(0).values, "largest weight only"),
    (
        "clamp weights",
        lambda j, q: torch.log(torch.exp((j - q).clamp(max=20)).mean(0)),
        "underflow",
    ),
    ("float item", lambda j, q: float(torch.logsumexp(j - q, 0).mean()), "wrong type"),
)
tried(
    "elbo",
    ("neg", lambda j, q: (q - j).mean(0), "sign"),
    ("sum K", lambda j, q: (j - q).sum(0), "sum over samples"),
    ("half entropy", lambda j, q: (j - 0.5 * q).mean(0), "log q halved"),
    ("mean over all", lambda j, q: (j - q).mean(), "batch averaged"),
    ("q detached", lambda j, q: (j - q.detach()).mean(0), ONE_PLACE),
    ("exp(q) weighted", lambda j, q: (q.exp() * (j - q)).sum(0), "weighted by q again"),
    ("keepdim", lambda j, q: (j - q).mean(0, keepdim=True), ONE_PLACE),
    (
        "logmeanexp",
        lambda j, q: torch.logsumexp(j - q, 0) - math.log(len(j)),
        "log of mean for mean of logs",
    ),
    ("clamped", lambda j, q: (j - q).clamp(min=-100).mean(0), ONE_PLACE),
    ("relu", lambda j, q: torch.relu((j - q).mean(0)), "log-weights made positive"),
    ("joint twice", lambda j, q: (2 * j - q).mean(0), "log p(x, z) counted twice"),
)
tried(
    "reparameterise",
    (
        "exp(log_var)",
        lambda m, v: m + v.exp() * torch.randn_like(m),
        "variance for standard deviation",
    ),
    ("sample", lambda m, v: N(m, std(v)).sample(), "detached sample"),
    ("eps (D,)", lambda m, v: m + std(v) * torch.randn(m.shape[-1]), "ε shared between images"),
    (
        "rand_like centered",
        lambda m, v: m + std(v) * (torch.rand_like(m) - 0.5) * math.sqrt(12),
        "uniform noise",
    ),
    ("std+eps", lambda m, v: m + (std(v) + 0.1) * torch.randn_like(m), ONE_PLACE),
    ("clamp -5", lambda m, v: m + std(v.clamp(min=-5)) * torch.randn_like(m), "clamped σ"),
    ("softplus", lambda m, v: m + F.softplus(v) * torch.randn_like(m), "softplus for exp"),
    ("eps squared", lambda m, v: m + std(v) * torch.randn_like(m) ** 2, "noise not normal"),
    (
        "two eps averaged",
        lambda m, v: m + std(v) * (torch.randn_like(m) + torch.randn_like(m)) / 2,
        "noise too wide or too narrow",
    ),
    (
        "ten draws mean",
        lambda m, v: m + std(v) * torch.randn(10, *m.shape).mean(0),
        "noise too wide or too narrow",
    ),
    ("laplace", lambda m, v: m + std(v) * Laplace(0.0, 1.0).sample(m.shape), "noise not normal"),
    ("detach v only in std", lambda m, v: m + std(v.detach()) * torch.randn_like(m), "detached σ"),
    (
        "copy rows",
        lambda m, v: m + std(v) * torch.randn(1, *m.shape[1:]).expand(m.shape),
        "ε shared between images",
    ),
    (
        "half copy rows",
        lambda m, v: (
            m
            + std(v)
            * torch.cat([torch.randn((m.shape[0] + 1) // 2, *m.shape[1:])] * 2)[: m.shape[0]]
        ),
        "ε shared between images",
    ),
    (
        "log_var as log sigma /4",
        lambda m, v: m + (v / 4).exp() * torch.randn_like(m),
        "root taken twice",
    ),
    (
        "eps times mu",
        lambda m, v: m * (1 + std(v) * torch.randn_like(m)),
        "noise multiplied by the mean",
    ),
    ("student t", lambda m, v: m + std(v) * StudentT(3.0).sample(m.shape), "noise not normal"),
    (
        "0.9 eps",
        lambda m, v: m + 0.9 * std(v) * torch.randn_like(m),
        "noise too wide or too narrow",
    ),
)
tried(
    "bernoulli_log_likelihood",
    ("sign", lambda l, x: bce(l, x).sum(1), "sign"),
    ("one arg both", lambda l, x: -bce(l, l).sum(1), "one argument in both places"),
    ("swapped", lambda l, x: -bce(x, l).sum(1), "logits and pixels swapped"),
    ("sigmoid+bce_logits", lambda l, x: -bce(torch.sigmoid(l), x).sum(1), "sigmoid twice"),
    (
        "probs eps",
        lambda l, x: (
            x * torch.log(torch.sigmoid(l) + 1e-6)
            + (1 - x) * torch.log(1 - torch.sigmoid(l) + 1e-6)
        ).sum(1),
        "nearly right",
    ),
    (
        "clamp probs",
        lambda l, x: Bernoulli(l.sigmoid().clamp(1e-6, 1 - 1e-6)).log_prob(x).sum(1),
        "clamped probabilities",
    ),
    ("clamp logits", lambda l, x: -bce(l.clamp(-20, 20), x).sum(1), "clamped logits"),
    ("mean pixel", lambda l, x: -bce(l, x).mean(1), "mean over pixels"),
    ("white only", lambda l, x: (x * F.logsigmoid(l)).sum(1), "black pixels forgotten"),
    (
        "tanh",
        lambda l, x: -F.binary_cross_entropy((torch.tanh(l) + 1) / 2, x, reduction="none").sum(1),
        "tanh for sigmoid",
    ),
    (
        "softplus without x",
        lambda l, x: -F.softplus(l).sum(1),
        "one term's logit has the wrong sign",
    ),
    ("x*l - exp", lambda l, x: (x * l - torch.exp(l)).sum(1), "exp for softplus"),
    (
        "prob not log",
        lambda l, x: (x * l.sigmoid() + (1 - x) * (1 - l.sigmoid())).sum(1),
        "logarithm forgotten",
    ),
    (
        "log of sum",
        lambda l, x: (x * l.sigmoid() + (1 - x) * (1 - l.sigmoid())).sum(1).log(),
        "log of sum for sum of logs",
    ),
    (
        "prod log",
        lambda l, x: (x * l.sigmoid() + (1 - x) * (1 - l.sigmoid())).prod(1).log(),
        "likelihoods multiplied",
    ),
    ("base 2", lambda l, x: -bce(l, x).sum(1) / math.log(2), ONE_PLACE),
    ("rounded", lambda l, x: -bce(l.round(), x).sum(1), ONE_PLACE),
)
tried(
    "gaussian_kl",
    ("sign", lambda m, v: 0.5 * (1 + v - m**2 - v.exp()).sum(1), "sign"),
    (
        "reverse",
        lambda m, v: kl_divergence(N(torch.zeros_like(m), torch.ones_like(m)), N(m, std(v))).sum(1),
        "KL the wrong way round",
    ),
    (
        "std=exp(v)",
        lambda m, v: kl_divergence(N(m, v.exp()), N(torch.zeros_like(m), 1.0)).sum(1),
        "log_var taken for log σ",
    ),
    ("clamped at 0", lambda m, v: (0.5 * (m**2 + v.exp() - 1 - v)).sum(1).clamp(min=5), ONE_PLACE),
    (
        "v clamp -4",
        lambda m, v: (0.5 * (m**2 + v.clamp(-4, 4).exp() - 1 - v.clamp(-4, 4))).sum(1),
        "clamped log_var",
    ),
    (
        "mc",
        lambda m, v: (lambda q, z: (q.log_prob(z) - N(0.0, 1.0).log_prob(z)).sum(1))(
            N(m, std(v)), N(m, std(v)).rsample()
        ),
        "random where nothing is",
    ),
    (
        "half on two",
        lambda m, v: (0.5 * m**2 + 0.5 * v.exp() - 1 - v).sum(1),
        "−1, log σ² counted twice",
    ),
    ("expm1", lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(1), "−1 forgotten"),
    (
        "lost half + batch mean",
        lambda m, v: (m**2 + v.exp() - 1 - v).sum(1).mean(),
        "lost ½, and batch averaged",
    ),
    ("D sum -1 once", lambda m, v: 0.5 * ((m**2 + v.exp() - v).sum(1) - 1), "−1 once for all"),
    ("mu abs", lambda m, v: 0.5 * (m.abs() + v.exp() - 1 - v).sum(1), "μ not squared"),
    (
        "log of exp(v)^2",
        lambda m, v: 0.5 * (m**2 + v.exp() ** 2 - 1 - 2 * v).sum(1),
        "log_var taken for log σ",
    ),
    (
        "no mu and lost half",
        lambda m, v: (v.exp() - 1 - v).sum(1),
        "μ² forgotten, and σ², −1, log σ² counted twice",
    ),
)
tried(
    "vae_loss",
    (
        "mean bce default",
        lambda l, x, m, v: (
            F.binary_cross_entropy_with_logits(l, x) + 0.5 * (m**2 + v.exp() - 1 - v).sum(1).mean()
        ),
        "mean over pixels",
    ),
    (
        "sum bce, mean kl",
        lambda l, x, m, v: (
            F.binary_cross_entropy_with_logits(l, x, reduction="sum")
            + 0.5 * (m**2 + v.exp() - 1 - v).sum(1).mean()
        ),
        "batch summed in one term",
    ),
    (
        "KL subtr",
        lambda l, x, m, v: (bce(l, x).sum(1) - 0.5 * (m**2 + v.exp() - 1 - v).sum(1)).mean(),
        "KL with the wrong sign",
    ),
    (
        "-0.5 sign err",
        lambda l, x, m, v: (bce(l, x).sum(1) - 0.5 * (1 + v - m**2 + v.exp()).sum(1)).mean(),
        "σ² with the wrong sign",
    ),
    (
        "beta .1",
        lambda l, x, m, v: (bce(l, x).sum(1) + 0.1 * 0.5 * (m**2 + v.exp() - 1 - v).sum(1)).mean(),
        "KL times a factor",
    ),
    (
        "lost half mean latents",
        lambda l, x, m, v: (bce(l, x).sum(1) + (m**2 + v.exp() - 1 - v).mean(1)).mean(),
        "KL counted twice, and mean over latents",
    ),
    (
        "sigmoid bce",
        lambda l, x, m, v: (
            F.binary_cross_entropy(l.sigmoid(), x, reduction="none").sum(1)
            + 0.5 * (m**2 + v.exp() - 1 - v).sum(1)
        ).mean(),
        "clamped probabilities",
    ),
    (
        "elbo",
        lambda l, x, m, v: -(bce(l, x).sum(1) + 0.5 * (m**2 + v.exp() - 1 - v).sum(1)).mean(),
        "sign",
    ),
    (
        "kl detached",
        lambda l, x, m, v: (
            bce(l, x).sum(1) + 0.5 * (m.detach() ** 2 + v.exp() - 1 - v).sum(1)
        ).mean(),
        ONE_PLACE,
    ),
    (
        "784 divide",
        lambda l, x, m, v: (bce(l, x).sum(1) / 784 + 0.5 * (m**2 + v.exp() - 1 - v).sum(1)).mean(),
        "cross-entropy times a factor",
    ),
    (
        "mse",
        lambda l, x, m, v: (
            ((l.sigmoid() - x) ** 2).sum(1) + 0.5 * (m**2 + v.exp() - 1 - v).sum(1)
        ).mean(),
        "squared error",
    ),
    (
        "tuple",
        lambda l, x, m, v: (bce(l, x).sum(1).mean(), 0.5 * (m**2 + v.exp() - 1 - v).sum(1).mean()),
        "wrong type",
    ),
)
tried(
    "log_prob",
    ("swap", lambda z, p, v: logp(z, 1 - p, v), "spike and slab swapped"),
    ("v as std", lambda z, p, v: logp(z, p, v**2), "spike_var used as a standard deviation"),
    (
        "naive",
        lambda z, p, v: torch.log(
            p * N(0.0, v**0.5).log_prob(z).exp() + (1 - p) * N(0.0, 1.0).log_prob(z).exp()
        ),
        "underflow",
    ),
    (
        "naive eps",
        lambda z, p, v: torch.log(
            p * N(0.0, v**0.5).log_prob(z).exp() + (1 - p) * N(0.0, 1.0).log_prob(z).exp() + 1e-10
        ),
        "underflow",
    ),
    (
        "sum of logs",
        lambda z, p, v: p * N(0.0, v**0.5).log_prob(z) + (1 - p) * N(0.0, 1.0).log_prob(z),
        "sum of logs for log of sum",
    ),
    (
        "vector",
        lambda z, p, v: torch.logaddexp(
            math.log(p) + N(0.0, v**0.5).log_prob(z).sum(-1, keepdim=True),
            math.log(1 - p) + N(0.0, 1.0).log_prob(z).sum(-1, keepdim=True),
        ).expand(z.shape),
        "one mixture per vector",
    ),
    (
        "lost norm spike",
        lambda z, p, v: torch.logaddexp(
            math.log(p) - z**2 / (2 * v), math.log(1 - p) + N(0.0, 1.0).log_prob(z)
        ),
        "one normaliser forgotten",
    ),
    (
        "max",
        lambda z, p, v: torch.maximum(
            math.log(p) + N(0.0, v**0.5).log_prob(z), math.log(1 - p) + N(0.0, 1.0).log_prob(z)
        ),
        "larger component only",
    ),
    (
        "swap+std",
        lambda z, p, v: logp(z, 1 - p, v**2),
        "swapped, and spike_var used as a standard deviation",
    ),
    ("clamp z", lambda z, p, v: logp(z.clamp(-8, 8), p, v), "clamped z"),
    ("abs z", lambda z, p, v: logp(z.abs() + 0.1, p, v), ONE_PLACE),
    (
        "no weights no 2pi",
        lambda z, p, v: logp(z, 0.5, v) + 0.5 * math.log(2 * math.pi),
        "weights forgotten, and 2π forgotten",
    ),
    ("std= 1/v", lambda z, p, v: logp(z, p, 1 / v), "precision for variance"),
)
tried(
    "slab_responsibility",
    (
        "spike's",
        lambda z, p, v: torch.sigmoid(
            math.log(p) + N(0.0, v**0.5).log_prob(z) - math.log(1 - p) - N(0.0, 1.0).log_prob(z)
        ),
        "responsibility of the spike",
    ),
    (
        "naive ratio",
        lambda z, p, v: (
            (1 - p)
            * N(0.0, 1.0).log_prob(z).exp()
            / ((1 - p) * N(0.0, 1.0).log_prob(z).exp() + p * N(0.0, v**0.5).log_prob(z).exp())
        ),
        "underflow",
    ),
    (
        "no weights",
        lambda z, p, v: torch.sigmoid(N(0.0, 1.0).log_prob(z) - N(0.0, v**0.5).log_prob(z)),
        "weights forgotten",
    ),
    (
        "log",
        lambda z, p, v: math.log(1 - p) + N(0.0, 1.0).log_prob(z) - logp(z, p, v),
        "log-responsibility",
    ),
    (
        "round",
        lambda z, p, v: torch.sigmoid(
            math.log(1 - p) + N(0.0, 1.0).log_prob(z) - math.log(p) - N(0.0, v**0.5).log_prob(z)
        ).round(),
        "hard decision",
    ),
    (
        "swap + std",
        lambda z, p, v: torch.sigmoid(
            math.log(p) + N(0.0, 1.0).log_prob(z) - math.log(1 - p) - N(0.0, v).log_prob(z)
        ),
        "spike and slab swapped, and spike_var used as a standard deviation",
    ),
)
tried(
    "gradient_estimate",
    (
        "first attempt autograd on mu",
        gradient_first_attempt_autograd_on_mu,
        "mu needs a gradient of its own",
    ),
    ("in place requires grad", gradient_in_place_requires_grad, "caller's tensor changed"),
    ("K-1", gradient_one_draw_less, ONE_PLACE),
    ("score function", gradient_score_function, "score function"),
    ("grad wrt z not averaged (sum)", gradient_grad_wrt_z_not_averaged_sum, "sum over samples"),
    ("finite differences with own noise", gradient_finite_differences_with_own_noise, RIGHT),
    ("variance", gradient_variance, "variance for standard deviation"),
    ("tuple returned", gradient_tuple_returned, "wrong type"),
    ("f's value returned", gradient_fs_value_returned, "wrong shape"),
    (
        "loop one at a time, only last",
        gradient_loop_one_at_a_time_only_last,
        "one sample where num_samples were asked for",
    ),
    ("backward on mu graph left", gradient_backward_on_mu_graph_left, "copied, but not detached"),
    ("std and mean", gradient_std_and_mean, "NaN"),
)
tried(
    "sample",
    (
        "bernoulli swapped",
        lambda s, p, v: torch.where(torch.rand(s) < p, torch.randn(s), sq(v) * torch.randn(s)),
        "spike and slab swapped",
    ),
    (
        "v std",
        lambda s, p, v: torch.where(torch.rand(s) < p, v * torch.randn(s), torch.randn(s)),
        "spike_var used as a standard deviation",
    ),
    (
        "one switch per row",
        lambda s, p, v: torch.where(
            torch.rand(*s[:-1], 1) < p, sq(v) * torch.randn(s), torch.randn(s)
        ),
        "one component per vector",
    ),
    (
        "rows copy",
        lambda s, p, v: torch.where(
            torch.rand(s[-1]) < p, sq(v) * torch.randn(s[-1]), torch.randn(s[-1])
        ).expand(s),
        "noise shared between rows",
    ),
    (
        "half rows copy",
        lambda s, p, v: (lambda z: torch.cat([z, z])[: s[0]])(
            torch.where(
                torch.rand((s[0] + 1) // 2, *s[1:]) < p,
                sq(v) * torch.randn((s[0] + 1) // 2, *s[1:]),
                torch.randn((s[0] + 1) // 2, *s[1:]),
            )
        ),
        "rows copied",
    ),
    (
        "p<randn",
        lambda s, p, v: torch.where(torch.randn(s) < p, sq(v) * torch.randn(s), torch.randn(s)),
        "component drawn with randn",
    ),
    (
        "mean p",
        lambda s, p, v: torch.where(torch.rand(s) < p, sq(v) * torch.randn(s), 1 + torch.randn(s)),
        ONE_PLACE,
    ),
    (
        "laplace slab",
        lambda s, p, v: torch.where(
            torch.rand(s) < p, sq(v) * torch.randn(s), Laplace(0.0, 1 / sq(2)).sample(s)
        ),
        UNNAMED,
    ),
    (
        "abs",
        lambda s, p, v: torch.where(
            torch.rand(s) < p, sq(v) * torch.randn(s), torch.randn(s)
        ).abs(),
        ONE_PLACE,
    ),
    (
        "0 spike",
        lambda s, p, v: torch.where(torch.rand(s) < p, torch.zeros(s), torch.randn(s)),
        "spike of width 0",
    ),
    (
        "slab var 2",
        lambda s, p, v: torch.where(torch.rand(s) < p, sq(v) * torch.randn(s), 2 * torch.randn(s)),
        ONE_PLACE,
    ),
    (
        "p fixed 0.8",
        lambda s, p, v: torch.where(torch.rand(s) < 0.8, sq(v) * torch.randn(s), torch.randn(s)),
        "spike_prob ignored",
    ),
    (
        "v fixed",
        lambda s, p, v: torch.where(torch.rand(s) < p, sq(0.05) * torch.randn(s), torch.randn(s)),
        "spike_var ignored",
    ),
    (
        "numpy",
        lambda s, p, v: torch.tensor(__import__("numpy").random.randn(*s)).float(),
        "NumPy's generator",
    ),
    ("flat", lambda s, p, v: torch.randn(math.prod(s)), "wrong shape"),
    (
        "clamped",
        lambda s, p, v: torch.where(
            torch.rand(s) < p, sq(v) * torch.randn(s), torch.randn(s)
        ).clamp(-2, 2),
        "clamped draws",
    ),
    (
        "exact count permuted",
        lambda s, p, v: torch.where(
            (torch.rand(s).argsort(-1) < round(p * s[-1])), sq(v) * torch.randn(s), torch.randn(s)
        ),
        UNNAMED,
    ),
    (
        "sum spike slab weighted",
        lambda s, p, v: p * sq(v) * torch.randn(s) + (1 - p) * torch.randn(s),
        "average of spike and slab",
    ),
)
tried(
    "find_the_bug",
    (
        "bce(sigmoid)",
        bug(
            K(), lambda l, x: F.binary_cross_entropy(l.sigmoid(), x, reduction="none").sum(1).mean()
        ),
        "clamped probabilities",
    ),
    (
        "bce mean",
        bug(K(), lambda l, x: F.binary_cross_entropy_with_logits(l, x)),
        "mean over pixels",
    ),
    (
        "bce sum",
        bug(K(), lambda l, x: F.binary_cross_entropy_with_logits(l, x, reduction="sum")),
        "batch summed in one term",
    ),
    ("args swapped", bug(K(), lambda l, x: bce(x, l).sum(1).mean()), "logits and pixels swapped"),
    ("kl minus", bug(K(), comb=lambda r, k: r - k.mean()), "KL with the wrong sign"),
    ("kl sum", bug(K(), comb=lambda r, k: r + k.sum()), "batch summed in one term"),
    ("beta .5", bug(K(), comb=lambda r, k: r + 0.5 * k.mean()), "KL halved"),
    ("beta 0.01", bug(K(), comb=lambda r, k: r + 0.01 * k.mean()), "KL times a factor"),
    ("beta 10", bug(K(), comb=lambda r, k: r + 10 * k.mean()), "KL times a factor"),
    (
        "sample + mean latents",
        bug(K(lambda q, m, v, k: q.sample((k,)), red=lambda t: t.mean(0).mean(1))),
        "detached samples, and mean over latents",
    ),
    (
        "sample + sum bce",
        bug(
            K(lambda q, m, v, k: q.sample((k,))),
            lambda l, x: F.binary_cross_entropy_with_logits(l, x, reduction="sum"),
        ),
        "detached samples, and batch summed in one term",
    ),
    (
        "mean latents+sum bce",
        bug(
            K(red=lambda t: t.mean(0).mean(1)),
            lambda l, x: F.binary_cross_entropy_with_logits(l, x, reduction="sum"),
        ),
        "mean over latents and batch summed in one term",
    ),
    (
        "per image",
        bug(K(), lambda l, x: bce(l, x).sum(1), lambda r, k: r + k),
        "batch not averaged",
    ),
    ("neg", bug(K(), comb=lambda r, k: -(r + k.mean())), "sign"),
    (
        "bce/784",
        bug(K(), lambda l, x: bce(l, x).sum(1).mean() / 784),
        "cross-entropy times a factor",
    ),
    ("mse", bug(K(), lambda l, x: ((l.sigmoid() - x) ** 2).sum(1).mean()), "squared error"),
    (
        "bce white",
        bug(K(), lambda l, x: -(x * F.logsigmoid(l)).sum(1).mean()),
        "black pixels forgotten",
    ),
)
tried(
    "sparse_vae_loss",
    ("swap", S(lp=lambda z, p, s: logp(z, 1 - p, s)), "spike and slab swapped"),
    (
        "naive prior",
        S(
            lp=lambda z, p, v: torch.log(
                p * N(0.0, v**0.5).log_prob(z).exp() + (1 - p) * N(0.0, 1.0).log_prob(z).exp()
            )
        ),
        "underflow",
    ),
    (
        "naive prior eps",
        S(
            lp=lambda z, p, v: torch.log(
                p * N(0.0, v**0.5).log_prob(z).exp()
                + (1 - p) * N(0.0, 1.0).log_prob(z).exp()
                + 1e-8
            )
        ),
        "nearly right",
    ),
    ("v clamp -3", S(lq=lambda z, m, v: N(m, std(v.clamp(min=-3))).log_prob(z)), "clamped log_var"),
    ("v clamp -5", S(lq=lambda z, m, v: N(m, std(v.clamp(min=-5))).log_prob(z)), "clamped log_var"),
    (
        "sigma clamp",
        S(lq=lambda z, m, v: N(m, std(v).clamp(min=0.2)).log_prob(z)),
        "clamped log_var",
    ),
    ("z clamp", S(lp=lambda z, p, s: logp(z.clamp(-5, 5), p, s)), "underflow"),
    ("mean", S(red=lambda c, k: c.mean() + k.mean()), "mean over everything"),
    ("mean k", S(red=lambda c, k: (c.sum(1) + k.mean(1)).mean()), "mean over latents"),
    ("kl minus", S(red=lambda c, k: (c.sum(1) - k.sum(1)).mean()), "KL with the wrong sign"),
    ("sum", S(red=lambda c, k: c.sum() + k.sum()), "batch summed"),
    ("beta .3", S(red=lambda c, k: (c.sum(1) + 0.3 * k.sum(1)).mean()), "KL times a factor"),
    ("relu", S(red=lambda c, k: (c.sum(1) + k.sum(1).relu()).mean()), "clamped at 0"),
    (
        "relu lat",
        S(red=lambda c, k: (c.sum(1) + k.relu().sum(1)).mean()),
        "log-ratio made positive",
    ),
    ("one arg both", S(ce=lambda l, x: bce(l, l)), "one argument in both places"),
    ("swapped bce", S(ce=lambda l, x: bce(x, l)), "logits and pixels swapped"),
    ("sig twice", S(ce=lambda l, x: bce(l.sigmoid(), x)), "sigmoid twice"),
    (
        "bce probs",
        S(ce=lambda l, x: F.binary_cross_entropy(l.sigmoid(), x, reduction="none")),
        "clamped probabilities",
    ),
    ("closed entropy", S(lq=lambda z, m, v: -N(m, std(v)).entropy()), "closed-form entropy"),
    ("mu for z", lambda l, x, m, v, z, p, s: S()(l, x, m, v, m, p, s), "evaluated at the mean"),
    (
        "fresh",
        lambda l, x, m, v, z, p, s: S()(l, x, m, v, N(m, std(v)).rsample(), p, s),
        "KL from a different draw than stated",
    ),
    ("std exp v", S(lq=lambda z, m, v: N(m, v.exp()).log_prob(z)), "log_var taken for log σ"),
    (
        "swap+ v std",
        S(lp=lambda z, p, s: logp(z, 1 - p, s**2)),
        "swapped, and spike_var used as a standard deviation",
    ),
    (
        "swap + mean latents",
        S(lp=lambda z, p, s: logp(z, 1 - p, s), red=lambda c, k: (c.sum(1) + k.mean(1)).mean()),
        "spike and slab swapped, and mean over latents",
    ),
    (
        "exp v + minus",
        S(
            lq=lambda z, m, v: N(m, v.exp()).log_prob(z),
            red=lambda c, k: (c.sum(1) - k.sum(1)).mean(),
        ),
        UNNAMED,
    ),
    ("log q +log p", S(lp=lambda z, p, s: -logp(z, p, s)), "log p with the wrong sign"),
    ("z detached in prior", S(lp=lambda z, p, s: logp(z.detach(), p, s)), "log p detached"),
    ("log q detached", S(lq=lambda z, m, v: N(m, std(v)).log_prob(z).detach()), "log q detached"),
    (
        "vector",
        S(
            lp=lambda z, p, v: (
                torch.logaddexp(
                    math.log(p) + N(0.0, v**0.5).log_prob(z).sum(-1, keepdim=True),
                    math.log(1 - p) + N(0.0, 1.0).log_prob(z).sum(-1, keepdim=True),
                )
                / z.shape[1]
            )
        ),
        "one mixture per vector",
    ),
    (
        "spike lost norm",
        S(
            lp=lambda z, p, v: torch.logaddexp(
                math.log(p) - z**2 / (2 * v), math.log(1 - p) + N(0.0, 1.0).log_prob(z)
            )
        ),
        "one normaliser forgotten",
    ),
    ("elbo", S(red=lambda c, k: -(c.sum(1) + k.sum(1)).mean()), "sign"),
    (
        "N01",
        lambda l, x, m, v, z, p, s: (
            bce(l, x).sum(1) + 0.5 * (m**2 + v.exp() - 1 - v).sum(1)
        ).mean(),
        "KL to N(0, I)",
    ),
    ("log q -log p /K", S(red=lambda c, k: (c.sum(1) + k.sum(1) / 2).mean()), "KL halved"),
)
tried(
    "active_count",
    ("bool", lambda m, p, v: m.abs() > edge(p, v), "latents not summed"),
    ("any", lambda m, p, v: (m.abs() > edge(p, v)).any(1), "yes or no for a count"),
    ("mean", lambda m, p, v: (m.abs() > edge(p, v)).float().mean(1), "fraction for count"),
    ("0", lambda m, p, v: (m != 0).sum(1), "threshold at 0"),
    (".1", lambda m, p, v: (m.abs() > 0.1).sum(1), "fixed threshold"),
    ("2 sigma", lambda m, p, v: (m.abs() > 2 * sq(v)).sum(1), "threshold at the spike's width"),
    ("no abs", lambda m, p, v: (m > edge(p, v)).sum(1), "absolute value forgotten"),
    ("swap", lambda m, p, v: (logp(m, p, v) < 0).sum(1), UNNAMED),
    (
        "density compare no weights",
        lambda m, p, v: (N(0.0, 1.0).log_prob(m) > N(0.0, sq(v)).log_prob(m)).sum(1),
        "weights forgotten",
    ),
    (
        "v std",
        lambda m, p, v: (
            N(0.0, 1.0).log_prob(m) + math.log(1 - p) > N(0.0, v).log_prob(m) + math.log(p)
        ).sum(1),
        "spike_var used as a standard deviation",
    ),
    (
        "soft",
        lambda m, p, v: torch.sigmoid(
            N(0.0, 1.0).log_prob(m) + math.log(1 - p) - N(0.0, sq(v)).log_prob(m) - math.log(p)
        ).sum(1),
        "expected count",
    ),
    ("batch mean", lambda m, p, v: (m.abs() > edge(p, v)).sum(1).float().mean(), "batch averaged"),
    ("inactive", lambda m, p, v: (m.abs() < edge(p, v)).sum(1), "inactive counted"),
    (
        "resp>.9",
        lambda m, p, v: (
            torch.sigmoid(
                N(0.0, 1.0).log_prob(m) + math.log(1 - p) - N(0.0, sq(v)).log_prob(m) - math.log(p)
            )
            > 0.9
        ).sum(1),
        "responsibility above another number than ½",
    ),
    ("edge squared", lambda m, p, v: (m.abs() > edge(p, v) ** 2).sum(1), "root forgotten"),
    ("m squared>edge", lambda m, p, v: (m**2 > edge(p, v)).sum(1), "μ² for |μ|"),
    ("whole batch", lambda m, p, v: (m.abs() > edge(p, v)).sum(), ONE_PLACE),
)
tried(
    "gated_kl",
    (
        "naive log",
        lambda g, m, v, a: (
            g * (g / a).log() + (1 - g) * ((1 - g) / (1 - a)).log() + g * kls(m, v)
        ).sum(1),
        "0 log 0",
    ),
    (
        "clamp gate",
        lambda g, m, v, a: (gt(g.clamp(1e-6, 1 - 1e-6), a) + g * kls(m, v)).sum(1),
        RIGHT,
    ),
    (
        "eps",
        lambda g, m, v, a: (
            g * ((g + 1e-8) / a).log() + (1 - g) * ((1 - g + 1e-8) / (1 - a)).log() + g * kls(m, v)
        ).sum(1),
        RIGHT,
    ),
    ("hard", lambda g, m, v, a: (gt(g, a) + g.round() * kls(m, v)).sum(1), "hard gate"),
    (
        "not weighted",
        lambda g, m, v, a: (gt(g, a) + kls(m, v)).sum(1),
        "Gaussian KL not weighted by the gate",
    ),
    (
        "a swapped",
        lambda g, m, v, a: (gt(g, 1 - a) + g * kls(m, v)).sum(1),
        "slab_prob taken for the spike's",
    ),
    ("no gates", lambda g, m, v, a: (g * kls(m, v)).sum(1), "gates' KL forgotten"),
    (
        "reverse",
        lambda g, m, v, a: (
            a * (a / g).log() + (1 - a) * ((1 - a) / (1 - g)).log() + g * kls(m, v)
        ).sum(1),
        "gates' KL the wrong way round",
    ),
    (
        "only on",
        lambda g, m, v, a: (torch.xlogy(g, g) - g * math.log(a) + g * kls(m, v)).sum(1),
        "(1 − γ) log(1 − γ), (1 − γ) log(1 − α) forgotten",
    ),
    ("lost half", lambda g, m, v, a: (gt(g, a) + 2 * g * kls(m, v)).sum(1), "lost ½"),
    ("mean", lambda g, m, v, a: (gt(g, a) + g * kls(m, v)).mean(1), "mean over latents"),
    (
        "minus",
        lambda g, m, v, a: (gt(g, a) - g * kls(m, v)).sum(1),
        "Gaussian KL with the wrong sign",
    ),
    (
        "bce",
        lambda g, m, v, a: (-g * math.log(a) - (1 - g) * math.log(1 - a) + g * kls(m, v)).sum(1),
        "γ log γ, (1 − γ) log(1 − γ) forgotten",
    ),
    ("no mu", lambda g, m, v, a: (gt(g, a) + g * 0.5 * (v.exp() - 1 - v)).sum(1), "μ² forgotten"),
    (
        "log sigma",
        lambda g, m, v, a: (gt(g, a) + g * kls(m, 2 * v)).sum(1),
        "log_var taken for log σ",
    ),
    (
        "a*kl",
        lambda g, m, v, a: (gt(g, a) + a * kls(m, v)).sum(1),
        "Gaussian KL weighted by the prior",
    ),
    ("gate det", lambda g, m, v, a: (gt(g, a) + g.detach() * kls(m, v)).sum(1), "gate detached"),
    (
        "v clamp",
        lambda g, m, v, a: (gt(g, a) + g * kls(m, v.clamp(min=-4))).sum(1),
        "clamped log_var",
    ),
    (
        "log base 2 gate",
        lambda g, m, v, a: (gt(g, a) / math.log(2) + g * kls(m, v)).sum(1),
        "gates' KL times a factor",
    ),
    (
        "not weighted + mean",
        lambda g, m, v, a: (gt(g, a) + kls(m, v)).mean(1),
        "Gaussian KL not weighted by the gate, and mean over latents",
    ),
)
tried(
    "aggregate_kl",
    (
        "dim0",
        lambda m, v, z, p: (each(m, v, z).logsumexp(0) - math.log(len(z)) - p).mean(0),
        "sum over draws, not over posteriors",
    ),
    (
        "no logB",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - p).mean(0),
        "1/B of the mixture forgotten",
    ),
    (
        "naive",
        lambda m, v, z, p: (each(m, v, z).exp().mean(1).log() - p).mean(0),
        "logarithm of an underflowing sum",
    ),
    (
        "eps",
        lambda m, v, z, p: ((each(m, v, z).exp().mean(1) + 1e-10).log() - p).mean(0),
        "logarithm of an underflowing sum",
    ),
    (
        "own",
        lambda m, v, z, p: (N(m, std(v)).log_prob(z) - p).mean(0),
        "each image's own posterior only",
    ),
    ("mean logs", lambda m, v, z, p: (each(m, v, z).mean(1) - p).mean(0), "mean of logarithms"),
    (
        "sum draws",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p).sum(0),
        "draws summed",
    ),
    (
        "sum latents",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p).sum(1).mean(),
        "latents summed",
    ),
    (
        "exp v",
        lambda m, v, z, p: (
            N(m, v.exp()).log_prob(z[:, None]).logsumexp(1) - math.log(len(z)) - p
        ).mean(0),
        "log_var taken for log σ",
    ),
    (
        "+p",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) + p).mean(0),
        "log p with the wrong sign",
    ),
    (
        "relu",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p).mean(0).relu(),
        "clamped at 0",
    ),
    (
        "-D",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(z.shape[1]) - p).mean(0),
        "D for B",
    ),
    (
        "z detach",
        lambda m, v, z, p: (each(m, v, z.detach()).logsumexp(1) - math.log(len(z)) - p).mean(0),
        ONE_PLACE,
    ),
    (
        "loo",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(max(len(z) - 1, 1)) - p).mean(0),
        ONE_PLACE,
    ),
    (
        "p exp",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p.exp()).mean(0),
        ONE_PLACE,
    ),
    (
        "v clamp",
        lambda m, v, z, p: (each(m, v.clamp(min=-5), z).logsumexp(1) - math.log(len(z)) - p).mean(
            0
        ),
        "clamped log_var",
    ),
    (
        "gauss",
        lambda m, v, z, p: (
            N(m.mean(0), (v.exp().mean(0) + m.var(0, correction=0)).sqrt()).log_prob(z) - p
        ).mean(0),
        "one Gaussian for the aggregate",
    ),
)
FEWER = "not num_samples draws"
ESTIMATES = [  # what it is, a KL, its name in 5.1 and, in a loss, in 7.2
    ("sample()", K(lambda q, m, v, k: q.sample((k,))), "detached samples", "detached samples"),
    ("clamp0", K(red=lambda t: t.mean(0).sum(1).clamp(min=0)), "clamped at 0", "clamped at 0"),
    (
        "clamp latents",
        K(red=lambda t: t.mean(0).clamp(min=0).sum(1)),
        "clamped at 0",
        "clamped at 0",
    ),
    (
        "abs ratios",
        K(red=lambda t: t.abs().mean(0).sum(1)),
        "log-ratios made positive",
        "log-ratios made positive",
    ),
    (
        "relu",
        K(red=lambda t: t.relu().mean(0).sum(1)),
        "log-ratios made positive",
        "log-ratios made positive",
    ),
    (
        "v clamp -3",
        lambda m, v, p, k: K()(m, v.clamp(min=-3), p, k),
        "clamped log_var",
        "clamped log_var",
    ),
    (
        "v clamp -6",
        lambda m, v, p, k: K()(m, v.clamp(min=-6), p, k),
        "clamped log_var",
        "clamped log_var",
    ),
    (
        "sigma clamp",
        lambda m, v, p, k: K()(m, 2 * std(v).clamp(min=0.2).log(), p, k),
        "clamped log_var",
        "clamped log_var",
    ),
    ("K-1", K(lambda q, m, v, k: q.rsample((max(k - 1, 1),))), FEWER, FEWER),
    (
        "divide K-1",
        K(red=lambda t: (t.sum(0) / max(len(t) - 1, 1)).sum(1)),
        "divided by K − 1",
        "divided by K − 1",
    ),
    ("10K", K(lambda q, m, v, k: q.rsample((10 * k,))), RIGHT, RIGHT),
    (
        "score fn",
        score_function,
        "score function",
        "score function",
    ),
    (
        "square (k2)",
        K(red=lambda t: 0.5 * (t**2).mean(0).sum(1)),
        "another function of the log-ratio",
        "another function of the log-ratio",
    ),
    (
        "k3",
        K(red=lambda t: ((-t).exp() - 1 + t).mean(0).sum(1)),
        "another function of the log-ratio",
        "another function of the log-ratio",
    ),
    (
        "one eps for latents",
        K(lambda q, m, v, k: m + std(v) * torch.randn(k, m.shape[0], 1)),
        "ε shared between latents",
        "ε shared between latents",
    ),
    ("prior detached", K(integ=lambda q, p: q - p.detach()), "prior detached", "prior detached"),
    ("q detached", K(integ=lambda q, p: q.detach() - p), "log q detached", "log q detached"),
    ("mean latents", K(red=lambda t: t.mean(0).mean(1)), "mean over latents", "mean over latents"),
    ("mean all", K(red=lambda t: t.mean()), "batch averaged", None),
    ("half", K(red=lambda t: 0.5 * t.mean(0).sum(1)), "KL halved", "KL halved"),
    ("2x", K(red=lambda t: 2 * t.mean(0).sum(1)), "KL counted twice", "KL counted twice"),
    (
        "exp(v) both",
        lambda m, v, p, k: K()(m, 2 * v, p, k),
        "log_var taken for log σ",
        "log_var taken for log σ",
    ),
    (
        "dens eps",
        K(
            dens=lambda q, z, m, v: (
                -0.5 * (z - m) ** 2 / (v.exp() + 0.1) - 0.5 * v - 0.5 * math.log(2 * math.pi)
            )
        ),
        UNNAMED,
        UNNAMED,
    ),
    (
        "prior at mean",
        lambda m, v, p, k: (-N(m, std(v)).entropy() - p(m)).sum(1),
        "nothing is drawn",
        "nothing is drawn",
    ),
    (
        "closed N01",
        lambda m, v, p, k: 0.5 * (m**2 + v.exp() - 1 - v).sum(1),
        "KL to N(0, I)",
        "KL to N(0, I)",
    ),
    ("cross ent", K(integ=lambda q, p: -p), "log q forgotten", "log q forgotten"),
    ("added", K(integ=lambda q, p: q + p), *["log p with the wrong sign"] * 2),
    ("reverse", K(integ=lambda q, p: p - q), "KL with the wrong sign", "KL with the wrong sign"),
    (
        "two different draws",
        lambda m, v, p, k: (
            (N(m, std(v)).log_prob(N(m, std(v)).rsample((k,))) - p(N(m, std(v)).rsample((k,))))
            .mean(0)
            .sum(1)
        ),
        RIGHT,
        RIGHT,
    ),
    (
        "seed",
        lambda m, v, p, k: (torch.manual_seed(0), K()(m, v, p, k))[1],
        "fixed seed",
        "fixed seed",
    ),
    (
        "no 2pi",
        K(dens=lambda q, z, m, v: q.log_prob(z) + 0.5 * math.log(2 * math.pi)),
        "log 2π forgotten",
        "log 2π forgotten",
    ),
    ("not summed", K(red=lambda t: t.mean(0)), "latents not summed", None),
    ("sum K", K(red=lambda t: t.sum(0).sum(1)), "sum over samples", "sum over samples"),
    (
        "sum K mean lat",
        K(red=lambda t: t.sum(0).mean(1)),
        "sum over samples, and mean over latents",
        "sum over samples, and mean over latents",
    ),
    ("median", K(red=lambda t: t.median(0).values.sum(1)), "median for mean", "median for mean"),
    (
        "logsumexp",
        K(red=lambda t: t.sum(2).logsumexp(0) - math.log(len(t))),
        "log of mean for mean of logs",
        "log of mean for mean of logs",
    ),
    (
        "uniform",
        K(lambda q, m, v, k: m + std(v) * torch.rand(k, *m.shape)),
        "uniform noise",
        "uniform noise",
    ),
]
for _said, _kl, _name, _in_a_loss in ESTIMATES:
    tried("monte_carlo_kl", (_said, _kl, _name))
    if _in_a_loss is not None:
        tried("find_the_bug", (_said, bug(_kl), _in_a_loss))
