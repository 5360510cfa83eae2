"""Check of notebook 05: the Monte Carlo estimate of KL(q ‖ p)."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .common_mistakes import lift
from .estimates import GENERAL, REDUCED, SHARED, TWOFOLD, log_ratio, probe_kl, twofold
from .mathematics import kl_standard
from .random_exercise import Caller, Findings, random_exercise


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for rows, latents, K in ((1, 4, 2), (5, 1, 4), (4, 4, 1), (3, 2, 6)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call(*q, GENERAL.log_prob, K)
    probe_kl(call, seen, B=24, D=6, K=16)


@random_exercise("5.1", _probe)
def monte_carlo_kl(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
    """`(mu, log_var, log_prior, num_samples) -> (B,)`, in nats; see `estimates.probe_kl`."""
    return log_ratio()(mu, log_var, log_prior, num_samples).mean(0).sum(1)


def _reduced(reduce: Callable) -> Callable:
    return lambda *arguments: reduce(log_ratio()(*arguments))


monte_carlo_kl.mistakes(
    *lift(SHARED, lambda f: lambda *a: f(*a).mean(0).sum(-1)),
    *lift(REDUCED, _reduced),
    ("batch averaged", _reduced(lambda t: t.mean(0).sum(-1).mean()), _reduced(torch.mean)),
    ("batch averaged", _reduced(lambda t: t.mean(0).sum()), _reduced(torch.sum)),
    ("latents not summed", _reduced(lambda t: t.mean(0))),
    ("images mixed up", _reduced(lambda t: t.sum(-1).reshape(t.shape[1], -1).mean(1))),
    ("samples not averaged", _reduced(lambda t: t.sum(-1))),
    *twofold("5.1", TWOFOLD, REDUCED[:2], lambda f, g: lambda *a: g(f(*a))),
    ("KL to N(0, I)", lambda m, v, log_prior, K: kl_standard(m, v).sum(1)),
)
