"""Put what an exact check saw in words: a counter-example, and a symptom."""

import math
from typing import Any

import torch
from torch import Tensor


def counter_example(exercise: Any, evidence: Any) -> tuple[str, str]:
    """The most telling wrong number, ordinary cases first, and its case in full."""
    wrong = [
        (case, mine, right)
        for case, outcome, wanted in zip(evidence.cases, evidence.outcomes, evidence.wanted)
        for mine, right in zip(outcome.parts or (), wanted.parts)
        if mine.shape == right.shape and not exercise.close(mine, right)
    ]
    if not wrong:
        return "", ""
    case, mine, right = min(wrong, key=lambda row: (not row[1].isnan().any(), row[0].extreme))
    difference = (mine.double() - right.double()).abs().nan_to_num(torch.inf, torch.inf, torch.inf)
    index = torch.unravel_index(difference.argmax(), difference.shape)
    inputs, full = [], []
    for k, (name, a) in enumerate(zip(exercise.parameters, case.arguments)):
        if isinstance(a, Tensor):
            a = a[entry_of(k, evidence, index)]
            full += [f"{name} = {a}"] if a.numel() > 6 else []
        if not callable(a):
            inputs.append(f"{name} = {show(a)}")
    values = f"your value is {float(mine[index]):.5g}, the right one is {float(right[index]):.5g}"
    return f"\nAt {', '.join(inputs)} {values}.", "\n".join(full)


def entry_of(k: int, evidence: Any, index: tuple[Tensor, ...]) -> tuple:
    """The part of the k-th argument that an entry of the answer belongs to, by their shapes."""
    given = [getattr(case.arguments[k], "shape", ()) for case in evidence.cases]
    answers = [wanted.parts[0].shape for wanted in evidence.wanted]
    if all(a[: len(b)] == b for a, b in zip(given, answers)):
        return index
    columns = index and all(a[1:] == b for a, b in zip(given, answers))
    return (slice(None), *index) if columns else ()


def show(a: Any) -> str:
    """Write a number or a small tensor in full, a large one by its first numbers and its shape."""
    if not isinstance(a, Tensor):
        return f"{a:.4g}" if isinstance(a, float) else str(a)
    numbers = ", ".join(f"{float(v):.4g}" for v in a.flatten()[:6])
    if a.dim() == 0:
        return numbers
    long = a.numel() > 6 or a.dim() > 1
    return f"[{numbers}, …] of shape {tuple(a.shape)}" if long else f"[{numbers}]"


def symptom(exercise: Any, evidence: Any, example: str) -> tuple[str, str | None]:
    """What to say of an answer with no known mistake, and the symptom's name, if it has one."""
    for case, outcome in zip(evidence.cases, evidence.outcomes):
        if outcome.problem is not None:
            pairs = zip(exercise.parameters, case.arguments)
            shapes = [f"{name} {tuple(a.shape)}" for name, a in pairs if isinstance(a, Tensor)]
            where = f"\nSeen with the shapes {', '.join(shapes)}." if shapes else ""
            return f"{outcome.problem.text}{where}", outcome.problem.name
    if not evidence.steady:
        text = "Two calls with the same arguments give different answers; nothing is random."
        return text, "random where nothing is"
    if not example:
        return gradient_fault(exercise, evidence)
    text, name = relation(evidence, exercise.unit)
    return f"{text}{example}", name


def relation(evidence: Any, unit: str) -> tuple[str, str | None]:
    """Say what single factor, offset or place explains the difference, if one does."""
    if any(p.isnan().any() for outcome in evidence.outcomes for p in outcome.parts):
        text = "There is a NaN in your answer: is a logarithm or a root taken of a negative number?"
        return text, "NaN"
    where = evidence.wrong_in()
    if "" not in where:
        text = (
            f"It is right for ordinary numbers only, and wrong far out: {', '.join(sorted(where))}."
        )
        return text, "right for ordinary numbers only"
    pairs = [
        (mine.double().flatten(), right.double().flatten())
        for case, outcome, wanted in zip(evidence.cases, evidence.outcomes, evidence.wanted)
        for mine, right in zip(outcome.parts, wanted.parts)
        if not case.extreme
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
        size = f"{abs(float(offset.mean())):.4g} {unit}".strip()
        return f"It is {size} too {way} everywhere.", None
    if ratio.numel() > 1 and ratio.std() < 1e-3 * ratio.mean().abs():
        factor = float(ratio.mean())
        text = f"It is {factor:.4g} times the right value everywhere"
        for base in (2, 10):
            if abs(factor * math.log(base) - 1) < 1e-3:
                return f"{text}, 1/log({base}): a logarithm to base {base}.", "another base"
        return f"{text}.", None
    if torch.allclose(mine.abs(), right.abs(), rtol=1e-3, atol=1e-3):
        return "The size is right, the sign is not everywhere.", None
    return "No single factor or offset explains the difference.", None


def gradients_of(evidence: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str]]:
    """Of the first case that went wrong: the gradients, the right ones, and which are cut off."""
    bad = evidence.right.index(False)
    mine, right = evidence.outcomes[bad].gradients, evidence.wanted[bad].gradients
    return mine, right, [n for n in mine if not mine[n].any() and right[n].any()]


def gradient_fault(exercise: Any, evidence: Any) -> tuple[str, str]:
    """The values are right; say which gradient is not, where, and how."""
    mine, right, cut = gradients_of(evidence)
    if cut:
        text = (
            f"The values are right, but gradients do not flow to `{'` or `'.join(cut)}`. "
            "`.detach()`, `.item()`, `.data`, NumPy, `torch.tensor(...)` of a tensor and "
            "`torch.no_grad()` all cut them."
        )
        return text, "gradients do not flow"
    gap = {n: (mine[n].double() - right[n]).abs().nan_to_num(torch.inf) for n in mine}
    name = max(gap, key=lambda n: float(gap[n].max() / (1e-6 + right[n].abs().max())))
    at = gap[name].argmax()
    got, want = float(mine[name].flatten()[at]), float(right[name].flatten()[at])
    case = evidence.cases[evidence.right.index(False)]
    given = dict(zip(exercise.parameters, case.arguments))
    given[name] = given[name].flatten()[at]
    scalars = {n: a for n, a in given.items() if isinstance(a, float) or n == name}
    where = ", ".join(f"{n} = {show(a)}" for n, a in scalars.items())
    why, label = "Is a part of the sum detached?", "wrong gradient"
    if not math.isfinite(got):
        why, label = (
            "Most often it is 0 · ∞: what `torch.where` or `nan_to_num` drops has one too.",
            "NaN",
        )
    elif case.extreme:
        why = f"Far out ({case.extreme}), a clamp or an underflow may cut gradients."
    text = (
        f"The values are right, but the gradient with respect to `{name}` is not. {why}"
        f"\nAt {where} it is {got:.5g}, the right one is {want:.5g}."
    )
    return text, label
