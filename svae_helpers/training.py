"""Training a VAE: `fit`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from tqdm import tqdm

from .arguments import (
    described,
    function,
    having,
    one_of,
    real_number,
    whole_number,
)
from .data import Digits
from .devices import get_device, seed_everything
from .divergences import kl_monte_carlo
from .evaluation import LARGEST_BATCH, evaluate, progress_bar
from .history import History, make_record, mean_of
from .images import ready_images
from .models import VAE
from .objectives import KL, ElboTerms, elbo_terms_at

EPOCH_SEED = 1_000_003  # a prime: seeds of the epochs of one training are far apart


def fit(
    model: VAE,
    images: Tensor | Digits,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 5e-3,
    schedule: str | None = "one-cycle",
    kl: KL = kl_monte_carlo,
    beta: float = 1.0,
    kl_warmup: int = 0,
    penalty: Callable[[Distribution, Tensor, Distribution], Tensor] | None = None,
    binarise: str = "none",
    test_images: Tensor | Digits | None = None,
    optimiser: Optimizer | None = None,
    resume: History | None = None,
    on_epoch: Callable[[int, VAE, History], object] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> History:
    """Train a VAE by Adam on minus the ELBO (Eq. 6.1), or the β-ELBO (Eq. 3.9).

    Interrupting the kernel keeps the model and the history so far.

    Args:
        images, test_images: (N, ...), or a pair (images, labels) whose labels are left alone; they
            are moved to the model's device once.
        schedule: "one-cycle" lets the learning rate rise to learning_rate over three tenths of this
            call's steps and fall to nearly 0 over the rest (Smith & Topin 2019); None keeps it.
            Rate, batch size and schedule are the course's recipe, found in notebook 07.
        kl: KL per latent or per image, as in `elbo_terms`.
        kl_warmup: number of epochs over which the KL's weight rises from 0 to beta.
        penalty: function of (q, z, prior) of a batch, z being the draw (B, D), that returns a
            scalar in nats to add to the loss.
        binarise: "dynamic" draws each pixel afresh in every batch; "none" takes images as they are.
        optimiser: a ready one for the model's parameters; learning_rate is then not used.
        resume: history of an earlier `fit` of this model, to which `epochs` more are appended.
            They go on with its optimiser's state unless you give an optimiser. With schedule=None,
            n epochs and then m give what n + m give; "one-cycle" begins a cycle of its own.
        on_epoch: called with (epochs so far, model, history) after each epoch.
        seed: of batches, draws and binarisation; every epoch seeds torch from it and its number.
        device: as in `get_device`.
        progress: whether to show a bar.

    Returns:
        `resume` itself, or a new history.

    Raises:
        ValueError: for images that do not fit the model, or numbers out of range.
        TypeError: for arguments of another kind, or a posterior that cannot be trained.
        FloatingPointError: if a term becomes NaN or infinite; names it, the epoch and the step,
            and carries the history so far as its attribute `history`.
    """
    if not isinstance(model, VAE):
        raise TypeError(f"model must be a VAE, got {described(model)}")
    epochs = whole_number("epochs", epochs, 0)
    batch_size = whole_number("batch_size", batch_size, 1)
    kl_warmup, seed = whole_number("kl_warmup", kl_warmup, 0), whole_number("seed", seed)
    learning_rate = real_number("learning_rate", learning_rate, positive=True)
    beta = real_number("beta", beta, 0)
    one_of("schedule", schedule, (None, "one-cycle"))
    one_of("binarise", binarise, ("none", "dynamic"), ": 'static' belongs to load_mnist")
    for name, given in (("kl", kl), ("penalty", penalty), ("on_epoch", on_epoch)):
        function(name, given, optional=name != "kl")
    drawn = binarise == "dynamic"
    model.to(get_device(device))
    images = ready_images(images, model, "images", drawn)
    if test_images is not None:
        test_images = ready_images(test_images, model, "test_images", drawn)
    history = History() if resume is None else resume
    if not isinstance(history, History):
        raise TypeError(f"resume must be a History, got {described(resume)}: fit returns one")
    optimiser = _optimiser_for(model, history, optimiser, learning_rate)
    history.interrupted = False
    first, last = history.epochs + 1, history.epochs + epochs
    steps = -(-len(images) // batch_size)
    scheduler = None
    if schedule == "one-cycle" and epochs:
        peaks = [group["lr"] for group in optimiser.param_groups]
        scheduler = OneCycleLR(optimiser, peaks, epochs * steps, cycle_momentum=False)

    def loss_of(x: Tensor, progress: float) -> tuple[Tensor, ElboTerms, Distribution]:
        q = model.encode(x)
        z = q.rsample()
        terms = elbo_terms_at(model, x, q, z, kl)
        loss = terms.beta_loss(beta * min(1.0, progress / kl_warmup) if kl_warmup else beta)
        return (loss + _scalar(penalty(q, z, model.prior)) if penalty else loss), terms, q

    with progress_bar(epochs * steps, progress) as bar:
        try:
            for epoch in range(first, last + 1):
                seed_everything(seed + EPOCH_SEED * epoch)
                model.train()
                history.add(
                    "train",
                    _epoch(images, epoch, batch_size, drawn, loss_of, optimiser, scheduler, bar),
                )
                model.eval()
                if test_images is not None:
                    history.add("test", _test(model, test_images, kl, binarise))
                history.optimiser = optimiser.state_dict()
                bar.set_postfix_str(f"epoch {epoch}/{last}, loss {history.train['loss'][-1]:.1f}")
                if on_epoch is not None:
                    on_epoch(epoch, model, history)
        except KeyboardInterrupt:
            history.interrupted = True
        except Exception as error:  # a term that is not finite, or what on_epoch ran into
            error.history = history  # type: ignore[attr-defined]
            raise
        finally:
            model.eval()
    if history.interrupted:
        print(
            f"Stopped by hand after {history.epochs} of {last} epochs; model and history are kept."
        )
    return history


def default_optimiser(model: VAE, learning_rate: float = 5e-3) -> Optimizer:
    """Adam as `fit` uses it: one fused kernel a step where torch offers it for the device."""
    having("model", model, "a model", ("parameters",))
    learning_rate = real_number("learning_rate", learning_rate, positive=True)
    try:
        return Adam(model.parameters(), lr=learning_rate, fused=True)
    except RuntimeError:
        return Adam(model.parameters(), lr=learning_rate)


def _epoch(
    images: Tensor,
    epoch: int,
    batch_size: int,
    drawn: bool,
    loss_of: Callable[[Tensor, float], tuple[Tensor, ElboTerms, Distribution]],
    optimiser: Optimizer,
    scheduler: LRScheduler | None,
    bar: tqdm,
) -> dict[str, float]:
    """Go through the images once, in random order; returns the epoch's record."""
    batches = torch.randperm(len(images), device=images.device).split(batch_size)
    reconstructions, kls, means = [], [], []
    for step, chosen in enumerate(batches, 1):
        x = torch.bernoulli(images[chosen]) if drawn else images[chosen]
        loss, terms, q = loss_of(x, epoch - 1 + step / len(batches))
        if not math.isfinite(loss.item()):
            raise FloatingPointError(_not_finite(terms, epoch, step, len(batches)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if scheduler is not None:
            scheduler.step()
        reconstructions.append(terms.reconstruction.detach())
        kls.append(terms.kl.detach())
        means.append(mean_of(q))
        bar.update()
    return make_record(ElboTerms(torch.cat(reconstructions), torch.cat(kls)), means)


def _test(model: VAE, images: Tensor, kl: KL, binarise: str) -> dict[str, float]:
    """A record of test images."""
    result = evaluate(model, images, kl, binarise)
    means = [mean_of(model.encode(x)) for x in images.split(LARGEST_BATCH)]
    return make_record(ElboTerms(result.reconstruction, result.kl), means)


def _not_finite(terms: ElboTerms, epoch: int, step: int, steps: int) -> str:
    names = [name for name in terms._fields if not torch.isfinite(getattr(terms, name)).all()]
    return (
        f"{' and '.join(names) or 'the loss'} became NaN or infinite in epoch {epoch}, "
        f"step {step} of {steps}: try a lower learning_rate, or look for NaN in the images"
    )


def _optimiser_for(
    model: VAE, history: History, optimiser: Optimizer | None, learning_rate: float
) -> Optimizer:
    """The one given, or Adam in the state in which the history left it."""
    if optimiser is not None:
        own = {id(parameter) for parameter in model.parameters()}
        groups = having("optimiser", optimiser, "a torch optimiser", ("param_groups",)).param_groups
        if not any(id(p) in own for group in groups for p in group["params"]):
            raise ValueError(
                "optimiser holds none of this model's parameters: build it from model.parameters()"
            )
        return optimiser
    optimiser = default_optimiser(model, learning_rate)
    if history.optimiser:
        _refuse_state_of_another_model(history.optimiser["state"], list(model.parameters()))
        optimiser.load_state_dict(history.optimiser)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
    return optimiser


def _refuse_state_of_another_model(state: dict[int, dict], parameters: list[Tensor]) -> None:
    """torch compares no shapes here, and a fused step with wrong ones ends the process."""
    shapes = {i: tuple(p.shape) for i, p in enumerate(parameters)}
    for i, moments in state.items():
        for value in moments.values():
            if isinstance(value, Tensor) and value.dim() and tuple(value.shape) != shapes.get(i):
                raise ValueError(
                    f"resume is the history of another model: its optimiser knows weights of shape "
                    f"{tuple(value.shape)} where this model has {shapes.get(i)}"
                )


def _scalar(penalty: Tensor | float) -> Tensor | float:
    if isinstance(penalty, Tensor) and not penalty.dim():
        return penalty
    try:
        return real_number("what penalty returns", penalty)
    except TypeError as error:
        raise TypeError(f"{error}: a scalar in nats, such as a sum or a mean") from None
