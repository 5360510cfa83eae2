"""Check of notebook 05: the Monte Carlo estimate of KL(q ‖ p)."""

from collections.abc import Callable

from torch import Generator, Tensor

from .draws import draw_posterior
from .estimates import GENERAL, REDUCED, SHARED, kl_at_draws, probe_kl
from .mathematics import kl_standard
from .mistakes import Reduction, Terms, whole
from .mistakes import mistake as M
from .random_exercise import Caller, Findings, random_exercise


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for rows, latents, K in ((1, 4, 2), (5, 1, 4), (4, 4, 1), (3, 2, 6)):
        call(*draw_posterior(g, rows, latents), GENERAL.log_prob, K)
    probe_kl(call, seen, B=24, D=6, K=16)


OF_DRAWS = (
    *REDUCED,
    M("KL with the wrong sign", lambda t: -t.mean(0).sum(-1)),
    M("batch averaged", lambda t: t.mean(0).sum(-1).mean(), Tensor.mean),
    M("batch averaged", lambda t: t.mean(0).sum(), Tensor.sum),
    M("latents not summed", lambda t: t.mean(0)),
    M("images mixed up", lambda t: t.sum(-1).reshape(t.shape[1], -1).mean(1)),
    M("samples not averaged", lambda t: t.sum(-1)),
)
PER_IMAGE = Reduction(lambda t: t.mean(0).sum(1), OF_DRAWS)


@random_exercise("5.1", _probe, ["mu", "log_var"], PER_IMAGE)
def monte_carlo_kl(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Terms:
    """`(mu, log_var, log_prior, num_samples) -> (B,)`, in nats; see `estimates.probe_kl`."""
    return kl_at_draws(mu, log_var, log_prior, num_samples)


monte_carlo_kl.mistakes(
    *SHARED, ("KL to N(0, I)", whole(lambda m, v, log_prior, K: kl_standard(m, v).sum(1)))
)
