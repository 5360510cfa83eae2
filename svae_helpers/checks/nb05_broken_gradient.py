"""Check of notebook 05: a KL broken on purpose, with the right value and a wrong gradient."""

from collections.abc import Callable

import torch

from .estimates import GENERAL, differentiate, posterior
from .inspection import Seen, inspection
from .statistics import FAMILY, mean_p

B, D, CALLS, SAMPLES = 24, 5, 24, 16


@inspection("5.3")
def broken_gradient(seen: Seen, broken_kl: Callable) -> str:
    """A Monte Carlo KL whose value is right on average, and whose gradient is not."""
    q = posterior(GENERAL, B, D)
    tensors = [t.double().requires_grad_() for t in q]
    exact = GENERAL.kl(*tensors).sum(1)
    wanted = torch.stack(torch.autograd.grad(exact.sum(), tensors))  # (2, B, D)
    exact, values, found = exact.detach(), [], []
    for _ in range(CALLS):
        mu, log_var = (t.clone().requires_grad_() for t in q)
        value = seen.call(broken_kl, mu, log_var, GENERAL.log_prob, SAMPLES, like=exact)
        if not value.requires_grad:
            seen.fault("no gradient at all")
        values.append(value.detach().double())
        found.append(torch.stack(differentiate(value, mu, log_var)).double())
    errors = torch.stack(values) - exact  # (CALLS, B)
    if mean_p(errors.flatten(), floor=1e-4) < FAMILY:
        seen.fault("value wrong", f"It is {errors.mean():+.2g} nats off on average.")
    if mean_p(((exact - exact.mean()) * errors).flatten(), floor=1e-4) < FAMILY:
        seen.fault("value wrong", "It is right for the average image, not for each.")
    size = wanted.square().sum((1, 2), keepdim=True) / B
    shares = (torch.stack(found) * wanted / size).sum(3)  # (CALLS, 2, B); mean 1 where right
    off = (shares - (wanted * wanted / size).sum(2)).transpose(0, 1)
    mu, log_var = shares.mean((0, 2)).tolist()
    text = f"The gradient is {mu:z.2f} times the right one in `mu`, {log_var:z.2f} in `log_var`"
    if min(mean_p(part.flatten(), floor=1e-4) for part in off) > FAMILY:
        seen.fault("gradient right", f"{text}.")
    entropy = float((-0.5 * wanted[1] / size[1]).sum()) / B  # its share of the gradient in log_var
    ways = {
        ", as with `sample`: the draws are cut off, and ∇ log q alone has mean 0": (0, 0),
        ": log p has no say, and every posterior widens": (0, entropy),
        ": log q has no say, and nothing keeps a posterior from shrinking": (1, 1 - entropy),
        ": the means feel no pull": (0, 1),
        ": the widths feel no pull": (1, 0),
    }
    near = [how for how, (x, y) in ways.items() if abs(x - mu) + abs(y - log_var) < 0.2]
    return f"The value is right on average. {text}{''.join(near)}."
