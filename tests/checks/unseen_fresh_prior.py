"""Answers to 4.1–4.3, 7.1, 8.1 and 9.1 written without a look at what the checks know."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import (
    Bernoulli,
    Categorical,
    Laplace,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from svae_helpers import SpikeAndSlab

from .unseen import ONE_PLACE, RIGHT, UNNAMED, tried

# --- 4.1


def log_prob_r1(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    slab = math.log1p(-spike_prob) - 0.5 * (z * z + math.log(2 * math.pi))
    return slab + F.softplus(c - 0.5 * (1 / spike_var - 1) * z.square())


def log_prob_r2(z, spike_prob, spike_var):
    mix = Categorical(torch.tensor([spike_prob, 1 - spike_prob], dtype=z.dtype))
    parts = Normal(
        torch.zeros(2, dtype=z.dtype), torch.tensor([spike_var, 1.0], dtype=z.dtype).sqrt()
    )
    return MixtureSameFamily(mix, parts).log_prob(z)


def log_prob_r3(z, spike_prob, spike_var):
    var = torch.tensor([spike_var, 1.0], dtype=z.dtype)
    weight = torch.tensor([spike_prob, 1 - spike_prob], dtype=z.dtype)
    terms = weight.log() - 0.5 * torch.log(2 * torch.pi * var) - z.unsqueeze(-1) ** 2 / (2 * var)
    return terms.logsumexp(-1)


def log_prob_w1(z, spike_prob, spike_var):
    p = spike_prob * Normal(0.0, spike_var**0.5).log_prob(z).exp()
    p = p + (1 - spike_prob) * Normal(0.0, 1.0).log_prob(z).exp()
    return torch.log(p + 1e-12)


def log_prob_w2(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp2(a, b)


def log_prob_w3(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.maximum(a, b)


def log_prob_w4(z, spike_prob, spike_var):
    a = math.log(spike_prob) - 0.5 * math.log(2 * math.pi * spike_var) - z**2 / spike_var
    b = math.log(1 - spike_prob) - 0.5 * math.log(2 * math.pi) - z**2
    return torch.logaddexp(a, b)


def log_prob_w5(z, spike_prob, spike_var):
    const = -0.5 * math.log(2 * math.pi)
    a = math.log(spike_prob) + const - z**2 / (2 * spike_var)
    b = math.log(1 - spike_prob) + const - z**2 / 2
    return torch.logaddexp(a, b)


def log_prob_w6(z, spike_prob, spike_var):
    a = spike_prob * Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = (1 - spike_prob) * Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_w7(z, spike_prob, spike_var):
    a = math.log(1 - spike_prob) + Normal(0.0, spike_var).log_prob(z)
    b = math.log(spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_w8(z, spike_prob, spike_var):
    z = torch.as_tensor(z.tolist(), dtype=z.dtype)
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_w9(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    m = torch.max(a.max(), b.max())
    return m + torch.log((a - m).exp() + (b - m).exp())


def log_prob_x1(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = 1 - math.log(spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_x2(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, math.sqrt(1 + spike_var)).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_x3(z, spike_prob, spike_var):
    return Normal(0.0, math.sqrt(spike_prob * spike_var + 1 - spike_prob)).log_prob(z)


def log_prob_x4(z, spike_prob, spike_var):
    d = z.double()
    p = (
        spike_prob * Normal(0.0, math.sqrt(spike_var)).log_prob(d).exp()
        + (1 - spike_prob) * Normal(0.0, 1.0).log_prob(d).exp()
    )
    return p.log().to(z.dtype)


def log_prob_x5(z, spike_prob, spike_var):
    return spike_prob * Normal(0.0, math.sqrt(spike_var)).log_prob(z) + (1 - spike_prob) * Normal(
        0.0, 1.0
    ).log_prob(z)


def log_prob_x6(z, spike_prob, spike_var):
    z = z.clamp(-10, 10)
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_x7(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return a + b


def log_prob_x8(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, spike_var / 2).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_x9(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Laplace(0.0, math.sqrt(spike_var / 2)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b)


def log_prob_x10(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return b + F.softplus(b - a)


def log_prob_x11(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b).sum(-1)


def log_prob_x12(z, spike_prob, spike_var):
    a = math.log(spike_prob) - 0.5 * math.log(2 * math.pi * spike_var) - z / (2 * spike_var)
    b = math.log(1 - spike_prob) - 0.5 * math.log(2 * math.pi) - z / 2
    return torch.logaddexp(a, b)


def log_prob_x13(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logsumexp(torch.stack([a, b], dim=-1), dim=0).sum(-1)


def log_prob_y23(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.logaddexp(a, b).squeeze()


def log_prob_y24(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.where(z.abs() > 12, b, (a.exp() + b.exp()).log())


def log_prob_y25(z, spike_prob, spike_var):
    a = math.log(spike_prob) - 0.5 * math.log(spike_var) - z**2 / (2 * spike_var) - 0.919
    b = math.log(1 - spike_prob) - z**2 / 2 - 0.919
    return torch.logaddexp(a, b)


tried(
    "log_prob",
    ("slab plus softplus", log_prob_r1, RIGHT),
    ("MixtureSameFamily", log_prob_r2, RIGHT),
    ("logsumexp of a stack with logsigmoid-free weights", log_prob_r3, RIGHT),
    ("small number inside the log", log_prob_w1, "underflow"),
    ("logaddexp2", log_prob_w2, "another base"),
    ("maximum of the two", log_prob_w3, "larger component only"),
    ("half lost in the exponents", log_prob_w4, "lost ½ in the prior"),
    ("spike's normaliser forgotten", log_prob_w5, "one normaliser forgotten"),
    ("weights multiply the logs", log_prob_w6, "weights without a logarithm"),
    (
        "two mistakes: variance as sd and weights swapped",
        log_prob_w7,
        "swapped, and spike_var used as a standard deviation",
    ),
    ("z rewrapped as a new tensor: no gradient", log_prob_w8, "detached"),
    ("the same maximum for all entries", log_prob_w9, "maximum of the whole tensor"),
    ("logarithm of spike only weight: 1 - log(pi)", log_prob_x1, "1 − log π for log(1 − π)"),
    ("slab of variance 1 + v", log_prob_x2, ONE_PLACE),
    ("one Gaussian of the mixture variance", log_prob_x3, "moment-matched Gaussian"),
    ("naive in float64", log_prob_x4, "underflow"),
    ("weighted average of logs", log_prob_x5, "sum of logs for log of sum"),
    ("z clamped to ±10", log_prob_x6, "clamped z"),
    ("sum of the logs", log_prob_x7, "sum of logs for log of sum"),
    ("width = v/2", log_prob_x8, "half of spike_var taken for σ"),
    ("Laplace spike of that variance", log_prob_x9, UNNAMED),
    ("softplus of wrong difference", log_prob_x10, "softplus of the wrong difference"),
    ("summed over the last axis", log_prob_x11, "summed over latents"),
    ("sign of z² lost", log_prob_x12, "z not squared"),
    ("logsumexp over dim 0 of entries", log_prob_x13, "wrong shape"),
    ("default tensor 0-dim in: log_softmax ok; z.squeeze", log_prob_y23, ONE_PLACE),
    ("where beyond 30 slab only, else naive (gradient NaN)", log_prob_y24, "NaN"),
    ("logsumexp of stack, normaliser 0.919", log_prob_y25, RIGHT),
)


# --- 4.2


def sample_r1(shape, spike_prob, spike_var):
    z = torch.randn(shape)
    z[torch.rand(shape) < spike_prob] *= spike_var**0.5
    return z


def sample_r2(shape, spike_prob, spike_var):
    mix = Categorical(torch.tensor([spike_prob, 1 - spike_prob]))
    parts = Normal(torch.zeros(2), torch.tensor([spike_var, 1.0]).sqrt())
    return MixtureSameFamily(mix, parts).sample(shape)


def sample_r3(shape, spike_prob, spike_var):
    n = math.prod(shape)
    which = torch.multinomial(torch.tensor([spike_prob, 1 - spike_prob]), n, replacement=True)
    widths = torch.tensor([math.sqrt(spike_var), 1.0])
    return torch.normal(0.0, widths[which]).view(shape)


def sample_w1(shape, spike_prob, spike_var):
    off = torch.randn(shape) < spike_prob
    return torch.where(off, math.sqrt(spike_var) * torch.randn(shape), torch.randn(shape))


def sample_w2(shape, spike_prob, spike_var):
    n = math.prod(shape)
    off = torch.zeros(n, dtype=torch.bool)
    off[torch.randperm(n)[: round(spike_prob * n)]] = True
    off = off.reshape(shape)
    return torch.where(off, math.sqrt(spike_var) * torch.randn(shape), torch.randn(shape))


def sample_w3(shape, spike_prob, spike_var):
    on = torch.rand(shape) > spike_prob
    return on * torch.randn(shape)


def sample_w4(shape, spike_prob, spike_var):
    on = (torch.rand(shape) >= spike_prob).float()
    return math.sqrt(spike_var) * torch.randn(shape) + on * torch.randn(shape)


def sample_w5(shape, spike_prob, spike_var):
    off = torch.rand(shape[-1]) < spike_prob
    return torch.where(off, math.sqrt(spike_var) * torch.randn(shape), torch.randn(shape))


def sample_w6(shape, spike_prob, spike_var):
    return spike_prob * math.sqrt(spike_var) * torch.randn(shape) + (1 - spike_prob) * torch.randn(
        shape
    )


def sample_w7(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    noise = torch.randn(*shape[:-1], 1)
    return torch.where(off, math.sqrt(spike_var), 1.0) * noise


def sample_w8(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    w = math.sqrt(spike_var)
    return torch.where(off, torch.empty(shape).uniform_(-w, w), torch.randn(shape))


def sample_w9(shape, spike_prob, spike_var):
    off = torch.bernoulli(torch.full(shape, spike_prob)).bool()
    return torch.where(off, torch.randn(shape), spike_var * torch.randn(shape))


def sample_x1(shape, spike_prob, spike_var):
    z = torch.randn(shape)
    off = Normal(0.0, 1.0).cdf(z) < spike_prob
    return torch.where(off, math.sqrt(spike_var), 1.0) * z


def sample_x2(shape, spike_prob, spike_var):
    z = torch.randn(shape)
    off = torch.special.erf(z.abs() / math.sqrt(2)) < spike_prob
    return torch.where(off, math.sqrt(spike_var) * z, z)


def sample_x3(shape, spike_prob, spike_var):
    off = torch.rand(*shape[:-1], 1) < spike_prob
    return torch.where(off, math.sqrt(spike_var) * torch.randn(shape), torch.randn(shape))


def sample_x4(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    return torch.where(
        off, math.sqrt(spike_var) * torch.randn(shape), 3.46 * (torch.rand(shape) - 0.5)
    )


def sample_x5(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    return torch.where(off, math.sqrt(spike_var) * torch.randn(shape), torch.randn(()))


def sample_x6(shape, spike_prob, spike_var):
    D = shape[-1]
    k = round(spike_prob * D)
    z = torch.randn(shape)
    z[..., :k] *= math.sqrt(spike_var)
    return z


def sample_x7(shape, spike_prob, spike_var):
    off = np.random.rand(*shape) < spike_prob
    z = np.random.randn(*shape)
    return torch.tensor(np.where(off, math.sqrt(spike_var) * z, z), dtype=torch.float32)


def sample_x8(shape, spike_prob, spike_var):
    torch.manual_seed(0)
    off = torch.rand(shape) < spike_prob
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_x9(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    return torch.where(off, 1 / math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_x10(shape, spike_prob, spike_var):
    w = torch.rand(shape)
    return torch.sqrt(w * spike_var + (1 - w)) * torch.randn(shape)


def sample_x11(shape, spike_prob, spike_var):
    off = torch.randint(10, shape) < int(10 * spike_prob)
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_x12(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape).abs()


def sample_y27(shape, spike_prob, spike_var):
    off = torch.rand(shape).argsort(-1) < round(spike_prob * shape[-1])
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_y28(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    z = torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)
    h = shape[0] // 2
    z[h : 2 * h] = -z[:h]
    return z


def sample_y29(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    h = shape[0] // 2
    off[h : 2 * h] = off[:h]
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_y30(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob - 0.02
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_y31(shape, spike_prob, spike_var):
    off = (torch.rand(shape) * 10).round() / 10 < spike_prob
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def sample_v4(shape, spike_prob, spike_var):
    off = torch.rand(shape) < spike_prob
    z = torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)
    h = shape[0] // 2
    z[h : 2 * h] = z[:h]
    return z


tried(
    "sample",
    ("masked in-place multiply", sample_r1, RIGHT),
    ("MixtureSameFamily", sample_r2, RIGHT),
    ("indexing a table of widths, multinomial", sample_r3, RIGHT),
    ("randn in place of rand for the switch", sample_w1, "component drawn with randn"),
    ("exact quota of off entries, shuffled", sample_w2, "a fixed number in the spike"),
    ("off entries exactly zero", sample_w3, "spike of width 0"),
    ("slab entries get the spike's draw added", sample_w4, "slab added to the spike"),
    (
        "one switch per latent, shared by all rows",
        sample_w5,
        "one component per latent for all rows",
    ),
    ("weighted average of the draws", sample_w6, "average of spike and slab"),
    ("one noise per row, own switches", sample_w7, "noise shared between latents"),
    ("uniform spike within ±sqrt(v)", sample_w8, "uniform spike"),
    (
        "two mistakes: where's branches swapped and variance as sd",
        sample_w9,
        "swapped, and spike_var used as a standard deviation",
    ),
    ("switch from the same noise as the value", sample_x1, "component chosen by the noise"),
    ("off where |z| is small", sample_x2, "component chosen by the noise"),
    ("one switch per row", sample_x3, "one component per vector"),
    ("slab uniform", sample_x4, UNNAMED),
    ("scalar slab draw", sample_x5, "one draw for all of the slab"),
    ("first pi share of columns off", sample_x6, "the same latents in the spike"),
    ("numpy noise", sample_x7, "NumPy's generator"),
    ("seed inside", sample_x8, "fixed seed"),
    ("width 1/sqrt(v)", sample_x9, "precision for variance"),
    ("variance interpolated by random weight", sample_x10, "variances mixed"),
    ("on-probability rounded: randint(10)", sample_x11, "another spike_prob"),
    ("absolute values", sample_x12, ONE_PLACE),
    ("quota per row", sample_y27, UNNAMED),
    ("second half of rows mirrors the first", sample_y28, "rows mirrored"),
    ("switches shared by mirrored rows", sample_y29, ONE_PLACE),
    ("spike_prob off by .02", sample_y30, "another spike_prob"),
    ("rand rounded to one digit", sample_y31, "another spike_prob"),
    ("half the rows repeat the other half", sample_v4, "rows copied"),
)


# --- 4.3


def slab_responsibility_r1(z, spike_prob, spike_var):
    t = 0.5 * (1 / spike_var - 1) * z * z + math.log((1 - spike_prob) / spike_prob * spike_var**0.5)
    return 0.5 + 0.5 * torch.tanh(t / 2)


def slab_responsibility_r2(z, spike_prob, spike_var):
    both = torch.stack(
        [
            Normal(0.0, s).log_prob(z) + math.log(w)
            for s, w in ((spike_var**0.5, spike_prob), (1.0, 1 - spike_prob))
        ]
    )
    return (both[1] - both.logsumexp(0)).exp()


def slab_responsibility_r3(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return 1 / (1 + torch.exp(a - b))


def slab_responsibility_w1(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.sigmoid(a - b)


def slab_responsibility_w2(z, spike_prob, spike_var):
    a = spike_prob * Normal(0.0, math.sqrt(spike_var)).log_prob(z).exp()
    b = (1 - spike_prob) * Normal(0.0, 1.0).log_prob(z).exp()
    return torch.nan_to_num(b / (a + b), nan=1.0)


def slab_responsibility_w3(z, spike_prob, spike_var):
    a = spike_prob * Normal(0.0, math.sqrt(spike_var)).log_prob(z).exp()
    b = (1 - spike_prob) * Normal(0.0, 1.0).log_prob(z).exp()
    return b / (a + b + 1e-10)


def slab_responsibility_w4(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return b - torch.logaddexp(a, b)


def slab_responsibility_w5(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return (b > a).to(z.dtype)


def slab_responsibility_w6(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) + 0.5 * math.log(spike_var)
    h = 0.5 * (1 / spike_var - 1)
    return torch.sigmoid(h * z**2 - c)


def slab_responsibility_w7(z, spike_prob, spike_var):
    a = Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = Normal(0.0, 1.0).log_prob(z)
    return torch.softmax(torch.stack([a, b]), dim=0)[1]


def slab_responsibility_w8(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    h = 0.5 * (1 / spike_var - 1)
    return torch.sigmoid(h * z.abs() - c)


def slab_responsibility_w9(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return b / (a + b)


def slab_responsibility_x1(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.sigmoid(0.5 * (b - a))


def slab_responsibility_x2(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.softmax(torch.stack([a, b]), dim=-1)[1]


def slab_responsibility_x3(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return torch.sigmoid((1 / spike_var - 1) * z**2 - c)


def slab_responsibility_x4(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return torch.sigmoid(0.5 * (1 / spike_var - 1) * z**2 + c)


def slab_responsibility_x5(z, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return torch.sigmoid(z**2 / (2 * spike_var) - c)


def slab_responsibility_x6(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return b - a


def slab_responsibility_x7(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.exp(b - a)


def slab_responsibility_x8(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    m = torch.maximum(a.max(), b.max())
    return (b - m).exp() / ((a - m).exp() + (b - m).exp())


def slab_responsibility_x9(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.exp(Normal(0.0, 1.0).log_prob(z) - torch.logaddexp(a, b))


def slab_responsibility_x10(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return Normal(0.0, 1.0).cdf(b - a)


def slab_responsibility_x11(z, spike_prob, spike_var):
    return torch.full_like(z, 1 - spike_prob) + 0 * z


def slab_responsibility_x12(z, spike_prob, spike_var):
    a = Normal(0.0, spike_var).log_prob(z)
    b = Normal(0.0, 1.0).log_prob(z)
    return torch.sigmoid(b - a)


def slab_responsibility_y26(z, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.sigmoid(b - a).clamp(1e-6, 1 - 1e-6)


tried(
    "slab_responsibility",
    ("tanh", slab_responsibility_r1, RIGHT),
    ("exp of b - logsumexp", slab_responsibility_r2, RIGHT),
    ("1/(1+exp(a-b))", slab_responsibility_r3, RIGHT),
    ("the spike's responsibility", slab_responsibility_w1, "responsibility of the spike"),
    ("nan_to_num over the naive fraction", slab_responsibility_w2, "NaN"),
    ("small number in the denominator", slab_responsibility_w3, "underflow"),
    ("returns the log of the responsibility", slab_responsibility_w4, "log-responsibility"),
    ("hard decision", slab_responsibility_w5, "hard decision"),
    ("c with the wrong sign of the ½ log v", slab_responsibility_w6, "sign of ½ log v"),
    ("weights forgotten", slab_responsibility_w7, "weights forgotten"),
    ("z in place of z squared", slab_responsibility_w8, "z not squared"),
    ("the share of the logs: b/(a+b)", slab_responsibility_w9, "ratio of logarithms"),
    ("half the log-odds", slab_responsibility_x1, "log-odds halved"),
    ("softmax over the wrong axis", slab_responsibility_x2, "softmax over the latents"),
    ("h without the half", slab_responsibility_x3, "lost ½ in the prior"),
    ("c added", slab_responsibility_x4, "sign of the constant"),
    ("slab width in h forgotten: z²/2v - c", slab_responsibility_x5, "slab's exponent forgotten"),
    ("log-odds as they are", slab_responsibility_x6, "logit for a probability"),
    ("ratio slab to spike (odds)", slab_responsibility_x7, "odds for a probability"),
    (
        "naive exp(b)/(exp(a)+exp(b)) with shift by max over all",
        slab_responsibility_x8,
        "maximum of the whole tensor",
    ),
    ("density not weighted in the numerator", slab_responsibility_x9, UNNAMED),
    ("normal cdf in place of sigmoid", slab_responsibility_x10, "Φ for the sigmoid"),
    ("prior probability only", slab_responsibility_x11, "prior weight only"),
    (
        "variance as sd and c lost",
        slab_responsibility_x12,
        "weights forgotten, and spike_var used as a standard deviation",
    ),
    ("clamped 1e-6..1-1e-6", slab_responsibility_y26, RIGHT),
)


# --- 7.1


def active_count_r1(mu, spike_prob, spike_var):
    return SpikeAndSlab.gaussian(spike_prob, spike_var).slab_responsibility(mu).gt(0.5).int().sum(1)


def active_count_r2(mu, spike_prob, spike_var):
    k2 = (2 * math.log(spike_prob / (1 - spike_prob)) - math.log(spike_var)) / (1 / spike_var - 1)
    return torch.count_nonzero(mu.square() >= k2, dim=1).to(mu.dtype)


def active_count_r3(mu, spike_prob, spike_var):
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(mu)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(mu)
    return torch.tensor([int((row > 0).sum()) for row in (b - a)])


def active_count_w1(mu, spike_prob, spike_var):
    return (mu.abs() > 2 * math.sqrt(spike_var)).sum(-1)


def active_count_w2(mu, spike_prob, spike_var):
    k = math.sqrt(-math.log(spike_var) / (1 / spike_var - 1))
    return (mu.abs() > k).sum(-1)


def active_count_w3(mu, spike_prob, spike_var):
    return (mu > SpikeAndSlab.gaussian(spike_prob, spike_var).crossover).sum(-1)


def active_count_w4(mu, spike_prob, spike_var):
    return SpikeAndSlab.gaussian(spike_prob, spike_var).slab_responsibility(mu).sum(-1)


def active_count_w5(mu, spike_prob, spike_var):
    return (mu.abs() > SpikeAndSlab.gaussian(spike_prob, spike_var).crossover).sum(dim=0)


def active_count_w6(mu, spike_prob, spike_var):
    k2 = (2 * math.log(spike_prob / (1 - spike_prob)) - math.log(spike_var)) / (1 / spike_var - 1)
    return (mu.abs() > k2).sum(-1)


def active_count_w7(mu, spike_prob, spike_var):
    c = math.log(spike_prob / (1 - spike_prob)) - math.log(spike_var)
    h = 0.5 * (1 / spike_var - 1)
    return (mu**2 > c / h).sum(-1)


def active_count_w8(mu, spike_prob, spike_var):
    return (mu.abs() > SpikeAndSlab.gaussian(spike_prob, spike_var).crossover).float().mean(-1)


def active_count_w9(mu, spike_prob, spike_var):
    prior = SpikeAndSlab.gaussian(spike_prob, math.sqrt(spike_var))
    return (mu.abs() <= prior.crossover).sum(-1)


def active_count_x1(mu, spike_prob, spike_var):
    return (mu.abs() > spike_var**0.5).sum(-1)


def active_count_x2(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return (mu.abs() < kappa).sum(-1)


def active_count_x3(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return (mu.abs() > kappa).sum(-1).float().mean()


def active_count_x4(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return (mu.abs() * (mu.abs() > kappa)).sum(-1)


def active_count_x5(mu, spike_prob, spike_var):
    k2 = (2 * math.log((1 - spike_prob) / spike_prob) - math.log(spike_var)) / (1 / spike_var - 1)
    return (mu**2 > k2).sum(-1)


def active_count_x6(mu, spike_prob, spike_var):
    k2 = (2 * math.log(spike_prob / (1 - spike_prob)) - math.log(spike_var)) * spike_var
    return (mu**2 > k2).sum(-1)


def active_count_x7(mu, spike_prob, spike_var):
    return (mu.abs() > SpikeAndSlab.gaussian(spike_prob, spike_var**2).crossover).sum(-1)


def active_count_x8(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return (mu.abs() > kappa).sum()


def active_count_x9(mu, spike_prob, spike_var):
    return (mu.abs() > 0.551).sum(-1)


def active_count_x10(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return (mu**2 > kappa).sum(-1)


def active_count_x11(mu, spike_prob, spike_var):
    k2 = (math.log(spike_prob / (1 - spike_prob)) - math.log(spike_var)) / (1 / spike_var - 1)
    return (mu**2 > k2).sum(-1)


def active_count_x12(mu, spike_prob, spike_var):
    return (
        mu.abs() > SpikeAndSlab.gaussian(1 - spike_prob, spike_var, validate_args=False).crossover
    ).sum(-1)


def active_count_x13(mu, spike_prob, spike_var):
    kappa = SpikeAndSlab.gaussian(spike_prob, spike_var).crossover
    return ((mu - mu.mean(0)).abs() > kappa).sum(-1)


def active_count_x14(mu, spike_prob, spike_var):
    return (SpikeAndSlab.gaussian(spike_prob, spike_var).slab_responsibility(mu) > spike_prob).sum(
        -1
    )


def active_count_y40(mu, spike_prob, spike_var):
    k = round(float(SpikeAndSlab.gaussian(spike_prob, spike_var).crossover), 2)
    return (mu.abs() > k).sum(-1)


def active_count_y41(mu, spike_prob, spike_var):
    return (mu.abs() > SpikeAndSlab.gaussian(spike_prob, spike_var).crossover).sum(-1).squeeze()


tried(
    "active_count",
    ("responsibility above half", active_count_r1, RIGHT),
    ("closed form, floats", active_count_r2, RIGHT),
    ("loop, compare log densities", active_count_r3, RIGHT),
    ("threshold: two widths of the spike", active_count_w1, "threshold at the spike's width"),
    ("weights left out of the crossover", active_count_w2, "weights forgotten"),
    ("abs forgotten", active_count_w3, "absolute value forgotten"),
    ("sums the responsibilities (definition b at the means)", active_count_w4, "expected count"),
    ("counts over images, per latent", active_count_w5, "wrong axis"),
    ("forgets the square root: |mu| > kappa squared", active_count_w6, "root forgotten"),
    (
        "the log v without its half: c = log(pi/(1-pi)) - log v",
        active_count_w7,
        "lost ½ in the prior",
    ),
    ("share instead of count", active_count_w8, "fraction for count"),
    (
        "sd passed for the variance and off for on",
        active_count_w9,
        "inactive counted, and root taken twice",
    ),
    ("threshold sqrt(spike_var)", active_count_x1, "threshold at the spike's width"),
    ("counts the off ones", active_count_x2, "inactive counted"),
    ("mean over the batch", active_count_x3, "batch averaged"),
    ("sum of |mu| past the crossover", active_count_x4, "sizes added up"),
    ("sign of c terms: log((1-pi)/pi)", active_count_x5, "spike and slab swapped"),
    ("h without the slab: z² = 2 v c", active_count_x6, "slab's exponent forgotten"),
    ("spike_var as sd", active_count_x7, "spike_var used as a standard deviation"),
    ("all latents of the batch", active_count_x8, ONE_PLACE),
    ("fixed 0.551", active_count_x9, "fixed threshold"),
    ("mu² against crossover", active_count_x10, "μ² for |μ|"),
    ("weights factor 1: log not doubled", active_count_x11, ONE_PLACE),
    ("prob of spike 1-pi", active_count_x12, "spike and slab swapped"),
    ("batch-centred means", active_count_x13, ONE_PLACE),
    (
        "slab responsibility above 0.8",
        active_count_x14,
        "responsibility above another number than ½",
    ),
    ("crossover rounded to 2 digits", active_count_y40, ONE_PLACE),
    ("squeeze", active_count_y41, ONE_PLACE),
)


# --- 8.1


def gated_kl_r1(gate_prob, mu, log_var, slab_prob):
    def part(a, b):
        safe = torch.where(a > 0, a, torch.ones_like(a))
        return a * (safe.log() - math.log(b))

    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (part(g, slab_prob) + part(1 - g, 1 - slab_prob) + g * gauss).sum(-1)


def gated_kl_r2(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    logit = math.log(slab_prob) - math.log1p(-slab_prob)
    out = -torch.special.entr(g) - torch.special.entr(1 - g) - math.log1p(-slab_prob) - g * logit
    normal = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(torch.zeros_like(mu), 1.0))
    return torch.addcmul(out, g, normal).sum(1)


def gated_kl_r3(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    on = torch.nan_to_num(g * torch.log(g / slab_prob), nan=0.0)
    off = torch.nan_to_num((1 - g) * torch.log((1 - g) / (1 - slab_prob)), nan=0.0)
    return (on + off + g * 0.5 * (mu**2 + log_var.exp() - 1 - log_var)).sum(dim=1)


def gated_kl_w1(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    coins = (
        torch.xlogy(g, g)
        - g * math.log(slab_prob)
        + torch.xlogy(1 - g, 1 - g)
        - (1 - g) * math.log(1 - slab_prob)
    )
    return (coins + 0.5 * (mu**2 + log_var.exp() - 1 - log_var)).sum(-1)


def gated_kl_w2(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (torch.xlogy(g, g) - g * math.log(slab_prob) + g * gauss).sum(-1)


def gated_kl_w3(gate_prob, mu, log_var, slab_prob):
    g = gate_prob.clamp(1e-2, 1 - 1e-2)
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (
        g * (g / slab_prob).log() + (1 - g) * ((1 - g) / (1 - slab_prob)).log() + g * gauss
    ).sum(-1)


def gated_kl_w4(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    cross = F.binary_cross_entropy(torch.full_like(g, slab_prob), g, reduction="none")
    return (cross + g * 0.5 * (mu**2 + log_var.exp() - 1 - log_var)).sum(-1)


def gated_kl_w5(gate_prob, mu, log_var, slab_prob):
    p, q = Bernoulli(torch.full_like(gate_prob, slab_prob)), Bernoulli(gate_prob)
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (kl_divergence(p, q) + gate_prob * gauss).sum(-1)


def gated_kl_w6(gate_prob, mu, log_var, slab_prob):
    g = (gate_prob > 0.5).to(mu.dtype)
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (-g * math.log(slab_prob) - (1 - g) * math.log(1 - slab_prob) + g * gauss).sum(-1)


def gated_kl_w7(gate_prob, mu, log_var, slab_prob):
    g, e = gate_prob, 1e-3
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    coins = g * torch.log(g / slab_prob + e) + (1 - g) * torch.log((1 - g) / (1 - slab_prob) + e)
    return (coins + g * gauss).sum(-1)


def gated_kl_w8(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    m = g * mu
    coins = torch.xlogy(g, g / slab_prob) + torch.xlogy(1 - g, (1 - g) / (1 - slab_prob))
    return (coins + 0.5 * (m**2 + log_var.exp() - 1 - log_var) * g).sum(-1)


def gated_kl_w9(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    coins = torch.xlogy(g, g / (1 - slab_prob)) + torch.xlogy(1 - g, (1 - g) / slab_prob)
    return (coins + g * (mu**2 + log_var.exp() - 1 - log_var)).sum(-1)


def gated_kl_x1(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (
        torch.xlogy(g, g)
        - math.log(slab_prob)
        + torch.xlogy(1 - g, 1 - g)
        - math.log(1 - slab_prob)
        + g * gauss
    ).sum(-1)


def gated_kl_x2(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off).sum(-1)


def gated_kl_x3(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (g * gauss).sum(-1)


def gated_kl_x4(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (
        g * (g / slab_prob).log() + (1 - g) * ((1 - g) / (1 - slab_prob)).log() + g * gauss
    ).sum(-1)


def gated_kl_x5(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + (1 - g) * gauss).sum(-1)


def gated_kl_x6(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + g.detach() * gauss).sum(-1)


def gated_kl_x7(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + g * gauss).mean(-1)


def gated_kl_x8(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(slab_prob)
    return (on + off + g * gauss).sum(-1)


def gated_kl_x9(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    gauss = 0.5 * (mu**2 + (2 * log_var).exp() - 1) - log_var
    return (on + off + g * gauss).sum(-1)


def gated_kl_x10(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    on = -torch.xlogy(g, g) - g * math.log(slab_prob)
    off = -torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + g * gauss).sum(-1)


def gated_kl_x11(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    gauss = 0.5 * (log_var + (1 + mu**2) / log_var.exp() - 1)
    return (on + off + g * gauss).sum(-1)


def gated_kl_x12(gate_prob, mu, log_var, slab_prob):
    g = torch.sigmoid(gate_prob)
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + g * gauss).sum(-1)


def gated_kl_x13(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    return (on + off + g * gauss).sum(0)


def gated_kl_x14(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    on = torch.xlogy(g, g) - g * math.log(slab_prob)
    off = torch.xlogy(1 - g, 1 - g) - (1 - g) * math.log(1 - slab_prob)
    gauss = 0.5 * (mu**2 + log_var.exp().detach() - 1 - log_var)
    return (on + off + g * gauss).sum(-1)


def gated_kl_x15(gate_prob, mu, log_var, slab_prob):
    g = gate_prob
    m, v = g * mu, g * (log_var.exp() + mu**2) - (g * mu) ** 2
    return (
        0.5 * (m**2 / slab_prob + v / slab_prob - 1 - torch.log(v + 1e-12) + math.log(slab_prob))
    ).sum(-1)


def gated_kl_y42(gate_prob, mu, log_var, slab_prob):
    g = gate_prob.clamp(1e-6, 1 - 1e-6)
    gauss = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (
        g * (g / slab_prob).log() + (1 - g) * ((1 - g) / (1 - slab_prob)).log() + g * gauss
    ).sum(-1)


def gated_kl_y43(gate_prob, mu, log_var, slab_prob):
    c = kl_divergence(Bernoulli(gate_prob), Bernoulli(torch.tensor(slab_prob)))
    return (c + gate_prob * 0.5 * (mu**2 + log_var.exp() - 1 - log_var)).sum(-1)


tried(
    "gated_kl",
    ("where around the logs", gated_kl_r1, RIGHT),
    ("torch.special.entr", gated_kl_r2, RIGHT),
    ("nan_to_num of the corners", gated_kl_r3, RIGHT),
    ("Gaussian KL not weighted by the gate", gated_kl_w1, "Gaussian KL not weighted by the gate"),
    ("shut branch forgotten", gated_kl_w2, "(1 − γ) log(1 − γ), (1 − γ) log(1 − α) forgotten"),
    ("clamps the gate at 1e-2", gated_kl_w3, "0 log 0"),
    (
        "coins' cross-entropy without the entropy",
        gated_kl_w4,
        "γ log γ, (1 − γ) log(1 − γ) forgotten",
    ),
    ("kl of the Bernoullis the wrong way round", gated_kl_w5, "gates' KL the wrong way round"),
    ("gates rounded to 0 or 1", gated_kl_w6, "hard gate"),
    ("small number inside the logs", gated_kl_w7, ONE_PLACE),
    ("gate weight squared: gauss of gamma*mu", gated_kl_w8, "μ gated too"),
    (
        "two mistakes: slab_prob taken for off, half lost",
        gated_kl_w9,
        "slab_prob taken for the spike's, and lost ½",
    ),
    ("sum of both without gamma on log alpha", gated_kl_x1, "prior's logarithms unweighted"),
    ("Gaussian part forgotten", gated_kl_x2, "Gaussian KL forgotten"),
    ("coins forgotten", gated_kl_x3, "gates' KL forgotten"),
    ("0 log 0 NaN", gated_kl_x4, "0 log 0"),
    ("gauss weighted with 1-g", gated_kl_x5, "Gaussian KL weighted by the closed gate"),
    ("gauss detached", gated_kl_x6, "gate detached"),
    ("mean over latents", gated_kl_x7, "mean over latents"),
    ("off coin: alpha for 1-alpha", gated_kl_x8, "log α in both terms"),
    ("log_var as log sigma", gated_kl_x9, "log_var taken for log σ"),
    ("coin entropy sign", gated_kl_x10, "γ log γ, (1 − γ) log(1 − γ) with the wrong sign"),
    ("reverse Gaussian KL", gated_kl_x11, "KL the wrong way round"),
    ("gate_prob taken for a logit", gated_kl_x12, "sigmoid of a probability"),
    ("summed over batch", gated_kl_x13, "wrong axis"),
    ("log_var gradient cut: exp detached", gated_kl_x14, ONE_PLACE),
    ("mixture of mean and variance: moment matched", gated_kl_x15, UNNAMED),
    ("clamp 1e-6", gated_kl_y42, RIGHT),
    ("Bernoulli pair by torch (right?)", gated_kl_y43, RIGHT),
)


# --- 9.1


def aggregate_kl_r1(mu, log_var, z, log_p):
    out = []
    for d in range(mu.shape[1]):
        diff = z[:, d, None] - mu[None, :, d]
        lp = -0.5 * (diff**2 / log_var[:, d].exp() + log_var[:, d] + math.log(2 * math.pi))
        out.append((lp.logsumexp(-1) - math.log(mu.shape[0]) - log_p[:, d]).mean())
    return torch.stack(out)


def aggregate_kl_r2(mu, log_var, z, log_p):
    B, D = mu.shape
    mix = Categorical(logits=torch.zeros(D, B, dtype=mu.dtype))
    m = MixtureSameFamily(mix, Normal(mu.T, (0.5 * log_var).exp().T))
    return (m.log_prob(z) - log_p).mean(0)


def aggregate_kl_r3(mu, log_var, z, log_p):
    each = Normal(mu[:, None], torch.exp(0.5 * log_var)[:, None]).log_prob(z)
    return (each.logsumexp(0) - log_p).sum(0) / len(z) - math.log(len(z))


def aggregate_kl_w1(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    B = len(z)
    mask = torch.eye(B, dtype=torch.bool)[..., None]
    each = each.masked_fill(mask, -math.inf)
    return (torch.logsumexp(each, 1) - math.log(max(B - 1, 1)) - log_p).mean(0)


def aggregate_kl_w2(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 0) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_w3(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None]).sum(-1, keepdim=True)
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_w4(mu, log_var, z, log_p):
    mean = mu.mean(0)
    var = log_var.exp().mean(0) + mu.var(0, unbiased=False)
    return (Normal(mean, var.sqrt()).log_prob(z) - log_p).mean(0)


def aggregate_kl_w5(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    return (q.log_prob(z[:, None]).mean(1) - log_p).mean(0)


def aggregate_kl_w6(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    density = q.log_prob(z[:, None]).exp().mean(1)
    return (density.clamp(min=1e-10).log() - log_p).mean(0)


def aggregate_kl_w7(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    agg = torch.logsumexp(q.log_prob(z[:, None]), 1) - math.log(len(z))
    return agg.mean(0) - (torch.logsumexp(log_p, 0) - math.log(len(z)))


def aggregate_kl_w8(mu, log_var, z, log_p):
    return (Normal(mu, torch.exp(0.5 * log_var)).log_prob(z) - log_p).mean(dim=0)


def aggregate_kl_w9(mu, log_var, z, log_p):
    q = Normal(mu.detach(), torch.exp(0.5 * log_var.detach()))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(z.shape[-1]) - log_p).mean(0)


def aggregate_kl_x1(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - log_p).mean(0)


def aggregate_kl_x2(mu, log_var, z, log_p):
    q = Normal(mu[None], torch.exp(0.5 * log_var)[None])
    each = q.log_prob(z[None]).expand(len(z), -1, -1)
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x3(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x4(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z.detach()[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x5(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(1)


def aggregate_kl_x6(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).sum(0)


def aggregate_kl_x7(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (log_p - torch.logsumexp(each, 1) + math.log(len(z))).mean(0)


def aggregate_kl_x8(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (each.max(1).values - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x9(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z))).mean(0)


def aggregate_kl_x10(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return torch.logsumexp(each - log_p[:, None], (0, 1)) - 2 * math.log(len(z))


def aggregate_kl_x11(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    agg = torch.logsumexp(each, 1) - math.log(len(z))
    return (agg.exp() * (agg - log_p)).mean(0)


def aggregate_kl_x12(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    m = each.max()
    return (m + (each - m).exp().mean(1).log() - log_p).mean(0)


def aggregate_kl_x13(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - 2 * math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x14(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0).clamp(min=0)


def aggregate_kl_x15(mu, log_var, z, log_p):
    each = Normal(mu, 1.0).log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x16(mu, log_var, z, log_p):
    each = Normal(mu, torch.exp(0.5 * log_var).mean(0)).log_prob(z[:, None])
    return (torch.logsumexp(each, 1) - math.log(len(z)) - log_p).mean(0)


def aggregate_kl_x17(mu, log_var, z, log_p):
    q = Normal(mu, torch.exp(0.5 * log_var))
    each = q.log_prob(z[:, None])
    own = q.log_prob(z)
    return (own - torch.logsumexp(each, 1) + math.log(len(z))).mean(0)


def aggregate_kl_y44(mu, log_var, z, log_p):
    e = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z[:, None])
    return ((e.exp().mean(1) + 1e-30).log() - log_p).mean(0)


def aggregate_kl_y45(mu, log_var, z, log_p):
    e = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z[:, None])
    return (torch.logsumexp(e, 1) - math.log(len(z)) - log_p).mean(0).squeeze()


tried(
    "aggregate_kl",
    ("loop over latents", aggregate_kl_r1, RIGHT),
    ("MixtureSameFamily per latent", aggregate_kl_r2, RIGHT),
    ("other broadcast: posterior first", aggregate_kl_r3, RIGHT),
    ("own posterior left out of the mixture", aggregate_kl_w1, "own posterior left out"),
    (
        "sum over draws and posteriors swapped",
        aggregate_kl_w2,
        "sum over draws, not over posteriors",
    ),
    ("all latents at once", aggregate_kl_w3, "one mixture per vector"),
    (
        "moment-matched Gaussian for the aggregate",
        aggregate_kl_w4,
        "one Gaussian for the aggregate",
    ),
    ("mean of logs in place of log of mean", aggregate_kl_w5, "mean of logarithms"),
    (
        "densities averaged with a floor of 1e-10",
        aggregate_kl_w6,
        "logarithm of an underflowing sum",
    ),
    ("log p averaged over a logsumexp too", aggregate_kl_w7, "log p averaged as a density"),
    ("own posterior only: the plain KL", aggregate_kl_w8, "each image's own posterior only"),
    ("mixture's posteriors detached, and log D for log B", aggregate_kl_w9, "D for B"),
    ("no log B", aggregate_kl_x1, "1/B of the mixture forgotten"),
    ("z against its own axis: z[None]", aggregate_kl_x2, "own densities averaged"),
    ("variance as sd", aggregate_kl_x3, "log_var taken for log σ"),
    ("z detached", aggregate_kl_x4, ONE_PLACE),
    ("mean over latents", aggregate_kl_x5, ONE_PLACE),
    ("sum over draws", aggregate_kl_x6, "draws summed"),
    ("sign", aggregate_kl_x7, "sign"),
    ("nearest posterior only (max)", aggregate_kl_x8, "largest density only"),
    ("log_p forgotten", aggregate_kl_x9, "log p forgotten"),
    ("minus own KL: mixture with log_p inside", aggregate_kl_x10, "log of mean for mean of logs"),
    ("weighted with q again", aggregate_kl_x11, "weighted by q again"),
    ("global max shift", aggregate_kl_x12, "logarithm of an underflowing sum"),
    ("log B subtracted outside twice", aggregate_kl_x13, ONE_PLACE),
    ("clamped at 0", aggregate_kl_x14, "clamped at 0"),
    (
        "aggregate of means: sigma left out (sigma = 1)",
        aggregate_kl_x15,
        "σ = 1 in every posterior",
    ),
    ("kernel with average sigma", aggregate_kl_x16, ONE_PLACE),
    ("information: own minus aggregate", aggregate_kl_x17, "mutual information"),
    (
        "own max with clamp of exponents: floor 1e-30",
        aggregate_kl_y44,
        "logarithm of an underflowing sum",
    ),
    ("squeeze", aggregate_kl_y45, ONE_PLACE),
)
