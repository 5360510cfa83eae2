"""Training: device, seed, `fit`, its history, and checkpoints."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from IPython import get_ipython
from IPython.display import display
from torch import Tensor
from tqdm import tqdm

from .data import binarise_images
from .divergences import kl_monte_carlo
from .metrics import active_units
from .models import VAE
from .objectives import KL, ElboTerms, elbo_terms

MEASURES = ("loss", "reconstruction", "kl", "active")
CHECKPOINT_FORMAT = "svae_helpers checkpoint 1"
EVALUATION_BATCH = 2_000


def get_device(device: str | torch.device | None = None) -> torch.device:
    """Choose where to compute: the argument, else SVAE_DEVICE, else CUDA, then MPS, then the CPU.

    Raises:
        ValueError: if the device asked for is unknown or not there.
    """
    wanted = device or os.environ.get("SVAE_DEVICE") or None
    if wanted is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    origin = "device" if device else "the environment variable SVAE_DEVICE"
    try:
        chosen = torch.device(wanted)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"{origin} is {str(wanted)!r}, which this machine's PyTorch cannot use "
            f"({str(error).splitlines()[0]}): try 'cpu', 'cuda' or 'mps'"
        ) from None
    return chosen


def seed_everything(seed: int) -> None:
    """Seed torch on every device (the course uses no other generator) and Python's `random`."""
    random.seed(seed)
    torch.manual_seed(seed)


@dataclass
class History:
    """What `fit` measured after each epoch, in nats per image, as lists with one entry an epoch.

    Attributes:
        train, test: "loss" (−ELBO, whatever beta was trained with), "reconstruction" (log p(x|z)),
            "kl" and "active" (units in use, Eq. 6.4). `train` averages over the epoch as it ran;
            `test` is empty without test images.
        interrupted: whether training was stopped by hand.
    """

    train: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    test: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    interrupted: bool = False


