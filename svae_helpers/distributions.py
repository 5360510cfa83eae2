"""Distributions of one latent: the spike-and-slab prior and the gated Gaussian."""

from collections.abc import Sequence
from numbers import Number
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints
from torch.distributions.utils import broadcast_all

MAX_GATE_LOGIT = (
    100.0  # sigmoid(-100) = 4e-44: a gate that is off to working precision, without log 0
)


def _parameter(value: float | Tensor) -> Tensor:
    """Keep a tensor as it is (a learnable one stays a leaf) and a number in full precision."""
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, Number) else value


class CentredNormal(Normal):
    """N(0, variance), kept as its variance so that a learnable variance can be trained.

    Args:
        variance: positive; a number keeps its full precision and takes the dtype of z at use.
    """

    arg_constraints = {"variance": constraints.positive}

    def __init__(self, variance: float | Tensor, validate_args: bool | None = None):
        self._variance = _parameter(variance)
        self._dtype = torch.get_default_dtype() if isinstance(variance, Number) else variance.dtype
        Distribution.__init__(self, self._variance.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance=None) -> Self:
        new = self._get_checked_instance(CentredNormal, _instance)
        new._variance, new._dtype = self._variance, self._dtype
        Distribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def variance(self) -> Tensor:
        return self._variance.expand(self.batch_shape)

    @property
    def scale(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def loc(self) -> Tensor:
        return torch.zeros_like(self.variance)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self._dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return super().rsample(torch.Size(sample_shape)).to(self._dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        variance = self._variance.to(value.dtype).expand(self.batch_shape)
        return -0.5 * (value.square() / variance + torch.log(2 * torch.pi * variance))


class SpikeAndSlab(Distribution):
    """Mixture of a narrow spike and a wide slab, latent by latent (Eq. 4.1).

    p(z) = spike_prob · spike(z) + (1 − spike_prob) · slab(z)

    Args:
        spike, slab: univariate distributions (event shape ()), usually Gaussians around 0.
        spike_prob: probability that a latent is off (drawn from the spike), in [0, 1]; a number,
            or a tensor whose shape broadcasts against the components' batch shapes.

    Raises:
        ValueError: if spike_prob leaves [0, 1], a component is not univariate, or both are
            Gaussian and the spike is the wider one.
    """

    arg_constraints = {"spike_prob": constraints.unit_interval}
    support = constraints.real
    has_rsample = False

    def __init__(
        self,
        spike: Distribution,
        slab: Distribution,
        spike_prob: float | Tensor,
        validate_args: bool | None = None,
    ):
        for name, component in (("spike", spike), ("slab", slab)):
            if not isinstance(component, Distribution):
                raise TypeError(
                    f"{name} must be a torch Distribution, got {type(component).__name__}"
                )
            if component.event_shape:
                raise ValueError(
                    f"{name} must be univariate, got event_shape {tuple(component.event_shape)}: "
                    "each latent chooses between spike and slab by itself"
                )
        self.spike, self.slab, self.spike_prob = spike, slab, _parameter(spike_prob)
        validate = self._validate_args if validate_args is None else validate_args
        if validate and not ((self.spike_prob >= 0) & (self.spike_prob <= 1)).all():
            raise ValueError(
                f"spike_prob must lie in [0, 1], got {spike_prob}: "
                "it is the probability that a latent is off"
            )
        if validate and isinstance(spike, Normal) and isinstance(slab, Normal):
            _refuse_wide_spike(spike.variance, slab.variance)
        shape = torch.broadcast_shapes(spike.batch_shape, slab.batch_shape, self.spike_prob.shape)
        super().__init__(shape, validate_args=validate_args)

    @classmethod
    def gaussian(
        cls,
        spike_prob: float | Tensor = 0.8,
        spike_var: float | Tensor = 0.05,
        slab_var: float | Tensor = 1.0,
        validate_args: bool | None = None,
    ) -> Self:
        """Spike N(0, spike_var) and slab N(0, slab_var); both are variances.

        Raises:
            ValueError: if a variance is not positive or the spike is wider than the slab.
        """
        validate = cls._validate_args if validate_args is None else validate_args
        if validate:
            for name, variance in (("spike_var", spike_var), ("slab_var", slab_var)):
                if not (torch.as_tensor(variance) > 0).all():
                    raise ValueError(f"{name} must be positive, got {variance}")
        spike = CentredNormal(spike_var, validate_args=validate_args)
        slab = CentredNormal(slab_var, validate_args=validate_args)
        return cls(spike, slab, spike_prob, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance=None) -> Self:
        new = self._get_checked_instance(SpikeAndSlab, _instance)
        shape = torch.Size(batch_shape)
        torch.broadcast_shapes(self.batch_shape, shape)  # raises where it cannot expand
        new.spike, new.slab, new.spike_prob = self.spike, self.slab, self.spike_prob
        Distribution.__init__(new, shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _log_joint(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return log(π · spike(z)) and log((1 − π) · slab(z)), each of z's broadcast shape."""
        spike_prob = self.spike_prob.to(z.dtype).expand(self.batch_shape)
        log_spike = _safe_log(spike_prob) + self.spike.log_prob(z)
        log_slab = _safe_log(1 - spike_prob) + self.slab.log_prob(z)
        return log_spike.to(z.dtype), log_slab.to(z.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats (Eq. 4.2); stable where both densities underflow."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.logaddexp(*self._log_joint(value))

    def slab_responsibility(self, z: Tensor) -> Tensor:
        """P(slab | z), the posterior probability that the latent is on (Eq. 4.8)."""
        log_spike, log_slab = self._log_joint(z)
        return torch.sigmoid(log_slab - log_spike)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw each latent from its own spike or slab; carries no gradient.

        Returns:
            sample_shape + batch_shape.
        """
        with torch.no_grad():
            spike = self.spike.expand(self.batch_shape).sample(sample_shape)
            slab = self.slab.expand(self.batch_shape).sample(sample_shape)
            return torch.where(torch.rand_like(spike) < self.spike_prob, spike, slab)

    @property
    def mean(self) -> Tensor:
        """π E_spike[z] + (1 − π) E_slab[z] (Eq. 4.3)."""
        return self._mix(self.spike.mean, self.slab.mean)

    @property
    def variance(self) -> Tensor:
        """Mean of the variances plus variance of the means (Eq. 4.3)."""
        second_moment = self._mix(
            self.spike.variance + self.spike.mean.square(),
            self.slab.variance + self.slab.mean.square(),
        )
        return second_moment - self.mean.square()

    def _mix(self, spike_value: Tensor, slab_value: Tensor) -> Tensor:
        spike_prob = self.spike_prob.to(spike_value.dtype)
        return (spike_prob * spike_value + (1 - spike_prob) * slab_value).expand(self.batch_shape)

    @property
    def crossover(self) -> Tensor:
        """|z| at which spike and slab are equally likely (Eq. 4.10); 0 or ∞ where they never are.

        Raises:
            NotImplementedError: for other components than zero-mean Gaussians; compare
                `slab_responsibility` with ½ there.
        """
        spike_prob, spike_var, slab_var = gaussian_parameters(self)
        log_odds = torch.logit(spike_prob) - 0.5 * torch.log(spike_var / slab_var)  # c
        curvature = 0.5 * (1 / spike_var - 1 / slab_var)  # d
        crossover = torch.where(log_odds > 0, log_odds.clamp(min=0) / curvature, 0.0).sqrt()
        return crossover.expand(self.batch_shape)


def gaussian_parameters(
    prior: SpikeAndSlab, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (spike_prob, spike_var, slab_var) of a spike-and-slab of zero-mean Gaussians.

    Raises:
        NotImplementedError: for other components, or a mean that is not zero.
    """
    variances = []
    for component in (prior.spike, prior.slab):
        if isinstance(component, CentredNormal):
            variances.append(component._variance)
            continue
        centred = isinstance(component, Normal) and not bool((component.loc != 0).any())
        if not centred:
            raise NotImplementedError(
                "this needs zero-mean Gaussian components: estimate a KL with kl_monte_carlo, "
                f"and activity with slab_responsibility, for {component}"
            )
        variances.append(component.variance)
    if dtype is not None:
        return prior.spike_prob.to(dtype), variances[0].to(dtype), variances[1].to(dtype)
    return prior.spike_prob, *variances


def _refuse_wide_spike(spike_var: Tensor, slab_var: Tensor) -> None:
    if (spike_var > slab_var).any():
        raise ValueError(
            "spike_var must not exceed slab_var, since the spike is the narrow component: got "
            f"{spike_var.tolist()} and {slab_var.tolist()}"
        )


def _safe_log(probability: Tensor) -> Tensor:
    """log p with log 0 = −∞ and a gradient of 0 there, where autograd would give NaN."""
    positive = probability > 0
    return torch.where(positive, torch.where(positive, probability, 1.0).log(), -torch.inf)


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

    arg_constraints = {"scale": constraints.positive, "loc": constraints.real}
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
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        if gate_logits is None:
            probability = torch.as_tensor(gate_prob)
            validate = self._validate_args if validate_args is None else validate_args
            if validate and not ((probability >= 0) & (probability <= 1)).all():
                raise ValueError(f"gate_prob must lie in [0, 1], got {gate_prob}")
            gate_logits = torch.logit(probability)
        gate_logits, self.loc, self.scale = broadcast_all(gate_logits, loc, scale)
        self.gate_logits = gate_logits.clamp(-MAX_GATE_LOGIT, MAX_GATE_LOGIT)
        self.temperature, self.hard = temperature, hard
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
        open_gate = F.logsigmoid(self.gate_logits) + Normal(
            self.loc, self.scale, validate_args=False
        ).log_prob(value)
        return torch.where(value == 0, F.logsigmoid(-self.gate_logits), open_gate)


def gaussian_posterior(mu: Tensor, log_var: Tensor) -> Normal:
    """N(mu, exp(log_var)), the usual posterior family; a VAE's encoder has 2 heads for it."""
    return Normal(mu, torch.exp(0.5 * log_var), validate_args=False)


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
