"""Checks of notebook 04: the spike-and-slab log-density, and a latent's responsibility."""

import math
from collections.abc import Iterator
from math import log

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

from .common_mistakes import PRIOR, densities, lift, shifted
from .exercise import Case, exercise
from .mathematics import joint, log_normal, spike_and_slab
from .mistakes import mistake as M


def _cases(g: Generator) -> Iterator[Case]:
    def draw(*shape: int, width: float = 1.1) -> Tensor:
        return width * torch.randn(*shape, generator=g)

    yield Case((draw(6, 5), 0.8, 0.05))
    yield Case((draw(40), 0.63, 0.21))
    yield Case((draw(4, 1, width=0.3), 0.93, 0.01))
    yield Case((draw(1, 7), 0.7, 0.4))
    yield Case((draw(2, 3, 4), 0.55, 0.09))
    yield Case((draw(1), 0.85, 0.12))
    far = torch.tensor([[-21.0, 26.0, 38.0], [45.0, -33.0, 60.0]])
    yield Case((far, 0.8, 0.05), extreme="z")
    yield Case((far / 2.9, 0.9, 0.0025), extreme="z")
    yield Case((far / 6, 0.9, 0.9), extreme="z")  # a broad spike: the slab wins far out only


@exercise("4.1", _cases, gradients=["z"])
def log_prob(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """`(z, spike_prob, spike_var) -> log p`, in z's shape and in nats; the slab's variance is 1."""
    return spike_and_slab(z, spike_prob, spike_var)


def _per_vector(z: Tensor, p: float, v: float) -> Tensor:
    spike, slab = log_normal(z, v).sum(-1), log_normal(z, 1.0).sum(-1)
    return torch.logaddexp(math.log(p) + spike, math.log(1 - p) + slab)


def _log_odds(z: Tensor, p: float, v: float) -> Tensor:
    spike, slab = joint(z, p, v)
    return slab - spike


def _over_maximum(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    """log p and the slab's responsibility by densities over one maximum for the whole tensor."""
    both = torch.stack(joint(z, p, v))
    parts = (both - both.max()).exp()
    return both.max() + parts.sum(0).log(), parts[1] / parts.sum(0)


LIMITS = (5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
log_prob.mistakes(
    ("clamped z", *(lambda z, p, v, k=k: spike_and_slab(z.clamp(-k, k), p, v) for k in LIMITS)),
    ("maximum of the whole tensor", lambda *x: _over_maximum(*x)[0]),
    ("maximum not added back", lambda *x: spike_and_slab(*x) - torch.maximum(*joint(*x))),
    ("another base", lambda z, p, v: torch.logaddexp2(*joint(z, p, v))),
    ("half of spike_var taken for σ", lambda z, p, v: spike_and_slab(z, p, v**2 / 4)),
    ("softplus of the wrong difference", lambda *x: joint(*x)[1] + softplus(_log_odds(*x))),
    ("z not squared", lambda z, p, v: shifted(z, p, v, (z**2 - z) / (2 * v), (z**2 - z) / 2)),
    ("1 − log π for log(1 − π)", lambda z, p, v: shifted(z, p, v, slab=1 - log(p) - log(1 - p))),
    *lift(PRIOR, lambda f: f),
    ("logarithm forgotten", lambda z, p, v: sum(densities(z, p, v))),
    ("summed over latents", lambda z, p, v: spike_and_slab(z, p, v).sum(-1)),
    ("summed over latents", lambda z, p, v: spike_and_slab(z, p, v).sum()),
    ("one mixture per vector", _per_vector),
    ("one mixture per vector", lambda z, p, v: _per_vector(z, p, v)[..., None].expand(z.shape)),
    ("sign", lambda z, p, v: -log_prob.right(z, p, v)),
    ("detached", lambda z, p, v: log_prob.right(z.detach(), p, v)),
)


@exercise("4.3", _cases, gradients=["z"], tolerance=2e-5, unit="")
def slab_responsibility(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """`(z, spike_prob, spike_var) -> P(slab | z)`, in z's shape; the slab's variance is 1."""
    return torch.sigmoid(_log_odds(z, spike_prob, spike_var))


def _ratio(z: Tensor, p: float, v: float) -> Tensor:
    spike, slab = densities(z, p, v)
    return slab / (spike + slab)


right, sigmoid = slab_responsibility.right, torch.sigmoid
slab_responsibility.mistakes(
    ("responsibility of the spike", lambda z, p, v: 1 - right(z, p, v)),
    ("spike and slab swapped", lambda z, p, v: right(z, 1 - p, v)),
    ("weights forgotten", lambda z, p, v: right(z, 0.5, v)),
    ("spike_var used as a standard deviation", lambda z, p, v: right(z, p, v**2)),
    ("root taken twice", lambda z, p, v: right(z, p, v**0.5)),
    M("underflow", _ratio, extreme="z"),
    ("maximum of the whole tensor", lambda *x: _over_maximum(*x)[1]),
    ("hard decision", lambda z, p, v: (right(z, p, v) > 0.5).to(z) + 0 * z),
    ("hard decision", lambda z, p, v: (right(z, p, v) > 0.5).to(z)),
    ("log-responsibility", lambda z, p, v: joint(z, p, v)[1] - spike_and_slab(z, p, v)),
    ("not normalised", lambda z, p, v: densities(z, p, v)[1]),
    ("odds for a probability", lambda z, p, v: _log_odds(z, p, v).exp()),
    ("logit for a probability", _log_odds),
    ("sign of the constant", lambda z, p, v: sigmoid((1 / v - 1) * z**2 - _log_odds(z, p, v))),
    ("sign of ½ log v", lambda z, p, v: sigmoid(_log_odds(z, p, v) - math.log(v))),
    ("z not squared", lambda z, p, v: sigmoid(_log_odds(z.abs().sqrt(), p, v))),
    ("log-odds halved", lambda z, p, v: sigmoid(0.5 * _log_odds(z, p, v))),
    ("softmax over the latents", lambda z, p, v: joint(z, p, v)[1].softmax(-1)),
    ("ratio of logarithms", lambda z, p, v: joint(z, p, v)[1] / sum(joint(z, p, v))),
    ("ratio of logarithms", lambda z, p, v: joint(z, p, v)[1] / spike_and_slab(z, p, v)),
    ("slab's exponent forgotten", lambda z, p, v: sigmoid(_log_odds(z, p, v) + 0.5 * z**2)),
    ("Φ for the sigmoid", lambda z, p, v: torch.special.ndtr(_log_odds(z, p, v))),
    ("prior weight only", lambda z, p, v: torch.full_like(z, 1 - p)),
    ("prior weight only", lambda z, p, v: 1 - p + 0 * z),
    ("normaliser forgotten", lambda z, p, v: sigmoid(_log_odds(z, p, v) - 0.5 * math.log(v))),
    ("lost ½ in the prior", lambda z, p, v: sigmoid(_log_odds(z, p, v) + 0.5 * (1 / v - 1) * z**2)),
    ("lost ½ in the prior", lambda z, p, v: sigmoid(_log_odds(z, p, v) + 0.5 * math.log(v))),
)
