"""Mistakes in log q and in the spike-and-slab prior's log-density."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .mathematics import LOG_2PI, joint, log_q
from .mathematics import log_normal as N
from .mathematics import spike_and_slab as mixed
from .mistakes import mistake as M

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


def _off(z: Tensor, p: float, v: float, spike=0.0, slab=0.0) -> Tensor:
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
    M("sum of logs for log of sum", lambda z, p, v: N(z, v) + N(z, 1)),
    M("underflow", lambda z, p, v: sum(densities(z, p, v)).log(), extreme="z"),
    M("weights forgotten", lambda z, p, v: _off(z, p, v, -log(p), -log(1 - p))),
    M("weights forgotten", lambda z, p, v: mixed(z, 0.5, v)),
    M("weights without a logarithm", lambda z, p, v: _off(z, p, v, p - log(p), 1 - p - log(1 - p))),
    M("weights without a logarithm", lambda z, p, v: (p * N(z, v)).logaddexp((1 - p) * N(z, 1))),
    M("one weight forgotten", lambda z, p, v: _off(z, p, v, spike=-log(p))),
    M("one weight forgotten", lambda z, p, v: _off(z, p, v, slab=-log(1 - p))),
    M("normaliser forgotten", lambda z, p, v: _off(z, p, v, C + 0.5 * log(v), C)),
    M("one normaliser forgotten", lambda z, p, v: _off(z, p, v, spike=C + 0.5 * log(v))),
    M("one normaliser forgotten", lambda z, p, v: _off(z, p, v, spike=0.5 * log(v))),
    M("one normaliser forgotten", lambda z, p, v: _off(z, p, v, slab=C)),
    M("2π forgotten", lambda z, p, v: _off(z, p, v, C, C)),
    M("lost ½ in the prior", lambda z, p, v: _off(z, p, v, N(z, v), N(z, 1))),
    M("lost ½ in the prior", lambda z, p, v: _off(z, p, v, -(z**2) / (2 * v), -(z**2) / 2)),
    M("lost ½ in the prior", lambda z, p, v: _off(z, p, v, -C - 0.5 * log(v), -C)),
    M("precision for variance", lambda z, p, v: mixed(z, p, 1 / v)),
    M("spike only", lambda z, p, v: N(z, v), lambda z, p, v: joint(z, p, v)[0]),
    M("slab only", lambda z, p, v: N(z, 1), lambda z, p, v: joint(z, p, v)[1]),
    M("larger component only", lambda z, p, v: torch.maximum(*joint(z, p, v))),
    M("moment-matched Gaussian", lambda z, p, v: N(z, p * v + 1 - p)),
)
