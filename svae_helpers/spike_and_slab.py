"""The spike-and-slab distribution of one latent: narrow where it is off, wide where it is on.

A distribution keeps what it is given, and converts it where it meets z: so a Python number has the
precision of z, and everything is on z's device.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from .arguments import distribution, parameter, tensor
from .quadrature import crossover_constants


class CentredNormal(Normal):
    """N(0, variance), kept as its variance so that a learnable variance can be trained.

    Args:
        variance: positive; a number has the precision of z in `log_prob`.
    """

    arg_constraints = {"variance": constraints.positive}

    def __init__(self, variance: float | Tensor, validate_args: bool | None = None):
        self._variance = parameter("variance", variance)
        Distribution.__init__(self, torch.as_tensor(variance).shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance=None) -> Self:
        new = self._get_checked_instance(CentredNormal, _instance)
        new._variance = self._variance
        Distribution.__init__(new, torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def variance(self) -> Tensor:
        return torch.as_tensor(self._variance).expand(self.batch_shape)

    @property
    def scale(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def loc(self) -> Tensor:
        return torch.zeros_like(self.variance)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        variance = _like(value, self._variance).expand(self.batch_shape)
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

    arg_constraints = {}  # __init__ says in words what torch would check
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
            if distribution(name, component, Distribution).event_shape:
                raise ValueError(
                    f"{name} must be univariate, got event_shape {tuple(component.event_shape)}: "
                    "each latent chooses between spike and slab by itself"
                )
        self.spike, self.slab = spike, slab
        self.spike_prob = parameter("spike_prob", spike_prob)
        probability = torch.as_tensor(self.spike_prob)
        validate = self._validate_args if validate_args is None else validate_args
        if validate and not ((probability >= 0) & (probability <= 1)).all():
            raise ValueError(
                f"spike_prob must lie in [0, 1], got {spike_prob}: "
                "it is the probability that a latent is off"
            )
        if validate and isinstance(spike, Normal) and isinstance(slab, Normal):
            _refuse_wide_spike(spike.variance, slab.variance)
        shape = torch.broadcast_shapes(spike.batch_shape, slab.batch_shape, probability.shape)
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
            ValueError: if a variance is not positive and finite, or the spike the wider one.
        """
        validate = cls._validate_args if validate_args is None else validate_args
        if validate:
            for name, variance in (("spike_var", spike_var), ("slab_var", slab_var)):
                given = torch.as_tensor(parameter(name, variance))
                if not (given > 0).all():
                    raise ValueError(f"{name} must be positive, got {variance}")
                if not (given < torch.inf).all():
                    raise ValueError(f"{name} must be finite, got {variance}")
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
        z = z if z.is_floating_point() else z.to(torch.get_default_dtype())
        spike_prob = _like(z, self.spike_prob).expand(self.batch_shape)
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
        log_spike, log_slab = self._log_joint(tensor("z", z))
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
        spike_prob = _like(spike_value, self.spike_prob)
        return (spike_prob * spike_value + (1 - spike_prob) * slab_value).expand(self.batch_shape)

    @property
    def crossover(self) -> Tensor:
        """|z| at which spike and slab are equally likely (Eq. 4.10); 0 or ∞ where they never are.

        Raises:
            NotImplementedError: for other components than zero-mean Gaussians; compare
                `slab_responsibility` with ½ there.
        """
        log_odds, curvature = crossover_constants(*gaussian_parameters(self))
        crossover = torch.where(log_odds > 0, log_odds.clamp(min=0) / curvature, 0.0).sqrt()
        return crossover.expand(self.batch_shape)


def gaussian_parameters(
    prior: SpikeAndSlab, like: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (spike_prob, spike_var, slab_var) of a spike-and-slab of zero-mean Gaussians.

    Args:
        like: tensor whose dtype and device they take; without it numbers become float64.

    Raises:
        NotImplementedError: for other components, or a mean that is not zero.
    """
    distribution("the prior", prior, SpikeAndSlab)
    variances = []
    for component in (prior.spike, prior.slab):
        centred = isinstance(component, CentredNormal) or (
            isinstance(component, Normal) and not bool((component.loc != 0).any())
        )
        if not centred:
            raise NotImplementedError(
                "this needs zero-mean Gaussian components: estimate a KL with kl_monte_carlo, "
                f"and activity with slab_responsibility, for {component}"
            )
        variances.append(given_variance(component))
    if like is None:
        like = torch.empty(0, dtype=torch.float64)
        tensors = [v for v in (prior.spike_prob, *variances) if isinstance(v, Tensor)]
        like = tensors[0] if tensors else like
    return tuple(_like(like, value) for value in (prior.spike_prob, *variances))


def given_variance(component: Normal) -> float | Tensor:
    """A Gaussian's variance in the precision in which it was given."""
    return component._variance if isinstance(component, CentredNormal) else component.variance


def _like(z: Tensor, value: float | Tensor) -> Tensor:
    """A number or tensor with the dtype and on the device of z."""
    return torch.as_tensor(value, dtype=z.dtype, device=z.device)


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
