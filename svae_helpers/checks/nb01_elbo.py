"""Checks of notebook 01: the importance-sampling estimate of log p(x), and the ELBO."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from .exercise import Case, exercise
from .mistakes import Reduction, Terms
from .mistakes import mistake as M

ONE = "the answer has one number per image, shape (B,)."


def _cases(g: Generator) -> Iterator[Case]:
    def draw(K: int, B: int, level: float = -3.0, spread: float = 1.3) -> tuple[Tensor, Tensor]:
        log_q = -1.5 + spread * torch.randn(K, B, generator=g)
        return level + spread * torch.randn(K, B, generator=g), log_q

    for shape in ((6, 4), (5, 5), (64, 3), (7, 1), (1, 4)):
        yield Case(draw(*shape))
    low, high = draw(8, 3, level=-780.0, spread=4.0), draw(8, 3, level=260.0)
    yield Case(low, extreme="log p(x, z)")
    yield Case(high, extreme="log p(x, z)")
    narrow = draw(8, 3, level=-990.0)
    yield Case((narrow[0], narrow[1] - 990.0), extreme="log q(z | x)")
    apart = torch.tensor([-40.0, -420.0, -950.0])  # images hundreds of nats from each other
    yield Case((low[0] + apart, low[1]), extreme="the distance between images")


def _log_mean_exp(log_weights: Tensor) -> Tensor:
    largest = log_weights.amax(dim=0)
    return largest + (log_weights - largest).exp().mean(dim=0).log()


def _shifted_by_all(log_weights: Tensor) -> Tensor:
    return log_weights.max() + (log_weights - log_weights.max()).exp().mean(0).log()


def _far_apart(name: str):
    """The symptom of an exponential without a maximum, or with one for the whole batch."""
    extremes = {"log p(x, z)", "log q(z | x)", "the distance between images"}
    batch = {"the distance between images"}
    return lambda exercise, evidence: (
        (where := evidence.wrong_in()) != set()
        and (where <= batch if name == "batch" else where <= extremes and where != batch)
    )


@exercise(
    "1.2",
    _cases,
    gradients=["log_joint", "log_q"],
    reduction=Reduction(
        _log_mean_exp,
        (
            M("mean of logs for log of mean", lambda w: w.mean(0)),
            M("sum of logs for log of sum", lambda w: w.sum(0)),
            M("not divided by K", lambda w: torch.logsumexp(w, 0)),
            M("divided by K outside the logarithm", lambda w: torch.logsumexp(w, 0) / len(w)),
            M(
                "K − 1 for K",
                lambda w: torch.logsumexp(w, 0) - math.log(max(len(w) - 1, 0) or 1e-30),
            ),
            M("K − 1 for K", lambda w: torch.logsumexp(w, 0) - math.log(max(len(w) - 1, 1))),
            M("B for K", lambda w: torch.logsumexp(w, 0) - math.log(w.shape[1])),
            M("maximum of the whole batch", _shifted_by_all, extreme=_far_apart("batch")),
            M("underflow", lambda w: w.exp().mean(0).log(), extreme=_far_apart("all")),
            M("underflow", lambda w: (w.exp() + 1e-12).mean(0).log()),
            M(
                "log K added",
                lambda w: torch.logsumexp(w, 0) + math.log(len(w)),
                "The sign of log K is the wrong way round: a mean *divides* the sum by K.",
            ),
            M(
                "K for log K",
                lambda w: torch.logsumexp(w, 0) - len(w),
                "You subtract K. In logs, a division by K is − log K.",
            ),
            M(
                "median for mean",
                lambda w: w.median(0).values,
                "You take the median of the log-weights; asked is the log of the weights' mean.",
            ),
            M("self-normalised weights", lambda w: (w.softmax(0) * w).sum(0)),
            M("self-normalised weights", lambda w: (w.softmax(0) * w.exp()).sum(0).log()),
            M("log-weights made positive", lambda w: _log_mean_exp(w.abs())),
            M("log-weights made positive", lambda w: _log_mean_exp(w.relu())),
            M("wrong axis", lambda w: torch.logsumexp(w, 1) - math.log(w.shape[1])),
            M("logarithm forgotten", lambda w: w.exp().mean(0)),
            M("batch averaged", lambda w: _log_mean_exp(w).mean()),
            M("batch summed", lambda w: _log_mean_exp(w).sum()),
            M("sign", lambda w: -_log_mean_exp(w)),
            M("largest weight only", lambda w: w.amax(0) - math.log(len(w)), lambda w: w.amax(0)),
        ),
    ),
)
def log_marginal(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """`(log_joint, log_q) -> (B,)`, the importance-sampling estimate of log p(x) in nats.

    The learner's function takes two (K, B) tensors, in nats.
    """
    return log_joint - log_q


log_marginal.mistakes(
    ("log_q forgotten", lambda lj, lq: lj),
    ("arguments swapped", lambda lj, lq: lq - lj),
    ("log_q added", lambda lj, lq: lj + lq),
    ("ratio of sums", lambda lj, lq: (torch.logsumexp(lj, 0) - torch.logsumexp(lq, 0))[None]),
    ("ratio of sums", lambda lj, lq: (lj.mean(0) - lq.logsumexp(0) + math.log(len(lj)))[None]),
    ("detached log_q", lambda lj, lq: lj - lq.detach()),
)


@exercise(
    "1.3",
    _cases,
    gradients=["log_joint", "log_q"],
    reduction=Reduction(
        lambda w: w.sum(dim=0) / len(w),
        (
            M("log of mean for mean of logs", lambda w: torch.logsumexp(w, 0) - math.log(len(w))),
            M("sum over samples", lambda w: w.sum(0)),
            M(
                "sign, and sum over samples",
                lambda w: -w.sum(0),
                "Two mistakes at once give your numbers. The sign is the wrong way round: it is a "
                "bound, not a loss. And: you sum over the samples; an expectation is their mean.",
            ),
            M(
                "largest weight only",
                lambda w: w.amax(0),
                "You keep the largest log-weight. The ELBO is the mean of all of them.",
            ),
            M("K − 1 for K", lambda w: w.sum(0) / (len(w) - 1)),
            M("K − 1 for K", lambda w: w.sum(0) / max(len(w) - 1, 1)),
            M("wrong axis", lambda w: w.mean(1)),
            M("batch averaged", lambda w: w.mean()),
            M("batch summed", lambda w: w.mean(0).sum()),
            M("one sample", lambda w: w[0], lambda w: w[-1]),
            M("median for mean", lambda w: w.median(0).values),
            M("weights instead of log-weights", lambda w: w.exp().mean(0)),
            M("self-normalised weights", lambda w: (w.softmax(0) * w).sum(0)),
            M("log-weights made positive", lambda w: w.abs().mean(0)),
            M("log-weights made positive", lambda w: w.relu().mean(0)),
            M("log-weights made positive", lambda w: w.mean(0).relu()),
            M("sign", lambda w: -w.mean(0)),
        ),
    ),
)
def elbo(log_joint: Tensor, log_q: Tensor) -> Terms:
    """`(log_joint, log_q) -> (B,)`, the ELBO in nats.

    The learner's function takes two (K, B) tensors, in nats.
    """
    return Terms({"log p(x, z)": log_joint, "log q": -log_q})


elbo.mistakes(
    ("weighted by q again", lambda lj, lq: len(lj) * lq.exp() * (lj - lq)),
    ("weighted by q again", lambda lj, lq: lq.exp() * (lj - lq)),
)
