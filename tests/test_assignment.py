"""The graded assignment goes the full round: release, submissions of every kind, grades, feedback.

Everything happens in a copy of the course folder. All submissions are graded once, in a fixture.
"""

import copy
import csv
import html
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks" / "assignments"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
POINTS = {"task-1-tests": 3, "task-2-tests": 4, "task-3-tests": 4, "task-4-tests": 3}
BY_HAND = {"experiment": 3, "conclusion": 3}
SHORT = 20  # seconds a cell may run where a loop never ends


def copy_course(to: Path) -> Path:
    """A course folder with the committed files alone."""
    shutil.copytree(FOLDER / "source", to / "source")
    for name in ("grading.py", "nbgrader_config.py"):
        shutil.copy(FOLDER / name, to)
    return to


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def grading(course):
    """The module grading.py of the copied folder."""
    spec = importlib.util.spec_from_file_location("grading", course / "grading.py")
    module = sys.modules["grading"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["grading"]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def cell_named(notebook, name):
    """The cell of that grade_id."""
    (found,) = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name]
    return found


def solve(released, source, leave=()):
    """The released notebook with the source's solutions, as a student would hand it in."""
    solved = copy.deepcopy(released)
    for cell in source.cells:
        marks = cell.metadata.nbgrader
        if marks.solution and marks.grade_id not in leave:
            lines = [line for line in cell.source.splitlines() if "### " not in line]
            cell_named(solved, marks.grade_id).source = "\n".join(lines)
    return solved


def replace(notebook, name, old, new):
    """A copy of the notebook with a change in one cell."""
    notebook = copy.deepcopy(notebook)
    cell = cell_named(notebook, name)
    assert old in cell.source
    cell.source = cell.source.replace(old, new)
    return notebook


def without(notebook, *names):
    """A copy of the notebook that lacks some cells."""
    notebook = copy.deepcopy(notebook)
    gone = [cell_named(notebook, name) for name in names]
    notebook.cells = [cell for cell in notebook.cells if cell not in gone]
    return notebook


def begun_with(notebook, code):
    """A copy of the notebook with a cell of the student's own on top."""
    notebook = copy.deepcopy(notebook)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    return notebook


@pytest.fixture(scope="module")
def released(grading, course):
    return read(grading.release(course) / "assignment.ipynb")


@pytest.fixture(scope="module")
def source():
    return read(FOLDER / "source" / "sparse_vae" / "assignment.ipynb")


@pytest.fixture(scope="module")
def graded(grading, course, released, source):
    """The table of grades, by student, after all submissions went through."""
    quick = solve(released, source)  # the experiment is marked by hand: it need not run each time
    cell_named(quick, "experiment").source = "print('a table')"
    untrained = copy.deepcopy(quick)  # task 3 left out, where the others are what matters
    stub = cell_named(released, "train-laplace").source
    cell_named(untrained, "train-laplace").source = stub
    first = "    log_spike ="
    squared = f"    spike_var = spike_var**2\n{first}"
    endless = f"    while True:\n        pass\n{first}"
    stuck = "while True:\n  try:\n    sum(range(10**6))\n  except BaseException:\n    pass"
    changed = replace(untrained, "task-2-tests", "assert", "print")
    gone = ("judge", "task-1-tests", "mended-loss", "task-4-tests")
    notebooks = {
        "perfect": solve(released, source),
        "untouched": released,
        "mistaken": replace(quick, "log-prob", first, squared),
        "broken": replace(untrained, "antithetic-kl", "return pairs", "return (pairs"),
        "deleted": without(changed, *gone),
        "loop": replace(untrained, "log-prob", first, endless),
        "stuck": begun_with(released, stuck),
        "dead": begun_with(released, "import os\nos._exit(1)"),
    }
    for student, notebook in notebooks.items():
        path = course / "submitted" / student / "sparse_vae" / "assignment.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    for student, name in (("cut", "assignment.ipynb"), ("renamed", "my solution.ipynb")):
        path = course / "submitted" / student / "sparse_vae" / name
        path.parent.mkdir(parents=True)
        path.write_text('{"cells": [')
    loops = {"loop": SHORT, "stuck": 3}
    grading.grade(course, students=sorted(notebooks.keys() - loops.keys()) + ["cut", "renamed"])
    for student, timeout in loops.items():
        grading.grade(course, students=[student], timeout=timeout)
    with (course / "grades_sparse_vae.csv").open(newline="", encoding="utf-8") as file:
        return {line["student"]: line for line in csv.DictReader(file)}


