"""Noise that is known beforehand, so that what draws is compared as exactly as what does not."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_g = torch.Generator().manual_seed(0)
PLACES = torch.randn(4099, generator=_g), torch.rand(4099, generator=_g)
PLACES[0][5::401] *= 4  # some are far out
LATENTS = (
    torch.tensor([0.31, -1.17, 1.64, -0.42, 0.77, -2.05, 1.12, -0.68]),
    torch.tensor([0.55, 0.13, 0.91, 0.34, 0.78, 0.02, 0.66, 0.85]),
)


class KnownNoise(TorchFunctionMode):
    """Inside it torch's draws depend on their place alone, whatever the order of the calls.

    In its whole tensor; or along the last axis only, so that a loop over draws or images gives what
    one tensor does. It starts at some place of the numbers; if `mirrored`, uniform noise is 1 − u.
    """

    uniform_drawn = False

    def __init__(self, start: int = 0, mirrored: bool = False, last_axis: bool = False):
        super().__init__()
        self.start, self.last_axis = start, last_axis
        self.normal, uniform = LATENTS if last_axis else PLACES
        self.uniform = 1 - uniform if mirrored else uniform

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None):
        """Draw as always, for the shape; then put in what is known."""
        kwargs = kwargs or {}
        out, given = func(*args, **kwargs), [*args, *kwargs.values()]
        match getattr(func, "__name__", ""):
            case "randn" | "randn_like":
                return self.spread(self.normal, out).requires_grad_(out.requires_grad)
            case "rand" | "rand_like":
                return self.spread(self.uniform, out).requires_grad_(out.requires_grad)
            case "normal":
                mean, std = (*given, 1.0)[:2]
                return torch.as_tensor(mean + std * self.spread(self.normal, out)).detach()
            case "normal_":
                mean, std = (*given[1:3], *(0.0, 1.0)[len(given) - 1 :])
                out.data.copy_(mean + std * self.spread(self.normal, out))
            case "uniform_":
                low, high = (*given[1:3], *(0.0, 1.0)[len(given) - 1 :])
                out.data.copy_(low + (high - low) * self.spread(self.uniform, out))
            case "bernoulli" | "bernoulli_" as name:
                p = given[0] if name == "bernoulli" and len(given) == 1 else given[1]
                heads = (self.spread(self.uniform, out) < p).to(out)
                return heads if name == "bernoulli" else out.copy_(heads)
            case "randint":
                low, high = given[:2] if isinstance(given[1], int) else (0, given[0])
                return (low + (high - low) * self.spread(self.uniform, out.double())).to(out)
            case "randperm":
                return self.spread(self.uniform, out.double()).argsort()
            case "multinomial":
                edges = (given[0] / given[0].sum(-1, keepdim=True)).cumsum(-1).double()
                found = torch.searchsorted(edges, self.spread(self.uniform, out.double()))
                return found.clamp(max=edges.shape[-1] - 1)
        return out

    def spread(self, numbers: Tensor, like: Tensor) -> Tensor:
        """The numbers, again and again, in a shape and dtype like another's."""
        KnownNoise.uniform_drawn |= numbers is self.uniform
        shape = like.shape[-1:] if self.last_axis else like.shape
        places = (self.start + torch.arange(shape.numel())).reshape(shape)
        return numbers.to(like.dtype)[places % len(numbers)].expand(like.shape).clone()
