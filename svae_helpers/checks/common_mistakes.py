"""Mistakes that exercises share: in a cross-entropy, a KL, log q, the prior, or a sum."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli

from .mathematics import LOG_2PI, bce, joint, kl_standard, log_q
from .mathematics import log_normal as N
from .mathematics import spike_and_slab as mixed
from .mistakes import Mistake, Reduction
from .mistakes import mistake as M


def lift(entries: Iterable[Mistake], put: Callable[[Callable], Callable]) -> tuple[Mistake, ...]:
    """Mistakes of a part as mistakes of the whole: `put(part)` builds the whole."""
    return tuple(replace(e, variants=tuple(map(put, e.variants))) for e in entries)


def _of(probs: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy of probabilities."""
    return F.binary_cross_entropy(probs, x, reduction="none")


def _logs(white: Tensor, black: Tensor, x: Tensor) -> Tensor:
    """Log-likelihood of log-probabilities."""
    return x * white + (1 - x) * black


CROSS_ENTROPY = (  # of (logits, x), per pixel
    M("sigmoid twice", lambda l, x: bce(l.sigmoid(), x)),
    M("logits taken for probabilities", _of, lambda l, x: -Bernoulli(l).log_prob(x)),
    M("logits taken for probabilities", lambda l, x: -(x * l.log() + (1 - x) * (1 - l).log())),
    M("logits taken for probabilities", lambda l, x: _of(l.clamp(0, 1), x)),
    M("logits and pixels swapped", lambda l, x: bce(x, l)),
    M("one argument in both places", lambda l, x: bce(x, x), lambda l, x: bce(l, l)),
    M("targets flipped", lambda l, x: bce(-l, x)),
    M(
        "one term's logit has the wrong sign",
        lambda l, x: F.softplus(-l),
        lambda l, x: F.softplus(l),
    ),
    M("squared error", lambda l, x: (l.sigmoid() - x) ** 2, lambda l, x: (l - x) ** 2),
    M("squared error", lambda l, x: 0.5 * (l.sigmoid() - x) ** 2, lambda l, x: 0.5 * (l - x) ** 2),
    M("tanh for sigmoid", lambda l, x: _of((l.tanh() + 1) / 2, x)),
    M("exp for softplus", lambda l, x: l.exp() - x * l),
    M("x·logit alone", lambda l, x: -x * l),
    M("softplus with the wrong sign", lambda l, x: F.softplus(-l) - x * l),
    M("softplus with the wrong sign", lambda l, x: l.relu() + (-l).exp().log1p() - x * l),
    M("x·logit with the wrong sign", lambda l, x: F.softplus(l) + x * l),
    M("1 − log for log(1 − …)", lambda l, x: -_logs(F.logsigmoid(l), 1 - F.logsigmoid(l), x)),
    M("softmax over the pixels", lambda l, x: -x * l.log_softmax(-1)),
)


def _infinite(exercise: Any, evidence: Any) -> bool:
    """Whether far-out logits alone go wrong: not to finite values, or in the gradient alone."""
    outcomes = evidence.outcomes
    values = all(exercise.same(o, w, False) for o, w in zip(outcomes, evidence.wanted))
    finite = all(p.isfinite().all() for o in outcomes for p in o.parts or ())
    return evidence.wrong_in() == {"logits"} and (values or not finite)


