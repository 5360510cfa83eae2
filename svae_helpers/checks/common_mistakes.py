"""Mistakes that several exercises share: in a cross-entropy and in a Gaussian KL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli

from .mathematics import bce, kl_standard
from .mistakes import Mistake
from .mistakes import mistake as M


def lift(entries: Iterable[Mistake], put: Callable[[Callable], Callable]) -> tuple[Mistake, ...]:
    """Mistakes of a part as mistakes of the whole: `put(part)` builds the whole."""
    return tuple(replace(e, variants=tuple(map(put, e.variants))) for e in entries)


def _of(probs: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy of probabilities."""
    return F.binary_cross_entropy(probs, x, reduction="none")


CROSS_ENTROPY = (  # of (logits, x), per pixel
    M("sigmoid twice", lambda l, x: bce(l.sigmoid(), x)),
    M("logits taken for probabilities", _of, lambda l, x: -Bernoulli(l).log_prob(x)),
    M("logits taken for probabilities", lambda l, x: -(x * l.log() + (1 - x) * (1 - l).log())),
    M("logits taken for probabilities", lambda l, x: _of(l.clamp(0, 1), x)),
    M("clamped probabilities", lambda l, x: _of(l.sigmoid(), x), extreme="logits"),
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
)

GAUSSIAN_KL = (  # of (mu, log_var), per latent
    M("lost ½", lambda m, v: 2 * kl_standard(m, v)),
    M("lost −½", lambda m, v: -2 * kl_standard(m, v)),
    M("log_var taken for log σ", lambda m, v: kl_standard(m, 2 * v)),
    M("σ where σ² belongs", lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - v)),
    M("σ where σ² belongs", lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - 0.5 * v)),
    M("variance squared", lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 1 - v)),
    M("log_var taken for the variance", lambda m, v: 0.5 * (m**2 + v - 1 - v.log())),
    M("log_var taken for the variance", lambda m, v: 0.5 * (m**2 + v**2 - 1 - 2 * v.log())),
    M("log_var taken for the variance", lambda m, v: 0.5 * (m**2 + v - 1 - v)),
    M("μ not squared", lambda m, v: 0.5 * (m + v.exp() - 1 - v)),
    M("μ not squared", lambda m, v: 0.5 * (m.abs() + v.exp() - 1 - v)),
    M("KL the wrong way round", lambda m, v: 0.5 * ((m**2 + 1) / v.exp() - 1 + v)),
    M("mean and log_var swapped", lambda m, v: kl_standard(v, m)),
    M("clamped log_var", lambda m, v: kl_standard(m, v.clamp(min=-3)), extreme="log_var"),
)
