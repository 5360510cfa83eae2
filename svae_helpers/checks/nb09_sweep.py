"""Notebook 09's prediction of a count, and the control of its claim, judged by the sweep's file."""

from functools import cache
from importlib.resources import files
from numbers import Real

import pandas as pd

from .inspection import Seen, inspection
from .question import question


@cache
def _sweep() -> pd.DataFrame:
    with (files("svae_helpers.assets") / "sweep.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _setting(source: str = "embedded", **changes: str | float) -> dict:
    """The course's recipe for these images, which most rows share, with changes."""
    ours = _sweep()[_sweep().source == source]
    recipe = (ours if len(ours) else _sweep()).loc[:, :"epochs"].mode().iloc[0].to_dict()
    return recipe | {"source": source} | changes


def _mean(setting: dict, measure: str = "count") -> float:
    """Mean over the seeds; NaN where the sweep has no such run."""
    return _sweep()[(_sweep()[list(setting)] == pd.Series(setting)).all(axis=1)][measure].mean()


LESS = "The term moves it less than that."


@question("9.2", distance=0.25, unit="latents", too_low=LESS, too_high=LESS)
def fashion_count() -> float:
    """Count (a) on Fashion-MNIST with λ = 1."""
    return _mean(_setting("fashion", marginal_weight=1.0))


OWN = "It ends there if the aggregates match the prior. They come nearer; this count does not."
fashion_count.mistakes(
    ("the prior's own", lambda: _mean(_setting("fashion"), "count_prior"), OWN),
    ("(b) for (a)", lambda: _mean(_setting("fashion"), "expected_count"), "That is (b), not (a)."),
    (
        "(1 − π)D",
        lambda: _mean(_setting("fashion"), "expected_count_prior"),
        "That is the prior by (b).",
    ),
)


@inspection("9.3")
def control(seen: Seen, without: dict, with_term: dict) -> str:
    """Name two runs of the sweep that differ in λ alone and have no sparse prior."""
    names, pair = [*_setting(), "seed"], (without, with_term)
    if not all(isinstance(p, dict) and p.keys() <= set(names) for p in pair):
        seen.fault("not settings", f"They are {', '.join(names)}.")
    for name, value in (*without.items(), *with_term.items()):
        known = _sweep()[name].unique().tolist()
        if isinstance(known[0], str):
            if not isinstance(value, str) or value not in known:
                seen.fault("an unknown value", f"`{name}` is one of {', '.join(known)}.")
        elif not isinstance(value, Real):
            seen.fault("an unknown value", f"`{name}` is a number.")
    one, other = ({"seed": 0} | _setting(**p) for p in pair)
    differ = [name for name in names if one[name] != other[name]]
    if {one["prior"], other["prior"]} & {"sparse", "gated"}:
        seen.fault("a sparse prior")
    if "marginal_weight" not in differ:
        seen.fault("the same λ")
    if len(differ) > 1:
        seen.fault("two changes", f"Yours differ in {', '.join(differ)}.")
    if one["marginal_weight"] != 0:
        seen.fault("λ in both")
    before, after = (_mean({n: v for n, v in s.items() if n != "seed"}) for s in (one, other))
    if not before + after > 0:
        seen.fault("not in the sweep")
    return f"Count (a): {before:.1f} without the term, {after:.1f} with it."
