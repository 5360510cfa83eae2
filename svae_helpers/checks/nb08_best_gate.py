"""Question of notebook 08: what an open gate must bring before it stays open."""

import math

from .question import question

G = 0.5 * (1.5**2 + 0.4**2 - 1 - math.log(0.4**2))  # of N(1.5, 0.4²), Eq. 3.6
FOUR, OPEN = math.log(0.8 / 0.2), math.log(0.95 / 0.05)  # −logit α, and logit γ at 95%
PARTS = "Eq. 8.5, solved for b, has three parts, and each of them makes opening dearer."


@question("8.2", distance=0.12, unit="nats", too_low=PARTS, too_high=PARTS)
def opening_benefit() -> float:
    """The benefit at which the best gate is open in 95% of the draws (Eq. 8.5)."""
    return OPEN + FOUR + G


COIN = "Where the benefit only equals the price, G + log 4, the best gate is a coin: logit γ is 0."
SIGN = "logit α is negative: solving Eq. 8.5 for b subtracts it, which makes opening dearer."
opening_benefit.mistakes(
    ("the value's price", lambda: G, "That pays for the value, not yet for being on at all."),
    ("a coin", lambda: FOUR + G, COIN),
    ("the prior's sign", lambda: OPEN - FOUR + G, SIGN),
    ("the prior forgotten", lambda: OPEN + G, "−logit α is missing: gates are shut by default."),
    ("G forgotten", lambda: OPEN + FOUR, "G, the price of the value, is missing."),
    ("log α for its logit", lambda: OPEN - math.log(0.2) + G, "Eq. 8.5 holds logit α, not log α."),
    ("γ for its logit", lambda: 0.95 + FOUR + G, "Eq. 8.5 holds logit γ, log(0.95 / 0.05)."),
)
