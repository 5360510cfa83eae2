"""Every catalogued mistake is refused under its own name; unknown ones get a counter-example."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from svae_helpers import checks
from svae_helpers.checks import Inspection, Question
from svae_helpers.checks.mistakes import _TEXTS as explanations

from .catalogue import EXACT, EXERCISES, FUNCTIONS, INSPECTIONS, RANDOM, submit, wrong_answers

SEEDS = 20
ENTRIES = [
    pytest.param(exercise, mistake, spellings, id=f"{name}-{mistake.name}")
    for name, exercise in EXERCISES.items()
    for mistake, spellings in wrong_answers(exercise).items()
]


@pytest.mark.parametrize(("exercise", "mistake", "spellings"), ENTRIES)
def test_a_catalogued_mistake_is_refused_under_its_name(exercise, mistake, spellings):
    """20 seeds, shared out among the mistake's spellings, each of which comes at least once."""
    seeds = {Question: 1, Inspection: 5}.get(type(exercise), SEEDS)
    for seed in range(max(seeds, len(spellings))):
        torch.manual_seed(seed)
        result = submit(exercise, spellings[seed % len(spellings)])
        assert (result.status, result.misconception) == ("failed", mistake.name), result
        assert re.match(rf"✗ {exercise.number} \S", result.message)
        assert mistake.explanation in result.message.splitlines()[0]


@pytest.mark.parametrize("name", INSPECTIONS)
def test_an_inspections_mistakes_are_all_tried_and_have_words(name):
    """Each that has a text of this exercise's, and each that is told without another text."""
    inspection, answers = INSPECTIONS[name], wrong_answers(INSPECTIONS[name])
    assert all(answers.values())
    tried = {mistake.name for mistake in answers}
    shared = explanations["every exercise"].items()
    assert {mistake for mistake, _ in inspection.texts.items() - shared} <= tried
    tree = ast.parse(Path(inspect.getfile(inspection.examine)).read_text(encoding="utf-8"))
    faults = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and len(n.args) == 1]
    faults = [n for n in faults if isinstance(n.func, ast.Attribute) and n.func.attr == "fault"]
    told = {getattr(part, "value", None) for n in faults for part in ast.walk(n.args[0])}
    told = {mistake for mistake in told if isinstance(mistake, str)}
    assert told <= tried and told <= inspection.texts.keys()


# Names that say what is true of any answer with their symptom, whatever its cause.
GENERAL = {"noise not normal", "noise too wide or too narrow", "not num_samples draws"}
GENERAL |= {"ε shared between images", "ε shared between latents", "caller's tensor changed"}


@pytest.mark.parametrize("name", RANDOM)
def test_a_mistake_unknown_to_the_catalogue_gets_no_neighbours_name(name, monkeypatch):
    """Each mistake is taken out and handed in: fewer than 5% get another's name."""
    exercise, named, total = RANDOM[name], [], 0
    for mistake, spellings in wrong_answers(exercise).items():
        rest = tuple(m for m in exercise.known if m is not mistake)
        with monkeypatch.context() as patch:
            patch.setattr(exercise, "known", rest)
            engine = inspect.getmodule(type(exercise))
            patch.setattr(engine, "one_change", lambda *_: None)  # it gives no names
            for spelling in spellings:
                torch.manual_seed(len(named))
                result = exercise(spelling)
                assert result.status == "failed"
                others = {m.name for m in rest} - GENERAL
                named += [result.misconception] * (result.misconception in others)
                total += 1
    assert len(named) < max(0.05 * total, 1), (named, total)


def test_there_are_enough_of_them():
    counts = {name: len(wrong_answers(e)) for name, e in FUNCTIONS.items()}
    for name, e in EXACT.items():  # each term forgotten, flipped, counted twice or detached
        counts[name] += 4 * len(e.terms(*e.draw_cases(0)[0].arguments))
    assert min(counts.values()) >= 14 and sum(counts.values()) >= 400, counts


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_names_are_short_and_said_once(exercise):
    names = [mistake.name for mistake in wrong_answers(exercise)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 60 for name in names)


