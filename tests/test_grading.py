"""Submissions run in their own process: what is solved gets its points, what cheats gets no more.

Each is judged as `make grade` does it (judging.py), on the tasks that it is about. The full round
with nbgrader is in test_assignment.py, the names of mistakes are in test_grading_names.py.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

pytest.importorskip("nbgrader")

from .submissions import copy_course, read_source, solution_of

SOURCE = read_source()
SETUP = ("setup", "faulty-loss")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def judging(course):
    """The module judging.py of the copied folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(course)
        for name in ("judging", "wire"):
            patch.delitem(sys.modules, name, raising=False)
        import judging

        yield judging
        if judging._nursery is not None:
            judging._nursery[0].kill()
        for name in ("judging", "wire"):
            sys.modules.pop(name, None)


@pytest.fixture
def submit(judging, course, tmp_path):
    """Judge a notebook of setup, some code cells, and the test cells of some tasks."""

    def run(*codes: str, tasks: tuple = (1,), timeout: float = 60, memory: float = 6):
        names = [f"task-{task}-tests" for task in tasks]
        cells = {cell.metadata.nbgrader.grade_id: cell for cell in SOURCE.cells}
        notebook = nbformat.v4.new_notebook(
            cells=[
                *(cells[name] for name in SETUP),
                *map(nbformat.v4.new_code_cell, codes),
                *(cells[name] for name in names),
            ]
        )
        path = tmp_path / "assignment.ipynb"
        nbformat.write(notebook, path)
        limits = judging.Limits(timeout, 240, memory)
        found = judging.judge(path, course / "source" / "sparse_vae.py", course, limits)
        assert list(found.parts) == names
        return found

    return run


def total(found) -> float:
    return sum(part.points for parts in found.parts.values() for part in parts)


def said(found) -> str:
    return "\n".join(part.text for parts in found.parts.values() for part in parts)


LOG_PROB, LOSS = solution_of(SOURCE, "log-prob"), solution_of(SOURCE, "mended-loss")
PAIRS = solution_of(SOURCE, "antithetic-kl")

# What cheats: on top of a right answer to task 1 and none to task 4, or instead of an answer.

