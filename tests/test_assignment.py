"""The graded assignment goes the full round: release, submissions of every kind, grades, feedback.

Everything happens in a copy of the course folder. All submissions are graded once, in a fixture.
"""

import copy
import csv
import html
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from torch.distributions import Laplace

pytest.importorskip("nbgrader")

from .submissions import (
    FOLDER,
    begun_with,
    cell_named,
    copy_course,
    read,
    read_source,
    replace,
    solve,
    without,
)

ROOT = Path(__file__).parents[1]
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
POINTS = {"task-1-tests": 3, "task-2-tests": 4, "task-3-tests": 4, "task-4-tests": 3}
BY_HAND = {"experiment": 3, "conclusion": 3}
MODULES = ("grading", "judging", "wire")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def grading(course):
    """The module grading.py of the copied folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(course)
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)
        import grading

        yield grading
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def released(grading, course):
    return read(grading.release(course) / "assignment.ipynb")


@pytest.fixture(scope="module")
def source():
    return read_source()


@pytest.fixture(scope="module")
def graded(grading, course, released, source):
    """The table of grades, by student, after all submissions went through."""
    quick = solve(released, source)  # the experiment is marked by hand: it need not run each time
    cell_named(quick, "experiment").source = "print('a table')"
    untrained = copy.deepcopy(quick)  # task 3 left out, where the others are what matters
    for name in ("train-laplace", "prior-number"):
        cell_named(untrained, name).source = cell_named(released, name).source
    first = "    log_spike ="
    squared = f"    spike_var = spike_var**2\n{first}"
    endless = f"    while True:\n        pass\n{first}"
    stuck = "while True:\n  try:\n    sum(range(10**6))\n  except BaseException:\n    pass"
    changed = replace(untrained, "task-2-tests", "assert", "print")
    gone = ("faulty-loss", "task-1-tests", "mended-loss", "task-4-tests")
    notebooks = {
        "perfect": quick,
        "untouched": released,
        "mistaken": replace(untrained, "log-prob", first, squared),
        "broken": replace(untrained, "antithetic-kl", "return pairs", "return (pairs"),
        "deleted": without(changed, *gone),
        "loop": replace(untrained, "log-prob", first, endless),
        "stuck": begun_with(untrained, stuck),
        "dead": begun_with(untrained, "import os\nos._exit(1)"),
    }
    for student, notebook in notebooks.items():
        path = course / "submitted" / student / "sparse_vae" / "assignment.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    for student, name in (("cut", "assignment.ipynb"), ("renamed", "my solution.ipynb")):
        path = course / "submitted" / student / "sparse_vae" / name
        path.parent.mkdir(parents=True)
        path.write_text('{"cells": [')
    (course / "source" / "threshold").mkdir()
    (course / "submitted" / "elsewhere" / "threshold").mkdir(parents=True)
    (course / "submitted" / "nothing").mkdir()
    short = {"loop", "stuck"}
    limits = grading.Limits(timeout=100, total=300, memory=6)
    grading.grade(course, students=sorted(notebooks.keys() - short | OTHERS), limits=limits, jobs=2)
    limits = grading.Limits(timeout=6, total=300, memory=6)
    grading.grade(course, students=sorted(short), limits=limits, jobs=1)
    with (course / "grades_sparse_vae.csv").open(newline="", encoding="utf-8") as file:
        return {line["student"]: line for line in csv.DictReader(file)}


OTHERS = {"cut", "renamed", "nothing"}
UNTRAINED = {**POINTS, "task-3-tests": 0}


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


def test_the_release_holds_no_solution_and_no_hidden_test(course, released, source):
    text = "\n".join(cell.source for cell in released.cells)
    for trace in ("SOLUTION", "HIDDEN", "mistakes", "exact_kl", "Only `spike_prob` changes"):
        assert trace not in text, trace
    assert text.count("raise NotImplementedError") == 8  # seven stubs, and the words of the intro
    assert [cell.id for cell in released.cells] == [cell.id for cell in source.cells]
    assert all(not cell.get("outputs") for cell in [*released.cells, *source.cells])
    handed_out = course / "release" / "sparse_vae"
    assert [path.name for path in handed_out.iterdir()] == ["assignment.ipynb"]


def test_a_perfect_submission_gets_full_autograded_marks(graded, course):
    line = graded["perfect"]
    assert points(line) == POINTS and line["points"] == "14" and line["out_of"] == "20"
    assert line["to_mark_by_hand"] == "experiment conclusion"
    assert line["what_happened"] == "ok"
    page = feedback(course, "perfect")
    assert "a table" in page, "what the experiment prints is there for the marker"
    assert "1.5 of 1.5 · ordinary z: ✓ 1 `log_prob` is right" in page


def test_an_essay_that_waits_for_a_mark_says_so(graded, course):
    line = graded["perfect"]
    assert line["experiment"] == line["conclusion"] == "waits"
    assert feedback(course, "perfect").count("Waits for a mark by hand.") == 2
    assert "waits" not in graded["untouched"].values()
    assert "Waits for a mark" not in feedback(course, "untouched")


def test_an_untouched_submission_gets_nothing(graded):
    line = graded["untouched"]
    assert line["points"] == "0" and not line["to_mark_by_hand"]
    assert line["what_happened"] == (
        "not attempted: log-prob, antithetic-kl, train-laplace, prior-number, mended-loss, "
        "experiment, conclusion"
    )


def test_a_known_mistake_costs_its_task_and_is_named(graded, course):
    assert points(graded["mistaken"]) == {**UNTRAINED, "task-1-tests": 0}
    name = "✗ 1, spike_var used as a standard deviation: "
    assert f"task-1-tests: {name}spike_var is a variance;" in graded["mistaken"]["what_happened"]
    named = f"Comments: {name}"
    assert named in feedback(course, "mistaken") and named not in feedback(course, "perfect")
    assert "your value is" in feedback(course, "mistaken"), "the page has the counter-example too"


def test_a_broken_cell_costs_its_task(graded, course):
    assert points(graded["broken"]) == {**UNTRAINED, "task-2-tests": 0}
    what = "antithetic-kl: SyntaxError: incomplete input (line 8)"
    assert what in graded["broken"]["what_happened"]
    assert "Comments: SyntaxError: incomplete input" in feedback(course, "broken")


def test_deleted_and_changed_cells_come_back(graded):
    line = graded["deleted"]
    assert points(line) == {**UNTRAINED, "task-4-tests": 0}
    assert line["what_happened"] == (
        "deleted and put back: task-1-tests, faulty-loss, mended-loss, task-4-tests; "
        "changed although locked, and put back: task-2-tests; "
        "not attempted: train-laplace, prior-number, mended-loss"
    )


def test_an_endless_loop_is_stopped_and_the_rest_graded(graded, course):
    line = graded["loop"]
    assert points(line) == {**UNTRAINED, "task-1-tests": 0}
    assert "task-1-tests: ✗ 1, no end: Your function was still running" in line["what_happened"]
    assert "Does every loop end?" in feedback(course, "loop")


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("stuck", "cell 1: CellTimeoutError: it ran past the time limit"),
        ("dead", "cell 1: ProcessEnded: the cell ended its process"),
    ],
)
def test_a_cell_that_ends_the_process_or_will_not_end_costs_itself(graded, course, student, words):
    assert points(graded[student]) == UNTRAINED
    assert words in graded[student]["what_happened"]
    assert words.partition(": ")[2] in feedback(course, student)


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("cut", "is no notebook, or is cut short"),
        ("renamed", "no assignment.ipynb under renamed/sparse_vae, but my solution.ipynb"),
        ("nothing", "no assignment.ipynb under nothing/sparse_vae, but nothing"),
    ],
)
def test_what_cannot_be_graded_has_a_row_and_a_page(graded, course, student, words):
    line = graded[student]
    assert line["points"] == "0" and line["out_of"] == "20"
    assert words in line["what_happened"] and "not graded" in line["what_happened"]
    assert words in feedback(course, student)


def test_who_handed_in_has_one_row_and_who_is_of_another_assignment_has_none(graded, course):
    everybody = {path.name for path in (course / "submitted").iterdir()}
    assert sorted(graded) == sorted(everybody - {"elsewhere"})


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
    assert rows["cut"].events == [graded["cut"]["what_happened"]]
    assert "Waits for a mark" not in feedback(course, "perfect")


def test_a_release_is_asked_for_first(grading, tmp_path):
    with pytest.raises(FileNotFoundError, match="make release"):
        grading.grade(copy_course(tmp_path))


# The instructor's page.


def blocks(section):
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)


def lines_of(code):
    return len([line for line in code.splitlines() if line.strip()])


@pytest.fixture(scope="module")
def engine():
    """What the section about the check engine defines."""
    exact, random, number, built = blocks("Exercises of your own")
    assert lines_of(exact) <= 25 and lines_of(random) <= 35
    assert lines_of(number) <= 10 and lines_of(built) <= 15
    names = {}
    for code in (exact, random, number, built):
        exec(code, names)
    return names


@pytest.mark.parametrize("name", ["exponential_kl", "laplace_sample"])
def test_an_exercise_on_the_page_knows_right_from_wrong(engine, name):
    check = engine[name]
    for seed in range(5):
        torch.manual_seed(seed)
        check(check.reference).require()
        for mistake, wrong in check.catalogue():
            assert check(wrong).misconception == mistake.name
    assert len(check.known) >= 3


def unknown_answers():
    def kl(rate, prior_rate):
        return (prior_rate / rate - 1).square().sum(dim=1) / 2

    yield "exponential_kl", kl
    yield "exponential_kl", lambda rate, prior_rate: 1.2 * (rate.log() - prior_rate).sum(1)
    yield "laplace_sample", lambda loc, scale: loc + 2 * scale * torch.rand_like(loc) - scale
    yield "laplace_sample", lambda loc, scale: Laplace(loc, 1.25 * scale).rsample()
    yield "laplace_sample", lambda loc, scale: Laplace(loc + 0.4, scale).rsample()


@pytest.mark.parametrize(("name", "answer"), list(unknown_answers()))
def test_an_unknown_mistake_gets_no_neighbours_name(engine, name, answer):
    """None at all, or it is shown the one place to change."""
    for seed in range(5):
        torch.manual_seed(seed)
        result = engine[name](answer)
        shown = "All is right but one place: look at `" in result.message
        assert result.status == "failed" and bool(result.misconception) is shown, result.message


def test_the_question_and_the_inspection_on_the_page_know_right_from_wrong(engine):
    number, built = engine["active_under_prior"], engine["build_encoder"]
    number(number.right()).require()
    encoder = torch.nn.Linear(784, 32)
    built(encoder).require()
    assert number(4.0).misconception == "slab latents"
    assert number(0.1).misconception == "too low" and number(17).misconception == "too high"
    assert number(...).status == built(...).status == "not attempted"
    rectified = built(torch.nn.Sequential(encoder, torch.nn.ReLU()))
    assert rectified.misconception == "rectified heads"
    assert rectified.message.startswith("✗ 4 No ReLU behind the heads:")
    assert built(torch.nn.Linear(784, 16)).misconception == "wrong shape"


def test_the_page_shows_an_own_assignment_that_works(grading, tmp_path):
    (code,) = blocks("An assignment of your own")
    assert lines_of(code) <= 50
    folder = copy_course(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    released = read(grading.release(folder, "threshold") / "assignment.ipynb")
    source = read(folder / "source" / "threshold" / "assignment.ipynb")
    right = solve(released, source)
    swapped = replace(
        right, "threshold", "    z = ", "    prior.spike_prob = 1 - prior.spike_prob\n    z = "
    )
    notebooks = {"ada": right, "bob": released, "dan": swapped}
    for student, notebook in notebooks.items():
        path = folder / "submitted" / student / "threshold" / "assignment.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    rows = {row.student: row for row in grading.grade(folder, "threshold", jobs=1)}
    assert [rows[student].points for student in notebooks] == [{"tests": n} for n in (2, 0, 0)]
    assert rows["ada"].events == [] and rows["bob"].events == ["not attempted: threshold"]
    assert rows["dan"].events == ["tests: ✗ 1, swapped: p is for off."]


def test_points_that_do_not_add_up_are_refused(grading, tmp_path):
    folder = copy_course(tmp_path)
    module = folder / "source" / "sparse_vae.py"
    module.write_text(module.read_text().replace('(1.5, "ordinary z"', '(1, "ordinary z"'))
    with pytest.raises(RuntimeError, match=r"'task-1-tests': 2\.5"):
        grading.release(folder)


def test_commands_and_files_on_the_page_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make (\w+)", PAGE))
    assert {"release", "grade"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target
    for link in re.findall(r"\]\(([^)#\s]+)\)", PAGE):
        assert "://" in link or (FOLDER / link).exists(), link


def test_lost_marks_are_noticed(grading, released):
    bare = copy.deepcopy(released)
    for cell in bare.cells:
        cell.metadata.pop("nbgrader")
    events = list(grading._events(bare, released, bare))
    assert events[0].startswith("every cell has lost nbgrader's marks")
