"""Check of notebook 07: a control with half the count and no sparsity, made of the dense model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from .inspection import Seen, inspection
from .small_vae import (
    VARIANCE,
    OnDigits,
    SmallVAE,
    device_of,
    log_likelihood,
    log_prior,
    mirrored,
    on_digits,
    sparse_prior,
)

MOST = 0.6  # of the dense model's count
SAME_ELBO, SAME_KEPT, SAME_HOYER = 0.1, 0.5, 0.005  # nats, nats, Hoyer's units


def _examine(seen: Seen, dense: Any, control: Any) -> str:
    before = on_digits(seen, dense)
    after = on_digits(seen, control, beside=before)
    if before.mu.shape != after.mu.shape:
        text = f"It has {after.mu.shape[1]} latents, the dense model {before.mu.shape[1]}."
        seen.fault("another number of latents", text)
    kept = [_kept(seen, model, m.mu) for model, m in ((dense, before), (control, after))]
    hoyer = [_hoyer(m.mu) for m in (before, after)]
    numbers = (
        f"Count {before.count:.1f} → {after.count:.1f}; in nats, ELBO {before.elbo:.1f} → "
        f"{after.elbo:.1f} and with four latents kept {kept[0]:.1f} → {kept[1]:.1f}; "
        f"Hoyer's sparsity {hoyer[0]:.3f} → {hoyer[1]:.3f}."
    )
    same = abs(after.elbo - before.elbo) < SAME_ELBO and abs(kept[1] - kept[0]) < SAME_KEPT
    if not (same and abs(hoyer[1] - hoyer[0]) < SAME_HOYER):
        _explain(seen, dense, control, before, after, numbers)
    if after.count > 1.02 * before.count:
        seen.fault("more than before", numbers)
    if after.count > MOST * before.count:
        seen.fault("not half yet", numbers)
    return f"The same model, fewer latents on, no sparsity. {numbers}"


def _explain(
    seen: Seen, dense: Any, control: Any, before: OnDigits, after: OnDigits, numbers: str
) -> None:
    """Say what was changed besides the units, or not changed with them."""
    z = torch.linspace(-3, 3, 31)[:, None].expand(-1, before.mu.shape[1])
    here, there = device_of(seen, control), device_of(seen, dense)
    prior = log_prior(seen, control, z.to(here)).cpu()
    curve = prior.diff(n=2, dim=0)  # of a Gaussian's log-density: the same everywhere
    if (curve - curve[:1]).abs().max() > 1e-3 * curve.abs().max():
        seen.fault("a prior of another shape", numbers)
    units = after.mu.std(dim=0) / before.mu.std(dim=0) * mirrored(before.mu, after.mu)
    if (units.abs() < 1e-3).any():
        seen.fault("latents switched off", numbers)
    if not torch.allclose(after.mu, before.mu * units, rtol=1e-2, atol=1e-3):
        seen.fault("another model", numbers)
    wanted = log_prior(seen, dense, (z / units).to(there)).cpu() - units.abs().log()
    faults = {
        "widths in other units": not torch.allclose(
            after.sigma, before.sigma * units.abs(), rtol=1e-2
        ),
        "decoder in other units": not torch.allclose(
            log_likelihood(seen, control, after.mu.to(here)),
            log_likelihood(seen, dense, before.mu.to(there)),
            atol=0.05,
        ),
        "prior in other units": not torch.allclose(prior, wanted, rtol=1e-2, atol=1e-2),
    }
    found = [name for name, seen_here in faults.items() if seen_here]
    seen.fault(found[0] if found else "another model", numbers)


def _strength(mu: Tensor) -> Tensor:
    return mu.abs() / mu.std(dim=0).clamp(min=1e-6)


def _kept(seen: Seen, model: Any, mu: Tensor) -> float:
    """log p(x|z) with the four strongest latents kept, by size in units of their own."""
    weakest = _strength(mu).topk(mu.shape[1] - 4, largest=False).indices
    silenced = mu.scatter(1, weakest, 0.0).to(device_of(seen, model))
    return float(log_likelihood(seen, model, silenced).mean())


def _hoyer(mu: Tensor) -> float:
    y, root = _strength(mu), mu.shape[1] ** 0.5
    return float(((root - y.sum(1) / y.norm(dim=1).clamp(min=1e-6)) / (root - 1)).mean())


def _rescaled(
    s: float, widths: bool = True, decoder: bool = True, prior: Any = None
) -> tuple[SmallVAE, SmallVAE]:
    """A dense model that nobody trained, and the same one in units of s, less what is left out."""
    dense = SmallVAE(Normal(0.0, 1.0)).spread(0.9)
    with torch.no_grad():
        dense.decoder[2].weight *= 8
    control = copy.deepcopy(dense)
    control.means, control.width = s, s if widths else 1.0
    control.units, control.prior = s if decoder else 1.0, prior or Normal(0.0, s)
    return dense, control


def _silenced() -> tuple[SmallVAE, SmallVAE]:
    dense, control = _rescaled(1.0)
    with torch.no_grad():
        control.encoder[2].weight[:10], control.encoder[2].bias[:10] = 0, 0
    return dense, control


@inspection("7.4", _examine)
def half_the_count() -> tuple:
    """The dense model, and the same one in units in which fewer means lie past the crossover.

    Compared on the package's test digits: the count falls to 60% or less; ELBO, log p(x|z) with
    four latents kept and Hoyer's sparsity stay.
    """
    return _rescaled(VARIANCE**0.5)


half_the_count.mistakes(
    (
        "widths in other units",
        lambda: _rescaled(0.49, widths=False),
        "The posterior's σ is not in the units of its means: both get the same factor. In log σ² a "
        "factor s is + 2 log s.",
    ),
    (
        "decoder in other units",
        lambda: _rescaled(0.49, decoder=False),
        "The decoder does not rebuild the dense model's images from the new codes: it must divide "
        "by what the encoder multiplies with. (Weights changed in place? Then copy them first, or "
        "the dense model changes too.)",
    ),
    (
        "prior in other units",
        lambda: _rescaled(0.49, prior=Normal(0.0, 1.0)),
        "The prior is not in the codes' units. Where they are s times the dense model's it is "
        "N(0, s²), whose standard deviation is s.",
    ),
    (
        "a prior of another shape",
        lambda: _rescaled(0.49, prior=sparse_prior()),
        "The prior is no Gaussian any more, and whatever the count does may be its doing: the "
        "control is to have no sparsity.",
    ),
    (
        "latents switched off",
        _silenced,
        "Some latents are the same for all images now. The count falls, and so does what the code "
        "says: it is another model. Keep every latent.",
    ),
    (
        "another model",
        lambda: (_rescaled(1.0)[0], SmallVAE(Normal(0.0, 0.49), seed=1)),
        "Its codes are not the dense model's in other units, so its count may differ for any "
        "reason. Here nothing but the units may change: train nothing.",
    ),
    (
        "another number of latents",
        lambda: (_rescaled(1.0)[0], SmallVAE(Normal(0.0, 1.0), latents=10)),
        "Half the latents, half the count: that is another model. Keep all 20.",
    ),
    ("not half yet", lambda: _rescaled(1.0), "It is the same model. The count has not halved yet."),
    (
        "more than before",
        lambda: _rescaled(2.0),
        "It is the same model in smaller units, and the count has risen: go the other way.",
    ),
)