@pytest.mark.parametrize("exercise", EXACT.values(), ids=EXACT)
def test_mistakes_that_compute_the_same_share_an_entry(exercise):
    torch.manual_seed(3)
    cases = exercise.draw_cases(3)
    seen = []
    for mistake, spellings in wrong_answers(exercise).items():
        for wrong in spellings:
            evidence = exercise.examine(wrong, cases)
            assert not all(evidence.right) or not evidence.steady
            for other, before in seen:
                same = all(
                    exercise.same(a, b)
                    for a, b in zip(evidence.outcomes, before.outcomes, strict=True)
                )
                assert other is mistake or not same, (mistake.name, other.name)
            seen.append((mistake, evidence))


class WithoutSource:
    """An answer in which no place to change can be found."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)


def off_by(factor=1.0, offset=0.0, name="gaussian_kl"):
    reference = EXACT[name].reference
    return WithoutSource(lambda *arguments: factor * reference(*arguments) + offset)


def test_an_unknown_factor_is_told():
    result = checks.gaussian_kl(off_by(factor=1.37))
    assert result.misconception is None and "1.37 times" in result.message
    assert "mu = [" in result.message and "the right one is" in result.message


def test_an_unknown_offset_is_told():
    result = checks.log_prob(off_by(offset=-0.21, name="log_prob"))
    assert result.misconception is None and "0.21 nats too low" in result.message
    assert "z = " in result.message and "spike_prob = 0.8" in result.message


def test_an_unknown_mistake_has_a_counter_example():
    result = checks.elbo(WithoutSource(lambda joint, q: (joint - q).mean(0).sin()))
    assert result.status == "failed" and result.misconception is None
    assert "log_joint = [" in result.message and "No single factor" in result.message


def changed(mu, log_var):
    mu += 1
    return EXACT["gaussian_kl"].reference(mu - 1, log_var)


def changed_by_data(mu, log_var):
    right = EXACT["gaussian_kl"].reference(mu, log_var)
    log_var.data.zero_()
    return right


def no_return(mu, log_var):
    EXACT["gaussian_kl"].reference(mu, log_var)


def raises(mu, log_var):
    return mu.nonsense()


def half(mu, log_var):
    return EXACT["gaussian_kl"].reference(mu, log_var).half()


def by_numpy(mu, log_var):
    np.random.rand()
    return EXACT["gaussian_kl"].reference(mu, log_var)


def without_gradient(mu, log_var):
    with torch.no_grad():
        return EXACT["gaussian_kl"].reference(mu, log_var)


def half_a_gradient(mu, log_var):
    return EXACT["gaussian_kl"].reference(mu.detach(), log_var)


def halved_gradient(mu, log_var):
    right = EXACT["gaussian_kl"].reference(mu, log_var)
    return 0.5 * right + 0.5 * right.detach()


SLIPS = {
    "in-place change": changed,
    "missing return": no_return,
    "an exception": raises,
    "NumPy's generator": by_numpy,
    "wrong gradient": halved_gradient,
    "NaN": lambda mu, log_var: EXACT["gaussian_kl"].reference(mu, log_var) * torch.nan,
    "wrong shape": lambda mu, log_var: EXACT["gaussian_kl"].reference(mu, log_var)[:, None],
    "random where nothing is": lambda mu, log_var: (mu + torch.randn_like(mu)).sum(1),
}


def test_a_change_behind_autograds_back_is_seen():
    assert checks.gaussian_kl(changed_by_data).misconception == "in-place change"


@pytest.mark.parametrize("name", SLIPS)
def test_slips_are_named(name):
    result = checks.gaussian_kl(SLIPS[name])
    assert (result.status, result.misconception) == ("failed", name), result


@pytest.mark.parametrize(
    "wrong",
    [
        half,
        lambda mu, log_var: float(mu.sum()),
        lambda mu, log_var: mu.sum(1).numpy(),
        lambda mu, log_var: (mu.sum(1), log_var.sum(1)),
        lambda mu, log_var: [0.0] * len(mu),
        lambda mu, log_var: (mu > 0).any(1),
    ],
)
def test_wrong_types_are_named(wrong):
    assert checks.gaussian_kl(wrong).misconception == "wrong type"


def test_gradients_that_stop_are_named_with_their_argument():
    result = checks.gaussian_kl(without_gradient)
    assert result.misconception == "gradients do not flow"
    assert "`mu`" in result.message and "`log_var`" in result.message
    result = checks.gaussian_kl(half_a_gradient)
    assert result.misconception == "gradients do not flow"
    assert "`mu`" in result.message and "`log_var`" not in result.message


def test_slips_in_random_answers_are_named():
    slips = {
        "missing return": lambda mu, log_var: print("hello") or None,
        "wrong type": lambda mu, log_var: (mu + torch.randn_like(mu)).numpy(),
        "wrong shape": lambda mu, log_var: mu.flatten()[:1],
        "an exception": lambda mu, log_var: mu.nonsense(),
        "NaN": lambda mu, log_var: mu + torch.randn_like(mu) * torch.nan,
    }
    for name, wrong in slips.items():
        result = checks.reparameterise(wrong)
        assert (result.status, result.misconception) == ("failed", name), result


def test_a_random_answer_may_not_change_its_arguments():
    def wrong(mu, log_var):
        z = mu + torch.exp(log_var / 2) * torch.randn_like(mu)
        log_var.data.zero_()
        return z

    assert checks.reparameterise(wrong).misconception == "in-place change"


def test_numpys_own_generators_are_named():
    generator = np.random.default_rng()

    def fresh(mu, log_var):
        noise = np.random.default_rng().standard_normal(tuple(mu.shape))
        return mu + torch.exp(log_var / 2) * torch.from_numpy(noise).float()

    def kept(mu, log_var):
        noise = generator.standard_normal(tuple(mu.shape))
        return mu + torch.exp(log_var / 2) * torch.from_numpy(noise).float()

    for wrong in (fresh, kept):
        assert checks.reparameterise(wrong).misconception == "NumPy's generator"


def test_global_seed_inside_is_named():
    def wrong(mu, log_var):
        torch.manual_seed(0)
        return mu + torch.exp(log_var / 2) * torch.randn_like(mu)

    assert checks.reparameterise(wrong).misconception == "fixed seed"


def test_a_clamp_of_any_size_is_named():
    for eps in (1e-3, 1e-7):

        def wrong(logits, x, eps=eps):
            probs = logits.sigmoid().clamp(eps * 1e-3, 1 - eps * 1e-3)
            return -F.binary_cross_entropy(probs, x, reduction="none").sum(1)

        assert checks.bernoulli_log_likelihood(wrong).misconception == "clamped probabilities"


def test_checks_import_no_helper():
    """The checker never compares an answer with itself: its references are its own."""
    for path in Path(checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                inside = node.level == 1 or not (node.module or "").startswith("svae_helpers")
                assert inside and node.level < 2, (path.name, node.lineno)
            elif isinstance(node, ast.Import):
                assert not any(a.name.startswith("svae_helpers") for a in node.names)


def test_a_broken_helper_is_refused_and_breaks_no_check(monkeypatch):
    from svae_helpers import SpikeAndSlab, likelihoods

    right = SpikeAndSlab.log_prob
    monkeypatch.setattr(SpikeAndSlab, "log_prob", lambda self, z: 2 * right(self, z))
    monkeypatch.setattr(likelihoods, "bernoulli_log_likelihood", lambda logits, x: logits.sum(1))
    broken = lambda z, p, v: SpikeAndSlab.gaussian(spike_prob=p, spike_var=v).log_prob(z)
    assert checks.log_prob(broken).status == "failed"
    assert not checks.bernoulli_log_likelihood(likelihoods.bernoulli_log_likelihood)
    for name, exercise in {**EXACT, **RANDOM}.items():
        checks.ALL[name](exercise.reference).require()
