"""Put what an exact check saw in words: a counter-example, a relation, a side effect."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def counter_example(exercise: Any, evidence: Any) -> tuple[str, str]:
    """The most telling wrong number, ordinary cases first, and its case in full."""
    pairs = [
        (o, w, mine, right)
        for o, w in zip(evidence.outcomes, evidence.wanted)
        for mine, right in zip(o.run.parts or (), w.run.parts)
        if mine.shape == right.shape and not exercise.close(mine, right)
    ]
    if not pairs:
        return "", ""
    outcome, _, mine, right = min(pairs, key=lambda pair: bool(pair[0].case.extreme))
    difference = (mine.double() - right.double()).abs().nan_to_num(torch.inf, torch.inf, torch.inf)
    at = int(difference.flatten().argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(at), difference.shape))
    named = list(zip(exercise.parameters, outcome.case.arguments))
    inputs, full = [], []
    for k, (name, a) in enumerate(named):
        if isinstance(a, Tensor):
            entry = a[entry_of(k, a, mine, evidence, index)]
            inputs.append(f"{name} = {show(entry)}")
            if entry.numel() > 6:
                full.append(f"{name} = {entry}")
        elif not callable(a):
            inputs.append(f"{name} = {a:.4g}" if isinstance(a, float) else f"{name} = {a}")
    text = (
        f"\nAt {', '.join(inputs)} your value is {float(mine[index]):.5g}, "
        f"the right one is {float(right[index]):.5g}."
    )
    return text, "\n".join(full)


def entry_of(k: int, a: Tensor, mine: Tensor, evidence: Any, index: tuple[int, ...]) -> tuple:
    """The part of the k-th argument that an entry of the answer belongs to, by their shapes."""
    shapes = [(w.case.arguments[k].shape, w.run.parts[0].shape) for w in evidence.wanted]
    if not index or not all(isinstance(w.case.arguments[k], Tensor) for w in evidence.wanted):
        return ()
    if all(given == answer for given, answer in shapes):
        return index
    if all(given[: len(answer)] == answer for given, answer in shapes):
        return index
    if all(given[1:] == answer for given, answer in shapes):
        return (slice(None), *index)
    return ()


def show(a: Tensor) -> str:
    """Write a small tensor in full, a large one by its first numbers and its shape."""
    numbers = [f"{float(v):.4g}" for v in a.flatten()[:6]]
    if a.dim() == 0:
        return numbers[0]
    rest = f", …] of shape {tuple(a.shape)}" if a.numel() > 6 or a.dim() > 1 else "]"
    return "[" + ", ".join(numbers) + rest


def show_case(parameters: tuple[str, ...], outcomes: tuple) -> str:
    """The shapes of the first case that went wrong."""
    bad = next(o for o in outcomes if o.run.problem)
    pairs = zip(parameters, bad.case.arguments)
    shapes = [f"{name} {tuple(a.shape)}" for name, a in pairs if isinstance(a, Tensor)]
    return f"\nSeen with the shapes {', '.join(shapes)}." if shapes else ""


def side_effect(outcomes: tuple) -> tuple[str, str] | None:
    """A change that the function leaves behind: what to say, and its name."""
    changed = next((o.run.changed for o in outcomes if o.run.changed), None)
    if changed is not None:
        text = (
            f"Your function changes its argument `{changed}` in place, and whoever handed it over "
            "still needs it. Operations whose name ends in `_`, `+=` and index assignment do that."
        )
        return text, "in-place change"
    if any(o.run.uses_numpy for o in outcomes):
        text = "Your function uses NumPy's or Python's global generator; nothing is random here."
        return text, "NumPy's generator"
    return None


def relation(evidence: Any, unit: str) -> tuple[str, str | None]:
    """Say what single factor, offset or place explains the difference, if one does."""
    if any(p.double().isnan().any() for o in evidence.outcomes for p in o.run.parts):
        text = "There is a NaN in your answer: is a logarithm or a root taken of a negative number?"
        return text, "NaN"
    where = evidence.wrong_in()
    if "" not in where:
        text = (
            f"It is right for ordinary numbers only, and wrong far out: {', '.join(sorted(where))}."
        )
        return text, "right for ordinary numbers only"
    pairs = [
        (m.double().flatten(), r.double().flatten())
        for o, w in zip(evidence.outcomes, evidence.wanted)
        for m, r in zip(o.run.parts, w.run.parts)
        if not o.case.extreme and m.shape == r.shape
    ]
    mine, right = (torch.cat(side) for side in zip(*pairs))
    offset, ratio = mine - right, (mine / right)[right.abs() > 1e-2]
    if float((offset.abs() / (1 + right.abs())).max()) < 2e-2:
        text = (
            f"It is nearly right: off by {float(offset.abs().max()):.2g} at most. Is a small "
            "number added inside a logarithm or a root, a value clamped, or a constant rounded?"
        )
        return text, "nearly right"
    if offset.isfinite().all() and offset.std() < 1e-3 * (1e-3 + offset.abs().mean()):
        way = "high" if float(offset.mean()) > 0 else "low"
        size = " ".join(filter(None, (f"{abs(float(offset.mean())):.4g}", unit)))
        return f"It is {size} too {way} everywhere.", None
    if ratio.numel() > 1 and ratio.std() < 1e-3 * ratio.mean().abs():
        factor = float(ratio.mean())
        base = next((b for b in (2, 10) if abs(factor * math.log(b) - 1) < 1e-3), None)
        text = f"It is {factor:.4g} times the right value everywhere"
        if base:
            return f"{text}, 1/log({base}): a logarithm to base {base}.", "another base"
        return f"{text}.", None
    if torch.allclose(mine.abs(), right.abs(), rtol=1e-3, atol=1e-3):
        return "The size is right, the sign is not everywhere.", None
    return "No single factor or offset explains the difference.", None


def stuck(names: tuple[str, ...], evidence: Any) -> list[str]:
    """Arguments that no gradient reaches, though it should."""
    bad = evidence.right.index(False)
    mine, right = evidence.outcomes[bad].gradients, evidence.wanted[bad].gradients
    return [n for n in names if n in mine and not mine[n].any() and right[n].any()]


def gradient_fault(names: tuple[str, ...], evidence: Any) -> tuple[str, str]:
    """The values are right; say which gradient is not, and how."""
    bad = evidence.right.index(False)
    mine, right = evidence.outcomes[bad].gradients, evidence.wanted[bad].gradients
    cut = stuck(names, evidence)
    if cut:
        text = (
            f"The values are right, but gradients do not flow to `{'` or `'.join(cut)}`. "
            "`.detach()`, `.item()`, `.data`, NumPy, `torch.tensor(...)` of a tensor and "
            "`torch.no_grad()` all cut them."
        )
        return text, "gradients do not flow"
    gap = {n: (mine[n].double() - right[n]).abs().nan_to_num(torch.inf) for n in names}
    name = max(names, key=lambda n: float(gap[n].max() / (1e-6 + right[n].abs().max())))
    at = gap[name].flatten().argmax()
    got, want = float(mine[name].flatten()[at]), float(right[name].flatten()[at])
    text = (
        f"The values are right, but the gradient with respect to `{name}` is not. Is a part of the "
        f"sum detached?\nOne entry is {got:.5g}, the right one is {want:.5g}."
    )
    return text, "NaN" if got != got else "wrong gradient"
