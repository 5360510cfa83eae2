"""What a training measured, epoch by epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from .metrics import active_units
from .objectives import ElboTerms

MEASURES = ("loss", "reconstruction", "kl", "active")


def _empty() -> dict[str, list[float]]:
    return {name: [] for name in MEASURES}


@dataclass
class History:
    """What `fit` measured after each epoch, in nats per image, as lists with one entry an epoch.

    Attributes:
        train, test: "loss" (−ELBO, whatever beta and penalty were trained with), "reconstruction"
            (log p(x|z)), "kl" and "active" (units in use, Eq. 6.4; NaN for a posterior without a
            mean). `train` averages over the epoch as it ran; `test` is empty without test images.
        interrupted: whether training was stopped by hand.
        optimiser: its state after the last epoch, from which `fit(resume=...)` goes on.
    """

    train: dict[str, list[float]] = field(default_factory=_empty)
    test: dict[str, list[float]] = field(default_factory=_empty)
    interrupted: bool = False
    optimiser: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def epochs(self) -> int:
        """Number of epochs that were finished."""
        return len(self.train["loss"])

    def add(self, part: str, record: Mapping[str, float]) -> None:
        """Append an epoch's record to "train" or "test"."""
        for name in MEASURES:
            getattr(self, part)[name].append(record[name])


def mean_of(q: Distribution) -> Tensor | None:
    """Posterior means (B, D), or None where the family has none to offer."""
    try:
        return q.mean.detach()
    except NotImplementedError:
        return None


def make_record(terms: ElboTerms, means: Sequence[Tensor | None]) -> dict[str, float]:
    """An epoch's `MEASURES` from the ELBO's terms and the posterior means, image by image."""
    reconstruction, kl = terms.reconstruction.mean().item(), terms.kl.mean().item()
    known = [mean for mean in means if mean is not None]
    active = math.nan
    if known:
        mu = torch.cat(known)
        active = int(active_units(mu)) if len(mu) > 1 else 0
    return {
        "loss": kl - reconstruction,
        "reconstruction": reconstruction,
        "kl": kl,
        "active": active,
    }
