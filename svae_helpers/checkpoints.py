"""Saving a trained model with its history, and loading it into a model built alike."""

import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Distribution

from .history import History
from .models import VAE

CHECKPOINT_FORMAT = "svae_helpers checkpoint 1"


def save_checkpoint(path: str | Path, model: VAE, history: History | None = None) -> None:
    """Write the model's weights, a description of the model, and its history to a file.

    The file appears under its name only when it is complete. With its history, a training can be
    taken up again: `fit(..., resume=load_checkpoint(path, model))`.
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


def _describe_distribution(distribution: Distribution) -> str:
    parts = []
    for name, value in sorted(vars(distribution).items()):
        if isinstance(value, Distribution):
            parts.append(f"{name}={_describe_distribution(value)}")
        elif isinstance(value, Tensor):
            numbers = " ".join(f"{number:.6g}" for number in value.detach().flatten().tolist())
            parts.append(f"{name.strip('_')}={'learned' if value.requires_grad else numbers}")
        elif isinstance(value, float):
            parts.append(f"{name.strip('_')}={value:.6g}")
    return f"{type(distribution).__name__}({', '.join(parts)})"