FAKE = "def mended_loss(*arguments):\n    return torch.tensor(0.0, requires_grad=True)\n"
CHEATS = {
    "the check is replaced": """
import svae_helpers.checks as c
c.sparse_vae_loss = c.log_prob = lambda answer: c.CheckResult("passed", "✓")
c.Exercise.__call__ = c.Inspection.__call__ = lambda self, *a: c.CheckResult("passed", "✓")
""",
    "CheckResult always passes": """
from svae_helpers.checks import CheckResult
CheckResult.__bool__ = lambda self: True
CheckResult.require = lambda self: self
CheckResult.status = "passed"
""",
    "torch is patched": """
torch.allclose = torch.equal = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.__gt__ = torch.Tensor.__lt__ = lambda a, b: True
""",
    "the old names are taken": """
def judge(*arguments):
    return type("Yes", (), {"require": lambda self: None})()
same = demand = complain = judge
""",
    "a table is printed": """
print("3 of 3 · all: ✓ 4 `mended_loss` is right")
from IPython.display import display
display(3.0)
3.0
""",
    "the tests are looked for in memory": """
import gc, sys
for thing in gc.get_objects():
    if isinstance(thing, dict) and "TESTS" in thing:
        mended_loss = thing["loss_with"]([])
for module in list(sys.modules.values()):
    mended_loss = getattr(module, "loss_with", lambda f: mended_loss)([])
""",
    "the tests are read from the disk": """
import runpy
for path in PATHS:
    try:
        mended_loss = runpy.run_path(path)["loss_with"]([])
    except Exception:
        pass
    try:
        exec(open(path).read())
        mended_loss = loss_with([])
    except Exception:
        pass
""",
    "another program reads them": """
import os, subprocess
try:
    text = subprocess.run(["cat", PATHS[0]], capture_output=True, text=True).stdout
    exec(text); mended_loss = loss_with([])
except Exception:
    pass
try:
    exec(os.popen("cat " + PATHS[0]).read()); mended_loss = loss_with([])
except Exception:
    pass
""",
    "the check's own answer is called": """
mended_loss = checks.sparse_vae_loss.reference
""",
    "the frames are searched": """
import sys
def mended_loss(*arguments):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if getattr(value, "__name__", "") == "loss_with":
                return value([])(*arguments)
        frame = frame.f_back
    return torch.tensor(0.0, requires_grad=True)
""",
    "the judge is stopped": """
import os, signal
def mended_loss(*arguments):
    for process in (os.getppid(), os.getpgid(os.getppid())):
        try:
            os.kill(process, signal.SIGKILL)
        except Exception:
            pass
    return torch.tensor(0.0, requires_grad=True)
""",
    "the function exits": "import os\ndef mended_loss(*arguments):\n    os._exit(0)\n",
    "a cell exits": "import sys, os\nsys.exit(0)",
    "a cell quits": "exit()",
    "the process is ended": "import os\nos._exit(0)",
    "the notebook is None": "mended_loss = None",
    "the answer is an object that equals everything": """
class Everything(torch.Tensor):
    __eq__ = __gt__ = __lt__ = lambda self, other: True
def mended_loss(*arguments):
    return torch.zeros(()).as_subclass(Everything)
""",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_gets_what_it_solves(submit, course, cheat):
    paths = [str(course / "source" / "sparse_vae.py"), f"/proc/self/cwd/{course}/source"]
    code = CHEATS[cheat].replace("PATHS", repr(paths))
    found = submit(FAKE, LOG_PROB, code, tasks=(1, 4))
    assert [part.points for part in found.parts["task-1-tests"]] == [1.5, 1, 0.5], said(found)
    assert total(found) == 3, said(found)


def test_what_the_cheats_try_is_there_to_be_had(submit):
    """The controls: an answer that solves both tasks gets all, and files of its own are open."""
    own = "open('notes.txt', 'w').write('mine')\nassert open('notes.txt').read() == 'mine'"
    found = submit(LOG_PROB, LOSS, own, tasks=(1, 4))
    assert total(found) == 6
    kinds = {output.output_type for outputs in found.outputs.values() for output in outputs}
    assert kinds == {"stream"}


READY_MADE = {
    "at once": "def log_prob(z, p, v, b):\n    return PRIOR(p, v, b).log_prob(z)",
    "through a helper": (
        "def helper(z, p, v, b):\n    return PRIOR(p, v, b).log_prob(z)\n"
        "def log_prob(z, p, v, b):\n    return helper(z, p, v, b)"
    ),
    "by getattr": (
        "def log_prob(z, p, v, b):\n    return getattr(PRIOR(p, v, b), 'log_' + 'prob')(z)"
    ),
    "by an alias from before": (
        "f = SpikeAndSlab.log_prob\ndef log_prob(z, p, v, b):\n    return f(PRIOR(p, v, b), z)"
    ),
    "torch's": (
        "import torch.distributions as d\ndef log_prob(z, p, v, b):\n"
        "    return d.MixtureSameFamily(d.Categorical(torch.tensor([p, 1 - p])),"
        " d.Normal(torch.zeros(2), torch.tensor([v, b]))).log_prob(z)"
    ),
}
PRIOR = "def PRIOR(p, v, b):\n    return SpikeAndSlab(Normal(0.0, v**0.5), Laplace(0.0, b), p)\n"


@pytest.mark.parametrize("way", READY_MADE)
def test_the_ready_made_mixture_is_no_answer(submit, way):
    found = submit(PRIOR + READY_MADE[way])
    assert total(found) == 0
    assert "✗ 1, ready-made mixture: build the density from its two components." in said(found)


def test_a_name_is_no_ready_made_mixture(submit):
    """What only mentions the class, or uses it elsewhere, solves the task."""
    code = "check = SpikeAndSlab.gaussian().log_prob(torch.zeros(3))\n" + LOG_PROB.replace(
        "    log_spike =", '    """Replaces SpikeAndSlab."""\n    SpikeAndSlab\n    log_spike ='
    )
    assert total(submit(code)) == 3


# Right answers that were refused, or whose points hung on the machine.

ODD = """
same = judge = demand = complain = mu = sigma = q = prior = z = model = TESTS = 0
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)
"""
LOOP = """
def antithetic_kl(mu, sigma, log_prior, num_pairs):
    values = []
    for _ in range(num_pairs):
        epsilon = torch.randn_like(mu)
        pair = 0.0
        for sign in (-1.0, 1.0):
            z = mu + sign * sigma * epsilon
            log_q = -0.5 * epsilon**2 - sigma.log() - 0.5 * math.log(2 * math.pi)
            pair = pair + 0.5 * (log_q - log_prior(z))
        values.append(pair)
    values = torch.stack(values)
    return values.mean(0), values.std(0) / num_pairs**0.5
"""
MODEL = """
def train_laplace_vae(images, seed):
    seed_everything(seed)
    prior = SpikeAndSlab(Normal(torch.zeros(16), 0.05**0.5), Laplace(0.0, 2**-0.5), 0.8)
    model = VAE(latent_dim=16, hidden_dim=200, prior=prior)
    fit(model, images, epochs=5, seed=seed, progress=False)
    model.eval()
    return model


def active_latents(model, images):
    model.eval()
    device = next(model.parameters()).device
    assert isinstance(model, VAE) and model.training is False
    with torch.inference_mode():
        means = [model.encode(batch.to(device)).mean for batch in images.split(7)]
        return (model.prior.slab_responsibility(torch.cat(means)) > 0.5).sum(dim=1).float()


prior_active = 1.6
"""


@pytest.fixture(scope="module")
def odd(judging, course, tmp_path_factory):
    """All tasks, solved in ways that were refused, with a cell that breaks at the end."""
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in SOURCE.cells}
    new = nbformat.v4.new_code_cell
    after = new("def log_prob(z):\n    return 'of another cell'")  # a name that is used again
    order = [cells["setup"], new(ODD), new(LOG_PROB), cells["task-1-tests"], after, new(LOOP)]
    order += [cells["task-2-tests"], new(MODEL), cells["task-3-tests"], new("1 / 0")]
    order += [cells["faulty-loss"], new(LOSS), cells["task-4-tests"]]
    path = Path(tmp_path_factory.mktemp("odd")) / "assignment.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=order), path)
    tests = course / "source" / "sparse_vae.py"
    return judging.judge(path, tests, course, judging.Limits(120, 500, 6))