def points(line: dict[str, str]) -> dict[str, float]:
    return {name: float(line[name]) for name in POINTS}


def feedback(course, student):
    page = course / "feedback" / student / "sparse_vae" / "assignment.html"
    text = html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
    return " ".join(text.split())


def test_points_add_up_to_the_stated_total(source):
    marks = [cell.metadata.nbgrader for cell in source.cells]
    worth = {m.grade_id: m.points for m in marks if m.grade}
    assert worth == {**POINTS, **BY_HAND}
    opening = source.cells[0].source
    assert f"**{sum(worth.values())}**" in opening and sum(worth.values()) == 20
    stated = re.findall(r"\| (\d) \| by (?:tests|hand) \|", opening)
    assert stated == ["3", "4", "4", "3", "6"]
    assert len({m.grade_id for m in marks}) == len(marks)


def test_the_release_holds_no_solution_and_no_hidden_test(released, source):
    text = "\n".join(cell.source for cell in released.cells)
    for trace in ("SOLUTION", "HIDDEN", "mistakes = ", "exact_kl", "Only `spike_prob` changes"):
        assert trace not in text, trace
    assert text.count("raise NotImplementedError") == 7  # six stubs, and the words of the intro
    assert [cell.id for cell in released.cells] == [cell.id for cell in source.cells]
    assert all(not cell.get("outputs") for cell in [*released.cells, *source.cells])


def test_a_perfect_submission_gets_full_autograded_marks(graded):
    line = graded["perfect"]
    assert points(line) == POINTS and line["points"] == "14" and line["out_of"] == "20"
    assert line["to_mark_by_hand"] == "experiment conclusion"
    assert line["what_happened"] == "ok"


def test_an_untouched_submission_gets_nothing(graded):
    line = graded["untouched"]
    assert line["points"] == "0" and not line["to_mark_by_hand"]
    assert line["what_happened"].startswith("not attempted: log-prob, antithetic-kl")


def test_a_known_mistake_costs_its_task_and_is_named(graded, course):
    assert points(graded["mistaken"]) == {**POINTS, "task-1-tests": 0}
    assert "spike_var used as a standard deviation" in graded["mistaken"]["what_happened"]
    named = "Comments: AssertionError: ✗ Task 1, spike_var used as a standard deviation: "
    assert named in feedback(course, "mistaken") and named not in feedback(course, "perfect")


def test_a_broken_cell_costs_its_task(graded, course):
    assert points(graded["broken"]) == {**POINTS, "task-2-tests": 0, "task-3-tests": 0}
    what = "antithetic-kl: SyntaxError: incomplete input (line 9)"
    assert what in graded["broken"]["what_happened"]
    assert "Comments: SyntaxError: incomplete input" in feedback(course, "broken")


def test_deleted_and_changed_cells_come_back(graded):
    line = graded["deleted"]
    assert points(line) == {**POINTS, "task-3-tests": 0, "task-4-tests": 0}
    assert line["what_happened"] == (
        "deleted and put back: judge, task-1-tests, mended-loss, task-4-tests; "
        "changed although locked, and put back: task-2-tests; "
        "not attempted: train-laplace, mended-loss"
    )


def test_an_endless_loop_is_stopped_and_the_rest_graded(graded, course):
    line = graded["loop"]
    assert points(line) == {**POINTS, "task-1-tests": 0, "task-3-tests": 0}
    assert "task-1-tests: CellTimeoutError: the cell ran past" in line["what_happened"]
    assert "Comments: CellTimeoutError: the cell ran past" in feedback(course, "loop")


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("stuck", "would not be interrupted"),
        ("dead", "the kernel died"),
        ("cut", "is no notebook, or is cut short"),
        ("renamed", "no assignment.ipynb under renamed/sparse_vae, but my solution.ipynb"),
    ],
)
def test_what_cannot_be_graded_has_a_row_and_a_page(graded, course, student, words):
    line = graded[student]
    assert line["points"] == "0" and line["out_of"] == "20"
    assert words in line["what_happened"] and "not graded" in line["what_happened"]
    assert words in feedback(course, student)


def test_every_submission_has_one_row(graded, course):
    assert sorted(graded) == sorted(path.name for path in (course / "submitted").iterdir())


