"""Times side by side: every round runs each way once, and the least time of all rounds counts."""

import time
from collections.abc import Callable


def least_seconds(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least time of each way; what disturbs the machine disturbs the ways alike."""
    least = dict.fromkeys(ways, float("inf"))
    for way in ways.values():
        way()  # warms caches and threads up
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def show_ratios(title: str, seconds: dict[str, float], base: str) -> None:
    """Print each way's time as a multiple of one of them."""
    print(f"\n{title}; multiples of: {base}")
    for name, value in seconds.items():
        print(f"  {name:58s}{value / seconds[base]:8.2f}")
