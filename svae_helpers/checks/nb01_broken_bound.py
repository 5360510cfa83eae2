"""Check of notebook 01: an ELBO broken on purpose, so that it rises above log p(x)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from .inspection import Seen, inspection

K, TIMES, MARGIN = 1000, 3, 0.1
# The notebook's toy and its four images.
W = torch.tensor([[1.0, 0.8], [0.5, 1.0], [0.9, 0.3]]).double()
B, S = torch.tensor([0.0, 0.5, -0.5]).double(), 0.6
X = torch.tensor([[1.5, 1.2, 0.4], [-0.3, 0.1, -0.9], [0.2, -1.4, 0.8], [2.1, 2.6, 1.0]]).double()
EXACT = MultivariateNormal(B, W @ W.T + S**2 * torch.eye(3)).log_prob(X)  # log p(x), (4,)
MEANS = (X - B) @ W @ torch.linalg.inv(S**2 * torch.eye(2) + W.T @ W)  # of the true posteriors


def _log_joint(z: Tensor) -> Tensor:
    return Normal(z @ W.T + B, S).log_prob(X).sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)


def _elbo(
    reduce: Callable = lambda log_w: log_w.mean(0),
    log_q: Callable = lambda q, z: q.log_prob(z),
) -> Callable:
    def estimate(log_joint: Callable, q: Normal, num_samples: int) -> Tensor:
        z = q.sample((num_samples,))
        return reduce(log_joint(z) - log_q(q, z).sum(-1))

    return estimate


def _share_of_log_q(share: float) -> Callable:
    return _elbo(log_q=lambda q, z: share * q.log_prob(z))


WITHOUT_LOG_SIGMA = _elbo(log_q=lambda q, z: q.log_prob(z) + q.stddev.log())
ANOTHER = "log q is not the density that drew z, as with σ² for σ: it adds KL(draws ‖ density)."
ABOVE = {
    _elbo(log_q=lambda q, z: Normal(q.mean, q.variance).log_prob(z)): ANOTHER,
    _elbo(log_q=lambda q, z: Normal(q.mean, q.stddev / 2).log_prob(z)): ANOTHER,
    WITHOUT_LOG_SIGMA: "log q lacks its − log σ, which is positive for σ < 1.",
    _share_of_log_q(2.0): "q's entropy counts twice.",
    _elbo(lambda w: w.amax(0)): "You keep the best draw: the cherry-picked run of a report.",
    _elbo(lambda w: w.logsumexp(0)): "The sum of the weights for their mean: log K too high.",
    _elbo(lambda w: w.exp().mean(0)): "Without the logarithm it is an estimate of p(x) itself.",
    _elbo(lambda w: -w.mean(0)): "It is the loss, minus the ELBO, reported as the bound.",
    _elbo(lambda w: w.mean(0) / 2): "Averaged over the two latents as well, it is half the ELBO.",
}
BELOW = {
    _share_of_log_q(0.0): "q's entropy lost",
    _share_of_log_q(0.5): "q's entropy lost",
    _share_of_log_q(-1.0): "q's entropy lost",
    _elbo(lambda w: w.sum(0)): "sum over samples",
    _elbo(lambda w: w.logsumexp(0) - math.log(K)): "mean of the weights, then the logarithm",
}


@inspection("1.4")
def broken_elbo(seen: Seen, broken_elbo: Callable) -> str:
    """An estimate from (log_joint, q, num_samples) that rises above log p(x)."""

    def run(function: Callable, seed: int) -> Tensor:
        torch.manual_seed(seed)
        arguments = _log_joint, Normal(MEANS, torch.full_like(MEANS, 0.4)), K
        return seen.call(function, *arguments, like=EXACT).detach().double()

    def is_like(function: Callable) -> bool:
        return torch.allclose(values[0], run(function, 0), rtol=1e-4, atol=1e-4)

    values = torch.stack([run(broken_elbo, seed) for seed in range(TIMES)])  # (3, 4)
    if not values.isfinite().all():
        seen.fault("not finite", "Your function returns infinities or NaN.")
    if (values - values[0, 0]).abs().max() < 1e-6:
        seen.fault("a constant")
    offset = values - torch.stack([run(_elbo(), seed) for seed in range(TIMES)])
    if (offset - offset.mean(0)).abs().max() < 1e-4 and not is_like(WITHOUT_LOG_SIGMA):
        seen.fault("a constant added" if offset.abs().max() > 1e-4 else "the ELBO itself")
    low, high = float((values - EXACT).min()), float((values - EXACT).max())
    if low < MARGIN:
        where = f"{abs(low):.3g} nats {'above' if low > 0 else 'below'} log p(x)"
        text = f"For one image it lies {where}; {MARGIN} above is asked for, for each."
        names = (name for function, name in BELOW.items() if is_like(function))
        seen.fault(next(names, "not above"), text)
    rest = "The folded answer lists such faults; is yours there?"
    why = next((text for function, text in ABOVE.items() if is_like(function)), rest)
    return f"Broken: {low:.3g} to {high:.3g} nats above log p(x). {why}"
