"""Checks of notebook 01: the importance-sampling estimate of log p(x), and the ELBO."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._result import CheckResult


def _cases(g: Generator) -> list[Case]:
    def draw(K: int, B: int, level: float = -3.0, spread: float = 1.3, gap: float = 0.0) -> tuple:
        log_q = -1.5 + spread * torch.randn(K, B, generator=g)
        log_joint = level + spread * torch.randn(K, B, generator=g)
        return log_joint, log_q + gap

    return [
        Case(draw(6, 4)),
        Case(draw(5, 5)),
        Case(draw(64, 3)),
        Case(draw(7, 1)),
        Case(draw(1, 4)),
        Case(draw(8, 3, level=-780.0, spread=4.0), extreme=True),
        Case(draw(8, 3, level=260.0), extreme=True),
    ]


def _log_marginal(log_joint: Tensor, log_q: Tensor) -> Tensor:
    log_weights = log_joint - log_q  # (K, B)
    largest = log_weights.amax(dim=0)
    return largest + (log_weights - largest).exp().mean(dim=0).log()


def _underflow(evidence: Evidence) -> bool:
    return evidence.wrong_only_in_extremes()


LOG_MARGINAL = Exercise(
    name="log_marginal",
    number="1.1",
    parameters=("log_joint", "log_q"),
    reference=_log_marginal,
    cases=_cases,
    differentiable=("log_joint", "log_q"),
    layout="column",
    misconceptions=(
        Misconception(
            "mean of logs for log of mean",
            lambda lj, lq: (lj - lq).mean(0),
            "You average the log-weights. That is the ELBO, a lower bound; here the weights "
            "themselves are averaged, and the logarithm comes last.",
        ),
        Misconception(
            "sum of logs for log of sum",
            lambda lj, lq: (lj - lq).sum(0),
            "You add the logarithms. The log of a sum is not the sum of the logs: that would be "
            "the log of the weights' product.",
        ),
        Misconception(
            "not divided by K",
            lambda lj, lq: torch.logsumexp(lj - lq, 0),
            "That is the log of the weights' sum. A mean needs − log K as well.",
        ),
        Misconception(
            "divided by K outside the logarithm",
            lambda lj, lq: torch.logsumexp(lj - lq, 0) / lj.shape[0],
            "You divide by K after the logarithm. Inside it, a division by K is − log K outside.",
        ),
        Misconception(
            "underflow",
            (
                lambda lj, lq: (lj - lq).exp().mean(0).log(),
                lambda lj, lq: (lj.exp() / lq.exp()).mean(0).log(),
            ),
            "It is right for ordinary numbers only. An image's log-density is hundreds of nats "
            "away from 0, where `exp` gives 0 or infinity: use `torch.logsumexp`.",
            symptom=_underflow,
        ),
        Misconception(
            "log_q forgotten",
            lambda lj, lq: torch.logsumexp(lj, 0) - math.log(lj.shape[0]),
            "The samples come from q, not evenly from everywhere: divide each p(x, z) by q(z | x).",
        ),
        Misconception(
            "arguments swapped",
            lambda lj, lq: torch.logsumexp(lq - lj, 0) - math.log(lj.shape[0]),
            "Your weights are upside down: a weight is p(x, z) / q(z | x).",
        ),
        Misconception(
            "log_q added",
            lambda lj, lq: torch.logsumexp(lj + lq, 0) - math.log(lj.shape[0]),
            "You multiply by q(z | x), and a weight divides by it: subtract `log_q`.",
        ),
        Misconception(
            "wrong axis",
            lambda lj, lq: torch.logsumexp(lj - lq, 1) - math.log(lj.shape[1]),
            "You average over the batch. Samples are the first axis: `dim=0`.",
        ),
        Misconception(
            "logarithm forgotten",
            lambda lj, lq: (lj - lq).exp().mean(0),
            "That is p(x). The logarithm is missing.",
        ),
        Misconception(
            "ratio of sums",
            (
                lambda lj, lq: torch.logsumexp(lj, 0) - torch.logsumexp(lq, 0),
                lambda lj, lq: lj.mean(0) - lq.logsumexp(0) + math.log(lj.shape[0]),
            ),
            "You average p(x, z) and q(z | x) apart and then divide. Each sample has its own "
            "weight; the weights are averaged.",
        ),
        Misconception(
            "batch averaged",
            lambda lj, lq: _log_marginal(lj, lq).mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch summed",
            lambda lj, lq: _log_marginal(lj, lq).sum(),
            "You sum over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "sign",
            lambda lj, lq: -_log_marginal(lj, lq),
            "The sign is the wrong way round: log p(x), not − log p(x).",
        ),
        Misconception(
            "largest weight only",
            (
                lambda lj, lq: (lj - lq).amax(0) - math.log(lj.shape[0]),
                lambda lj, lq: (lj - lq).amax(0),
            ),
            "You keep the largest weight only; the others count too. `torch.logsumexp` takes the "
            "maximum out and puts the rest back.",
        ),
    ),
)

ELBO = Exercise(
    name="elbo",
    number="1.2",
    parameters=("log_joint", "log_q"),
    reference=lambda log_joint, log_q: (log_joint - log_q).sum(dim=0) / log_joint.shape[0],
    cases=_cases,
    differentiable=("log_joint", "log_q"),
    layout="column",
    misconceptions=(
        Misconception(
            "log of mean for mean of logs",
            lambda lj, lq: torch.logsumexp(lj - lq, 0) - math.log(lj.shape[0]),
            "You average the weights before the logarithm: that estimates log p(x) itself (and is "
            "the importance-weighted bound). The ELBO is the mean of the log-weights.",
        ),
        Misconception(
            "sum over samples",
            lambda lj, lq: (lj - lq).sum(0),
            "You sum over the K samples; an expectation is their mean.",
        ),
        Misconception(
            "sign",
            lambda lj, lq: (lq - lj).mean(0),
            "The sign is the wrong way round: log p(x, z) − log q(z | x). Or are the arguments "
            "swapped?",
        ),
        Misconception(
            "entropy forgotten",
            lambda lj, lq: lj.mean(0),
            "`log_q` is missing: without it q would shrink to a point.",
        ),
        Misconception(
            "log_q added",
            lambda lj, lq: (lj + lq).mean(0),
            "You add `log_q`; it is subtracted, because − log q is the entropy's integrand.",
        ),
        Misconception(
            "wrong axis",
            lambda lj, lq: (lj - lq).mean(1),
            "You average over the batch. Samples are the first axis: `dim=0`.",
        ),
        Misconception(
            "batch averaged",
            lambda lj, lq: (lj - lq).mean(),
            "You average over the batch too; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch summed",
            lambda lj, lq: (lj - lq).mean(0).sum(),
            "You sum over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "one sample",
            (lambda lj, lq: (lj - lq)[0], lambda lj, lq: (lj - lq)[-1]),
            "You use one sample of the K that you are given.",
        ),
        Misconception(
            "weights instead of log-weights",
            lambda lj, lq: (lj - lq).exp().mean(0),
            "You average the weights p/q without a logarithm: that estimates p(x).",
        ),
        Misconception(
            "weighted by q again",
            (
                lambda lj, lq: (lq.exp() * (lj - lq)).sum(0),
                lambda lj, lq: (lq.exp() * (lj - lq)).mean(0),
            ),
            "You weigh each sample by q(z | x). The samples were drawn from q, so q's weight is "
            "already in how often they come: a plain mean.",
        ),
        Misconception(
            "self-normalised weights",
            lambda lj, lq: ((lj - lq).softmax(0) * (lj - lq)).sum(0),
            "You weigh the samples by their normalised importance weights. The ELBO is an "
            "expectation under q, where each sample counts the same.",
        ),
        Misconception(
            "detached log_q",
            (
                lambda lj, lq: (lj - lq.detach()).mean(0),
                lambda lj, lq: (lj.detach() - lq.detach()).mean(0) + 0 * lj.sum(),
            ),
            "The values are right, but no gradient reaches `log_q`, so the entropy would never "
            "pull on q's parameters.",
        ),
    ),
)


def log_marginal(answer: Callable) -> CheckResult:
    """Check exercise 1.1: `(log_joint, log_q) -> (B,)`, the importance-sampling estimate.

    Args:
        answer: the learner's function of two (K, B) tensors, in nats.
    """
    return LOG_MARGINAL.check(answer)


def elbo(answer: Callable) -> CheckResult:
    """Check exercise 1.2: `(log_joint, log_q) -> (B,)`, the ELBO in nats.

    Args:
        answer: the learner's function of two (K, B) tensors, in nats.
    """
    return ELBO.check(answer)
