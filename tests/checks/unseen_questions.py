"""Numbers, words and settings that students may hand over where a question is asked."""

import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import torch

from svae_helpers.settings import Setting

from .unseen import RIGHT, UNNAMED, tried


def numbers(exercise, right, **wrong):
    """Enter right numbers, and lists of wrong ones by their name."""
    named(exercise, RIGHT, *right)
    for name, values in wrong.items():
        named(exercise, {"_": UNNAMED}.get(name, name.replace("_", " ")), *values)


def named(exercise, name, *values):
    """Enter numbers under a name, which need not be a Python word."""
    tried(exercise, *((getattr(v, "__name__", f"{v}"), v, name) for v in values))


OTHER_KINDS = ["6.0", True, math.nan, math.inf, 1j, {}, lambda: 6.0, (1, 2, 3), object]

numbers(
    "predicted_draws",
    right=[
        *(1e11, 10**11, 190_000_000_000, 5e11, 2.909**20 / 0.1**2, [1.9e11]),
        *(torch.tensor(2e11), torch.tensor([2e11]), np.float64(1.9e11), np.int64(2 * 10**11)),
        *(np.array(1.9e11), Fraction(19 * 10**10), math.exp(26)),
    ],
    wrong_type=OTHER_KINDS,
    too_low=[0, -1.9e11, 19, 854, torch.tensor(0.0)],
    too_high=[191**20, 1e13, 10**45],
    linear_in_the_latents=[3820, 20 * 191, 5000],
    polynomial_in_the_latents=[191 * 400, 1e5],
    error_not_squared=[2.909**20 / 0.1],
    error_forgotten=[2.909**20, 1.9e9],
    variances_multiplied=[1.909**20 / 0.01],
    root_of_the_second_moment=[2.909**10 / 0.01],
)
named("predicted_draws", "one latent's number", 191, 200.0, 100)
named("predicted_draws", "a grid's number", 10**20)

numbers(
    "predicted_slopes",
    right=[
        *((1, 0.17), [1.0, 1 / 6], (0.9, 0.2), (1.0, 0.15), (1, 4 / 24), torch.tensor([1, 0.17])),
        *((torch.tensor(1.0), torch.tensor(0.17)), (np.float32(1), np.float32(0.16)), (1.1, 0.12)),
        ((1.0,), (0.17,)),
    ],
    wrong_type=[1.0, (1.0,), "1, 0.17", (1.0, "0.17"), (1, 0.17, 0), (math.nan, 0.17)],
    both_shrink=[(0.17, 0.17), (0.2, 0.15), (0.5, 0.17), (0.3, 0.17)],
    swapped=[(0.17, 1), (0.17, 0.9)],
    neither_shrinks=[(1, 1), (0.8, 0.8), (1, 0.83)],
    no_gradient_taken_for_no_slope=[(0, 0.17)],
    halfway=[(1, 0.5), (1.0, 0.4)],
    shrunk_to_nothing=[(1, 0), (1.0, 0.0)],
    beyond_the_image=[(2, 0.17), (5, 5)],
    a_negative_slope=[(-1, 0.17), (1, -0.17)],
)

named("predicted_slopes", "the spike's variance", (1, 0.05))

numbers(
    "silent_from",
    right=[20, 25.0, 32, 40, 60, torch.tensor(30.0), np.float64(31), 50, 2**5],
    wrong_type=["thirty", (8, 32), True, math.inf],
    too_low=[0, -32, 0.125, 3],
    too_high=[100, 185, 200, 1e4],
    one_for_one=[1, 1.5, 0.8],
)
named("silent_from", "the average nat", 8, 8.0, 6, 13)
named("silent_from", "the hidden β", 784, 500)

