"""Release an assignment, and grade what came back, with nbgrader.

`make release` and `make grade` run this file; README.md beside it is the instructor's page. Every
submission is graded by itself: whatever happens in one, the others are graded, and each has a row
in the table of grades that says what happened. nbgrader keeps the books; judging.py runs the
submissions, several at a time.
"""

import argparse
import csv
import html
import logging
import os
import re
import runpy
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import nbformat
from judging import JUDGED, Limits, judge
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy.exc import SAWarning
from traitlets import Float
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

FOLDER = Path(__file__).resolve().parent
ASSIGNMENT = "sparse_vae"
NOTEBOOK = "assignment"
LENGTH = 1000  # of one event in the table; a diagnosis comes first and is far shorter
WAITS = "Waits for a mark by hand."


class PutBackCells(NbGraderPreprocessor):
    """Put deleted cells of the release back where they were; their tests then run and fail."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        about = resources["nbgrader"]
        path = Path("release", about["assignment"], f"{about['notebook']}.ipynb")
        place = 0
        for cell in nbformat.read(path, as_version=4).cells:
            name = grade_id(cell)
            if name is None:
                continue
            names = [grade_id(other) for other in nb.cells]
            if name in names:
                place = names.index(name) + 1
            else:
                nb.cells.insert(place, cell)
                place += 1
        return nb, resources


class Judge(NbGraderPreprocessor):
    """Fill in what judging.py found: what the cells put out, and the points of each graded cell."""

    timeout = Float(180, help="seconds that a cell or a call may run").tag(config=True)
    total = Float(1200, help="seconds that a submission may run").tag(config=True)
    memory = Float(6, help="GB of memory that a submission may take").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        name, student = (resources["nbgrader"][key] for key in ("assignment", "student"))
        found = JUDGED.pop((name, student), None)
        if found is None:  # nbgrader was called by itself
            limits = Limits(self.timeout, self.total, self.memory)
            with judges(1) as pool:
                found = pool.submit(judge, *_files(Path.cwd(), name, student), limits).result()
        for number, cell in enumerate(nb.cells):
            parts = found.parts.get(grade_id(cell))
            if parts is not None:
                lines = [f"{p.points:g} of {p.out_of:g} · {p.what}: {p.text}" for p in parts]
                points = sum(part.points for part in parts)
                cell.outputs = [
                    nbformat.v4.new_output("stream", name="stdout", text="\n".join(lines)),
                    nbformat.v4.new_output("execute_result", {"text/plain": str(points)}),
                ]
            elif number in found.outputs:
                cell.outputs = found.outputs[number]
        return nb, resources


def judges(jobs: int) -> ProcessPoolExecutor:
    """Processes in which submissions are judged."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


def _files(course: Path, assignment: str, student: str) -> tuple[Path, Path, Path]:
    """A sanitised submission, the tests of its assignment, and the folder out of its reach."""
    notebook = course / "autograded" / student / assignment / f"{NOTEBOOK}.ipynb"
    return notebook, course / "source" / f"{assignment}.py", course


@dataclass
class Row:
    """What became of one submission.

    Attributes:
        points: by graded cell, None where it waits for a mark by hand.
        events: what went wrong, in the order of the cells.
    """

    student: str
    points: dict[str, float | None] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)


def open_course(course: Path, run: bool = True) -> NbGraderAPI:
    """nbgrader's API with the settings of the course folder's nbgrader_config.py.

    Args:
        run: whether autograding runs a submission, or only puts back what belongs in it.
    """
    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by its bare name
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = tools + os.pathsep + os.environ["PATH"]
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    if not run:
        config.Autograde.autograde_preprocessors = []
    api = NbGraderAPI(config=Config(config))
    api.log.setLevel(logging.WARNING)
    api.log.propagate = False
    if not api.log.handlers:
        api.log.addHandler(logging.NullHandler())  # the table says what happened
    return api


