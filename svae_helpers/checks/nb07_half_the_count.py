"""Check of notebook 07: a control with half the count and no sparsity, made of the dense model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .inspection import Seen, inspection
from .small_vae import OnDigits

MOST = 0.6  # of the dense model's count
SAME_ELBO, SAME_KEPT, SAME_HOYER = 0.1, 0.5, 0.005  # nats, nats, Hoyer's units


@inspection("7.4")
def half_the_count(seen: Seen, dense: Any, control: Any) -> str:
    """The dense model, and the same one in units in which fewer means lie past the crossover.

    Compared on the package's test digits: the count falls to 60% or less; ELBO, log p(x|z) with
    four latents kept and Hoyer's sparsity stay.
    """
    before, after = OnDigits(seen, dense), OnDigits(seen, control)
    if before.mu.shape != after.mu.shape:
        text = f"It has {after.mu.shape[1]} latents, the dense model {before.mu.shape[1]}."
        seen.fault("another number of latents", text)
    signs = torch.where((before.mu * after.mu).sum(0) < 0, -1.0, 1.0)  # −1: mirrored; (D,)
    elbo = [float((m.reconstruction(s) - m.kl()).mean()) for m, s in ((before, 1), (after, signs))]
    kept, hoyer = ([f(m) for m in (before, after)] for f in (_kept, _hoyer))
    numbers = (
        f"Count {before.count:.1f} → {after.count:.1f}; in nats, ELBO {elbo[0]:.1f} → "
        f"{elbo[1]:.1f} and with four latents kept {kept[0]:.1f} → {kept[1]:.1f}; "
        f"Hoyer's sparsity {hoyer[0]:.3f} → {hoyer[1]:.3f}."
    )
    same = abs(elbo[1] - elbo[0]) < SAME_ELBO and abs(kept[1] - kept[0]) < SAME_KEPT
    if not (same and abs(hoyer[1] - hoyer[0]) < SAME_HOYER):
        seen.fault(_changed(before, after, signs), numbers)
    if after.count > 1.02 * before.count:
        seen.fault("more than before", numbers)
    if after.count > MOST * before.count:
        seen.fault("not half yet", numbers)
    return f"The same model, fewer latents on, no sparsity. {numbers}"


def _changed(before: OnDigits, after: OnDigits, signs: Tensor) -> str:
    """What was changed besides the units, or not changed with them."""
    z = torch.linspace(-3, 3, 31)[:, None].expand_as(before.mu[:31])
    prior = after.log_prior(z)
    curve = prior.diff(n=2, dim=0)  # of a Gaussian's log-density: the same everywhere
    if (curve - curve[:1]).abs().max() > 1e-3 * curve.abs().max():
        return "a prior of another shape"
    units = after.mu.std(dim=0) / before.mu.std(dim=0) * signs
    if (units.abs() < 1e-3).any():
        return "latents switched off"
    images = [m.log_likelihood(m.mu) for m in (before, after)]
    wanted = before.log_prior(z / units) - units.abs().log()
    faults = {
        "another model": not torch.allclose(after.mu, before.mu * units, 1e-2, 1e-3),
        "widths in other units": not torch.allclose(after.sigma, before.sigma * units.abs(), 1e-2),
        "decoder in other units": not torch.allclose(*images, atol=0.05),
        "prior in other units": not torch.allclose(prior, wanted, 1e-2, 1e-2),
    }
    return next((name for name, is_so in faults.items() if is_so), "another model")


def _strength(model: OnDigits) -> Tensor:
    return model.mu.abs() / model.mu.std(dim=0).clamp(min=1e-6)


def _kept(model: OnDigits) -> float:
    """log p(x|z) with the four strongest latents kept, by size in units of their own."""
    weakest = _strength(model).topk(model.mu.shape[1] - 4, largest=False).indices
    return float(model.log_likelihood(model.mu.scatter(1, weakest, 0.0)).mean())


def _hoyer(model: OnDigits) -> float:
    y, root = _strength(model), model.mu.shape[1] ** 0.5
    return float(((root - y.sum(1) / y.norm(dim=1).clamp(min=1e-6)) / (root - 1)).mean())
