"""Checks of notebook 01: the importance-sampling estimate of log p(x), and the ELBO."""

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from .exercise import Case, Evidence, Exercise, exercise
from .mistakes import Reduction, Terms
from .mistakes import mistake as M

IMAGES, SAMPLES = "the distance between images", "the distance between samples"
EXTREMES = {"log p(x, z)", "log q(z | x)", IMAGES, SAMPLES}


def _cases(g: Generator) -> Iterator[Case]:
    def draw(K: int, B: int, level: float = -3.0, spread: float = 1.3) -> tuple[Tensor, Tensor]:
        log_q = -1.5 + spread * torch.randn(K, B, generator=g)
        return level + spread * torch.randn(K, B, generator=g), log_q

    for shape in ((6, 4), (5, 5), (64, 3), (7, 1), (1, 4)):
        yield Case(draw(*shape))
    low, high = draw(8, 3, level=-780.0, spread=4.0), draw(8, 3, level=260.0)
    yield Case(low, extreme="log p(x, z)")
    yield Case(high, extreme="log p(x, z)")
    joint, log_q = draw(8, 3, level=-990.0)
    yield Case((joint, log_q - 990.0), extreme="log q(z | x)")
    apart = torch.tensor([-40.0, -420.0, -950.0])  # images hundreds of nats from each other
    yield Case((low[0] + apart, low[1]), extreme=IMAGES)
    joint, log_q = draw(8, 3)
    small = torch.arange(8)[:, None] != torch.tensor([3, 5, 6])  # all but one of an image's weights
    yield Case((joint - 400.0 * small, log_q), extreme=SAMPLES)


def _shifted(w: Tensor, by: Tensor) -> Tensor:
    return by + (w - by).exp().mean(dim=0).log()


def _log_mean(w: Tensor) -> Tensor:
    """The log of the weights' mean."""
    return _shifted(w, w.amax(dim=0))


def _log_sum(w: Tensor) -> Tensor:
    return torch.logsumexp(w, dim=0)


def _in_any_extreme(exercise: Exercise, evidence: Evidence) -> bool:
    return set() < evidence.wrong_in() <= EXTREMES


OF_WEIGHTS = (
    M("mean of logs for log of mean", lambda w: w.mean(0)),
    M("sum of logs for log of sum", lambda w: w.sum(0)),
    M("not divided by K", _log_sum),
    M("divided by K outside the logarithm", lambda w: _log_sum(w) / len(w)),
    M("maximum not added back", lambda w: _log_mean(w) - w.amax(0)),
    M("maximum of the whole batch", lambda w: _shifted(w, w.max()), extreme=IMAGES),
    M("shifted by another than the largest", lambda w: _shifted(w, w[0]), extreme=SAMPLES),
    M("shifted by another than the largest", lambda w: _shifted(w, w.mean(0))),
    M("shifted by another than the largest", lambda w: _shifted(w, w.amin(0))),
    M("underflow", lambda w: w.exp().mean(0).log(), extreme=_in_any_extreme),
    M("log K added", lambda w: _log_sum(w) + math.log(len(w))),
    M("median for mean", lambda w: w.median(0).values),
    M("self-normalised weights", lambda w: (w.softmax(0) * w).sum(0)),
    M("log-weights made positive", lambda w: _log_mean(w.abs()), lambda w: _log_mean(w.relu())),
    M("wrong axis", lambda w: torch.logsumexp(w, 1) - math.log(w.shape[1])),
    M("logarithm forgotten", lambda w: w.exp().mean(0)),
    M("batch averaged", lambda w: _log_mean(w).mean()),
    M("batch summed", lambda w: _log_mean(w).sum()),
    M("sign", lambda w: -_log_mean(w)),
    M("largest weight only", lambda w: w.amax(0) - math.log(len(w)), lambda w: w.amax(0)),
)


@exercise("1.2", _cases, ["log_joint", "log_q"], Reduction(_log_mean, OF_WEIGHTS))
def log_marginal(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """`(log_joint, log_q) -> (B,)`: log p(x) by importance sampling, of (K, B) log-densities."""
    return log_joint - log_q


log_marginal.mistakes(
    ("log_q forgotten", lambda lj, lq: lj),
    ("arguments swapped", lambda lj, lq: lq - lj),
    ("log_q added", lambda lj, lq: lj + lq),
    ("ratio of sums", lambda lj, lq: (_log_sum(lj) - _log_sum(lq))[None]),
    ("log_q averaged apart", lambda lj, lq: (_log_mean(lj) - lq.mean(0))[None]),
    ("logarithms divided", lambda lj, lq: lj / lq),
    ("detached log_q", lambda lj, lq: lj - lq.detach()),
)

OF_LOG_WEIGHTS = (
    M("log of mean for mean of logs", _log_mean, lambda w: w.exp().mean(0).log()),
    M("sum over samples", lambda w: w.sum(0)),
    M("sign, and sum over samples", lambda w: -w.sum(0)),
    M("largest weight only", lambda w: w.amax(0)),
    M("wrong axis", lambda w: w.mean(1)),
    M("batch averaged", lambda w: w.mean()),
    M("batch summed", lambda w: w.mean(0).sum()),
    M("one sample", lambda w: w[0], lambda w: w[-1], lambda w: w[-1] / len(w)),
    M("median for mean", lambda w: w.median(0).values),
    M("weights instead of log-weights", lambda w: w.exp().mean(0)),
    M("self-normalised weights", lambda w: (w.softmax(0) * w).sum(0)),
    M("log-weights made positive", lambda w: w.abs().mean(0), lambda w: w.relu().mean(0)),
    M("log-weights made positive", lambda w: w.mean(0).relu()),
    M("sign", lambda w: -w.mean(0)),
)


@exercise("1.3", _cases, ["log_joint", "log_q"], Reduction(lambda w: w.mean(0), OF_LOG_WEIGHTS))
def elbo(log_joint: Tensor, log_q: Tensor) -> Terms:
    """`(log_joint, log_q) -> (B,)`: the ELBO in nats, of (K, B) log-densities."""
    return Terms({"log p(x, z)": log_joint, "log q": -log_q})


elbo.mistakes(
    ("weighted by q again", lambda lj, lq: len(lj) * lq.exp() * (lj - lq)),
    ("weighted by q again", lambda lj, lq: lq.exp() * (lj - lq)),
    ("log_q averaged apart", lambda lj, lq: (_log_mean(lj) - lq.mean(0))[None]),
    ("logarithms divided", lambda lj, lq: lj / lq),
)
