"""Mistakes in log q and in the spike-and-slab prior's log-density."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .mathematics import LOG_2PI, log_normal, log_q, spike_and_slab
from .mistakes import mistake as M

LOG_Q = (  # of (z, mu, log_var), per latent
    M("log_var taken for log σ", lambda z, m, v: log_q(z, m, 2 * v)),
    M("log_var taken for σ", lambda z, m, v: log_q(z, m, 2 * v.abs().log())),
    M("log_var taken for σ", lambda z, m, v: log_q(z, m, 2 * v.log())),
    M("log_var taken for σ", lambda z, m, v: log_q(z, m, v.log())),
    M("root taken twice in log q", lambda z, m, v: log_q(z, m, 0.5 * v)),
    M(
        "σ where σ² belongs in log q",
        lambda z, m, v: -0.5 * ((z - m) ** 2 / (0.5 * v).exp() + v + LOG_2PI),
        "In log q's exponent you divide by σ. It is (z − μ)² / (2σ²).",
    ),
    M("clamped log_var", lambda z, m, v: log_q(z, m, v.clamp(min=-3)), extreme="log_var"),
    M("clamped log_var", lambda z, m, v: log_q(z, m, v.clamp(-4, 2))),
    M("clamped log_var", lambda z, m, v: log_q(z, m, v.clamp(min=2 * math.log(0.2)))),
)


def densities(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    """Weighted densities of spike and slab: they underflow far out."""
    return p * log_normal(z, v).exp(), (1 - p) * log_normal(z, 1.0).exp()


def _joint(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    return math.log(p) + log_normal(z, v), math.log(1 - p) + log_normal(z, 1.0)


PRIOR = (  # of (z, spike_prob, spike_var), log-density per latent
    M("spike and slab swapped", lambda z, p, v: spike_and_slab(z, 1 - p, v)),
    M("spike_var used as a standard deviation", lambda z, p, v: spike_and_slab(z, p, v**2)),
    M("root taken twice", lambda z, p, v: spike_and_slab(z, p, v**0.5)),
    M(
        "swapped, and spike_var used as a standard deviation",
        lambda z, p, v: spike_and_slab(z, 1 - p, v**2),
    ),
    M(
        "sum of logs for log of sum",
        lambda z, p, v: p * log_normal(z, v) + (1 - p) * log_normal(z, 1.0),
        lambda z, p, v: sum(_joint(z, p, v)),
        lambda z, p, v: log_normal(z, v) + log_normal(z, 1.0),
    ),
    M("underflow", lambda z, p, v: sum(densities(z, p, v)).log(), extreme="z"),
    M("underflow", lambda z, p, v: (sum(densities(z, p, v)) + 1e-12).log()),
    M("underflow", lambda z, p, v: sum(densities(z, p, v)).clamp(min=1e-30).log()),
    M("underflow", lambda z, p, v: spike_and_slab(z.clamp(-10, 10), p, v)),
    M("weights forgotten", lambda z, p, v: torch.logaddexp(log_normal(z, v), log_normal(z, 1.0))),
    M("weights forgotten", lambda z, p, v: spike_and_slab(z, 0.5, v)),
    M(
        "weights without a logarithm",
        lambda z, p, v: torch.logaddexp(p + log_normal(z, v), 1 - p + log_normal(z, 1.0)),
        lambda z, p, v: torch.logaddexp(p * log_normal(z, v), (1 - p) * log_normal(z, 1.0)),
    ),
    M(
        "one weight forgotten",
        lambda z, p, v: torch.logaddexp(log_normal(z, v), _joint(z, p, v)[1]),
        lambda z, p, v: torch.logaddexp(_joint(z, p, v)[0], log_normal(z, 1.0)),
    ),
    M(
        "normaliser forgotten",
        lambda z, p, v: torch.logaddexp(math.log(p) - z**2 / (2 * v), math.log(1 - p) - z**2 / 2),
    ),
    M(
        "one normaliser forgotten",
        lambda z, p, v: torch.logaddexp(math.log(p) - z**2 / (2 * v), _joint(z, p, v)[1]),
        lambda z, p, v: torch.logaddexp(_joint(z, p, v)[0], math.log(1 - p) - z**2 / 2),
        lambda z, p, v: torch.logaddexp(_joint(z, p, v)[0] + 0.5 * math.log(v), _joint(z, p, v)[1]),
    ),
    M("2π forgotten", lambda z, p, v: spike_and_slab(z, p, v) + 0.5 * LOG_2PI),
    M(
        "lost ½ in the prior",
        lambda z, p, v: torch.logaddexp(
            math.log(p) + 2 * log_normal(z, v), math.log(1 - p) + 2 * log_normal(z, 1.0)
        ),
        lambda z, p, v: torch.logaddexp(
            _joint(z, p, v)[0] - z**2 / (2 * v), _joint(z, p, v)[1] - z**2 / 2
        ),
        lambda z, p, v: torch.logaddexp(
            math.log(p) - z**2 / (2 * v) - math.log(2 * math.pi * v),
            math.log(1 - p) - z**2 / 2 - LOG_2PI,
        ),
    ),
    M(
        "precision for variance",
        lambda z, p, v: spike_and_slab(z, p, 1 / v),
        "You take 1/spike_var for the spike's variance; `spike_var` is the variance already.",
    ),
    M("spike only", lambda z, p, v: log_normal(z, v), lambda z, p, v: _joint(z, p, v)[0]),
    M("slab only", lambda z, p, v: log_normal(z, 1.0), lambda z, p, v: _joint(z, p, v)[1]),
    M("larger component only", lambda z, p, v: torch.maximum(*_joint(z, p, v))),
    M("moment-matched Gaussian", lambda z, p, v: log_normal(z, p * v + 1 - p)),
)