def release(course: Path = FOLDER, assignment: str = ASSIGNMENT) -> Path:
    """Write the student version of an assignment and enter it in the gradebook.

    Returns:
        The folder to hand out.

    Raises:
        RuntimeError: if nbgrader refuses, with its log; or if the tests' points are others.
    """
    cells = nbformat.read(course / "source" / assignment / f"{NOTEBOOK}.ipynb", as_version=4).cells
    marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
    stated = {m.grade_id: m.points for m in marks if m.get("grade") and not m.get("solution")}
    tests = runpy.run_path(str(course / "source" / f"{assignment}.py"))["TESTS"]
    worth = {name: sum(points for points, *_ in parts) for name, parts in tests.items()}
    if worth != stated:
        raise RuntimeError(
            f"the cells' points are {stated}, but source/{assignment}.py has {worth}"
        )
    result = open_course(course).generate_assignment(assignment, force=True)
    if not result["success"]:
        raise RuntimeError(f"no release of {assignment!r}:\n{result.get('log') or result['error']}")
    return course / "release" / assignment


def grade(
    course: Path = FOLDER,
    assignment: str = ASSIGNMENT,
    students: Sequence[str] | None = None,
    limits: Limits | None = None,
    jobs: int | None = None,
    report_only: bool = False,
) -> list[Row]:
    """Autograde submissions, write feedback and the table grades_ASSIGNMENT.csv.

    Args:
        students: whose submissions to run again; all if None. The table always has everybody.
        limits: of each submission; those of nbgrader_config.py if None.
        jobs: how many are run at a time; half the cores if None.
        report_only: run nothing; only take marks given by hand into feedback and table.

    Raises:
        FileNotFoundError: without a release or a submission.
    """
    if not (course / "release" / assignment).is_dir():
        raise FileNotFoundError(f"{assignment} is not released yet: run `make release` first")
    everybody = _everybody(course, assignment)
    unknown = set(students or ()) - set(everybody)
    if unknown or not everybody:
        raise FileNotFoundError(
            f"no submission {', '.join(sorted(unknown))}: put each student's notebook under "
            f"submitted/STUDENT/{assignment}/{NOTEBOOK}.ipynb"
        )
    warnings.filterwarnings("ignore", category=SAWarning)  # of nbgrader's own making
    table, rows = course / f"grades_{assignment}.csv", []
    api, earlier = open_course(course), _read_events(table)
    run = [] if report_only else [s for s in everybody if students is None or s in students]
    failures = _autograde(api, course, assignment, run, limits, jobs)
    for student in everybody:
        failure = failures.get(student)
        if student not in run and not (course / "autograded" / student / assignment).is_dir():
            failure = earlier.get(student, "not graded yet: run `make grade`")
        try:
            rows.append(_row(api, course, assignment, student, failure))
        except Exception as error:  # the others are graded whatever this one holds
            rows.append(Row(student, events=[_shorten(f"{type(error).__name__}: {error}")]))
        _feedback(api, course, assignment, rows[-1])
        if student in run:
            print(f"{student}: {sum(p or 0 for p in rows[-1].points.values()):g} points")
    _write_csv(api, table, assignment, rows)
    return rows


def _everybody(course: Path, assignment: str) -> list[str]:
    """Who has handed in this assignment, or something that belongs to no other one."""
    others = {path.name for path in (course / "source").glob("*/")} - {assignment}
    folders = [path for path in (course / "submitted").glob("[!.]*") if path.is_dir()]
    return sorted(
        path.name
        for path in folders
        if (path / assignment).is_dir() or not any((path / other).is_dir() for other in others)
    )


