"""The runs behind notebook 07: `python -m svae_helpers.experiments` makes figures/sweep.csv.

A `Setting` is one training, `run` turns it into a row, `sweep` adds the rows that a file lacks.
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
from functools import cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from . import metrics
from .data import binarise_images, load_mnist
from .devices import seed_everything
from .divergences import kl_monte_carlo
from .evaluation import evaluate
from .models import VAE
from .objectives import importance_weighted_bound
from .spike_and_slab import SpikeAndSlab
from .training import fit

SPIKE_VAR = 0.05
COUNTING_PROB = 0.8  # a dense model's latents are counted with this spike_prob's crossover
BATCH_SIZE = 128
BOUND_SAMPLES = 200  # of the importance-weighted log p(x)
NUM_GENERATED = 1_000  # images judged by the classifier
ALLOWED = {"reduction": ("sum", "mean"), "pixels": ("grey", "binary")}
ALLOWED["gradient"] = ("pathwise", "detached", "none")
DEFAULT_OUTPUT = Path(__file__).resolve().parents[1] / "figures" / "sweep.csv"


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
COLUMNS = [*(field.name for field in fields(Setting)), *MEASURES]


def kl_detached(q: Distribution, p: Distribution, num_samples: int = 10) -> Tensor:
    """`kl_monte_carlo` with samples that carry no gradient: the same value, no pull (Eq. 2.2)."""
    z = q.sample((num_samples,))  # (K, B, D), a constant for autograd
    return (q.log_prob(z) - p.log_prob(z)).mean(dim=0)


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


def train_setting(setting: Setting, images: Tensor) -> VAE:
    """Train one setting's model from its seed; a half-trained one (KeyboardInterrupt) is none."""
    seed_everything(setting.seed)
    model = VAE(setting.latent_dim, prior=setting.prior)
    kl = kl_detached if setting.gradient == "detached" else kl_monte_carlo
    binarise = "dynamic" if setting.pixels == "binary" else "none"
    options = {"beta": setting.beta, "binarise": binarise, "seed": setting.seed}
    options |= {"batch_size": BATCH_SIZE, "device": "cpu", "progress": False}
    history = fit(model, images, setting.epochs, kl=kl, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return model


@torch.no_grad()
def measure(model: VAE, setting: Setting, images: Tensor) -> dict[str, float]:
    """Measure a trained model on test images (N, 784): `MEASURES`, in nats per image or latents."""
    classifier = train_classifier()  # first: it sets a seed of its own
    seed_everything(setting.seed)
    terms = evaluate(model, images, kl_divergence)
    q = model.encode(images)
    reference = SpikeAndSlab.gaussian(setting.spike_prob or COUNTING_PROB, SPIKE_VAR)
    own_count = metrics.slab_count(model.sample_prior(100_000), reference).float().mean()
    if setting.spike_prob:
        own_count = metrics.prior_slab_count(reference, setting.latent_dim)
        own_expected = (1 - setting.spike_prob) * setting.latent_dim
    else:  # what N(0, I) gives under the sparse prior's definitions
        standard = Normal(torch.zeros(1, setting.latent_dim), torch.ones(1, setting.latent_dim))
        own_expected = metrics.expected_slab_count(standard, reference).mean()
    live = int(metrics.active_units(q.mean))
    information, aggregate = elbo_surgery(q, model.prior)
    latent_information, marginals = latent_surgery(q, model.prior)
    confidence, class_entropy = judge(classifier, model.sample(NUM_GENERATED))
    log_px = ""
    if setting.pixels == "binary":  # grey pixels have no likelihood
        batches = images[:500].split(50)
        bounds = [importance_weighted_bound(model, x, BOUND_SAMPLES) for x in batches]
        log_px = torch.cat(bounds).mean()
    few = live < 2  # too few for Hoyer's measure
    return {
        "elbo": terms.elbo.mean(),
        "reconstruction": terms.reconstruction.mean(),
        "kl": terms.kl.mean(),
        "log_px": log_px,
        "count": metrics.slab_count(q.mean, reference).float().mean(),
        "count_prior": own_count,
        "drawn_count": metrics.slab_count(q.sample(), reference).float().mean(),
        "expected_count": metrics.expected_slab_count(q, reference).mean(),
        "expected_count_prior": own_expected,
        "active_units": live,
        "mutual_information": information,
        "kl_aggregate": aggregate,
        "latent_information": latent_information,
        "kl_marginals": marginals,
        "hoyer": 0.0 if few else metrics.hoyer_sparsity(q.mean),
        "hoyer_gaussian": 0.0 if few else metrics.hoyer_gaussian_reference(live),
        "hoyer_prior": 0.0 if few else metrics.hoyer_prior_reference(model.prior, live),
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


@cache
def train_classifier() -> nn.Module:
    """Train a small convolutional classifier on the 4,000 labelled digits: seed 0, 15 epochs."""
    images, labels = load_mnist()[0]
    seed_everything(0)
    first, second = nn.Conv2d(1, 16, 5, stride=2), nn.Conv2d(16, 32, 3, stride=2)
    layers = [nn.Unflatten(-1, (1, 28, 28)), first, nn.ReLU(), second, nn.ReLU(), nn.Flatten()]
    classifier = nn.Sequential(*layers, nn.Linear(32 * 5 * 5, 10))
    optimiser = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    with torch.enable_grad():
        for _ in range(15):
            for chosen in torch.randperm(len(images)).split(BATCH_SIZE):
                loss = F.cross_entropy(classifier(images[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return classifier.eval()


@torch.no_grad()
def judge(classifier: nn.Module, images: Tensor) -> tuple[float, float]:
    """How sure a classifier is of images (N, 784), and how evenly it spreads them over classes.

    That is the mean of the largest class probability, and the entropy (nats) of the mean ones.
    """
    probabilities = classifier(images).softmax(dim=-1)
    shares = probabilities.mean(dim=0)
    return probabilities.amax(dim=-1).mean().item(), torch.special.entr(shares).sum().item()


def sweep(settings: Sequence[Setting], path: str | Path, say: Callable[[str], None] = print) -> int:
    """Run the settings that a CSV file lacks, a row on the disk before the next; returns how many.

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
    """Rows of a sweep's CSV file as text; `mend` cuts off a last line that is half written.

    Raises:
        ValueError: if the columns are not this sweep's, or a line is damaged.
    """
    path = Path(path)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if mend and whole != content:
        os.truncate(path, len(whole))
    header, *lines = list(csv.reader(whole.decode("utf-8").splitlines())) or [COLUMNS]
    if header != COLUMNS:
        raise ValueError(f"{path.name} has other columns than this sweep: move it away first")
    for number, line in enumerate(lines, 2):
        if len(line) != len(COLUMNS):
            wanted = f"wanted {len(COLUMNS)} values, got {len(line)}"
            raise ValueError(f"{path.name}, line {number}: {wanted}")
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Run the sweep behind notebook 07.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the CSV file")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)
    if min(options.seeds, options.epochs) < 1:
        parser.error("--seeds and --epochs must be at least 1")
    try:
        say = partial(print, flush=True)
        sweep(full_grid(range(options.seeds), options.epochs), options.output, say)
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished runs are kept; the same command goes on from here.")
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
