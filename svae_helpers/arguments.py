"""What an argument must be, and the sentence that is said where it is something else.

Each function returns the argument ready for use. A wrong kind of thing is a TypeError, a wrong
value of the right kind a ValueError, as in Python itself. Those that read a tensor's values do not
look where torch's `Distribution.set_default_validate_args(False)` has switched validation off.
"""

import math
import operator
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """A count or seed; NumPy's and torch's whole numbers are taken, 2.0 and True are not."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be a whole number, got {described(value)}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def real_number(name: str, value: Any, least: float = -math.inf, positive: bool = False) -> float:
    """A finite number; NumPy's are taken, and a tensor of a single one."""
    if isinstance(value, Tensor) and value.dim() == 0:
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {described(value)}")
    if positive and not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if value < least:
        raise ValueError(f"{name} must be at least {least:g}, got {value}")
    return float(value)


def parameter(name: str, value: Any) -> float | Tensor:
    """A distribution's number as a float, or its tensor, which stays the same one if floating."""
    if isinstance(value, Tensor) and not value.is_complex():
        return value if value.is_floating_point() else value.to(torch.get_default_dtype())
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number or a tensor, got {described(value)}")
    return float(value)


def tensor(name: str, value: Any, wanted: str = "a tensor") -> Tensor:
    """A tensor; says how to make one of what is often given in its place."""
    if isinstance(value, Tensor):
        return value
    advice = ""
    if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
        advice = ": pass its first part alone, such as digits.images"
    elif isinstance(value, tuple) and value and isinstance(value[0], tuple):
        advice = ": load_mnist() returns train and test, pass one of them"
    elif isinstance(value, Distribution):
        advice = ": pass what it gives, such as its mean"
    elif isinstance(value, list) or hasattr(value, "__array__"):
        advice = ": torch.as_tensor(..., dtype=torch.float32) makes one of it"
    raise TypeError(f"{name} must be {wanted}, got {described(value)}{advice}")


def rows(name: str, value: Any, weight: Tensor) -> Tensor:
    """A tensor (B, P) that a linear layer with this weight (H, P) takes."""
    tensor(name, value)
    if value.dim() < 2 or value.shape[-1] != weight.shape[1]:
        wanted = f"(B, {weight.shape[1]})"
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")
    if value.dtype != weight.dtype:
        numbers = f"{name} are {value.dtype}, but the model's weights {weight.dtype}"
        scale = "" if value.is_floating_point() else ", and divide pixels of 0 to 255 by 255"
        raise TypeError(f"{numbers}: convert them by .to({weight.dtype}){scale}")
    if value.device != weight.device:
        raise ValueError(
            f"{name} are on {value.device}, but the model on {weight.device}: "
            "move them by .to(model.device)"
        )
    return value


def unit_interval(name: str, value: Tensor, why: str, nan_too: bool = True) -> Tensor:
    """Pixels that all lie in [0, 1]; none of them NaN, unless that is somebody else's to say."""
    if not value.numel() or not Distribution._validate_args:
        return value
    low, high = (bound.item() for bound in value.detach().aminmax())  # NaN if any pixel is
    if low < 0 or high > 1 or (nan_too and math.isnan(low)):
        advice = "divide them by 255" if low >= 0 and high > 2 else "rescale them"
        raise ValueError(
            f"{name} must lie in [0, 1] {why}, got values from {low:.9g} to {high:.9g}: {advice}"
        )
    return value


def codes(name: str, value: Any, least: int = 2) -> Tensor:
    """Posterior means (N, D) over at least so many images, none of them NaN."""
    tensor(name, value)
    if value.dim() != 2 or len(value) < least or not value.is_floating_point():
        raise ValueError(
            f"{name} must be posterior means (N, D) of at least {least} images, in floating point: "
            f"got {described(value)}"
        )
    return without_nan(name, value)


def without_nan(name: str, value: Tensor) -> Tensor:
    """Posterior means of a model that has not diverged."""
    if Distribution._validate_args and value.isnan().any():
        raise ValueError(f"{name} holds NaN: the model that gave these means has diverged")
    return value


def distribution(name: str, value: Any, kind: type | None = None, needs: tuple[str, ...] = ()):
    """A distribution, or anything that has what is needed of one."""
    if kind is not None and not isinstance(value, kind):
        whose = "torch " if kind.__module__.startswith("torch") else ""
        raise TypeError(f"{name} must be a {whose}{kind.__name__}, got {described(value)}")
    having(name, value, "a distribution", needs)
    if "rsample" in needs and not getattr(value, "has_rsample", True):
        lacks = f"{described(value)} has no rsample"
        raise TypeError(f"{name} must have draws that carry gradients, but {lacks}")
    return value


def having(name: str, value: Any, wanted: str, needs: tuple[str, ...]) -> Any:
    """An object, not its class, that has what is needed of it."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be {wanted}, got the class {value.__name__} itself")
    missing = [need for need in needs if not hasattr(value, need)]
    if missing:
        lacks = f"{type(value).__name__} has no {', '.join(missing)}"
        raise TypeError(f"{name} must be {wanted}, got {described(value)}: {lacks}")
    return value


def function(name: str, value: Any, optional: bool = False) -> Any:
    """Something to call; with `optional`, None too."""
    if not callable(value) and not (optional and value is None):
        raise TypeError(f"{name} must be a function, got {described(value)}")
    return value


def one_of(name: str, value: Any, choices: tuple[str | None, ...], advice: str = "") -> Any:
    """One of a few words."""
    if not isinstance(value, str | None) or value not in choices:
        words = " or ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be {words}, got {described(value)}{advice}")
    return value


def path_of(name: str, value: Any, a_file: bool = True) -> Path:
    """A path; unless told otherwise, one that can be a file's."""
    if not isinstance(value, str | Path):
        raise TypeError(f"{name} must be a str or a Path, got {described(value)}")
    if a_file and (not Path(value).name or Path(value).is_dir()):
        raise ValueError(f"{name} must name a file, got the folder {str(value)!r}")
    return Path(value)


def described(value: Any) -> str:
    """What was given, in few words: a short value itself, the shape of a tensor, else the type."""
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    if isinstance(value, Real | complex | str):
        text = f"{type(value).__name__} {value!r}"
        return text if len(text) <= 60 else f"{text[:60]}…"
    if isinstance(value, Tensor) or hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list) and len(repr(value)) <= 30:
        return repr(value)
    return type(value).__name__
