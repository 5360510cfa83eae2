"""Question of notebook 07: what the loss as printed does to the count."""

import csv
from functools import cache
from importlib.resources import files
from statistics import mean

from .question import question
from .small_vae import LATENTS, SPIKE_PROB, draws_past

PRINTED = {
    **{"source": "embedded", "prior": "sparse", "latent_dim": "20", "pixels": "grey"},
    **{"gradient": "detached", "reduction": "mean", "schedule": "constant"},
}


@cache
def _measured() -> float:
    with files("svae_helpers.assets").joinpath("sweep.csv").open() as file:
        runs = [row for row in csv.DictReader(file) if PRINTED.items() <= row.items()]
    return mean(float(run["count"]) for run in runs)


@question(
    "7.3",
    factor=1.2,
    unit="of 20, the mean of three seeds",
    too_low="What is left in this loss that would hold a mean near 0?",
    too_high="There are only 20 latents.",
)
def printed_count() -> float:
    """Latents past the crossover after training with the loss as printed, of 20."""
    return _measured()


printed_count.mistakes(
    (
        "(1 − π)·D",
        lambda: (1 - SPIKE_PROB) * LATENTS,
        "That is what the article claims. Can a prior that does not pull bring it about?",
    ),
    (
        "as many as draws of N(0, 1)",
        lambda: draws_past(1.0),
        "That is the count of the *dense* model, whose KL pulls towards N(0, 1). Here no KL pulls "
        "at all: what would hold the means near 0?",
    ),
    (
        "none",
        lambda: 0.0,
        "A prior that does not pull switches nothing off: means drift as far as the "
        "reconstruction likes, and it likes codes far apart.",
    ),
)
