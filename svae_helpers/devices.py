"""Where to compute, with how many threads, and from which seed."""

import os
import random

import torch

from .arguments import whole_number


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
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"{origin} is {str(wanted)!r}, which this machine's PyTorch cannot use "
            f"({str(error).splitlines()[0]}): try 'cpu', 'cuda' or 'mps'"
        ) from None
    return chosen


def use_one_thread() -> int:
    """Let torch compute with one thread on the CPU, unless OMP_NUM_THREADS says otherwise.

    For the course's small models several threads gain little. They wait for each other, and where
    other programs keep the cores busy, that can cost many times the computation.

    Returns:
        The number of threads that torch now uses.
    """
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    return torch.get_num_threads()


def seed_everything(seed: int) -> None:
    """Seed torch on every device (the course uses no other generator) and Python's `random`."""
    seed = whole_number("seed", seed)
    random.seed(seed)
    torch.manual_seed(seed)
