"""The runs behind notebook 07: `python -m svae_helpers.experiments` makes figures/sweep.csv.

One `Setting` is one training; `run` turns it into one row of numbers; `sweep` adds to a CSV file
the rows that are not in it yet.
"""

import argparse
import csv
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from .data import binarise_images, load_mnist
from .distributions import SpikeAndSlab
from .divergences import kl_monte_carlo
from .metrics import (
    active_units,
    expected_slab_count,
    hoyer_gaussian_reference,
    hoyer_prior_reference,
    hoyer_sparsity,
    prior_slab_count,
    slab_count,
)
from .models import VAE
from .objectives import importance_weighted_bound
from .training import evaluate, fit, seed_everything

SPIKE_VAR = 0.05
COUNTING_PROB = 0.8  # a dense model's latents are counted with this spike_prob's crossover
BATCH_SIZE = 128
BOUND_SAMPLES, BOUND_IMAGES = 200, 500  # importance-weighted log p(x)
NUM_GENERATED = 1_000  # images judged by the classifier
DEFAULT_OUTPUT = Path(__file__).resolve().parents[1] / "figures" / "sweep.csv"


@dataclass(frozen=True)
class Setting:
    """One training of the sweep.

    Attributes:
        spike_prob: probability that a latent is off; 0 is the dense prior N(0, I).
        latent_dim: D.
        gradient: "pathwise" trains with `kl_monte_carlo`, "detached" with `kl_detached`, "none"
            without a KL.
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
        for name, allowed in (
            ("gradient", ("pathwise", "detached", "none")),
            ("reduction", ("sum", "mean")),
            ("pixels", ("grey", "binary")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        if not 0 <= self.spike_prob < 1:
            raise ValueError(f"spike_prob must lie in [0, 1), got {self.spike_prob}")

    @property
    def beta(self) -> float:
        """Weight of a KL summed over latents, beside a reconstruction averaged over images."""
        if self.gradient == "none":
            return 0.0
        return 1.0 if self.reduction == "sum" else 1 / (BATCH_SIZE * self.latent_dim)

    @property
    def prior(self) -> Distribution:
        """p(z) of one latent."""
        if self.spike_prob == 0:
            return Normal(0.0, 1.0)
        return SpikeAndSlab.gaussian(self.spike_prob, SPIKE_VAR)


MEASURES = [
    "elbo",
    "reconstruction",
    "kl",
    "log_px",
    "count",
    "count_prior",
    "drawn_count",
    "expected_count",
    "expected_count_prior",
    "active_units",
    "mutual_information",
    "kl_aggregate",
    "latent_information",
    "kl_marginals",
    "hoyer",
    "hoyer_gaussian",
    "hoyer_prior",
    "confidence",
    "class_entropy",
]
COLUMNS = [field.name for field in fields(Setting)] + MEASURES


def kl_detached(q: Distribution, p: Distribution, num_samples: int = 10) -> Tensor:
    """`kl_monte_carlo` with samples that carry no gradient: the same value, no pull (Eq. 2.2)."""
    z = q.sample((num_samples,))  # (K, B, D), a constant for autograd
    return (q.log_prob(z) - p.log_prob(z)).mean(dim=0)


def full_grid(seeds: Sequence[int] = (0, 1, 2), epochs: int = 20) -> list[Setting]:
    """Every training behind notebook 07, each once, seed by seed."""
    grid = []
    for seed in seeds:
        faults = itertools.product(("pathwise", "detached"), ("sum", "mean"))
        grid += [Setting(gradient=g, reduction=r, seed=seed, epochs=epochs) for g, r in faults]
        grid += [Setting(gradient="none", seed=seed, epochs=epochs)]
        for spike_prob, latent_dim in itertools.product((0.0, 0.5, 0.8, 0.9), (10, 20, 50)):
            grid += [Setting(spike_prob, latent_dim, seed=seed, epochs=epochs)]
        for spike_prob in (0.0, 0.5, 0.8, 0.9):
            grid += [Setting(spike_prob, pixels="binary", seed=seed, epochs=epochs)]
    return list(dict.fromkeys(grid))


def train_setting(setting: Setting, images: Tensor) -> VAE:
    """Train one setting's model from its seed.

    Raises:
        KeyboardInterrupt: if training is interrupted; a half-trained model is no result.
    """
    seed_everything(setting.seed)
    model = VAE(setting.latent_dim, prior=setting.prior)
    history = fit(
        model,
        images,
        epochs=setting.epochs,
        batch_size=BATCH_SIZE,
        kl=kl_detached if setting.gradient == "detached" else kl_monte_carlo,
        beta=setting.beta,
        binarise="dynamic" if setting.pixels == "binary" else "none",
        seed=setting.seed,
        device="cpu",
        progress=False,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return model


@torch.no_grad()
def measure(model: VAE, setting: Setting, images: Tensor) -> dict[str, float]:
    """Measure a trained model on test images (N, 784): `MEASURES`, in nats per image or latents."""
    seed_everything(setting.seed)
    terms = evaluate(model, images, kl_divergence)
    q = model.encode(images)
    reference = SpikeAndSlab.gaussian(setting.spike_prob or COUNTING_PROB, SPIKE_VAR)
    dense = setting.spike_prob == 0
    of_prior = slab_count(model.sample_prior(100_000), reference).float().mean()
    live = int(active_units(q.mean))
    information, aggregate = elbo_surgery(q, model.prior)
    latent_information, marginals = latent_surgery(q, model.prior)
    confidence, class_entropy = judge(train_classifier(), model.sample(NUM_GENERATED))
    few = live < 2  # Hoyer's measure needs two
    return {
        "elbo": terms.elbo.mean(),
        "reconstruction": terms.reconstruction.mean(),
        "kl": terms.kl.mean(),
        "log_px": _log_px(model, images) if setting.pixels == "binary" else "",
        "count": slab_count(q.mean, reference).float().mean(),
        "count_prior": of_prior if dense else prior_slab_count(reference, setting.latent_dim),
        "drawn_count": slab_count(q.sample(), reference).float().mean(),
        "expected_count": expected_slab_count(q, reference).mean(),
        "expected_count_prior": _expected_count_of_prior(setting, reference),
        "active_units": live,
        "mutual_information": information,
        "kl_aggregate": aggregate,
        "latent_information": latent_information,
        "kl_marginals": marginals,
        "hoyer": 0.0 if few else hoyer_sparsity(q.mean),
        "hoyer_gaussian": 0.0 if few else hoyer_gaussian_reference(live),
        "hoyer_prior": 0.0 if few else hoyer_prior_reference(model.prior, live),
        "confidence": confidence,
        "class_entropy": class_entropy,
    }


def run(setting: Setting) -> dict[str, str]:
    """Train and measure one setting: a row of the CSV file, as text.

    Raises:
        FloatingPointError: if training or a measure becomes NaN or infinite.
    """
    train, test = _images(setting.pixels)
    measures = measure(train_setting(setting, train), setting, test)
    bad = [name for name, value in measures.items() if value != "" and not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} not finite for {setting}")
    numbers = {name: value if value == "" else f"{value:.5g}" for name, value in measures.items()}
    return _key(setting) | numbers


@torch.no_grad()
def elbo_surgery(q: Normal, prior: Distribution, num_samples: int = 10) -> tuple[float, float]:
    """Split the mean KL into mutual information and KL(aggregate ‖ prior) (Eq. 7.1).

    The aggregate is the mixture of the N posteriors given, so the information is that between z
    and which of the N images it codes: exact for these N, at most log N, and for all digits too
    small (and the other part too large) once it comes near log N.

    Args:
        q: posterior of batch shape (N, D).
        num_samples: draws per image of the Monte Carlo estimate.

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
    """The same split latent by latent, summed over latents (Eq. 7.3).

    One latent holds far less than log N nats, so here the ceiling is out of reach.

    Returns:
        (Σ_d information between z_d and the image, Σ_d KL(q(z_d) ‖ p(z_d))), in nats.
    """
    information, marginals = 0.0, 0.0
    for latent in range(q.loc.shape[1]):
        one = Normal(q.loc[:, latent], q.scale[:, latent])
        z = one.sample((num_samples,))  # (S, N)
        log_mixture = torch.logsumexp(one.log_prob(z[..., None]), -1) - math.log(len(q.loc))
        information += (one.log_prob(z) - log_mixture).mean().item()
        marginals += (log_mixture - prior.log_prob(z)).mean().item()
    return information, marginals