def test_marks_by_hand_reach_the_table(graded, grading, course):
    """Last of those that use the table: a report runs nothing, and keeps what happened."""
    api = grading.open_course(course)
    with grading.Gradebook(api.coursedir.db_url) as gradebook:
        for name in BY_HAND:
            mark = gradebook.find_grade(name, "assignment", "sparse_vae", "perfect")
            mark.manual_score, mark.needs_manual_grade = 2.5, False
        gradebook.db.commit()
    rows = {row.student: row for row in grading.grade(course, report_only=True)}
    assert rows["perfect"].points == {**POINTS, "experiment": 2.5, "conclusion": 2.5}
    assert rows["dead"].events == [graded["dead"]["what_happened"]]


def test_a_release_is_asked_for_first(grading, tmp_path):
    with pytest.raises(FileNotFoundError, match="make release"):
        grading.grade(copy_course(tmp_path))


# The hidden tests, in this process: what they say about mistakes and about other right answers.


@pytest.fixture(scope="module")
def names(source):
    """What the setup of the notebook defines."""
    scope = {}
    for name in ("setup", "judge", "faulty-loss"):
        exec(cell_named(source, name).source, scope)
    return scope


def verdict(source, names, solution, tests, code):
    """Run a task's tests on an answer: the message of the failure, None if they pass."""
    scope = dict(names)
    exec(cell_named(source, solution).source if code is None else code, scope)
    try:
        exec(cell_named(source, tests).source, scope)
    except AssertionError as error:
        return str(error)
    return None


def edited(source, solution, *changes):
    code = cell_named(source, solution).source
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in code, old
        code = code.replace(old, new)
    return code


