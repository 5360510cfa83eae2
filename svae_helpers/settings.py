"""What the sweep behind notebooks 06 to 09 trains: one `Setting` a run, and the grids of them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from torch.distributions import Distribution, Normal

from .arguments import one_of, real_number, whole_number
from .gated import GatedNormal
from .spike_and_slab import SpikeAndSlab

SPIKE_VAR = 0.05
ALLOWED = {
    "source": ("embedded", "fashion"),
    "prior": ("sparse", "dense", "scaled", "gated"),
    "posterior": ("gaussian", "straight-through", "relaxed", "sharp"),
    "gradient": ("pathwise", "detached", "none"),
    "reduction": ("sum", "mean"),
    "pixels": ("grey", "binary"),
    "schedule": ("one-cycle", "constant"),
}
GENTLE = {"schedule": "constant", "learning_rate": 1e-3, "batch_size": 128}  # faults survive it
CONVERGED = {"embedded": 60, "fashion": 10}  # epochs, by the criterion of notebook 07


@dataclass(frozen=True)
class Setting:
    """One training of the sweep.

    Attributes:
        source: of the images, as in `load_mnist`.
        prior: "sparse" is the spike and slab; "dense" N(0, 1); "scaled" a Gaussian of the sparse
            prior's variance, which differs from the dense one in its unit alone; "gated" has a
            point mass for a spike.
        spike_prob: probability that a latent is off; of the dense and scaled priors, that of the
            sparse prior whose crossover their latents are counted with.
        spike_var: variance of the spike.
        latent_dim: D.
        posterior: "gaussian", or of a gated prior the three recipes of notebook 08.
        gradient: of the KL: "pathwise", "detached" (`kl_detached`'s), or "none": no KL at all.
        reduction: "sum" over latents; "mean" over latents and batch, that is a weight of 1/(B·D).
        kl_samples: K of the Monte Carlo KL; 0 is the exact one.
        beta: weight of the KL; marginal_weight: λ of notebook 09 (Eq. 9.1).
        kl_warmup: epochs over which the KL's weight rises.
        pixels: "grey", or "binary" (drawn afresh in each batch; the test images drawn once).
    """

    source: str = "embedded"
    prior: str = "sparse"
    spike_prob: float = 0.8
    spike_var: float = SPIKE_VAR
    latent_dim: int = 20
    posterior: str = "gaussian"
    gradient: str = "pathwise"
    reduction: str = "sum"
    kl_samples: int = 10
    beta: float = 1.0
    marginal_weight: float = 0.0
    kl_warmup: int = 0
    pixels: str = "grey"
    learning_rate: float = 5e-3
    batch_size: int = 64
    schedule: str = "one-cycle"
    epochs: int = CONVERGED["embedded"]
    seed: int = 0

    def __post_init__(self):
        for name, values in ALLOWED.items():
            one_of(name, getattr(self, name), values)
        least = {"latent_dim": 1, "batch_size": 1, "epochs": 1, "kl_samples": 0, "kl_warmup": 0}
        for name in (*least, "seed"):
            whole_number(name, getattr(self, name), least.get(name))
        for name in ("beta", "marginal_weight"):
            real_number(name, getattr(self, name), 0)
        for name in ("spike_var", "learning_rate"):
            real_number(name, getattr(self, name), positive=True)
        if not 0 < real_number("spike_prob", self.spike_prob) < 1:
            raise ValueError(f"spike_prob must lie in (0, 1), got {self.spike_prob}")
        if (self.prior == "gated") != (self.posterior != "gaussian"):
            raise ValueError(f"a {self.prior} prior does not go with posterior {self.posterior!r}")

    @property
    def kl_weight(self) -> float:
        """Weight of a KL summed over latents, beside a reconstruction averaged over images."""
        weight = 1.0 if self.reduction == "sum" else 1 / (self.batch_size * self.latent_dim)
        return self.beta * weight if self.gradient != "none" else 0.0

    @property
    def counting_prior(self) -> SpikeAndSlab:
        """The spike and slab whose crossover the latents are counted with."""
        return SpikeAndSlab.gaussian(self.spike_prob, self.spike_var)

    @property
    def model_prior(self) -> Distribution:
        """p(z) of one latent."""
        if self.prior == "dense":
            return Normal(0.0, 1.0)
        if self.prior == "scaled":
            return Normal(0.0, float(self.counting_prior.variance) ** 0.5)
        if self.prior == "gated":
            return GatedNormal(gate_prob=1 - self.spike_prob)
        return self.counting_prior


def as_text(setting: Setting) -> dict[str, str]:
    """A setting as the sweep's file writes it."""
    return {name: str(value) for name, value in asdict(setting).items()}


KEY = [field.name for field in fields(Setting)]


def _rows_of_both_sources(source: str) -> Iterator[dict]:
    """The decisive rows: each prior, the faults and the penalty, for three numbers of latents."""
    priors = [
        {"prior": "dense"},
        {"prior": "scaled"},
        *({"spike_prob": p} for p in (0.5, 0.8, 0.9)),
    ]
    printed = {"gradient": "detached", "reduction": "mean"}
    decisive = [*priors, printed, {"gradient": "none"}, {"marginal_weight": 1.0}]
    for latent_dim, row in itertools.product((20, 10, 50), decisive):
        yield {"latent_dim": latent_dim, **row}
    yield from ({**row, **GENTLE} for row in ({}, printed, {"gradient": "none"}))
    knobs = [{"marginal_weight": 3.0}, {"beta": 1.5}, {"beta": 2.0}, {"spike_prob": 0.95}]
    yield from knobs  # the frontier of notebook 09, with two controls
    yield from ({"prior": prior, "marginal_weight": 1.0} for prior in ("dense", "scaled"))
    budgets = (8, 15, 30, 120) if source == "embedded" else (5, 20)
    compared = [{"prior": "dense"}, {"prior": "scaled"}, {}, {"marginal_weight": 1.0}]
    for epochs, row in itertools.product(budgets, compared):
        yield {"epochs": epochs, **row}


def _rows_of_the_digits() -> Iterator[dict]:
    """What only the embedded digits are cheap enough for."""
    yield from ({**fault, **GENTLE} for fault in ({"gradient": "detached"}, {"reduction": "mean"}))
    for row in ({}, {"gradient": "detached", "reduction": "mean"}, {"gradient": "none"}):
        yield from ({"latent_dim": latent_dim, **row, **GENTLE} for latent_dim in (10, 50))
    yield from ({"kl_samples": 1}, {"kl_samples": 0})
    yield from ({"marginal_weight": weight} for weight in (0.3, 10.0))
    yield from ({"beta": 1.2}, {"beta": 4.0})
    binary = {"pixels": "binary", "kl_samples": 0}
    narrow, wide_mended = {"spike_var": 0.0025}, {"marginal_weight": 1.0}
    priors = [
        {"prior": "dense"},
        {"prior": "scaled"},
        *({"spike_prob": p} for p in (0.5, 0.8, 0.9)),
    ]
    gates = [{"prior": "gated", "posterior": name} for name in ALLOWED["posterior"][1:]]
    warm = {**gates[1], "kl_warmup": 15}
    mended = [{**gate, "marginal_weight": 1.0} for gate in gates]
    for row in [*priors, narrow, wide_mended, *gates, warm, *mended]:
        yield binary | row
    recipes = [("constant", 1e-3, 128), ("constant", 3e-3, 128), ("one-cycle", 5e-3, 128)]
    recipes += [("one-cycle", rate, 64) for rate in (3e-3, 1e-2)] + [("one-cycle", 5e-3, 32)]
    for schedule, rate, batch_size in recipes:
        recipe = {"schedule": schedule, "learning_rate": rate, "batch_size": batch_size}
        for prior in ("dense", "sparse"):
            yield {"prior": prior, "epochs": 30, **recipe}


def full_grid(
    source: str = "embedded", seeds: Sequence[int] = (0, 1, 2), epochs: int | None = None
) -> list[Setting]:
    """Every training of one source, each once: those of 20 latents first, seed by seed.

    Args:
        epochs: of every run, in place of the course's budgets.
    """
    rows = list(_rows_of_both_sources(source))
    rows += list(_rows_of_the_digits()) if source == "embedded" else []
    grid = []
    for seed, row in itertools.product(seeds, rows):
        budget = epochs or row.get("epochs", CONVERGED[source])
        grid.append(Setting(**row | {"source": source, "seed": seed, "epochs": budget}))
    return sorted(dict.fromkeys(grid), key=lambda setting: setting.latent_dim != 20)