numbers(
    "undecided_sizes",
    right=[
        *((0.40, 0.67), [0.4, 0.65], (0.38, 0.7), (0.42, 0.66), torch.tensor([0.4, 0.67])),
        *((np.float64(0.39), 0.68), (2 / 5, 2 / 3)),
    ],
    wrong_type=[0.4, (0.4,), "0.4 0.67", ("0.4", "0.67"), (0.4, 0.55, 0.67)],
    in_the_other_order=[(0.67, 0.4)],
    the_crossover=[(0.55, 0.55), (0.4, 0.55), (0.55, 0.67)],
    heights_for_sizes=[(0.2, 0.8)],
    squares_for_sizes=[(0.16, 0.45)],
    minus_and_plus=[(-0.67, 0.67), (-0.4, 0.4)],
    _=[(0, 1), (0.4, 1.5), (0.05, 0.9)],
)
named("undecided_sizes", "the curve of v = 0.0025", (0.12, 0.17))
named("undecided_sizes", "the curve of v = 0.01", (0.22, 0.33))
named("undecided_sizes", "another height", (0.29, 0.72), (0.46, 0.62))

numbers(
    "predicted_count",
    right=[2.55, 2.5, 2, 3, 2.33, torch.tensor(2.6), np.float64(2.2), 20 * 0.127, Fraction(5, 2)],
    wrong_type=["two", (2, 3), False],
    too_low=[1.67, 0, 1, -2.5],
    too_high=[16, 20, 7.5, 400],
    the_switches=[4, 4.0, 20 * 0.2],
    all_from_the_slab=[11.6, 12, 10],
)
named("predicted_count", "one latent's", 0.13, 0.127)

numbers(
    "predicted_kl_draws",
    right=[4500, 4600, 5000, 3000, 9000, 20 * 1.5**2 / 0.1**2, torch.tensor(4500), 1e4 / 2],
    wrong_type=["4,500", (4500, 0.1), None.__class__],
    too_low=[0, 1, 1000, 20],
    too_high=[30_000, 10**6],
    the_square_forgotten=[67, 45],
    errors_added=[90_000, (20 * 1.5 / 0.1) ** 2],
)
named("predicted_kl_draws", "one latent's", 225, 1.5**2 / 0.1**2)
named("predicted_kl_draws", "errors added, and the square forgotten", 450)

numbers(
    "predicted_floor",
    right=[1.79, 2, 1, 3, 20 * 0.089, torch.tensor(1.8), np.float32(1.5)],
    wrong_type=["two", [1, 2], True],
    too_low=[0.3, -1.8, 0.5],
    too_high=[100],
    free=[0, 0.0, torch.tensor(0)],
)
named("predicted_floor", "one latent's", 0.089, 0.1)
named("predicted_floor", "the spike alone", 5, 6.2)

numbers(
    "scaled_count",
    right=[5, 5.2, 6, 4.5, 20 * 0.26, torch.tensor(5.3), np.float64(5), Fraction(11, 2)],
    wrong_type=["5", (5, 6), 5j],
    too_low=[2.6, 2.5, -5, 1],
    too_high=[14.8, 16, 20, 8],
    next_to_none=[0, 0.4],
    as_many_as_in_the_dense_model=[11.5, 11.6, 12],
    the_share=[0.26],
)
named("scaled_count", "(1 − π)·D", 4, 4.0)

numbers(
    "printed_count",
    right=[18, 17, 19.0, 18.4, 16, torch.tensor(18), np.int64(17)],
    wrong_type=["all", (18, 19), True],
    too_low=[2.5, 7, 14, -18],
    too_high=[25, 40],
    none=[0, 0.0],
)
named("printed_count", "as many as draws of N(0, 1)", 11.6, 11, 12)
named("printed_count", "(1 − π)·D", 4)

LOGIT = math.log(0.95 / 0.05)
numbers(
    "opening_benefit",
    right=[5.95, 6.0, 5.9, LOGIT + math.log(4) + 1.62, torch.logit(torch.tensor(0.95)) + 3.006],
    wrong_type=["5.95", (5.95, 6), True],
    too_low=[0, -5.95, 0.95, 5],
    too_high=[7.2, 12, LOGIT + math.log(5) + 2 * 1.62],
    a_coin=[3.01],
    the_prior_forgotten=[LOGIT + 1.62],
    G_forgotten=[LOGIT + math.log(4)],
)
named("opening_benefit", "the value's price", 1.62, 1.6)
named("opening_benefit", "the prior's sign", LOGIT - math.log(4) + 1.62)
named("opening_benefit", "γ for its logit", 0.95 + math.log(4) + 1.62)
named("opening_benefit", "log α for its logit", LOGIT + math.log(5) + 1.62)
named("opening_benefit", "a coin", math.log(0.95) + math.log(4) + 1.62)