def fit(
    model: VAE,
    images: Tensor,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    kl: KL = kl_monte_carlo,
    beta: float = 1.0,
    kl_warmup: int = 0,
    binarise: str = "none",
    test_images: Tensor | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> History:
    """Train a VAE by Adam on minus the ELBO (Eq. 6.1), or the β-ELBO (Eq. 8.9).

    Interrupting the kernel keeps the model and the history so far.

    Args:
        images, test_images: (N, data_dim) in [0, 1]; they are moved to the model's device once.
        kl: KL per latent, as in `elbo_terms`.
        kl_warmup: number of epochs over which the KL's weight rises from 0 to beta.
        binarise: "dynamic" draws each pixel afresh in every batch; "none" takes images as they are.
        seed: of batches, draws and binarisation; set globally by `seed_everything`.
        device: as in `get_device`.
        progress: whether to show a bar, which leaves nothing behind.

    Raises:
        ValueError: for images that do not fit the model, or numbers out of range.
        FloatingPointError: if a term becomes NaN or infinite; names it, the epoch and the step,
            and carries the history so far as its attribute `history`.
    """
    _check_settings(epochs, batch_size, learning_rate, kl_warmup, binarise)
    device = get_device(device)
    model.to(device)
    drawn = binarise == "dynamic"
    images = _check_images(images, model.data_dim, "images", drawn).to(device)
    if test_images is not None:
        test_images = _check_images(test_images, model.data_dim, "test_images", drawn).to(device)
    seed_everything(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    history, step, steps = History(), 0, -(-len(images) // batch_size)
    model.train()
    with _progress_bar(epochs * steps, progress) as bar:
        try:
            for epoch in range(1, epochs + 1):
                totals = torch.zeros(2, device=device)
                for chosen in torch.randperm(len(images), device=device).split(batch_size):
                    x = binarise_images(images[chosen]) if drawn else images[chosen]
                    terms = elbo_terms(model, x, kl)
                    step += 1
                    weight = beta * min(1.0, step / (kl_warmup * steps)) if kl_warmup else beta
                    loss = terms.beta_loss(weight)
                    if not torch.isfinite(loss):
                        _refuse(terms, epoch, step - (epoch - 1) * steps, steps, history)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    with torch.no_grad():
                        totals += torch.stack([term.sum() for term in terms]).to(totals)
                    bar.update()
                records = [(history.train, _measure(totals / len(images), model, images))]
                if test_images is not None:
                    terms = evaluate(model, test_images, kl, binarise)
                    means = torch.stack([term.mean() for term in terms])
                    records.append((history.test, _measure(means, model, test_images)))
                for lists, values in records:
                    for name, value in zip(MEASURES, values, strict=True):
                        lists[name].append(value)
                bar.set_postfix_str(f"epoch {epoch}/{epochs}, loss {history.train['loss'][-1]:.1f}")
        except KeyboardInterrupt:
            history.interrupted = True
    if history.interrupted:
        done = len(history.train["loss"])
        print(f"Stopped by hand after {done} of {epochs} epochs; model and history are kept.")
    model.eval()
    return history


@torch.no_grad()
def evaluate(
    model: VAE, images: Tensor, kl: KL = kl_monte_carlo, binarise: str = "none"
) -> ElboTerms:
    """`elbo_terms` of a whole data set, (N,) each, in batches and without gradients."""
    batches = []
    for x in images.to(model.device).split(EVALUATION_BATCH):
        batches.append(elbo_terms(model, binarise_images(x) if binarise == "dynamic" else x, kl))
    return ElboTerms(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


@torch.no_grad()
def posterior_means(model: VAE, images: Tensor) -> Tensor:
    """Means of q(z|x) for a whole data set: (N, D), on the model's device."""
    batches = images.to(model.device).split(EVALUATION_BATCH)
    return torch.cat([model.encode(x).mean for x in batches])


def save_checkpoint(path: str | Path, model: VAE, history: History | None = None) -> None:
    """Write the model's weights, a description of the model, and its history to a file.

    The file appears under its name only when it is complete.
    """
    path = Path(path)
    content = {
        "format": CHECKPOINT_FORMAT,
        "model": _describe(model),
        "weights": model.state_dict(),
        "history": asdict(history or History()),
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load_checkpoint(path: str | Path, model: VAE) -> History:
    """Read weights into a model built like the one that was saved; nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or holds another model. The model is
            then left as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = torch.load(path, map_location=model.device, weights_only=True)
    except Exception as error:
        raise ValueError(f"{path.name} is damaged or no checkpoint of ours: {error}") from None
    parts = {"format", "model", "weights", "history"}
    known = isinstance(content, dict) and content.keys() == parts
    if not known or content["format"] != CHECKPOINT_FORMAT:
        raise ValueError(f"{path.name} is no checkpoint of this course")
    saved, wanted = content["model"], _describe(model)
    differences = [
        f"{name}: {saved.get(name)!r} in the file, {wanted[name]!r} in the model"
        for name in wanted
        if saved.get(name) != wanted[name]
    ]
    if differences:
        raise ValueError(f"{path.name} holds another model ({'; '.join(differences)})")
    broken = [name for name, w in content["weights"].items() if not torch.isfinite(w).all()]
    if broken:
        raise ValueError(f"{path.name} holds NaN or infinite weights in {', '.join(broken)}")
    model.load_state_dict(content["weights"])
    return History(**content["history"])


def _describe(model: VAE) -> dict[str, str]:
    """What must agree between a checkpoint and a model, in words."""
    shapes = {name: str(tuple(value.shape)) for name, value in model.state_dict().items()}
    return {
        "prior": _describe_distribution(model.prior),
        "posterior": _describe_function(model.posterior),
        "likelihood": _describe_function(model.likelihood),
        **shapes,
    }


def _describe_function(function: Callable) -> str:
    if isinstance(function, partial):
        settings = ", ".join(f"{name}={value}" for name, value in sorted(function.keywords.items()))
        return f"{_describe_function(function.func)}({settings})"
    return getattr(function, "__qualname__", type(function).__name__)


def _describe_distribution(distribution: torch.distributions.Distribution) -> str:
    parts = []
    for name, value in sorted(vars(distribution).items()):
        if isinstance(value, torch.distributions.Distribution):
            parts.append(f"{name}={_describe_distribution(value)}")
        elif isinstance(value, Tensor):
            numbers = " ".join(f"{number:.6g}" for number in value.detach().flatten().tolist())
            parts.append(f"{name.strip('_')}={'learned' if value.requires_grad else numbers}")
    return f"{type(distribution).__name__}({', '.join(parts)})"


def _check_settings(epochs, batch_size, learning_rate, kl_warmup, binarise) -> None:
    for name, value, least in (
        ("epochs", epochs, 0),
        ("batch_size", batch_size, 1),
        ("kl_warmup", kl_warmup, 0),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    if binarise not in ("none", "dynamic"):
        raise ValueError(
            f"binarise must be 'none' or 'dynamic' here, got {binarise!r} "
            "('static' belongs to load_mnist)"
        )


def _check_images(images: Tensor, data_dim: int, name: str, unit_interval: bool) -> Tensor:
    if images.dim() != 2 or images.shape[1] != data_dim or not len(images):
        raise ValueError(f"{name} must have shape (N, {data_dim}), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {images.dtype}: divide by 255")
    if unit_interval and not ((images >= 0) & (images <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1] to be binarised")
    return images


def _measure(means: Tensor, model: VAE, images: Tensor) -> tuple[float, float, float, int]:
    """An epoch's `MEASURES` from the mean of the two ELBO terms."""
    reconstruction, kl = means.tolist()
    active = int(active_units(posterior_means(model, images))) if len(images) > 1 else 0
    return kl - reconstruction, reconstruction, kl, active


def _refuse(terms: ElboTerms, epoch: int, step: int, steps: int, history: History) -> None:
    names = [name for name in terms._fields if not torch.isfinite(getattr(terms, name)).all()]
    error = FloatingPointError(
        f"{' and '.join(names) or 'the loss'} became NaN or infinite in epoch {epoch}, "
        f"step {step} of {steps}: try a lower learning_rate, or look for NaN in the images"
    )
    error.history = history
    raise error


class _NotebookLine:
    """A text file whose last line is a notebook output that is replaced, and emptied at the end."""

    def __init__(self):
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        self._handle.update({"text/plain": text.strip("\r\n ")}, raw=True)

    def flush(self) -> None:
        pass


@contextmanager
def _progress_bar(total: int, wanted: bool) -> Iterator[tqdm]:
    """A progress bar for a notebook or a terminal; none where nobody would see it."""
    in_notebook = getattr(get_ipython(), "kernel", None) is not None
    file = _NotebookLine() if wanted and in_notebook else sys.stderr
    disable = not wanted or not (in_notebook or sys.stderr.isatty())
    with tqdm(total=total, file=file, disable=disable, leave=False, ncols=90, ascii=False) as bar:
        yield bar
