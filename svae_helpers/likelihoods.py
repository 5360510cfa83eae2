"""What the decoder's numbers mean: each function turns them into a distribution p(x|z) of an image.

All return an `Independent` of event shape (P,): `log_prob` sums over the pixels, in nats per image.
"""

import math
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, constraints
from torch.distributions.utils import broadcast_all

from .arguments import real_number, tensor

SERIES_BELOW = 0.05  # |logit| under which a Taylor series replaces a ratio of two small numbers


def _per_image(pixels: Distribution) -> Independent:
    return Independent(pixels, 1, validate_args=False)


def bernoulli_likelihood(logits: Tensor) -> Independent:
    """Black-or-white pixels (Eqs. 3.1 and 3.2).

    `log_prob(x)` is minus the binary cross-entropy, summed over pixels and computed from logits.
    Grey pixels in [0, 1] are accepted: the value is then a cross-entropy, not a normalised
    log-likelihood, and comparable only with other numbers of its own kind.

    Args:
        logits: (..., P), any real; the probability of white is sigmoid(logits).
    """
    tensor("logits", logits)
    return BernoulliImage(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)


class BernoulliImage(Independent):
    """Independent Bernoulli pixels, whose log_prob is Eq. 3.2 as written: sum, then sign.

    torch turns the sign of every pixel instead, which costs a training step 3 per cent.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        tensor("the images", value)
        return bernoulli_log_likelihood(*torch.broadcast_tensors(self.base_dist.logits, value))


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) of black-or-white pixels from logits, in nats per image (Eq. 3.2).

    Args:
        logits: (B, P), any real.
        x: (B, P), in [0, 1].

    Returns:
        (B,), summed over pixels.
    """
    x = tensor("x", x).to(logits.dtype)
    return -F.binary_cross_entropy_with_logits(input=logits, target=x, reduction="none").sum(dim=-1)


def gaussian_likelihood(mean: Tensor, scale: float = 1.0) -> Independent:
    """Real-valued pixels, fixed standard deviation: −squared error / (2 scale²) + const (Eq. 3.3).

    Args:
        mean: (..., P), any real.
        scale: standard deviation of a pixel; `functools.partial` sets another for a `VAE`.
    """
    scales = torch.full_like(tensor("mean", mean), real_number("scale", scale, positive=True))
    return _per_image(Normal(mean, scales, validate_args=False))


def continuous_bernoulli_likelihood(logits: Tensor) -> Independent:
    """Grey pixels in [0, 1], with the normaliser that cross-entropy lacks (Eq. 3.4).

    Args:
        logits: (..., P), any real.
    """
    return _per_image(ContinuousBernoulli(tensor("logits", logits), validate_args=False))


class ContinuousBernoulli(Distribution):
    """Density on [0, 1] proportional to exp(logits · x) (Eq. 3.4; Loaiza-Ganem & Cunningham 2019).

    Written from logits throughout, so that it stays exact where a probability rounds to 0 or 1.

    Args:
        logits: any real; 0 gives the uniform density.
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor, validate_args: bool | None = None):
        (self.logits,) = broadcast_all(logits)
        super().__init__(self.logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance=None) -> Self:
        return ContinuousBernoulli(self.logits.expand(batch_shape), validate_args=False)

    def log_normaliser(self) -> Tensor:
        """log of logits · coth(logits / 2): 2 nats' log at logits 0, log |logits| far out."""
        safe, small = self._safe_logits()
        series = math.log(2) + torch.log1p(
            self.logits.square() / 12 - self.logits.square() ** 2 / 720
        )
        return torch.where(small, series, (safe / torch.tanh(safe / 2)).log())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats."""
        if self._validate_args:
            self._validate_sample(value)
        tensor("value", value)
        cross_entropy = value * F.logsigmoid(self.logits) + (1 - value) * F.logsigmoid(-self.logits)
        return cross_entropy + self.log_normaliser()

    @property
    def mean(self) -> Tensor:
        safe, small = self._safe_logits()
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        return torch.where(small, series, 1 / -torch.expm1(-safe) - 1 / safe)

    @property
    def variance(self) -> Tensor:
        safe, small = self._safe_logits()
        series = 1 / 12 - self.logits.square() / 240
        return torch.where(small, series, safe**-2 - 0.25 / torch.sinh(safe / 2).square())

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw by inverting the distribution function; returns sample_shape + batch_shape."""
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        safe, small = self._safe_logits()
        size = safe.abs()  # for positive logits, from the right edge:
        from_edge = -torch.log(u + (1 - u) * torch.exp(-size)) / size
        drawn = torch.where(safe > 0, 1 - from_edge, from_edge)
        return torch.where(small, u, drawn).clamp(0, 1)

    def _safe_logits(self) -> tuple[Tensor, Tensor]:
        """Return logits with the ones near 0 replaced, and where they were."""
        small = self.logits.abs() < SERIES_BELOW
        return torch.where(small, 1.0, self.logits), small
