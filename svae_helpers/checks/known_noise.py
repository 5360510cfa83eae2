"""Noise that is known beforehand, so that what draws is compared as exactly as what does not."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_g = torch.Generator().manual_seed(0)
NUMBERS = torch.randn(4099, generator=_g), torch.rand(4099, generator=_g)
NUMBERS[0][5::401] *= 4  # some are far out


class KnownNoise(TorchFunctionMode):
    """Inside it torch's draws are read off a table: normal and uniform ones each in their order.

    So a loop over draws, or over a tensor's rows or entries, gives what one tensor does. A loop
    over images does if a tensor of (draws, images, latents) is filled image by image; and what is
    drawn twice is the same both times if every tensor is read from the start.
    """

    most_draws: ClassVar[Counter] = Counter()  # of each kind, in one call

    def __init__(
        self,
        start: int = 0,
        mirrored: bool = False,
        images_first: bool = False,
        from_start: bool = False,
    ):
        super().__init__()
        self.images_first, self.from_start = images_first, from_start
        self.normal, uniform = NUMBERS
        self.uniform = 1 - uniform if mirrored else uniform
        self.start, self.used, self.draws = start, Counter(), Counter()

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
        """The numbers that are next, in a shape and dtype like another's."""
        kind = "normal" if numbers is self.normal else "uniform"
        self.draws[kind] += 1
        KnownNoise.most_draws |= self.draws
        shape = like.shape
        if turned := self.images_first and len(shape) == 3:
            shape = (shape[1], shape[0], shape[2])
        places = (self.start + self.used[kind] + torch.arange(like.numel())).reshape(shape)
        self.used[kind] += 0 if self.from_start else like.numel()
        found = numbers.to(like.dtype)[places % len(numbers)]
        return found.transpose(0, 1) if turned else found