MISTAKES = [
    (
        "log-prob",
        "spike and slab swapped",
        "def log_prob(z, spike_prob, spike_var, slab_scale):",
        "def log_prob(z, off, spike_var, slab_scale):\n    spike_prob = 1 - off",
    ),
    (
        "log-prob",
        "spike_var used as a standard deviation",
        "    log_spike =",
        "    spike_var = spike_var**2\n    log_spike =",
    ),
    (
        "log-prob",
        "slab_scale taken for a variance",
        "def log_prob(z, spike_prob, spike_var, slab_scale):",
        "def log_prob(z, spike_prob, spike_var, scale):\n    slab_scale = math.sqrt(scale / 2)",
    ),
    (
        "log-prob",
        "slab_scale taken for a standard deviation",
        "def log_prob(z, spike_prob, spike_var, slab_scale):",
        "def log_prob(z, spike_prob, spike_var, scale):\n    slab_scale = scale / math.sqrt(2)",
    ),
    (
        "log-prob",
        "Gaussian slab",
        "-z.abs() / slab_scale - math.log(2 * slab_scale)",
        "-0.5 * (z / slab_scale) ** 2 - 0.5 * math.log(2 * math.pi * slab_scale**2)",
    ),
    ("log-prob", "lost ½", "math.log(2 * slab_scale)", "math.log(slab_scale)"),
    (
        "log-prob",
        "weights forgotten",
        "math.log(spike_prob) + log_spike",
        "log_spike",
        "math.log(1 - spike_prob) + log_slab",
        "log_slab",
    ),
    (
        "log-prob",
        "sum of logs for log of sum",
        "torch.logaddexp(math.log(spike_prob) + log_spike, math.log(1 - spike_prob) + log_slab)",
        "spike_prob * log_spike + (1 - spike_prob) * log_slab",
    ),
    (
        "log-prob",
        "underflow in the tails",
        "torch.logaddexp(math.log(spike_prob) + log_spike, math.log(1 - spike_prob) + log_slab)",
        "torch.log(spike_prob * log_spike.exp() + (1 - spike_prob) * log_slab.exp())",
    ),
    ("log-prob", "ready-made mixture", "return torch.logaddexp(", "return SpikeAndSlab and ("),
    ("log-prob", "gradients do not flow", "z**2", "z.detach()**2"),
    ("antithetic-kl", "wrong type", "return pairs.mean(dim=0), ", "return "),
    ("antithetic-kl", "wrong shape", "pairs.mean(dim=0), ", "pairs.mean(), "),
    (
        "antithetic-kl",
        "independent draws",
        "z = q.loc + sign * q.scale * epsilon",
        "z = q.loc + sign * q.scale * torch.randn_like(epsilon)",
    ),
    ("antithetic-kl", "number of draws", "num_pairs, *q", "num_pairs // 2, *q"),
    ("antithetic-kl", "ε shared", "(num_pairs, *q.loc.shape)", "(num_pairs, 1, q.loc.shape[1])"),
    ("antithetic-kl", "wrong width", "q.scale * epsilon", "q.scale.log() * 2 * epsilon"),
    (
        "antithetic-kl",
        "biased estimate",
        "q.log_prob(z) - log_prior(z)",
        "log_prior(z) - q.log_prob(z)",
    ),
    (
        "antithetic-kl",
        "spread for standard error",
        "pairs.std(dim=0) / math.sqrt(num_pairs)",
        "pairs.std(dim=0)",
    ),
    (
        "antithetic-kl",
        "draws taken for independent",
        "pairs.std(dim=0) / math.sqrt(num_pairs)",
        "pairs.std(dim=0) / math.sqrt(2 * num_pairs)",
    ),
    (
        "antithetic-kl",
        "standard error",
        "pairs.std(dim=0) / math.sqrt(num_pairs)",
        "pairs.var(dim=0) / num_pairs",
    ),
    (
        "antithetic-kl",
        "gradients do not flow",
        "q.loc + sign * q.scale * epsilon",
        "(q.loc + sign * q.scale * epsilon).detach()",
    ),
    ("train-laplace", "threshold at 0", "model.prior.slab_responsibility(mu) > 0.5", "mu != 0"),
    ("train-laplace", "inactive counted", "(mu) > 0.5", "(mu) < 0.5"),
    ("train-laplace", "expected count", "(mu) > 0.5", "(mu)"),
    (
        "train-laplace",
        "Gaussian crossover",
        "model.prior.slab_responsibility(mu) > 0.5",
        "mu.abs() > SpikeAndSlab.gaussian(float(model.prior.spike_prob), "
        "model.prior.spike.variance, model.prior.slab.variance).crossover",
    ),
    ("train-laplace", "spike_prob", "slab, 0.8)", "slab, 0.2)"),
    ("train-laplace", "variance of the spike", "math.sqrt(0.05)", "0.05"),
    ("train-laplace", "variance of the slab", "math.sqrt(0.5)", "1.0"),
    ("train-laplace", "slab", "Laplace(0.0, math.sqrt(0.5))", "Normal(0.0, 1.0)"),
    ("train-laplace", "size", "VAE(16,", "VAE(20,"),
    ("train-laplace", "training", "epochs=5", "epochs=1"),
    (
        "mended-loss",
        "left in: batch",
        "(entries.sum(dim=-1) + (log_q - log_p).sum(dim=-1)).mean()",
        "entries.sum() + (log_q - log_p).sum(dim=-1).mean()",
    ),
    ("mended-loss", "left in: posterior", "(0.5 * log_var).exp()", "log_var.exp()"),
    ("mended-loss", "left in: spike", "math.sqrt(spike_var)", "spike_var"),
    (
        "mended-loss",
        "left in: spike, detached",
        "Normal(0.0, math.sqrt(spike_var)).log_prob(z)",
        "Normal(0.0, spike_var).log_prob(z.detach())",
        "Normal(0.0, 1.0).log_prob(z)",
        "Normal(0.0, 1.0).log_prob(z.detach())",
    ),
    (
        "mended-loss",
        "left in: detached",
        "math.sqrt(spike_var)).log_prob(z)",
        "math.sqrt(spike_var)).log_prob(z.detach())",
        "Normal(0.0, 1.0).log_prob(z)",
        "Normal(0.0, 1.0).log_prob(z.detach())",
    ),
]
TESTS = dict(zip(("log-prob", "antithetic-kl", "train-laplace", "mended-loss"), POINTS))


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: f"{case[0]}: {case[1]}")
def test_a_mistake_is_named_in_its_tests_and_on_the_page(source, names, case):
    solution, name, *changes = case
    scope = dict(names)
    if name != "training":  # a few steps do: the prior is judged before what it learns
        scope["fit"] = lambda model, images, **kw: names["fit"](model, images[:256], **kw)
    code = edited(source, solution, *changes)
    message = verdict(source, scope, solution, TESTS[solution], code)
    assert message is not None and f", {name}: " in message, message
    task = TESTS[solution].replace("-tests", "").replace("task-", "")
    if name == "left in: spike, detached":
        return  # stands for the combinations, which the page does not list
    assert re.search(rf"^\| {task} \| {re.escape(name)} \|", PAGE, re.M), "not on the page"


