"""The variational autoencoder: encoder, decoder, prior, posterior family and likelihood."""

import copy
import inspect
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from .arguments import distribution, function, rows, tensor, whole_number
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
        x = rows("images", x, self.hidden.weight)
        return self.output(torch.relu(self.hidden(x))).chunk(self.heads, dim=-1)


class Decoder(nn.Module):
    """Map a latent vector to one number per pixel (logits, for the Bernoulli)."""

    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int):
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, data_dim)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent_dim) to (N, data_dim)."""
        z = rows("latents", z, self.hidden.weight)
        return self.output(torch.relu(self.hidden(z)))


def gaussian_posterior(mu: Tensor, log_var: Tensor) -> Normal:
    """N(mu, exp(log_var)), the usual posterior family; a VAE's encoder has 2 heads for it."""
    return Normal(mu, torch.exp(0.5 * log_var), validate_args=False)


class VAE(nn.Module):
    """Variational autoencoder, each of whose parts is one argument.

    Args:
        latent_dim: D, the number of latents.
        prior: p(z); N(0, 1) for each latent if None. It needs `log_prob`, `sample`, `batch_shape`
            and `event_shape`: of one latent (batch shape () or (D,)), or joint (event shape (D,)).
            Numbers and tensors that it holds are used on the model's device; each that is an
            `nn.Parameter` is trained. Where it must be computed from parameters, give an
            `nn.Module` that returns it when called.
        posterior: function from H heads, each (B, D), to q(z|x) of batch shape (B, D), or
            joint (batch shape (B,), event shape (D,)). It needs `rsample` and, unless your KL does
            without, `log_prob`; `mean` is used to count active units. H is its number of
            arguments without a default.
        likelihood: function from the decoder's output to p(x|z) of each of its numbers or of
            several; `decode` sums over all that belong to one image.
        encoder: `nn.Module` from images as they are given to `fit`, (B, P) or (B, C, H, W), to a
            tuple of the heads, or to one tensor (B, H · D) of them side by side.
        decoder: `nn.Module` from latents (N, D) to what the likelihood takes, in the images' shape
            (N, P) or (N, C, H, W).
        hidden_dim: width of the one hidden layer of an encoder or decoder that is not given.
        data_dim: P, their number of pixels.

    Raises:
        ValueError: if a size is below 1, or the prior's shapes are not those above.
        TypeError: if the prior lacks something it needs.
    """

    def __init__(
        self,
        latent_dim: int,
        prior: Distribution | nn.Module | None = None,
        posterior: Callable[..., Distribution] = gaussian_posterior,
        likelihood: Callable[[Tensor], Distribution] = bernoulli_likelihood,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        hidden_dim: int = 400,
        data_dim: int = 784,
    ):
        super().__init__()
        self.latent_dim = latent_dim = whole_number("latent_dim", latent_dim, 1)
        self.hidden_dim = hidden_dim = whole_number("hidden_dim", hidden_dim, 1)
        self.data_dim = data_dim = whole_number("data_dim", data_dim, 1)
        self.posterior = function("posterior", posterior)
        self.likelihood = function("likelihood", likelihood)
        self.heads = _count_heads(posterior)
        if encoder is None:
            encoder = Encoder(data_dim, hidden_dim, latent_dim, self.heads)
        if decoder is None:
            decoder = Decoder(latent_dim, hidden_dim, data_dim)
        self.encoder, self.decoder = _network("encoder", encoder), _network("decoder", decoder)
        self._prior = Normal(0.0, 1.0) if prior is None else prior
        self._register_prior()

    @property
    def prior(self) -> Distribution:
        """p(z), on the model's device."""
        return _in_use(self._given_prior(), self.device)

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.parameters()).device

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x), of batch shape (B, D) unless the posterior is joint, for images (B, ...)."""
        heads = self.encoder(tensor("images", x))
        if isinstance(heads, Tensor):
            if heads.shape[1:] != (self.heads * self.latent_dim,):
                raise ValueError(
                    f"the encoder must return {self.heads} heads of {self.latent_dim} latents, as "
                    f"a tuple or as one tensor (B, {self.heads * self.latent_dim}): "
                    f"got shape {tuple(heads.shape)}"
                )
            heads = heads.chunk(self.heads, dim=-1)
        if len(heads) != self.heads:
            raise ValueError(
                f"the posterior takes {self.heads} heads, but the encoder returned {len(heads)}"
            )
        return self.posterior(*heads)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z), of batch shape (...) and the images' event shape, for latents (..., D)."""
        if tensor("latents", z).shape[-1:] != (self.latent_dim,):
            raise ValueError(
                f"latents must have shape (..., {self.latent_dim}), got {tuple(z.shape)}"
            )
        output = self.decoder(z.reshape(-1, self.latent_dim))
        if z.dim() != 2:
            output = output.reshape(*z.shape[:-1], *output.shape[1:])
        p = self.likelihood(output)
        distribution("what the likelihood returns", p, needs=("log_prob", "batch_shape"))
        unsummed = len(p.batch_shape) - (z.dim() - 1)
        return Independent(p, unsummed, validate_args=False) if unsummed > 0 else p

    def forward(self, x: Tensor) -> Distribution:
        """p(x|z) at one draw z ~ q(z|x), for images (B, ...)."""
        return self.decode(self.encode(x).rsample())

    @torch.no_grad()
    def sample(self, num_samples: int) -> Tensor:
        """Means of p(x|z) at draws z ~ p(z): (num_samples, ...), on the model's device."""
        return self.decode(self.sample_prior(num_samples)).mean

    @torch.no_grad()
    def sample_prior(self, num_samples: int) -> Tensor:
        """Latent vectors from the prior: (num_samples, D), on the model's device."""
        prior = self.prior
        shape = (whole_number("num_samples", num_samples, 0), self.latent_dim)
        z = prior.sample(shape[: 2 - len(prior.batch_shape) - len(prior.event_shape)])
        return z.to(next(self.parameters())).reshape(shape)

    def _given_prior(self) -> Distribution:
        return self._prior() if isinstance(self._prior, nn.Module) else self._prior

    def _register_prior(self) -> None:
        """Check the prior, and register its parameters for training."""
        try:
            prior = self._given_prior()
        except TypeError as error:
            raise TypeError(f"a prior module must give p(z) when called: {error}") from error
        distribution("prior", prior, needs=("log_prob", "sample", "batch_shape", "event_shape"))
        batch, event = tuple(prior.batch_shape), tuple(prior.event_shape)
        each, joint = (self.latent_dim,), ((), (self.latent_dim,))
        if (batch, event) not in (((), ()), (each, ()), joint):
            raise ValueError(
                f"the prior must be of one latent, with batch_shape () or {each} and event_shape "
                f"(), or joint, with batch_shape () and event_shape {each}: got {batch} and {event}"
            )
        if isinstance(self._prior, nn.Module):
            return  # nn.Module has registered it already
        tensors = list(_tensors(self._prior))
        if any(t.requires_grad and not isinstance(t, nn.Parameter) for t in tensors):
            raise ValueError(
                f"the prior {type(prior).__name__} is computed from a parameter and would not "
                "follow training: give an nn.Module whose forward() returns the prior"
            )
        learnable = [t for t in tensors if isinstance(t, nn.Parameter)]
        self.prior_parameters = nn.ParameterList(learnable)


def _network(name: str, network: nn.Module) -> nn.Module:
    if isinstance(network, type) or not callable(network):
        raise TypeError(f"{name} must be an nn.Module, ready built, got {network!r}")
    return network


def _count_heads(posterior: Callable[..., Distribution]) -> int:
    try:
        parameters = inspect.signature(posterior).parameters.values()
    except ValueError:  # some built-in functions have none
        parameters = ()
    heads = sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters)
    if heads < 1:
        raise ValueError("posterior must take at least one head, by an argument without a default")
    return heads


def _in_use(prior: Distribution, device: torch.device) -> Distribution:
    """A copy of a prior whose tensors are on a device, and which does not validate values.

    `fit` reports a NaN with the epoch and the step; torch would only say that it is out of support.
    """
    new = copy.copy(prior)
    new._validate_args = False
    for name, value in vars(new).items():
        if isinstance(value, Distribution):
            vars(new)[name] = _in_use(value, device)
        elif isinstance(value, Tensor) and value.device != device:
            vars(new)[name] = value.to(device)
    return new


def _tensors(distribution: Distribution) -> Iterator[Tensor]:
    """Every tensor that a distribution holds, in itself or in its parts."""
    for value in vars(distribution).values():
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Distribution):
            yield from _tensors(value)
