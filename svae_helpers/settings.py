"""What the sweep behind notebook 07 trains, and the columns of its table."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from torch.distributions import Distribution, Normal

from .spike_and_slab import SpikeAndSlab

SPIKE_VAR = 0.05
BATCH_SIZE = 128
LEARNING_RATE = 1e-3
ALLOWED = {
    "gradient": ("pathwise", "detached", "none"),
    "reduction": ("sum", "mean"),
    "pixels": ("grey", "binary"),
}


@dataclass(frozen=True)
class Setting:
    """One training of the sweep.

    Attributes:
        spike_prob: probability that a latent is off; 0 is the dense prior N(0, I).
        latent_dim: D.
        gradient: of the KL: `kl_monte_carlo`'s "pathwise", `kl_detached`'s, or "none" at all.
        reduction: "sum" over latents; "mean" over latents and batch, that is a weight of 1/(B·D).
        pixels: "grey", or "binary" (drawn afresh in each batch; the test images drawn once).
    """

    spike_prob: float = 0.8
    latent_dim: int = 20
    gradient: str = "pathwise"
    reduction: str = "sum"
    pixels: str = "grey"
    seed: int = 0
    epochs: int = 20

    def __post_init__(self):
        for name, values in ALLOWED.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {values}, got {getattr(self, name)!r}")
        if not 0 <= self.spike_prob < 1:
            raise ValueError(f"spike_prob must lie in [0, 1), got {self.spike_prob}")

    @property
    def beta(self) -> float:
        """Weight of a KL summed over latents, beside a reconstruction averaged over images."""
        weight = 1.0 if self.reduction == "sum" else 1 / (BATCH_SIZE * self.latent_dim)
        return weight if self.gradient != "none" else 0.0

    @property
    def prior(self) -> Distribution:
        """p(z) of one latent."""
        sparse = self.spike_prob > 0
        return SpikeAndSlab.gaussian(self.spike_prob, SPIKE_VAR) if sparse else Normal(0.0, 1.0)


MEASURES = (
    "elbo", "reconstruction", "kl", "log_px",
    "count", "count_prior", "drawn_count", "expected_count", "expected_count_prior", "active_units",
    "mutual_information", "kl_aggregate", "latent_information", "kl_marginals",
    "hoyer", "hoyer_gaussian", "hoyer_prior", "confidence", "class_entropy",
)  # fmt: skip  # a line a kind of measure
KEY = [field.name for field in fields(Setting)]
COLUMNS = [*KEY, *MEASURES]


def full_grid(seeds: Sequence[int] = (0, 1, 2), epochs: int = 20) -> list[Setting]:
    """Every training behind notebook 07, each once, seed by seed."""
    grid, priors = [], (0.0, 0.5, 0.8, 0.9)
    for common in ({"seed": seed, "epochs": epochs} for seed in seeds):
        for gradient, reduction in itertools.product(("pathwise", "detached"), ("sum", "mean")):
            grid.append(Setting(gradient=gradient, reduction=reduction, **common))
        grid.append(Setting(gradient="none", **common))
        grid += [Setting(p, d, **common) for p, d in itertools.product(priors, (10, 20, 50))]
        grid += [Setting(p, pixels="binary", **common) for p in priors]
    return list(dict.fromkeys(grid))
