"""Inspection of notebook 08: a function that sends the straight-through gate the wrong way."""

from collections.abc import Callable

import torch

from .inspection import Seen, inspection


@inspection("8.3")
def misled_gate(seen: Seen, f: Callable) -> str:
    """Make an f(s) for which the straight-through gradient has the wrong sign as T → 0."""
    s = torch.linspace(0, 1, 4001, dtype=torch.float64, requires_grad=True)
    values = seen.call(f, s, like=s.detach())
    if not values.requires_grad:
        seen.fault("no slope")
    (slopes,) = torch.autograd.grad(values.sum(), s, materialize_grads=True)
    gain, rule = (values[-1] - values[0]).item(), slopes[[0, -1]].mean().item()
    size = slopes.abs().max().item()
    found = f"f(1) − f(0) = {gain:+.3g}, ½(f′(0) + f′(1)) = {rule:+.3g}."
    faults = {
        "not finite": not (values.isfinite().all() and slopes.isfinite().all()),
        "a jump": abs(torch.trapezoid(slopes, s).item() - gain) > 1e-2 * size,
        "nothing to gain": abs(gain) <= 1e-6 * size,
        "no slope": abs(rule) <= 1e-6 * size,
        "the rule is exact": abs(rule - gain) <= 1e-6 * size,
        "the right way": rule * gain > 0,
    }
    for name in (name for name, is_so in faults.items() if is_so):
        seen.fault(name, found)
    way = "opens a gate that should shut" if rule > 0 else "shuts a gate that should open"
    return f"{found} The straight-through gate {way}, however cold it is."