def test_every_message_on_the_page_is_in_the_tests(source):
    hidden = "\n".join(cell_named(source, name).source for name in POINTS)
    hidden = " ".join(re.sub(r'"\n\s*f?"', "", hidden).split())
    rows = re.findall(r"^\| [1-4] \| [^|]+ \| ([^|]+) \|$", PAGE, re.M)
    assert len(rows) >= 25
    for words in rows:
        for piece in words.split("…"):
            assert piece.strip() in hidden, piece


OTHER_RIGHT_ANSWERS = {
    "log-prob": """
def log_prob(z, spike_prob, spike_var, slab_scale):
    spike = Normal(0.0, spike_var**0.5).log_prob(z) + torch.log(torch.tensor(spike_prob))
    slab = Laplace(0.0, slab_scale).log_prob(z) + torch.log1p(torch.tensor(-spike_prob))
    return torch.logsumexp(torch.stack([spike, slab]), dim=0)
""",
    "antithetic-kl": """
def antithetic_kl(q, log_prior, num_pairs):
    half = torch.randn(num_pairs, *q.mean.shape)
    z = q.mean + q.stddev * torch.stack([half, -half], dim=1)
    pairs = (q.log_prob(z) - log_prior(z)).mean(dim=1)
    error = (pairs.var(dim=0, unbiased=False) / (num_pairs - 1)).sqrt()
    return [pairs.mean(dim=0), error.detach()]
""",
    "train-laplace": """
def train_laplace_vae(images, seed):
    seed_everything(seed)
    prior = SpikeAndSlab(Normal(torch.zeros(16), 0.05**0.5), Laplace(0.0, 2**-0.5), 0.8)
    model = VAE(latent_dim=16, hidden_dim=200, prior=prior)
    fit(model, images, epochs=5, seed=seed, progress=False)
    return model


def active_latents(model, images):
    with torch.no_grad():
        mu = model.encode(images).mean
    return torch.stack([(model.prior.slab_responsibility(m) > 0.5).sum() for m in mu])
""",
    "mended-loss": """
def mended_loss(logits, x, mu, log_var, z, spike_prob, spike_var):
    sizes = len(x)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / sizes
    log_q = Normal(mu, torch.sqrt(log_var.exp())).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return bce + (log_q - log_p).sum() / sizes
""",
}


@pytest.mark.parametrize("solution", TESTS)
def test_other_right_answers_pass(source, names, solution):
    code = OTHER_RIGHT_ANSWERS[solution]
    assert verdict(source, names, solution, TESTS[solution], code) is None


# The instructor's page.


def test_the_page_shows_an_own_assignment_that_works(grading, tmp_path):
    code = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 32
    folder = copy_course(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (name,) = [path.name for path in (folder / "source").iterdir() if path.name != "sparse_vae"]
    released = read(grading.release(folder, name) / "assignment.ipynb")
    source = read(folder / "source" / name / "assignment.ipynb")
    for student, notebook in (("ada", solve(released, source)), ("bob", released)):
        path = folder / "submitted" / student / name / "assignment.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    rows = {row.student: row for row in grading.grade(folder, name)}
    assert rows["ada"].points == {"tests": 2} and rows["ada"].events == []
    assert rows["bob"].points == {"tests": 0}
    assert rows["bob"].events[0] == "not attempted: threshold"


def test_commands_and_files_on_the_page_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make (\w+)", PAGE))
    assert {"release", "grade"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target
    for link in re.findall(r"\]\(([^)#\s]+)\)", PAGE):
        assert "://" in link or (FOLDER / link).exists(), link


def test_a_row_says_why_nbgrader_fails_a_cell_without_an_error(grading):
    cell = grading.make_cell("tests", "a", "f()", points=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stderr", text="careful\n")]
    assert grading._failure_of(cell) == "wrote to stderr, which nbgrader fails: careful"


def test_lost_marks_are_noticed(grading, released):
    bare = copy.deepcopy(released)
    for cell in bare.cells:
        cell.metadata.pop("nbgrader")
    events = list(grading._events(bare, released, bare))
    assert events[0].startswith("every cell has lost nbgrader's marks")
