"""The gated Gaussian: exactly 0 where its gate is closed, and Gaussian where it is open."""

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.utils import broadcast_all

from .arguments import parameter, real_number

# sigmoid(-100) = 4e-44: a gate that is off to working precision, without log 0
MAX_GATE_LOGIT = 100.0


class GatedNormal(Distribution):
    """A Gaussian behind a gate: exactly 0 with probability 1 − gate_prob (Eq. 8.1).

    q(z) = γ N(z; loc, scale²) + (1 − γ) δ₀(z),   γ = sigmoid(gate_logits)

    Serves as posterior, and with loc 0 and scale 1 as its prior. `log_prob` is the density with
    respect to Lebesgue measure plus a unit point mass at 0: right in ratios of two of them.

    Args:
        gate_logits: log γ/(1 − γ), any real; give this or `gate_prob`.
        loc, scale: mean and standard deviation where the gate is open; scale is positive.
        gate_prob: γ in [0, 1]; 0 and 1 are allowed.
        temperature: of the relaxed gate that `rsample` draws, positive.
        hard: if true, `rsample` returns exact zeros and passes the relaxed gate's gradient on.

    Raises:
        ValueError: unless exactly one of gate_logits and gate_prob is given; at bad temperatures.
    """

    arg_constraints = {
        "gate_logits": constraints.real,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        gate_logits: Tensor | None = None,
        loc: float | Tensor = 0.0,
        scale: float | Tensor = 1.0,
        *,
        gate_prob: float | Tensor | None = None,
        temperature: float = 0.5,
        hard: bool = True,
        validate_args: bool | None = None,
    ):
        if (gate_logits is None) == (gate_prob is None):
            raise ValueError("give exactly one of gate_logits and gate_prob")
        if gate_logits is None:
            probability = torch.as_tensor(parameter("gate_prob", gate_prob))
            validate = self._validate_args if validate_args is None else validate_args
            if validate and not ((probability >= 0) & (probability <= 1)).all():
                raise ValueError(f"gate_prob must lie in [0, 1], got {gate_prob}")
            gate_logits = torch.logit(probability)
        gate_logits, self.loc, self.scale = broadcast_all(gate_logits, loc, scale)
        self.gate_logits = gate_logits.clamp(-MAX_GATE_LOGIT, MAX_GATE_LOGIT)
        self.temperature, self.hard = real_number("temperature", temperature, positive=True), hard
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance=None) -> Self:
        return GatedNormal(
            self.gate_logits.expand(batch_shape),
            self.loc,
            self.scale,
            temperature=self.temperature,
            hard=self.hard,
            validate_args=False,
        )

    @property
    def gate_prob(self) -> Tensor:
        return torch.sigmoid(self.gate_logits)

    @property
    def mean(self) -> Tensor:
        return self.gate_prob * self.loc

    @property
    def variance(self) -> Tensor:
        return self.gate_prob * (self.scale.square() + self.loc.square()) - self.mean.square()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw through the relaxed gate (Eq. 8.7), made hard on the way forward (Eq. 8.8).

        Returns:
            sample_shape + batch_shape, with gradients to gate_logits, loc and scale.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        value = self.loc + self.scale * torch.randn(
            shape, dtype=self.loc.dtype, device=self.loc.device
        )
        tiny = torch.finfo(value.dtype).tiny
        noise = torch.logit(
            torch.rand_like(value).clamp(min=tiny), eps=torch.finfo(value.dtype).eps
        )
        gate = torch.sigmoid((self.gate_logits + noise) / self.temperature)
        if self.hard:
            gate = (gate > 0.5).to(gate.dtype) + (gate - gate.detach())
        return gate * value

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw from the exact distribution: exact zeros, no gradient, whatever `hard` says."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            value = torch.normal(self.loc.expand(shape), self.scale.expand(shape))
            return torch.where(torch.rand_like(value) < self.gate_prob, value, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats: log(1 − γ) at exactly 0, log γ + log N(z; loc, scale²) elsewhere."""
        if self._validate_args:
            self._validate_sample(value)
        open_gate = F.logsigmoid(self.gate_logits) + Normal(
            self.loc, self.scale, validate_args=False
        ).log_prob(value)
        return torch.where(value == 0, F.logsigmoid(-self.gate_logits), open_gate)


def gated_posterior(
    gate_logits: Tensor, mu: Tensor, log_var: Tensor, temperature: float = 0.5, hard: bool = True
) -> GatedNormal:
    """The gated posterior (Eq. 8.1); a VAE's encoder has 3 heads for it."""
    return GatedNormal(
        gate_logits,
        mu,
        torch.exp(0.5 * log_var),
        temperature=temperature,
        hard=hard,
        validate_args=False,
    )
