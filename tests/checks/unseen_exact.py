"""Formulas and losses that students may write."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from .unseen import ONE_PLACE, RIGHT, UNNAMED, tried


def std(log_var):
    return torch.exp(0.5 * log_var)


def bce(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def kls(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var)


def log_p(z, spike_prob, spike_var):
    spike = math.log(spike_prob) + Normal(0.0, spike_var**0.5).log_prob(z)
    return torch.logaddexp(spike, math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z))


def edge(p, v):
    return math.sqrt((math.log(p / (1 - p)) - 0.5 * math.log(v)) / (0.5 / v - 0.5))


# --- 1.2, 1.3


class Marginal(nn.Module):
    def forward(self, log_joint, log_q):
        w = log_joint - log_q
        top = w.amax(dim=0, keepdim=True).detach()
        return (top + (w - top).exp().mean(dim=0, keepdim=True).log()).squeeze(0)


def in_double(log_joint, log_q):
    w = (log_joint.double() - log_q.double()).T
    return torch.stack([torch.logsumexp(row, dim=0) - math.log(row.numel()) for row in w])


def by_softmax(log_joint, log_q):
    w = log_joint - log_q
    return (w - w.log_softmax(dim=0))[0] - torch.log(torch.tensor(float(w.shape[0])))


def keywords(*, log_joint, log_q):
    uniform = torch.full_like(log_joint, 1 / log_joint.shape[0]).log()
    return torch.logsumexp(uniform + log_joint - log_q, 0)


tried(
    "log_marginal",
    ("a module", Marginal(), RIGHT),
    ("float64", in_double, RIGHT),
    ("by log_softmax", by_softmax, RIGHT),
    ("keyword-only", keywords, RIGHT),
    ("logcumsumexp", lambda j, q: (j - q).logcumsumexp(0)[-1] - math.log(len(j)), RIGHT),
    ("reduce", lambda j, q: functools.reduce(torch.logaddexp, j - q) - math.log(len(j)), RIGHT),
    (
        "swapped arguments",
        lambda j, q: torch.logsumexp(q - j, 0) - math.log(len(j)),
        "arguments swapped",
    ),
    ("minus", lambda j, q: math.log(len(j)) - torch.logsumexp(j - q, 0), "sign"),
    ("log K added", lambda j, q: torch.logsumexp(j - q, 0) + math.log(len(j)), "log K added"),
    ("log K forgotten", lambda j, q: torch.logsumexp(j - q, 0), "not divided by K"),
    (
        "divided by K outside",
        lambda j, q: torch.logsumexp(j - q, 0) / len(j),
        "divided by K outside the logarithm",
    ),
    ("− K", lambda j, q: torch.logsumexp(j - q, 0) - len(j), ONE_PLACE),
    ("log q added", lambda j, q: torch.logsumexp(j + q, 0) - math.log(len(j)), "log_q added"),
    ("no log q", lambda j, q: torch.logsumexp(j, 0) - math.log(len(j)), "log_q forgotten"),
    (
        "mean of the batch",
        lambda j, q: (torch.logsumexp(j - q, 0) - math.log(len(j))).mean(),
        "batch averaged",
    ),
    ("naive", lambda j, q: (j.exp() / q.exp()).mean(0).log(), "underflow"),
    ("the ELBO", lambda j, q: (j - q).mean(0), "mean of logs for log of mean"),
    ("the ELBO, summed", lambda j, q: (j - q).sum(0), "sum of logs for log of sum"),
    ("no logarithm", lambda j, q: (j - q).exp().mean(0), "logarithm forgotten"),
    (
        "log10",
        lambda j, q: (torch.logsumexp(j - q, 0) - math.log(len(j))) / math.log(10),
        ONE_PLACE,
    ),
    ("no log K, mean of batch", lambda j, q: torch.logsumexp(j - q, 0).mean(), "wrong shape"),
    ("median", lambda j, q: (j - q).median(0).values, "median for mean"),
    (
        "detached",
        lambda j, q: (torch.logsumexp(j - q, 0) - math.log(len(j))).detach(),
        ONE_PLACE,
    ),
    (
        "kept axis",
        lambda j, q: torch.logsumexp(j - q, 0, keepdim=True) - math.log(len(j)),
        ONE_PLACE,
    ),
)


def running_mean(log_joint, log_q):
    mean = torch.zeros(log_joint.shape[1])
    for k, (joint, log) in enumerate(zip(log_joint, log_q)):
        mean = mean + (joint - log - mean) / (k + 1)
    return mean


class Bound(nn.Module):
    def forward(self, log_joint, log_q):
        return log_joint.mean(0).sub(log_q.mean(0))


tried(
    "elbo",
    ("running mean", running_mean, RIGHT),
    ("a module", Bound(), RIGHT),
    (
        "einsum",
        lambda log_joint, log_q: torch.einsum("kb->b", log_joint - log_q) / len(log_joint),
        RIGHT,
    ),
    ("matrix product", lambda j, q: torch.full((len(j),), 1 / len(j)) @ (j - q), RIGHT),
    ("float64", lambda j, q: (j.double() - q.double()).mean(dim=0), RIGHT),
    ("default", lambda log_joint, log_q, dim=0: torch.mean(log_joint - log_q, dim), RIGHT),
    ("log q added", lambda j, q: (j + q).mean(0), "log q with the wrong sign"),
    ("no log q", lambda j, q: j.mean(0), "log q forgotten"),
    ("other axis", lambda j, q: (j - q).mean(1), "wrong axis"),
    ("median", lambda j, q: (j - q).median(0).values, "median for mean"),
    ("first sample", lambda j, q: (j - q)[0], "one sample"),
    ("max", lambda j, q: (j - q).amax(0), "largest weight only"),
    ("exp", lambda j, q: (j - q).exp().mean(0), "weights instead of log-weights"),
    ("loss of the batch", lambda j, q: -(j - q).mean(), "wrong shape"),
    ("sum and minus", lambda j, q: (q - j).sum(0), "sign, and sum over samples"),
    ("K − 1", lambda j, q: (j - q).sum(0) / max(len(j) - 1, 1), ONE_PLACE),
    ("detached", lambda j, q: (j.detach() - q).mean(0), ONE_PLACE),
    ("list", lambda j, q: list((j - q).mean(0)), ONE_PLACE),
    ("numpy", lambda j, q: (j - q).mean(0).detach().numpy(), "wrong type"),
    ("log q halved, sum", lambda j, q: (j - 0.5 * q).sum(0), "log q halved, and sum over samples"),
)

# --- 3.1 to 3.3


def pixel_loop(logits, x):
    total = 0.0
    for i in range(x.shape[1]):
        total = total + torch.where(
            x[:, i] > 0.5, F.logsigmoid(logits[:, i]), F.logsigmoid(-logits[:, i])
        )
    return total


class Likelihood(nn.Module):
    def __init__(self):
        super().__init__()
        self.loss = nn.BCEWithLogitsLoss(reduction="none")

    def forward(self, logits, x):
        return self.loss(logits, x).sum(1).neg()


tried(
    "bernoulli_log_likelihood",
    ("loop", pixel_loop, RIGHT),
    ("a module", Likelihood(), RIGHT),
    ("signs", lambda logits, x: F.logsigmoid((2 * x - 1) * logits).sum(-1), RIGHT),
    (
        "einsum",
        lambda logits, x: torch.einsum("bp,bp->b", logits, x) - F.softplus(logits).sum(1),
        RIGHT,
    ),
    (
        "float64",
        lambda logits, x: Bernoulli(logits=logits.double()).log_prob(x.double()).sum(1),
        RIGHT,
    ),
    ("logaddexp", lambda l, x: (x * l - torch.logaddexp(l, torch.zeros_like(l))).sum(1), RIGHT),
    (
        "cross_entropy of 2",
        lambda l, x: (
            -F.cross_entropy(torch.stack([0 * l, l], 1), x.long(), reduction="none").sum(1)
        ),
        RIGHT,
    ),
    ("sum of all", lambda l, x: -bce(l, x).sum(), "batch summed"),
    ("mean of all", lambda l, x: -bce(l, x).mean(), "mean over everything"),
    ("other axis", lambda l, x: -bce(l, x).sum(0), "wrong axis"),
    ("pixels not summed", lambda l, x: -bce(l, x), "pixels not summed"),
    (
        "log(sigmoid)",
        lambda l, x: (x * l.sigmoid().log() + (1 - x) * (1 - l.sigmoid()).log()).sum(1),
        "clamped probabilities",
    ),
    ("black only", lambda l, x: ((1 - x) * F.logsigmoid(-l)).sum(1), "white pixels forgotten"),
    (
        "black with + logit",
        lambda l, x: (x * F.logsigmoid(l) + (1 - x) * F.logsigmoid(l)).sum(1),
        "one term's logit has the wrong sign",
    ),
    ("sign and mean", lambda l, x: bce(l, x).mean(1), "sign, and mean over pixels"),
    (
        "sigmoid twice, mean",
        lambda l, x: -bce(l.sigmoid(), x).mean(1),
        "sigmoid twice, and mean over pixels",
    ),
    ("squared error", lambda l, x: -((l.sigmoid() - x) ** 2).sum(1), "squared error"),
    ("squared error of logits", lambda l, x: -((l - x) ** 2).sum(1), "squared error"),
    (
        "BCE of logits as probabilities",
        lambda l, x: -F.binary_cross_entropy(l.clamp(0, 1), x, reduction="none").sum(1),
        "logits taken for probabilities",
    ),
    ("detached", lambda l, x: -bce(l.detach(), x).sum(1), ONE_PLACE),
    ("float", lambda l, x: -bce(l, x).sum().item(), "batch summed"),
)


class Gaussian(nn.Module):
    def forward(self, mu, log_var):
        q = Independent(Normal(mu, std(log_var)), 1)
        return kl_divergence(q, Independent(Normal(0 * mu, 0 * mu + 1), 1))


def by_matrices(mu, log_var):
    q = MultivariateNormal(mu, torch.diag_embed(log_var.exp()))
    d = mu.shape[1]
    return kl_divergence(q, MultivariateNormal(torch.zeros(d), torch.eye(d)))


tried(
    "gaussian_kl",
    ("a module", Gaussian(), RIGHT),
    ("float64", lambda mu, log_var: kls(mu.double(), log_var.double()).sum(-1), RIGHT),
    (
        "−0.5",
        lambda mu, log_var: -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=1),
        RIGHT,
    ),
    ("expm1", lambda m, v: ((m * m + v.expm1() - v) / 2).sum(1), RIGHT),
    (
        "entropy",
        lambda m, v: (
            0.5 * (m**2 + v.exp() + math.log(2 * math.pi)) - Normal(m, std(v)).entropy()
        ).sum(1),
        RIGHT,
    ),
    (
        "einsum",
        lambda m, v: 0.5 * (torch.einsum("bd,bd->b", m, m) + (v.exp() - v - 1).sum(1)),
        RIGHT,
    ),
    ("keyword-only", lambda *, mu, log_var: kls(mu, log_var).sum(dim=-1), RIGHT),
    ("lost ½", lambda m, v: 2 * kls(m, v).sum(1), "lost ½"),
    ("+ log σ²", lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v).sum(1), "log σ² with the wrong sign"),
    ("σ for σ²", lambda m, v: 0.5 * (m**2 + std(v) - 1 - v).sum(1), "σ where σ² belongs"),
    ("log_var for σ²", lambda m, v: 0.5 * (m**2 + v - 1 - v.abs().log()).sum(1), UNNAMED),
    ("no σ²", lambda m, v: 0.5 * (m**2 - 1 - v).sum(1), "σ² forgotten"),
    ("μ² halved twice", lambda m, v: 0.5 * (0.5 * m**2 + v.exp() - 1 - v).sum(1), "μ² halved"),
    (
        "no μ, mean",
        lambda m, v: 0.5 * (v.exp() - 1 - v).mean(1),
        "μ² forgotten, and mean over latents",
    ),
    ("sign, batch", lambda m, v: -kls(m, v).sum(), "sign, and batch summed"),
    ("not summed", lambda m, v: kls(m, v), "latents not summed"),
    ("other axis", lambda m, v: kls(m, v).sum(0), "wrong axis"),
    ("batch mean", lambda m, v: kls(m, v).sum(1).mean(), "batch averaged"),
    (
        "sum of μ squared",
        lambda m, v: 0.5 * (m.sum(1) ** 2 + (v.exp() - 1 - v).sum(1)),
        "square of the sum",
    ),
    (
        "reverse, mean",
        lambda m, v: kl_divergence(Normal(0.0, 1.0), Normal(m, std(v))).mean(1),
        "KL the wrong way round, and mean over latents",
    ),
    ("detached σ", lambda m, v: kls(m, v.detach()).sum(1), ONE_PLACE),
)


class Loss(nn.Module):
    def forward(self, logits, x, mu, log_var):
        p = Independent(Bernoulli(logits=logits), 1)
        kl = kl_divergence(
            Normal(mu, std(log_var)), Normal(torch.zeros_like(mu), torch.ones_like(mu))
        )
        return (kl.sum(1) - p.log_prob(x)).mean()


def loop_loss(logits, x, mu, log_var):
    total = 0.0
    for l, a, m, v in zip(logits, x, mu, log_var):
        total = total + F.binary_cross_entropy_with_logits(l, a, reduction="sum") + kls(m, v).sum()
    return total / logits.shape[0]


def vae(reduce, c=bce, k=kls):
    return lambda logits, x, mu, log_var: reduce(c(logits, x), k(mu, log_var))


tried(
    "vae_loss",
    ("a module", Loss(), RIGHT),
    ("loop", loop_loss, RIGHT),
    ("sums over B", lambda l, x, m, v: (bce(l, x).sum() + kls(m, v).sum()) / len(x), RIGHT),
    (
        "float64",
        lambda l, x, m, v: (
            bce(l.double(), x.double()).sum(1) + kls(m.double(), v.double()).sum(1)
        ).mean(),
        RIGHT,
    ),
    ("two means", vae(lambda c, k: c.sum(1).mean() + k.sum(1).mean()), RIGHT),
    ("concatenated", vae(lambda c, k: torch.cat([c, k], dim=1).sum(1).mean()), RIGHT),
    (
        "batchmean",
        lambda logits, x, mu, log_var: loop_loss(logits=logits, x=x, mu=mu, log_var=log_var),
        RIGHT,
    ),
    (
        "log σ",
        vae(lambda c, k: (c.sum(1) + k.sum(1)).mean(), k=lambda m, v: kls(m, 2 * v)),
        "log_var taken for log σ",
    ),
    ("no KL", vae(lambda c, k: c.sum(1).mean() + 0 * k.sum()), "KL forgotten"),
    ("no BCE", vae(lambda c, k: k.sum(1).mean() + 0 * c.sum()), "cross-entropy forgotten"),
    ("β = 4", vae(lambda c, k: (c.sum(1) + 4 * k.sum(1)).mean()), "KL times a factor"),
    ("KL mean over all", vae(lambda c, k: c.sum(1).mean() + k.mean()), "mean over latents"),
    ("BCE mean, KL mean", vae(lambda c, k: c.mean() + k.mean()), "mean over everything"),
    ("sum", vae(lambda c, k: c.sum() + k.sum()), "batch summed"),
    ("per image", vae(lambda c, k: c.sum(1) + k.sum(1)), "batch not averaged"),
    (
        "KL minus and BCE mean",
        vae(lambda c, k: c.mean() - k.sum(1).mean()),
        "KL with the wrong sign, and mean over pixels",
    ),
    (
        "lost ½ and sum",
        vae(lambda c, k: c.sum() + 2 * k.sum()),
        "KL counted twice, and batch summed",
    ),
    (
        "sign and log σ",
        vae(lambda c, k: -(c.sum(1) + k.sum(1)).mean(), k=lambda m, v: kls(m, 2 * v)),
        "log_var taken for log σ, and sign",
    ),
    (
        "sigmoid twice, sum KL",
        vae(lambda c, k: c.sum(1).mean() + k.sum(), c=lambda l, x: bce(l.sigmoid(), x)),
        "sigmoid twice, and batch summed in one term",
    ),
    ("float", vae(lambda c, k: (c.sum(1) + k.sum(1)).mean().item()), "wrong type"),
    ("free bits", vae(lambda c, k: (c.sum(1) + k.clamp(min=0.5).sum(1)).mean()), "free bits"),
    (
        "KL of the batch's mean",
        lambda l, x, m, v: bce(l, x).sum(1).mean() + kls(m.mean(0), v.mean(0)).sum(),
        UNNAMED,
    ),
)

# --- 4.1, 4.3


def torch_mixture(z, spike_prob, spike_var):
    widths = torch.tensor([spike_var**0.5, 1.0], dtype=z.dtype)
    weights = Categorical(torch.tensor([spike_prob, 1 - spike_prob], dtype=z.dtype))
    return MixtureSameFamily(weights, Normal(torch.zeros_like(widths), widths)).log_prob(z)


def by_hand(z, spike_prob, spike_var=0.05):
    c = -0.5 * math.log(2 * math.pi)
    spike = math.log(spike_prob) - z.square() / (2 * spike_var) - 0.5 * math.log(spike_var) + c
    slab = math.log1p(-spike_prob) - z.square() / 2 + c
    top = torch.maximum(spike, slab)
    return top + torch.log1p(torch.exp(torch.minimum(spike, slab) - top))


def joints(z, p, v, swap=False, width=lambda v: v**0.5):
    p = 1 - p if swap else p
    spike = math.log(p) + Normal(0.0, width(v)).log_prob(z)
    return spike, math.log(1 - p) + Normal(0.0, 1.0).log_prob(z)


tried(
    "log_prob",
    ("torch's mixture", torch_mixture, RIGHT),
    ("log1p", by_hand, RIGHT),
    ("float64", lambda z, p, v: log_p(z.double(), p, v).to(z.dtype), RIGHT),
    ("stack", lambda z, p, v: torch.stack(joints(z, p, v)).logsumexp(0), RIGHT),
    ("softplus", lambda z, p, v: (lambda a, b: b + F.softplus(a - b))(*joints(z, p, v)), RIGHT),
    ("keyword-only", lambda *, z, spike_prob, spike_var: log_p(z, spike_prob, spike_var), RIGHT),
    ("root twice", lambda z, p, v: log_p(z, p, v**0.5), "root taken twice"),
    ("sum over latents", lambda z, p, v: log_p(z, p, v).sum(-1), "summed over latents"),
    ("sum of all", lambda z, p, v: log_p(z, p, v).sum(), "summed over latents"),
    ("density", lambda z, p, v: log_p(z, p, v).exp(), "logarithm forgotten"),
    ("minus", lambda z, p, v: -log_p(z, p, v), "sign"),
    ("no weights", lambda z, p, v: log_p(z, 0.5, v) + math.log(2), "weights forgotten"),
    ("half and half", lambda z, p, v: log_p(z, 0.5, v), "weights forgotten"),
    ("spike only", lambda z, p, v: Normal(0.0, v**0.5).log_prob(z), "spike only"),
    ("slab only", lambda z, p, v: Normal(0.0, 1.0).log_prob(z), "slab only"),
    (
        "weights not logged",
        lambda z, p, v: torch.logaddexp(
            p + Normal(0.0, v**0.5).log_prob(z), 1 - p + Normal(0.0, 1.0).log_prob(z)
        ),
        "weights without a logarithm",
    ),
    (
        "one Gaussian",
        lambda z, p, v: Normal(0.0, (p * v + 1 - p) ** 0.5).log_prob(z),
        "moment-matched Gaussian",
    ),
    ("swapped, minus", lambda z, p, v: -log_p(z, 1 - p, v), "sign, and spike and slab swapped"),
    ("no 2π", lambda z, p, v: log_p(z, p, v) + 0.5 * math.log(2 * math.pi), "2π forgotten"),
    ("log2", lambda z, p, v: log_p(z, p, v) / math.log(2), ONE_PLACE),
    ("detached", lambda z, p, v: log_p(z.detach(), p, v), "detached"),
)
tried(
    "slab_responsibility",
    ("softmax", lambda z, p, v: torch.stack(joints(z, p, v)).softmax(0)[1], RIGHT),
    ("exp of a difference", lambda z, p, v: (joints(z, p, v)[1] - log_p(z, p, v)).exp(), RIGHT),
    (
        "1 over 1 + exp",
        lambda z, p, v: 1 / (1 + (joints(z, p, v)[0] - joints(z, p, v)[1]).exp()),
        RIGHT,
    ),
    (
        "closed form",
        lambda z, p, v: torch.sigmoid((0.5 / v - 0.5) * (z**2 - edge(p, v) ** 2)),
        RIGHT,
    ),
    (
        "float64",
        lambda z, p, v: torch.sigmoid(joints(z.double(), p, v)[1] - joints(z.double(), p, v)[0]),
        RIGHT,
    ),
    (
        "swapped",
        lambda z, p, v: torch.sigmoid(joints(z, p, v, True)[1] - joints(z, p, v, True)[0]),
        "spike and slab swapped",
    ),
    (
        "v as σ",
        lambda z, p, v: torch.sigmoid(joints(z, p, v)[1] - joints(z, p, v, width=lambda v: v)[0]),
        "spike_var used as a standard deviation",
    ),
    (
        "difference only",
        lambda z, p, v: joints(z, p, v)[1] - joints(z, p, v)[0],
        "logit for a probability",
    ),
    (
        "odds",
        lambda z, p, v: (joints(z, p, v)[1] - joints(z, p, v)[0]).exp(),
        "odds for a probability",
    ),
    ("slab density", lambda z, p, v: joints(z, p, v)[1].exp(), "not normalised"),
    ("prior's", lambda z, p, v: torch.full_like(z, 1 - p) + 0 * z, "prior weight only"),
    (
        "summed",
        lambda z, p, v: torch.sigmoid(joints(z, p, v)[1] - joints(z, p, v)[0]).sum(-1),
        ONE_PLACE,
    ),
    ("past the crossover", lambda z, p, v: (z.abs() > edge(p, v)).float(), "hard decision"),
    ("booleans", lambda z, p, v: z.abs() > edge(p, v), "hard decision"),
    (
        "spike's, v as σ",
        lambda z, p, v: torch.sigmoid(joints(z, p, v, width=lambda v: v)[0] - joints(z, p, v)[1]),
        "responsibility of the spike, and spike_var used as a standard deviation",
    ),
    (
        "z not squared",
        lambda z, p, v: torch.sigmoid((0.5 / v - 0.5) * (z.abs() - edge(p, v) ** 2)),
        "z not squared",
    ),
    (
        "no normalisers",
        lambda z, p, v: torch.sigmoid(math.log((1 - p) / p) + z**2 * (0.5 / v - 0.5)),
        "normaliser forgotten",
    ),
)

# --- 6.1, 7.1, 8.1, 9.1


def sparse(red=lambda c, k: (c.sum(1) + k.sum(1)).mean(), ce=bce, lq=None, lp=log_p):
    lq = lq or (lambda z, m, v: Normal(m, std(v)).log_prob(z))

    def loss(logits, x, mu, log_var, z, spike_prob, spike_var):
        return red(ce(logits, x), lq(z, mu, log_var) - lp(z, spike_prob, spike_var))

    return loss


class SparseLoss(nn.Module):
    def forward(self, logits, x, mu, log_var, z, spike_prob=0.8, spike_var=0.05):
        q = Independent(Normal(mu, std(log_var)), 1)
        p = Independent(Bernoulli(logits=logits), 1)
        return -(
            p.log_prob(x) + torch_mixture(z, spike_prob, spike_var).sum(1) - q.log_prob(z)
        ).mean()


def q_by_hand(z, mu, log_var):
    return -0.5 * ((z - mu).square() / log_var.exp() + log_var + math.log(2 * math.pi))


tried(
    "sparse_vae_loss",
    ("a module", SparseLoss(), RIGHT),
    ("by hand", sparse(lq=q_by_hand, lp=by_hand), RIGHT),
    ("sums over B", sparse(lambda c, k: (c.sum() + k.sum()) / len(c)), RIGHT),
    (
        "float64",
        lambda l, x, m, v, z, p, s: sparse()(
            l.double(), x.double(), m.double(), v.double(), z.double(), p, s
        ),
        RIGHT,
    ),
    ("softplus", sparse(ce=lambda l, x: F.softplus(l) - x * l), RIGHT),
    ("per image", sparse(lambda c, k: c.sum(1) + k.sum(1)), "batch not averaged"),
    ("log q halved", sparse(lq=lambda z, m, v: 0.5 * q_by_hand(z, m, v)), "log q halved"),
    ("no log q", sparse(lq=lambda z, m, v: 0 * z), "log q forgotten"),
    ("no log p", sparse(lp=lambda z, p, s: 0 * z), "log p forgotten"),
    ("KL added twice", sparse(lambda c, k: (c.sum(1) + 2 * k.sum(1)).mean()), "KL counted twice"),
    ("mean BCE", sparse(lambda c, k: c.mean() + k.sum(1).mean()), "mean over pixels"),
    ("batch summed KL", sparse(lambda c, k: c.sum(1).mean() + k.sum()), "batch summed in one term"),
    (
        "no 2π in q",
        sparse(lq=lambda z, m, v: q_by_hand(z, m, v) + 0.5 * math.log(2 * math.pi)),
        "log 2π forgotten",
    ),
    (
        "z − μ not squared",
        sparse(lq=lambda z, m, v: -0.5 * ((z - m).abs() / v.exp() + v + math.log(2 * math.pi))),
        UNNAMED,
    ),
    (
        "σ for σ² in q",
        sparse(lq=lambda z, m, v: -0.5 * ((z - m) ** 2 / std(v) + v + math.log(2 * math.pi))),
        "σ where σ² belongs in log q",
    ),
    ("v root twice", sparse(lp=lambda z, p, s: log_p(z, p, s**0.5)), "root taken twice"),
    ("sign of all", sparse(lambda c, k: -(c.sum(1) + k.sum(1)).mean()), "sign"),
    (
        "swapped and mean BCE",
        sparse(lambda c, k: c.mean() + k.sum(1).mean(), lp=lambda z, p, s: log_p(z, 1 - p, s)),
        "spike and slab swapped, and mean over pixels",
    ),
    (
        "log σ and swapped",
        sparse(
            lq=lambda z, m, v: Normal(m, v.exp()).log_prob(z), lp=lambda z, p, s: log_p(z, 1 - p, s)
        ),
        "spike and slab swapped, and log_var taken for log σ",
    ),
    ("no KL, sum", sparse(lambda c, k: c.sum() + 0 * k.sum()), "KL forgotten, and batch summed"),
    (
        "prior at μ",
        lambda l, x, m, v, z, p, s: sparse(lp=lambda z, p, s: log_p(m, p, s))(l, x, m, v, z, p, s),
        "log p at the mean",
    ),
    ("squared error", sparse(ce=lambda l, x: (l.sigmoid() - x) ** 2), "squared error"),
)


def count_by_loop(mu, spike_prob, spike_var):
    counts = []
    for row in mu:
        a, b = joints(row, spike_prob, spike_var)
        counts.append(sum(float(on) for on in b > a))
    return torch.tensor(counts)


tried(
    "active_count",
    ("loop", count_by_loop, RIGHT),
    (
        "responsibility",
        lambda m, p, v: (torch.sigmoid(joints(m, p, v)[1] - joints(m, p, v)[0]) > 0.5).sum(1),
        RIGHT,
    ),
    ("squares", lambda m, p, v: (m.square() >= edge(p, v) ** 2).float().sum(-1), RIGHT),
    (
        "count_nonzero",
        lambda mu, spike_prob, spike_var: torch.count_nonzero(
            mu.abs() > edge(spike_prob, spike_var), dim=1
        ),
        RIGHT,
    ),
    ("threshold", lambda m, p, v: F.threshold(m.abs(), edge(p, v), 0.0).sign().sum(1), RIGHT),
    ("both signs", lambda m, p, v: (m > edge(p, v)).sum(1) + (m < -edge(p, v)).sum(1), RIGHT),
    ("0.551", lambda m, p, v: (m.abs() > 0.551).sum(1), "fixed threshold"),
    ("p > ½", lambda m, p, v: (m.abs() > 0.5).sum(1), "fixed threshold"),
    ("√v", lambda m, p, v: (m.abs() > v**0.5).sum(1), "threshold at the spike's width"),
    ("v", lambda m, p, v: (m.abs() > v).sum(1), "threshold at the spike's width"),
    (
        "swapped",
        lambda m, p, v: (joints(m, p, v, True)[1] > joints(m, p, v, True)[0]).sum(1),
        "spike and slab swapped",
    ),
    ("other axis", lambda m, p, v: (m.abs() > edge(p, v)).sum(0), "wrong axis"),
    ("sum of sizes", lambda m, p, v: m.abs().sum(1), "sizes added up"),
    (
        "sum of those past it",
        lambda m, p, v: torch.where(m.abs() > edge(p, v), m.abs(), 0).sum(1),
        "sizes added up",
    ),
    ("mean past it", lambda m, p, v: (m.mean(0).abs() > edge(p, v)).sum().expand(len(m)), UNNAMED),
    (
        "no abs, fraction",
        lambda m, p, v: (m > edge(p, v)).float().mean(1),
        "absolute value forgotten, and fraction for count",
    ),
    ("prior's", lambda m, p, v: torch.full((len(m),), (1 - p) * m.shape[1]), "prior's own number"),
    ("a list", lambda m, p, v: (m.abs() > edge(p, v)).sum(1).tolist(), ONE_PLACE),
)


def gates(g, a):
    return (
        torch.xlogy(g, g) - g * math.log(a) + torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - a)
    )


class Gated(nn.Module):
    def forward(self, gate_prob, mu, log_var, slab_prob):
        on = torch.special.entr(gate_prob) + torch.special.entr(1 - gate_prob)
        cross = -gate_prob * math.log(slab_prob) - (1 - gate_prob) * math.log1p(-slab_prob)
        return (cross - on + gate_prob * kls(mu, log_var)).sum(dim=1)


def gated_by_where(gate_prob, mu, log_var, slab_prob):
    safe = gate_prob.clamp(min=1e-30)
    on = torch.where(gate_prob > 0, gate_prob * (safe / slab_prob).log(), torch.zeros_like(safe))
    rest = (1 - gate_prob).clamp(min=1e-30)
    off = torch.where(
        gate_prob < 1, (1 - gate_prob) * (rest / (1 - slab_prob)).log(), torch.zeros_like(rest)
    )
    return (on + off + gate_prob * kls(mu, log_var)).sum(1)


tried(
    "gated_kl",
    ("a module", Gated(), RIGHT),
    ("where", gated_by_where, RIGHT),
    (
        "float64",
        lambda g, m, v, a: (gates(g.double(), a) + g.double() * kls(m.double(), v.double())).sum(1),
        RIGHT,
    ),
    (
        "einsum",
        lambda g, m, v, a: gates(g, a).sum(1) + torch.einsum("bd,bd->b", g, kls(m, v)),
        RIGHT,
    ),
    (
        "distributions",
        lambda g, m, v, a: (
            gates(g, a) + g * kl_divergence(Normal(m, std(v)), Normal(0.0, 1.0))
        ).sum(-1),
        RIGHT,
    ),
    ("not summed", lambda g, m, v, a: gates(g, a) + g * kls(m, v), "latents not summed"),
    (
        "batch mean",
        lambda g, m, v, a: (gates(g, a) + g * kls(m, v)).sum(1).mean(),
        "batch averaged",
    ),
    (
        "1 − γ",
        lambda g, m, v, a: (gates(g, a) + (1 - g) * kls(m, v)).sum(1),
        "Gaussian KL weighted by the closed gate",
    ),
    ("γ²", lambda g, m, v, a: (gates(g, a) + g**2 * kls(m, v)).sum(1), ONE_PLACE),
    ("no prior", lambda g, m, v, a: (gates(g, 0.5) + g * kls(m, v)).sum(1), "slab_prob forgotten"),
    (
        "entropy only",
        lambda g, m, v, a: (torch.xlogy(g, g) + torch.xlogy(1 - g, 1 - g) + g * kls(m, v)).sum(1),
        "γ log α, (1 − γ) log(1 − α) forgotten",
    ),
    (
        "gates minus",
        lambda g, m, v, a: (g * kls(m, v) - gates(g, a)).sum(1),
        "gates' KL with the wrong sign",
    ),
    (
        "no Gaussian",
        lambda g, m, v, a: (gates(g, a) + 0 * kls(m, v)).sum(1),
        "Gaussian KL forgotten",
    ),
    (
        "swapped α, lost ½",
        lambda g, m, v, a: (gates(g, 1 - a) + 2 * g * kls(m, v)).sum(1),
        "slab_prob taken for the spike's, and lost ½",
    ),
    (
        "reverse KL",
        lambda g, m, v, a: (
            gates(g, a) + g * kl_divergence(Normal(0.0, 1.0), Normal(m, std(v)))
        ).sum(1),
        "KL the wrong way round",
    ),
    (
        "μ gated",
        lambda g, m, v, a: (gates(g, a) + kls(g * m, v)).sum(1),
        "gate inside the Gaussian KL",
    ),
    ("sign", lambda g, m, v, a: -(gates(g, a) + g * kls(m, v)).sum(1), "sign"),
    (
        "logs of 10",
        lambda g, m, v, a: (gates(g, a) / math.log(10) + g * kls(m, v)).sum(1),
        "gates' KL times a factor",
    ),
    (
        "detached μ",
        lambda g, m, v, a: (gates(g, a) + g * kls(m.detach(), v)).sum(1),
        ONE_PLACE,
    ),
)


def each(mu, log_var, z):
    return Normal(mu, std(log_var)).log_prob(z[:, None])


def aggregate_loop(mu, log_var, z, log_p):
    total = 0.0
    for b in range(len(z)):
        logs = torch.stack([q_by_hand(z[b], mu[c], log_var[c]) for c in range(len(mu))])
        total = total + logs.logsumexp(0) - math.log(len(mu)) - log_p[b]
    return total / len(z)


def aggregate_mixture(mu, log_var, z, log_p):
    weights = Categorical(torch.ones(mu.shape[1], mu.shape[0]))
    q = MixtureSameFamily(weights, Normal(mu.T, std(log_var).T))
    return (q.log_prob(z) - log_p).mean(0)


class Aggregate(nn.Module):
    def forward(self, mu, log_var, z, log_p):
        logs = q_by_hand(z.unsqueeze(1), mu.unsqueeze(0), log_var.unsqueeze(0))
        return torch.mean(torch.logsumexp(logs, 1) - math.log(z.size(0)) - log_p, 0)


tried(
    "aggregate_kl",
    ("loop", aggregate_loop, RIGHT),
    ("torch's mixture", aggregate_mixture, RIGHT),
    ("a module", Aggregate(), RIGHT),
    (
        "other axis first",
        lambda m, v, z, p: (
            Normal(m[:, None], std(v)[:, None]).log_prob(z).logsumexp(0) - math.log(len(z)) - p
        ).mean(0),
        RIGHT,
    ),
    (
        "float64",
        lambda m, v, z, p: (
            each(m.double(), v.double(), z.double()).logsumexp(1) - math.log(len(z)) - p
        ).mean(0),
        RIGHT,
    ),
    (
        "no mean",
        lambda m, v, z, p: each(m, v, z).logsumexp(1) - math.log(len(z)) - p,
        "draws not averaged",
    ),
    (
        "all averaged",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p).mean(),
        "latents averaged",
    ),
    (
        "minus",
        lambda m, v, z, p: (p + math.log(len(z)) - each(m, v, z).logsumexp(1)).mean(0),
        "sign",
    ),
    (
        "no log p",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) + 0 * p).mean(0),
        "log p forgotten",
    ),
    (
        "joint mixture",
        lambda m, v, z, p: (
            each(m, v, z).sum(2, keepdim=True).logsumexp(1) - math.log(len(z)) - p
        ).mean(0),
        "one mixture per vector",
    ),
    (
        "to N(0, 1)",
        lambda m, v, z, p: (
            each(m, v, z).logsumexp(1) - math.log(len(z)) - Normal(0.0, 1.0).log_prob(z) + 0 * p
        ).mean(0),
        "N(0, 1) in the prior's place",
    ),
    (
        "max",
        lambda m, v, z, p: (each(m, v, z).amax(1) - math.log(len(z)) - p).mean(0),
        "largest density only",
    ),
    (
        "own left out",
        lambda m, v, z, p: (
            each(m, v, z).masked_fill(torch.eye(len(z)).bool()[..., None], -torch.inf).logsumexp(1)
            - math.log(max(len(z) - 1, 1))
            - p
        ).mean(0),
        "own posterior left out",
    ),
    (
        "log B added",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) + math.log(len(z)) - p).mean(0),
        ONE_PLACE,
    ),
    (
        "mean over all posteriors and draws",
        lambda m, v, z, p: each(m, v, z).mean((0, 1)) - p.mean(0),
        "mean of logarithms",
    ),
    (
        "exp(v), no log B",
        lambda m, v, z, p: (Normal(m, v.exp()).log_prob(z[:, None]).logsumexp(1) - p).mean(0),
        "1/B of the mixture forgotten, and log_var taken for log σ",
    ),
    (
        "summed and minus",
        lambda m, v, z, p: (p + math.log(len(z)) - each(m, v, z).logsumexp(1)).sum(0),
        "sign, and draws summed",
    ),
    (
        "detached p",
        lambda m, v, z, p: (each(m, v, z).logsumexp(1) - math.log(len(z)) - p.detach()).mean(0),
        ONE_PLACE,
    ),
    (
        "posteriors detached",
        lambda m, v, z, p: (
            each(m.detach(), v.detach(), z).logsumexp(1) - math.log(len(z)) - p
        ).mean(0),
        "posteriors detached",
    ),
)