ROUNDED = (  # of the same, and right for ordinary logits; the names hold whatever is done far out
    M("far-out logits", lambda l, x: -(1 - (l.sigmoid() - x).abs()).log(), extreme=_infinite),
    M("clamped probabilities", lambda l, x: _of(l.sigmoid(), x), extreme="logits"),
)
LIMITS, FREE_BITS = (5, 8, 10, 12, 15, 20, 30, 50, 80), (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2)
FAR_OUT = (  # of the same, told apart by `sure_pixels`
    *ROUNDED,
    M("clamped probabilities", lambda l, x: -Bernoulli(l.sigmoid()).log_prob(x)),
    M("clamped probabilities", lambda l, x: -_logs(l.sigmoid().log(), (1 - l.sigmoid()).log(), x)),
    *(M("clamped logits", lambda l, x, c=c: bce(l.clamp(-c, c), x)) for c in LIMITS),
    M("overflow", lambda l, x: l.exp().log1p() - x * l),
    M("overflow", lambda l, x: (-l).exp().log1p() + (1 - x) * l),
)
GAUSSIAN_KL = (  # of (mu, log_var), per latent
    M("lost ½", lambda m, v: 2 * kl_standard(m, v)),
    M("log_var taken for log σ", lambda m, v: kl_standard(m, 2 * v)),
    M("σ where σ² belongs", lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - v)),
    M("log_var taken for the variance", lambda m, v: 0.5 * (m**2 + v - 1 - v.log())),
    M("log_var taken for the variance", lambda m, v: 0.5 * (m**2 + v - 1 - v)),
    M("μ not squared", lambda m, v: 0.5 * (m + v.exp() - 1 - v)),
    M("μ not squared", lambda m, v: 0.5 * (m.abs() + v.exp() - 1 - v)),
    M("KL the wrong way round", lambda m, v: 0.5 * ((m**2 + 1) / v.exp() - 1 + v)),
    M("mean and log_var swapped", lambda m, v: kl_standard(v, m)),
    M("μ² divided by σ²", lambda m, v: 0.5 * (m**2 / v.exp() + v.exp() - 1 - v)),
    M("entropy forgotten", lambda m, v: 0.5 * (m**2 + v.exp() + LOG_2PI)),
    *(M("free bits", lambda m, v, c=c: kl_standard(m, v).clamp(min=c)) for c in FREE_BITS),
    M("clamped log_var", lambda m, v: kl_standard(m, v.clamp(min=-3)), extreme="log_var"),
)

LOG_Q = (  # of (z, mu, log_var), per latent
    M("log_var taken for log σ", lambda z, m, v: log_q(z, m, 2 * v)),
    M("log_var taken for σ", lambda z, m, v: log_q(z, m, 2 * v.log())),
    M("log_var taken for σ", lambda z, m, v: log_q(z, m, v.log())),
    M("root taken twice in log q", lambda z, m, v: log_q(z, m, 0.5 * v)),
    M(
        "σ where σ² belongs in log q",
        lambda z, m, v: -0.5 * ((z - m) ** 2 / (0.5 * v).exp() + v + LOG_2PI),
    ),
    M("clamped log_var", lambda z, m, v: log_q(z, m, v.clamp(min=-3)), extreme="log_var"),
)