def _autograde(
    api: NbGraderAPI,
    course: Path,
    assignment: str,
    students: Sequence[str],
    limits: Limits | None,
    jobs: int | None,
) -> dict[str, str]:
    """Run submissions; return why some could not be graded, by student."""
    failures, futures, prepare = {}, {}, open_course(course, run=False)
    limits = limits or Limits(**{n: getattr(Judge(config=api.config), n) for n in Limits._fields})
    for student in students:
        for step in ("autograded", "feedback"):  # nothing stale is left where this fails
            shutil.rmtree(course / step / student / assignment, ignore_errors=True)
        submitted = course / "submitted" / student / assignment
        if not (submitted / f"{NOTEBOOK}.ipynb").is_file():
            there = ", ".join(sorted(path.name for path in submitted.glob("*"))) or "nothing"
            failures[student] = f"no {NOTEBOOK}.ipynb under {student}/{assignment}, but {there}"
        else:
            failures[student] = _failure_of(prepare.autograde(assignment, student, force=True))
    pool = judges(jobs or max(1, (os.cpu_count() or 2) // 2))
    try:
        for student in students:
            if failures[student] is None:
                files = _files(course, assignment, student)
                futures[student] = pool.submit(judge, *files, limits)
        for done, (student, future) in enumerate(futures.items(), start=1):
            print(f"{done} of {len(futures)}: {student} ...", flush=True)
            try:
                JUDGED[assignment, student] = future.result()
            except Exception as error:
                failures[student] = f"the judge stopped ({type(error).__name__}: {error})"
                continue
            failures[student] = _failure_of(api.autograde(assignment, student, force=True))
            if failures[student] is None:
                _comment(api, course, assignment, student)
    finally:
        pool.shutdown(cancel_futures=True)
    failures = {s: f"not graded, 0 points: {why}" for s, why in failures.items() if why}
    with Gradebook(api.coursedir.db_url) as gradebook:  # no earlier submission's points remain
        for student in failures:
            shutil.rmtree(course / "autograded" / student / assignment, ignore_errors=True)
            gradebook.update_or_create_student(student)
            submission = gradebook.update_or_create_submission(assignment, student)
            for notebook in submission.notebooks:
                for mark in notebook.grades:
                    mark.auto_score, mark.needs_manual_grade = 0, False
        gradebook.db.commit()
    return failures


def _failure_of(result: dict) -> str | None:
    """Put nbgrader's failure in a sentence; None if there is none."""
    if result["success"]:
        return None
    log = result.get("log", "") + result["error"]
    if result["error"].strip().splitlines()[-1] == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if "NotJSONError" in log or "nbformat.reader" in log or "JSONDecodeError" in log:
        return f"{NOTEBOOK}.ipynb is no notebook, or is cut short"
    lines = [line for line in log.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return _shorten(lines[0] if lines else "nbgrader failed, see `nbgrader autograde`")


def _comment(api: NbGraderAPI, course: Path, assignment: str, student: str) -> None:
    """Put what a task's tests said under the student's answer, where the feedback shows it."""
    path = course / "autograded" / student / assignment / f"{NOTEBOOK}.ipynb"
    comments: dict[str, list[str]] = {}
    answer = None
    for cell in nbformat.read(path, as_version=4).cells:
        marks = cell.metadata.get("nbgrader", {})
        answer = marks.get("grade_id") if marks.get("solution") else answer
        if answer and (marks.get("grade") or marks.get("solution")):
            comments.setdefault(answer, []).extend(_faults_of(cell))
    with Gradebook(api.coursedir.db_url) as gradebook:
        for name, lines in comments.items():
            comment = gradebook.find_comment(name, NOTEBOOK, assignment, student)
            text = html.escape("; ".join(dict.fromkeys(lines)), quote=False)
            comment.auto_comment = comment.auto_comment or text or None
        gradebook.db.commit()


def _row(api: NbGraderAPI, course: Path, assignment: str, student: str, failure: str | None) -> Row:
    row = Row(student)
    with Gradebook(api.coursedir.db_url) as gradebook:
        try:
            notebooks = gradebook.find_submission(assignment, student).notebooks
        except MissingEntry:
            notebooks = []
        for notebook in notebooks:
            for mark in notebook.grades:
                row.points[mark.name] = None if mark.needs_manual_grade else mark.score
    autograded = course / "autograded" / student / assignment / f"{NOTEBOOK}.ipynb"
    if failure is not None:
        row.events.append(failure)
    elif autograded.is_file():
        parts = [course / "submitted" / student, course / "release"]
        submitted, released = (
            nbformat.read(part / assignment / f"{NOTEBOOK}.ipynb", as_version=4) for part in parts
        )
        row.events += _events(submitted, released, nbformat.read(autograded, as_version=4))
    return row


def _events(
    submitted: NotebookNode, released: NotebookNode, autograded: NotebookNode
) -> Iterator[str]:
    """Say what happened: deleted and changed cells, stubs, errors."""
    mine = {grade_id(cell): cell for cell in submitted.cells}
    wanted = {grade_id(cell): cell for cell in released.cells if grade_id(cell)}
    deleted = [name for name in wanted if name not in mine]
    if len(deleted) == len(wanted):
        yield "every cell has lost nbgrader's marks: was the notebook rebuilt elsewhere?"
    elif deleted:
        yield f"deleted and put back: {', '.join(deleted)}"
    changed = [
        name
        for name, cell in wanted.items()
        if name in mine and _is_locked(cell) and mine[name].source != cell.source
    ]
    if changed:
        yield f"changed although locked, and put back: {', '.join(changed)}"
    stubs = [
        name
        for name, cell in wanted.items()
        if cell.metadata.nbgrader.get("solution")
        and (name not in mine or mine[name].source.strip() == cell.source.strip())
    ]
    if stubs:
        yield f"not attempted: {', '.join(stubs)}"
    answer = None
    for number, cell in enumerate(autograded.cells, start=1):
        name = grade_id(cell) or f"cell {number}"
        answer = name if cell.metadata.get("nbgrader", {}).get("solution") else answer
        for about in _faults_of(cell):
            left = about.startswith("NotImplementedError") or about[0] == "○"
            if not (left and answer in stubs):
                yield f"{name}: {about}"


def _faults_of(cell: NotebookNode) -> list[str]:
    """What stopped a cell; or, in a graded one, what the tests said, without its numbers."""
    outputs = cell.get("outputs", [])
    about = [
        _shorten(f"{output.ename}: {output.evalue.strip().partition(chr(10))[0]}".rstrip(": "))
        for output in outputs
        if output.output_type == "error"
    ]
    if cell.metadata.get("nbgrader", {}).get("grade"):
        text = "".join(o.text for o in outputs if o.output_type == "stream")
        about += re.findall(r"^[\d.]+ of [\d.]+ · .*?: ([✗○] .*)$", text, flags=re.M)
    return list(dict.fromkeys(about))


def _feedback(api: NbGraderAPI, course: Path, assignment: str, row: Row) -> None:
    """Write the student's page; one that only says why where nothing could be graded."""
    _say_what_waits(api, assignment, row.student)
    page = course / "feedback" / row.student / assignment / f"{NOTEBOOK}.html"
    if (course / "autograded" / row.student / assignment).is_dir():
        result = api.generate_feedback(assignment, row.student, force=True)
        if not result["success"]:
            row.events.append("no feedback could be written")
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"<p>{html.escape(event)}</p>" for event in row.events)
    page.write_text(f"<!doctype html><meta charset='utf-8'><title>{assignment}</title>{text}\n")


def _say_what_waits(api: NbGraderAPI, assignment: str, student: str) -> None:
    with Gradebook(api.coursedir.db_url) as gradebook:
        try:
            notebooks = gradebook.find_submission(assignment, student).notebooks
        except MissingEntry:
            return
        for notebook in notebooks:
            waiting = {mark.name for mark in notebook.grades if mark.needs_manual_grade}
            for comment in notebook.comments:
                if comment.name in waiting:
                    comment.auto_comment = WAITS
                elif comment.auto_comment == WAITS:
                    comment.auto_comment = None
        gradebook.db.commit()


def _read_events(path: Path) -> dict[str, str]:
    """What an earlier table says happened, by student."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {line["student"]: line["what_happened"] for line in csv.DictReader(file)}


def _write_csv(api: NbGraderAPI, path: Path, assignment: str, rows: Sequence[Row]) -> None:
    """One line a student: total, one column a graded cell, what happened."""
    with Gradebook(api.coursedir.db_url) as gradebook:
        cells = gradebook.find_assignment(assignment).notebooks[0].grade_cells
        worth = {cell.name: cell.max_score for cell in cells}
    released = nbformat.read(
        path.parent / "release" / assignment / f"{NOTEBOOK}.ipynb", as_version=4
    )
    order = [name for name in map(grade_id, released.cells) if name in worth]
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "points", "out_of", "to_mark_by_hand", *order, "what_happened"])
        for row in rows:
            waiting = [name for name in order if row.points.get(name, 0) is None]
            writer.writerow(
                [
                    row.student,
                    f"{sum(points or 0 for points in row.points.values()):g}",
                    f"{sum(worth.values()):g}",
                    " ".join(waiting),
                    *(_show(row.points.get(name, 0)) for name in order),
                    "; ".join(row.events) or "ok",
                ]
            )
    os.replace(partial, path)


def _show(points: float | None) -> str:
    return "waits" if points is None else f"{points:g}"


def _shorten(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(text.split()))
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def _is_locked(cell: NotebookNode) -> bool:
    return not cell.metadata.nbgrader.get("solution", False)


def grade_id(cell: NotebookNode) -> str | None:
    """nbgrader's name of a cell; None for a cell that it knows nothing of."""
    marks = cell.metadata.get("nbgrader", {})
    known = any(marks.get(key) for key in ("grade", "solution", "locked", "task"))
    return marks.get("grade_id") if known else None


def make_cell(role: str, name: str, source: str, points: int = 0) -> NotebookNode:
    """Build a cell of a source notebook.

    Args:
        role: "text" (locked), "code" (locked), "solution", "tests" (graded by running), "essay"
            (text marked by hand) or "experiment" (code marked by hand).
        name: nbgrader's grade_id, unique in the notebook.
        points: for "tests", "essay" and "experiment".
    """
    code = role in ("code", "solution", "tests", "experiment")
    solution = role in ("solution", "essay", "experiment")
    grade = role in ("tests", "essay", "experiment")
    if not (code or solution or role == "text"):
        raise ValueError(f"role must be text, code, solution, tests, essay or experiment: {role!r}")
    make = nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell
    marks = {
        "grade": grade,
        "grade_id": name,
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if grade:
        marks["points"] = points
    return make(source.strip("\n"), id=name, metadata={"nbgrader": marks})


def write_assignment(cells: Sequence[NotebookNode], path: Path | str) -> None:
    """Write a source notebook for `make release`, such as source/NAME/assignment.ipynb."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)
    nbformat.validate(notebook)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Release or grade the assignment.")
    parser.add_argument("step", choices=["release", "grade"])
    parser.add_argument("--assignment", default=ASSIGNMENT)
    parser.add_argument("--course", type=Path, default=FOLDER, help="the course folder")
    parser.add_argument("--student", action="append", help="grade this submission alone; repeat")
    parser.add_argument("--jobs", type=int, help="how many to run at a time; half the cores")
    parser.add_argument("--timeout", type=float, help="seconds a cell or a call may run")
    parser.add_argument("--total", type=float, help="seconds a submission may run")
    parser.add_argument("--memory", type=float, help="GB of memory a submission may take")
    parser.add_argument("--report", action="store_true", help="run nothing; write the table anew")
    asked = parser.parse_args(arguments)
    course = asked.course.resolve()
    try:
        if asked.step == "release":
            folder = release(course, asked.assignment)
            print(f"Hand out {folder.relative_to(course)}")
        else:
            judge_settings = Judge(config=open_course(course).config)
            given = {n: getattr(asked, n) or getattr(judge_settings, n) for n in Limits._fields}
            who = course, asked.assignment, asked.student
            grade(*who, Limits(**given), asked.jobs, asked.report)
            print(f"Grades are in grades_{asked.assignment}.csv, the students' pages in feedback/")
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