@pytest.mark.parametrize("task", [1, 2, 3, 4])
def test_right_answers_in_other_ways_get_all_points(odd, task):
    for part in odd.parts[f"task-{task}-tests"]:
        assert part.points == part.out_of, part.text


WRONG = {  # what a student may hand in, the task, the points, and what is said
    "too much memory": (
        "def log_prob(z, p, v, b):\n    return torch.zeros(10**10)",
        (1, 0, "you tried to allocate 40000000000 bytes"),
    ),
    "another signature": ("def log_prob(z):\n    return z", (1, 0, "raises TypeError")),
    "NumPy": (
        "def log_prob(z, p, v, b):\n    return z.numpy()",
        (1, 0, "NumPy's numbers, which keep no gradients"),
    ),
    "an error in a line": (
        "def log_prob(z, p, v, b):\n    weights = torch.ones(3) @ torch.ones(4)\n    return z",
        (1, 0, "(in the line `weights = torch.ones(3) @ torch.ones(4)`)"),
    ),
    "in place": (
        LOG_PROB.replace("    log_spike =", "    z += 0.0 * z + 1e-3\n    log_spike ="),
        (1, 0, "in place"),
    ),
    "half of the gradient": (LOG_PROB.replace("z**2", "z.detach()**2"), (1, 2.5, "gradient")),
    "the generator's state is set": (
        PAIRS.replace("    total = 0.0", "    torch.manual_seed(3)\n    total = 0.0").replace(
            "    q, epsilon", "    torch.manual_seed(3)\n    q, epsilon"
        ),
        (2, 0, "fixed seed: Two calls give the same draw"),
    ),
    "NumPy's draws": (
        "import numpy as np\n\n\n"
        + PAIRS.replace(
            "torch.randn(", "torch.tensor(np.random.default_rng().normal(size=("
        ).replace("*mu.shape)", "*mu.shape))).float()"),
        (2, 2.5, "another generator: draw from torch's global generator"),
    ),
    "the prior is never asked": (
        "def antithetic_kl(mu, sigma, log_prior, num_pairs):\n    return mu, sigma",
        (2, 0, "0 draws for"),
    ),
    "a list of nothing": (
        "def antithetic_kl(mu, sigma, log_prior, num_pairs):\n    return torch.cat([])",
        (2, 0, "Your function raises"),
    ),
    "prints without end": (
        LOG_PROB.replace("    log_spike =", "    print('x' * 10**6)\n    log_spike ="),
        (1, 3, "is right"),
    ),
    "no cell at all": ("", (1, 0, "Not attempted yet")),
    "words": ("log_prob = 'a density'", (1, 0, "Hand over the function itself")),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_submissions_get_what_they_solve_and_a_sentence(submit, name):
    code, (task, points, words) = WRONG[name]
    found = submit(code, tasks=(task,), memory=4)
    assert total(found) == points and words in said(found), said(found)
    assert "could not be judged" not in said(found)


def test_a_function_without_end_is_stopped_once(submit):
    endless = "def log_prob(z, p, v, b):\n    while True:\n        pass"
    found = submit(endless, LOSS, tasks=(1, 4), timeout=4)
    assert total(found) == 3 and "Does every loop end?" in said(found)


def test_a_part_that_cannot_be_judged_says_so_and_the_others_are(judging):
    def broken(student):
        raise RuntimeError("torch.cat(): expected a non-empty list")

    part = judging.judge_part(SimpleNamespace(), 1, "a part", broken)
    assert part.points == 0 and "could not be judged" in part.text and "by hand" in part.text