def densities(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    """Weighted densities of spike and slab: they underflow far out."""
    return p * N(z, v).exp(), (1 - p) * N(z, 1).exp()


def shifted(z: Tensor, p: float, v: float, spike=0.0, slab=0.0) -> Tensor:
    """The mixture, with something added to the logarithm of each component."""
    right = joint(z, p, v)
    return torch.logaddexp(right[0] + spike, right[1] + slab)


C, log = 0.5 * LOG_2PI, math.log
PRIOR = (  # of (z, spike_prob, spike_var), log-density per latent
    M("spike and slab swapped", lambda z, p, v: mixed(z, 1 - p, v)),
    M("spike_var used as a standard deviation", lambda z, p, v: mixed(z, p, v**2)),
    M("root taken twice", lambda z, p, v: mixed(z, p, v**0.5)),
    M(
        "swapped, and spike_var used as a standard deviation",
        lambda z, p, v: mixed(z, 1 - p, v**2),
    ),
    M("sum of logs for log of sum", lambda z, p, v: p * N(z, v) + (1 - p) * N(z, 1)),
    M("sum of logs for log of sum", lambda z, p, v: sum(joint(z, p, v))),
    M("underflow", lambda z, p, v: sum(densities(z, p, v)).log(), extreme="z"),
    M("weights forgotten", lambda z, p, v: shifted(z, p, v, -log(p), -log(1 - p))),
    M("weights forgotten", lambda z, p, v: mixed(z, 0.5, v)),
    M(
        "weights without a logarithm",
        lambda z, p, v: shifted(z, p, v, p - log(p), 1 - p - log(1 - p)),
    ),
    M("weights without a logarithm", lambda z, p, v: (p * N(z, v)).logaddexp((1 - p) * N(z, 1))),
    M("one weight forgotten", lambda z, p, v: shifted(z, p, v, spike=-log(p))),
    M("one weight forgotten", lambda z, p, v: shifted(z, p, v, slab=-log(1 - p))),
    M("normaliser forgotten", lambda z, p, v: shifted(z, p, v, C + 0.5 * log(v), C)),
    M("one normaliser forgotten", lambda z, p, v: shifted(z, p, v, spike=C + 0.5 * log(v))),
    M("one normaliser forgotten", lambda z, p, v: shifted(z, p, v, spike=0.5 * log(v))),
    M("one normaliser forgotten", lambda z, p, v: shifted(z, p, v, slab=C)),
    M("2π forgotten", lambda z, p, v: shifted(z, p, v, C, C)),
    M("lost ½ in the prior", lambda z, p, v: shifted(z, p, v, -(z**2) / (2 * v), -(z**2) / 2)),
    M("lost ½ in the prior", lambda z, p, v: shifted(z, p, v, -C - 0.5 * log(v), -C)),
    M("lost ½ in the prior", lambda z, p, v: shifted(z, p, v, spike=-0.5 * log(v))),
    M("precision for variance", lambda z, p, v: mixed(z, p, 1 / v)),
    M("spike only", lambda z, p, v: N(z, v), lambda z, p, v: joint(z, p, v)[0]),
    M("slab only", lambda z, p, v: N(z, 1), lambda z, p, v: joint(z, p, v)[1]),
    M("larger component only", lambda z, p, v: torch.maximum(*joint(z, p, v))),
    M("moment-matched Gaussian", lambda z, p, v: N(z, p * v + 1 - p)),
)


def per_image(what: str) -> Reduction:
    """Terms of shape (B, D) are summed over the last axis: (B,)."""
    mistakes = (
        M(f"mean over {what}", lambda t: t.mean(1)),
        M("batch summed", torch.sum),
        M("batch averaged", lambda t: t.sum(1).mean()),
        M("mean over everything", torch.mean),
        M(f"{what} not summed", lambda t: t),
        M("wrong axis", lambda t: t.sum(0)),
    )
    return Reduction(lambda t: t.sum(1), mistakes)


def weigh(cross_entropy: Callable, kl: Callable) -> Callable:
    """A loss from how each of its two terms is reduced."""
    return lambda terms: cross_entropy(terms[0]) + kl(terms[1])


def _right(t: Tensor) -> Tensor:
    return t.sum(1).mean()


LOSS = Reduction(  # of cross-entropy (B, P) and KL (B, D)
    weigh(_right, _right),
    (
        M("mean over pixels", weigh(torch.mean, _right)),
        M("784 for P", weigh(lambda b: 784 * b.mean(), _right)),
        M("mean over latents", weigh(_right, torch.mean)),
        M("mean over everything", weigh(torch.mean, torch.mean)),
        M("batch summed", weigh(torch.sum, torch.sum)),
        M("batch summed in one term", weigh(torch.sum, _right)),
        M("batch summed in one term", weigh(_right, torch.sum)),
        M("batch not averaged", weigh(lambda b: b.sum(1), lambda k: k.sum(1))),
        M("median for mean", lambda t: (t[0].sum(1) + t[1].sum(1)).median()),
        M("divided by P for B", lambda t: weigh(torch.sum, torch.sum)(t) / t[0].shape[1]),
        M("divided by D for B", lambda t: weigh(torch.sum, torch.sum)(t) / t[1].shape[1]),
        M("divided by P too", lambda t: LOSS.right(t) / t[0].shape[1]),
        M("divided by B twice", lambda t: LOSS.right(t) / len(t[0])),
        M("divided by B twice", weigh(_right, lambda k: _right(k) / len(k))),
        M("KL divided by P", lambda t: _right(t[0]) + _right(t[1]) / t[0].shape[1]),
        M("sign", lambda terms: -LOSS.right(terms)),
    ),
    lambda terms: (sum(terms[:2]), sum(terms[2:])),  # the first two are the cross-entropy's
)