numbers(
    "fashion_count",
    right=[1.6, 1.5, 1.7, 1.75, torch.tensor(1.6), np.float64(1.55), Fraction(8, 5)],
    wrong_type=["1.6", (1.6, 2.5), True],
    too_low=[0, 1.2, 0.9, -1.6],
    too_high=[2.1, 20, 2.9],
)
named("fashion_count", "the prior's own", 2.5, 2.55)
named("fashion_count", "(1 − π)D", 4, 4.0)

SCALED, DENSE = {"prior": "scaled"}, {"prior": "dense"}
ONE = {"marginal_weight": 1.0}
tried(
    "control",
    ("scaled", (SCALED, SCALED | ONE), RIGHT),
    ("dense", (DENSE, DENSE | ONE), RIGHT),
    ("an integer", (dict(prior="dense"), dict(prior="dense", marginal_weight=1)), RIGHT),
    ("λ = 0 said", (SCALED | {"marginal_weight": 0.0}, SCALED | ONE), RIGHT),
    ("the recipe's own said", (SCALED | {"latent_dim": 20}, SCALED | ONE), RIGHT),
    ("all fields", tuple(asdict(Setting(**s)) for s in (SCALED, SCALED | ONE)), RIGHT),
    ("the notebook's example", ({}, ONE), "a sparse prior"),
    ("sparse, said", ({"prior": "sparse"}, {"prior": "sparse"} | ONE), "a sparse prior"),
    ("gated", ({"prior": "gated"}, {"prior": "gated"} | ONE), "a sparse prior"),
    ("sparse beside scaled", (ONE, SCALED | ONE), "a sparse prior"),
    ("scaled beside dense", (SCALED, DENSE), "the same λ"),
    ("scaled twice", (SCALED, SCALED), "the same λ"),
    ("λ in both the same", (SCALED | ONE, SCALED | ONE), "the same λ"),
    ("the first is of another prior", (DENSE, SCALED | ONE), "two changes"),
    ("another size too", (SCALED, SCALED | ONE | {"latent_dim": 10}), "two changes"),
    ("swapped", (SCALED | ONE, SCALED), "λ in both"),
    ("swapped dense", (DENSE | ONE, DENSE), "λ in both"),
    ("λ = 3", (DENSE, DENSE | {"marginal_weight": 3.0}), "not in the sweep"),
    ("λ = ½", (SCALED, SCALED | {"marginal_weight": 0.5}), "not in the sweep"),
    ("seeds said", (SCALED | {"seed": 0}, SCALED | ONE | {"seed": 0}), RIGHT),
    ("seeds differ", (SCALED | {"seed": 0}, SCALED | ONE | {"seed": 1}), "two changes"),
    ("a capital", ({"prior": "Scaled"}, {"prior": "Scaled"} | ONE), "an unknown value"),
    ("a word for λ", (SCALED, SCALED | {"marginal_weight": "1.0"}), "an unknown value"),
    ("N(0, 1)", ({"prior": "N(0, 1)"}, {"prior": "N(0, 1)"} | ONE), "an unknown value"),
    ("another field", ({"priors": "scaled"}, {"priors": "scaled"} | ONE), "not settings"),
    ("lambda", (SCALED, SCALED | {"lambda": 1.0}), "not settings"),
    ("Settings", (Setting(**SCALED), Setting(**SCALED | ONE)), "not settings"),
    ("words", ("scaled", "scaled with the term"), "not settings"),
    ("lists", (["scaled", 0.0], ["scaled", 1.0]), "not settings"),
    ("sets", ({"prior", "scaled"}, {"prior", "scaled"}), "not settings"),
)
