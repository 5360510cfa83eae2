"""Every exercise of every notebook: a right answer passes there, a wrong one is named.

The answer is put where the learner writes it, the notebook's own last line calls the check. Folded
answers are taken from the notebook; where a helper is the model answer, it is spelled out here.
"""

import re
from pathlib import Path

import nbformat
import pytest

from svae_helpers import checks
from tests.checks.catalogue import (
    EXERCISES,
    INSPECTIONS,
    QUESTIONS,
    right_answer,
    wrong_answers,
)

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))

BY_HELPER = {
    "bernoulli_log_likelihood": """
from svae_helpers import bernoulli_log_likelihood
""",
    "log_prob": """
def log_prob(z, spike_prob, spike_var):
    return SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
""",
    "sample": """
def sample(shape, spike_prob, spike_var):
    return SpikeAndSlab.gaussian(spike_prob, spike_var).sample(shape)
""",
    "slab_responsibility": """
def slab_responsibility(z, spike_prob, spike_var):
    return SpikeAndSlab.gaussian(spike_prob, spike_var).slab_responsibility(z)
""",
    "monte_carlo_kl": """
class Prior:
    def __init__(self, log_prob):
        self.log_prob = log_prob

def monte_carlo_kl(mu, log_var, log_prior, num_samples):
    q = torch.distributions.Normal(mu, torch.exp(0.5 * log_var))
    return kl_monte_carlo(q, Prior(log_prior), num_samples).sum(dim=-1)
""",
}


def exercises():
    """Yield (notebook, stub, folded answer or None) for every exercise."""
    for path in PATHS:
        cells = nbformat.read(path, as_version=4).cells
        for index, cell in enumerate(cells):
            if cell.cell_type == "code" and re.search("# your (code|answer)", cell.source):
                folded = re.search(r"```python\n(.*?)```", cells[index + 1].source, flags=re.S)
                yield path, cell.source, folded and folded[1]


CASES = {
    re.findall(r"^checks\.(\w+)\(", stub, flags=re.M)[-1]: (path, stub, folded)
    for path, stub, folded in exercises()
}


def imports_of(path):
    """A namespace as it is after the notebook's imports."""
    namespace = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, namespace)
            return namespace
    raise AssertionError(f"{path.name} has no code")


def answers_above(name):
    """The folded answers to the notebook's exercises before this one, which may call theirs."""
    names = [other for other in CASES if CASES[other][0] == CASES[name][0]]
    return "\n".join(CASES[other][2] or "" for other in names[: names.index(name)])


def test_every_check_has_its_exercise_and_every_exercise_its_check():
    assert CASES.keys() == checks.ALL.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_right_answer_passes_and_a_wrong_one_is_named(name):
    path, stub, folded = CASES[name]
    *_, last_line = stub.strip().splitlines()
    namespace = imports_of(path)
    exec(stub.strip().removesuffix(last_line), namespace)
    assert eval(last_line, namespace).status == "not attempted"
    if name not in QUESTIONS:
        exec(answers_above(name), namespace)
        exec(folded or BY_HELPER[name], namespace)
        result = eval(last_line, namespace)
        assert result, result.message
    answers = wrong_answers(EXERCISES[name]).items()
    for mistake, (wrong, *_) in [(None, [right_answer(EXERCISES[name])]), *answers][:2]:
        several = wrong if name in INSPECTIONS else (wrong,)
        handed_in = re.search(r"\((.*)\)$", last_line)[1].split(", ")
        namespace.update(zip(handed_in, several, strict=True))
        result = eval(last_line, namespace)
        assert bool(result) == (mistake is None), result.message
        assert result.misconception == (mistake and mistake.name), result.message
