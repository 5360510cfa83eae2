"""Check of notebook 02: what a KL from detached draws, and a working one, make of a small x."""

from __future__ import annotations

from .question import question

SPIKE_VAR, NOISE_VAR = 0.05, 0.5**2
SHRUNK = SPIKE_VAR / (SPIKE_VAR + NOISE_VAR)


@question("2.3", factor=1.5)
def predicted_slopes() -> tuple:
    """Slope of the learned μ in x near 0, with a KL from `q.sample` and from `q.rsample`."""
    return 1.0, SHRUNK


NARROW = (
    "Near 0 the prior is all but its spike, of variance 0.05, and narrower than the image's noise, "
    "0.5² = 0.25: a working KL pulls μ most of the way to 0."
)
predicted_slopes.mistakes(
    (
        "both shrink",
        lambda: (SHRUNK, SHRUNK),
        lambda: (0.3, SHRUNK),
        lambda: (0.5, SHRUNK),
        "With `q.sample` the KL has the right value and no gradient: nothing pulls μ towards 0.",
    ),
    (
        "no gradient taken for no slope",
        lambda: (0.0, SHRUNK),
        "It is the KL that has no gradient there. The reconstruction still pulls μ to x.",
    ),
    ("swapped", lambda: (SHRUNK, 1.0), "The first number is `q.sample`'s, whose KL does not pull."),
    ("neither shrinks", lambda: (1.0, 1.0), lambda: (1.0, 1 / (1 + NOISE_VAR)), NARROW),
    (
        "a negative slope",
        lambda: (1.0, -SHRUNK),
        lambda: (-1.0, SHRUNK),
        "Neither KL turns the sign around: μ lies between 0 and x.",
    ),
    (
        "beyond the image",
        *(lambda a=a, b=b: (a, b) for a in (2.0, 4.5) for b in (SHRUNK, 1.0, 5.0)),
        "A slope above 1 puts μ beyond x. Nothing pulls there.",
    ),
    ("halfway", lambda: (1.0, 0.5), NARROW),
    (
        "the spike's variance",
        lambda: (1.0, SPIKE_VAR),
        "0.05 is the spike's variance, and no slope yet: the image's noise has a variance, too.",
    ),
    ("shrunk to nothing", lambda: (1.0, 0.0), "The spike has a width: some of x comes through."),
)