@cache
def train_classifier(epochs: int = 15) -> nn.Module:
    """Train a small convolutional classifier on the 4,000 labelled digits, from seed 0."""
    images, labels = load_mnist()[0]
    seed_everything(0)
    classifier = nn.Sequential(
        nn.Unflatten(-1, (1, 28, 28)),
        nn.Conv2d(1, 16, kernel_size=5, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10),
    )
    optimiser = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    with torch.enable_grad():
        for _ in range(epochs):
            for chosen in torch.randperm(len(images)).split(BATCH_SIZE):
                loss = F.cross_entropy(classifier(images[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return classifier.eval()


@torch.no_grad()
def judge(classifier: nn.Module, images: Tensor) -> tuple[float, float]:
    """How sure a classifier is of images (N, 784), and how evenly it spreads them over classes.

    Returns:
        (mean of the largest class probability, entropy in nats of the mean class probabilities:
        log 10 ≈ 2.303 for ten classes in equal shares).
    """
    probabilities = classifier(images).softmax(dim=-1)
    shares = probabilities.mean(dim=0)
    return probabilities.amax(dim=-1).mean().item(), torch.special.entr(shares).sum().item()


def sweep(settings: Sequence[Setting], path: str | Path, say: Callable[[str], None] = print) -> int:
    """Run the settings that a CSV file lacks; each row is on the disk before the next run starts.

    Returns:
        How many were run.

    Raises:
        ValueError: if the file holds something else than rows of this sweep.
    """
    path = Path(path)
    done = {tuple(row[name] for name in _key(Setting())) for row in read_rows(path, mend=True)}
    todo = [s for s in dict.fromkeys(settings) if tuple(_key(s).values()) not in done]
    say(f"{len(settings) - len(todo)} of {len(settings)} runs are in {path.name}")
    start = time.perf_counter()
    for number, setting in enumerate(todo, 1):
        row = run(setting)
        _append(path, row)
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        what = ", ".join(f"{name} {value}" for name, value in _key(setting).items())
        say(f"[{number}/{len(todo)}] {what}: ELBO {row['elbo']}; {left / 60:.0f} min left")
    return len(todo)


def read_rows(path: str | Path, mend: bool = False) -> list[dict[str, str]]:
    """Rows of a sweep's CSV file as text; none if there is no file.

    Args:
        mend: also cut a last line off that an interrupt left half written.

    Raises:
        ValueError: if the columns are not this sweep's, or a line is damaged.
    """
    path = Path(path)
    if not path.exists():
        return []
    text = path.read_bytes().decode("utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    if mend and whole != text:
        with path.open("r+b") as file:
            file.truncate(len(whole.encode("utf-8")))
    header, *lines = list(csv.reader(whole.splitlines())) or [COLUMNS]
    if header != COLUMNS:
        raise ValueError(f"{path.name} has other columns than this sweep: move it away first")
    for number, line in enumerate(lines, 2):
        if len(line) != len(COLUMNS):
            raise ValueError(
                f"{path.name}, line {number}: wanted {len(COLUMNS)} values, got {len(line)}"
            )
    return [dict(zip(COLUMNS, line, strict=True)) for line in lines]


def _append(path: Path, row: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def _key(setting: Setting) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(setting).items()}


def _images(pixels: str) -> tuple[Tensor, Tensor]:
    """Training images, and test images of the kind of pixel that the model is judged on."""
    train, test = load_mnist()
    if pixels == "grey":
        return train.images, test.images
    return train.images, binarise_images(test.images, torch.Generator().manual_seed(0))


def _log_px(model: VAE, images: Tensor) -> Tensor:
    batches = images[:BOUND_IMAGES].split(50)
    return torch.cat([importance_weighted_bound(model, x, BOUND_SAMPLES) for x in batches]).mean()


def _expected_count_of_prior(setting: Setting, reference: SpikeAndSlab) -> float:
    """E_p[Σ_d P(slab | z_d)]: (1 − spike_prob)·D under the sparse prior itself."""
    if setting.spike_prob > 0:
        return (1 - setting.spike_prob) * setting.latent_dim
    standard = Normal(torch.zeros(1, setting.latent_dim), torch.ones(1, setting.latent_dim))
    return float(expected_slab_count(standard, reference))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Run the sweep behind notebook 07.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the CSV file")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.epochs < 1:
        parser.error("--seeds and --epochs must be at least 1")
    try:
        sweep(
            full_grid(range(options.seeds), options.epochs),
            options.output,
            say=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished runs are kept; the same command goes on from here.")
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
