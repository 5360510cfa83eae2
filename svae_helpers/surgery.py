"""What a KL per image is made of: information about the image, and a mismatch of the aggregate."""

import math

import torch
from torch.distributions import Distribution, Normal


@torch.no_grad()
def elbo_surgery(q: Normal, prior: Distribution, num_samples: int = 10) -> tuple[float, float]:
    """Split the mean KL into mutual information and KL(aggregate ‖ prior) (Eq. 7.1).

    The aggregate is the mixture of the N posteriors of q, batch shape (N, D), so the information
    is that between z and which of these N images it codes: at most log N. Once it comes near that,
    it is too small for all digits, and the other part too large.

    Returns:
        (mutual information, KL of the aggregate), in nats; they add up to the mean KL.
    """
    loc, precision = q.loc.double(), q.scale.double() ** -2
    constant = -0.5 * (loc.square() * precision - precision.log() + math.log(2 * math.pi)).sum(-1)
    information, aggregate = 0.0, 0.0
    for _ in range(num_samples):
        z = q.sample().double()  # (N, D)
        # log q(z_n | x_m) for all n and m, (N, N), as two matrix products
        log_q = z @ (loc * precision).T - 0.5 * z.square() @ precision.T + constant
        log_mixture = torch.logsumexp(log_q, dim=-1) - math.log(len(loc))
        information += (log_q.diagonal() - log_mixture).mean().item() / num_samples
        aggregate += (log_mixture - prior.log_prob(z).sum(-1)).mean().item() / num_samples
    return information, aggregate


@torch.no_grad()
def latent_surgery(q: Normal, prior: Distribution, num_samples: int = 2) -> tuple[float, float]:
    """The same split of each latent by itself, both parts summed over latents (Eq. 7.2)."""
    information, marginals = 0.0, 0.0
    for latent in range(q.loc.shape[1]):
        one = Normal(q.loc[:, latent], q.scale[:, latent])
        z = one.sample((num_samples,))  # (S, N)
        log_mixture = torch.logsumexp(one.log_prob(z[..., None]), -1) - math.log(len(q.loc))
        information += (one.log_prob(z) - log_mixture).mean().item()
        marginals += (log_mixture - prior.log_prob(z)).mean().item()
    return information, marginals
