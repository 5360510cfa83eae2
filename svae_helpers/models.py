"""The variational autoencoder: encoder, decoder, prior, posterior family and likelihood."""

import copy
import inspect
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from .distributions import gaussian_posterior
from .likelihoods import bernoulli_likelihood


class Encoder(nn.Module):
    """Map an image to the posterior's parameters: `heads` vectors of latent_dim numbers."""

    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.hidden = nn.Linear(data_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, heads * latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, data_dim) to `heads` tensors of shape (B, latent_dim)."""
        return self.output(torch.relu(self.hidden(x))).chunk(self.heads, dim=-1)


class Decoder(nn.Module):
    """Map a latent vector to one number per pixel (logits, for the Bernoulli)."""

    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int):
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, data_dim)

    def forward(self, z: Tensor) -> Tensor:
        """(..., latent_dim) to (..., data_dim)."""
        return self.output(torch.relu(self.hidden(z)))


class VAE(nn.Module):
    """Variational autoencoder whose prior, posterior and likelihood are one argument each.

    Args:
        latent_dim: D, the number of latents.
        prior: p(z) of one latent (batch shape () or (D,)): anything with `log_prob`, `sample` and
            `batch_shape`; N(0, 1) if None. Its tensors follow the model to its device, and
            those that are `nn.Parameter` are trained. Where the prior must be computed from
            parameters, give an `nn.Module` that returns it when called.
        posterior: function from the encoder's heads, each (B, D), to q(z|x); the encoder gets a
            head for every argument without a default.
        likelihood: function from the decoder's output (..., data_dim) to p(x|z).
        hidden_dim: width of the one hidden layer on each side.
        data_dim: P, the number of pixels.

    Raises:
        ValueError: if the prior is not one of single latents.
    """

    def __init__(
        self,
        latent_dim: int,
        prior: Distribution | nn.Module | None = None,
        posterior: Callable[..., Distribution] = gaussian_posterior,
        likelihood: Callable[[Tensor], Independent] = bernoulli_likelihood,
        hidden_dim: int = 400,
        data_dim: int = 784,
    ):
        super().__init__()
        for name, size in (
            ("latent_dim", latent_dim),
            ("hidden_dim", hidden_dim),
            ("data_dim", data_dim),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.latent_dim, self.hidden_dim, self.data_dim = latent_dim, hidden_dim, data_dim
        self.posterior, self.likelihood = posterior, likelihood
        self.encoder = Encoder(data_dim, hidden_dim, latent_dim, heads=_count_heads(posterior))
        self.decoder = Decoder(latent_dim, hidden_dim, data_dim)
        prior = Normal(0.0, 1.0) if prior is None else prior
        self._prior = prior if isinstance(prior, nn.Module) else _copy(prior)
        self._register_prior()

    @property
    def prior(self) -> Distribution:
        """p(z) of one latent, on the model's device."""
        return _copy(self._prior()) if isinstance(self._prior, nn.Module) else self._prior

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return self.decoder.output.weight.device

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x), of batch shape (B, D), for images (B, data_dim)."""
        return self.posterior(*self.encoder(x))

    def decode(self, z: Tensor) -> Independent:
        """p(x|z), of batch shape (...) and event shape (data_dim,), for latents (..., D)."""
        return self.likelihood(self.decoder(z))

    def forward(self, x: Tensor) -> Independent:
        """p(x|z) at one draw z ~ q(z|x), for images (B, data_dim)."""
        return self.decode(self.encode(x).rsample())

    @torch.no_grad()
    def sample(self, num_samples: int) -> Tensor:
        """Means of p(x|z) at draws z ~ p(z): (num_samples, data_dim), on the model's device."""
        return self.decode(self.sample_prior(num_samples)).mean

    @torch.no_grad()
    def sample_prior(self, num_samples: int) -> Tensor:
        """Latent vectors from the prior: (num_samples, D), on the model's device."""
        prior = self.prior
        shape = (num_samples, self.latent_dim)
        z = prior.sample(shape[: 2 - len(prior.batch_shape)])
        return z.to(device=self.device, dtype=self.decoder.output.weight.dtype).reshape(shape)

    def _register_prior(self) -> None:
        """Check the prior's shapes, and register its parameters for training."""
        prior = self.prior
        if prior.event_shape or tuple(prior.batch_shape) not in ((), (self.latent_dim,)):
            raise ValueError(
                f"the prior must have event_shape () and batch_shape () or ({self.latent_dim},): "
                f"got {tuple(prior.event_shape)} and {tuple(prior.batch_shape)}"
            )
        if isinstance(self._prior, nn.Module):
            return  # nn.Module has registered it already
        for _, path, tensor in _tensors(self._prior):
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(
                    "prior_" + "_".join(part.strip("_") for part in path), tensor
                )
            elif tensor.requires_grad:
                raise ValueError(
                    f"the prior's {'.'.join(path)} is computed from a parameter and would not "
                    "follow training: give an nn.Module whose forward() returns the prior"
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "VAE":
        """Move the prior's tensors with the model (device only: numbers keep their precision)."""
        super()._apply(fn, recurse)
        if not isinstance(self._prior, nn.Module):
            for owner, path, tensor in _tensors(self._prior):
                if not isinstance(tensor, nn.Parameter):
                    vars(owner)[path[-1]] = _move(tensor, self.device)
        return self


def _count_heads(posterior: Callable[..., Distribution]) -> int:
    parameters = inspect.signature(posterior).parameters.values()
    return sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters)


def _copy(distribution: Distribution) -> Distribution:
    """Copy a distribution but not its tensors, so that moving a model moves no one else's prior.

    The copy does not validate values: `fit` reports a NaN with the epoch and step.
    """
    new = copy.copy(distribution)
    new._validate_args = False
    for name, value in vars(new).items():
        if isinstance(value, Distribution):
            vars(new)[name] = _copy(value)
    return new


def _tensors(
    distribution: Distribution, path: tuple[str, ...] = ()
) -> Iterator[tuple[Distribution, tuple[str, ...], Tensor]]:
    """Yield (owner, attribute path, tensor) for every tensor that a distribution holds."""
    for name, value in list(vars(distribution).items()):
        if isinstance(value, Tensor):
            yield distribution, (*path, name), value
        elif isinstance(value, Distribution):
            yield from _tensors(value, (*path, name))


def _move(tensor: Tensor, device: torch.device) -> Tensor:
    narrow = device.type == "mps" and tensor.dtype == torch.float64  # MPS has no float64
    return tensor.to(device=device, dtype=torch.float32 if narrow else tensor.dtype)
