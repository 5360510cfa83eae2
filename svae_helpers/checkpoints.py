"""Saving a trained model with its history, and loading it into a model built alike."""

import io
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from .arguments import described, path_of
from .history import History
from .models import VAE
from .whole_files import write_whole

CHECKPOINT_FORMAT = "svae_helpers checkpoint 1"


def save_checkpoint(path: str | Path, model: VAE, history: History | None = None) -> None:
    """Write the model's weights, a description of the model, and its history to a file.

    The file appears under its name only when it is complete. With its history, a training can be
    taken up again: `fit(..., resume=load_checkpoint(path, model))`.

    Raises:
        OSError: if it cannot be written; an earlier file of that name is then as it was.
    """
    path = path_of("path", path)
    _require(model, VAE, "model")
    _require(history, History | None, "history")
    content = {
        "format": CHECKPOINT_FORMAT,
        "model": _describe(model),
        "weights": model.state_dict(),
        "history": asdict(history or History()),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: str | Path, model: VAE) -> History:
    """Read weights into a model built like the one that was saved; nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or holds another model. The model is
            then left as it was.
    """
    path = path_of("path", path)
    _require(model, VAE, "model")
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
    history = _history_in(content)
    if history is None:
        raise ValueError(f"{path.name} is damaged: its parts are not those of a checkpoint")
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
    return history


def _history_in(content: dict[str, Any]) -> History | None:
    """The history of a checkpoint; None where a part of it is not of the kind that was saved."""
    try:
        history = History(**content["history"])
    except TypeError:
        return None
    tables = (content["model"], content["weights"], history.train, history.test)
    sound = all(isinstance(table, dict) for table in tables)
    return history if sound and all(map(torch.is_tensor, content["weights"].values())) else None


def _require(value: object, kind: type | UnionType, name: str) -> None:
    if not isinstance(value, kind):
        wanted = "a VAE" if kind is VAE else "a History"
        raise TypeError(f"{name} must be {wanted}, got {described(value)}")


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
