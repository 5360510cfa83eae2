"""Release an assignment, and grade what came back, with nbgrader.

`make release` and `make grade` run this file; README.md beside it is the instructor's page. Every
submission is graded by itself: whatever happens in one, the others are graded, and each has a row
in the table of grades that says what happened.
"""

import argparse
import csv
import html
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy.exc import SAWarning
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

FOLDER = Path(__file__).resolve().parent
ASSIGNMENT = "sparse_vae"
NOTEBOOK = "assignment"
EVENT_LENGTH, COMMENT_LENGTH = 200, 1000  # of one event in the table, and on a student's page


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


def open_course(course: Path, timeout: int | None = None) -> NbGraderAPI:
    """nbgrader's API with the settings of the course folder's nbgrader_config.py."""
    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by its bare name
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = tools + os.pathsep + os.environ["PATH"]
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    if timeout is not None:
        config.Execute.timeout = timeout
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
        RuntimeError: if nbgrader refuses, with its log.
    """
    result = open_course(course).generate_assignment(assignment, force=True)
    if not result["success"]:
        raise RuntimeError(f"no release of {assignment!r}:\n{result.get('log') or result['error']}")
    return course / "release" / assignment


def grade(
    course: Path = FOLDER,
    assignment: str = ASSIGNMENT,
    students: Sequence[str] | None = None,
    timeout: int | None = None,
    report_only: bool = False,
) -> list[Row]:
    """Autograde submissions, write feedback and the table grades_ASSIGNMENT.csv.

    Args:
        students: whose submissions to run again; all if None. The table always has everybody.
        timeout: seconds a cell may run; that of nbgrader_config.py if None.
        report_only: run nothing; only take marks given by hand into feedback and table.

    Raises:
        FileNotFoundError: without a release or a submission.
    """
    if not (course / "release" / assignment).is_dir():
        raise FileNotFoundError(f"{assignment} is not released yet: run `make release` first")
    folders = (course / "submitted").glob("[!.]*")
    everybody = sorted(path.name for path in folders if path.is_dir())
    unknown = set(students or ()) - set(everybody)
    if unknown or not everybody:
        raise FileNotFoundError(
            f"no submission {', '.join(sorted(unknown))}: put each student's notebook under "
            f"submitted/STUDENT/{assignment}/{NOTEBOOK}.ipynb"
        )
    warnings.filterwarnings("ignore", category=SAWarning)  # of nbgrader's own making
    table = course / f"grades_{assignment}.csv"
    api, rows, earlier = open_course(course, timeout), [], _read_events(table)
    for student in everybody:
        failure, run = None, not report_only and (students is None or student in students)
        if run:
            print(f"{student}: ", end="", flush=True)
            failure = _autograde(api, course, assignment, student)
        elif not (course / "autograded" / student / assignment).is_dir():
            failure = earlier.get(student, "not graded yet: run `make grade`")
        try:
            rows.append(_row(api, course, assignment, student, failure))
        except Exception as error:  # the others are graded whatever this one holds
            rows.append(Row(student, events=[_shorten(f"{type(error).__name__}: {error}")]))
        _feedback(api, course, assignment, rows[-1])
        if run:
            print(f"{sum(p or 0 for p in rows[-1].points.values()):g} points", flush=True)
    _write_csv(api, table, assignment, rows)
    return rows


def _autograde(api: NbGraderAPI, course: Path, assignment: str, student: str) -> str | None:
    """Run one submission; return why it could not be graded, or None."""
    for step in ("autograded", "feedback"):  # nothing stale is left where this fails
        shutil.rmtree(course / step / student / assignment, ignore_errors=True)
    submitted = course / "submitted" / student / assignment
    if not (submitted / f"{NOTEBOOK}.ipynb").is_file():
        there = ", ".join(sorted(path.name for path in submitted.glob("*"))) or "nothing"
        failure = f"no {NOTEBOOK}.ipynb under {student}/{assignment}, but {there}"
    else:
        result = api.autograde(assignment, student, force=True)
        if result["success"]:
            _comment(api, course, assignment, student)
            return None
        if result["error"].strip().splitlines()[-1] == "KeyboardInterrupt":
            raise KeyboardInterrupt
        failure = _explain(result.get("log", "") + result["error"])
    with Gradebook(api.coursedir.db_url) as gradebook:  # no earlier submission's points remain
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(assignment, student)
        for notebook in submission.notebooks:
            for mark in notebook.grades:
                mark.auto_score, mark.needs_manual_grade = 0, False
        gradebook.db.commit()
    return f"not graded, 0 points: {failure}"


def _comment(api: NbGraderAPI, course: Path, assignment: str, student: str) -> None:
    """Put what stopped a task's tests under the student's answer, where the feedback shows it."""
    path = course / "autograded" / student / assignment / f"{NOTEBOOK}.ipynb"
    comments, answer = {}, None
    for cell in nbformat.read(path, as_version=4).cells:
        marks = cell.metadata.get("nbgrader", {})
        answer = marks.get("grade_id") if marks.get("solution") else answer
        about = _failure_of(cell, COMMENT_LENGTH)
        if answer and about and (marks.get("grade") or marks.get("solution")):
            comments.setdefault(answer, about)  # the first failure is the cause of the others
    with Gradebook(api.coursedir.db_url) as gradebook:
        for name, about in comments.items():
            comment = gradebook.find_comment(name, NOTEBOOK, assignment, student)
            comment.auto_comment = comment.auto_comment or html.escape(about, quote=False)
        gradebook.db.commit()


def _explain(log: str) -> str:
    """Put nbgrader's log of a failure in a sentence."""
    if "unresponsive" in log or "Timeout waiting for IOPub output" in log:
        return "a cell ran past the time limit and would not be interrupted (an endless loop?)"
    if "DeadKernelError" in log:
        return "the kernel died (out of memory, or the process was ended by a cell)"
    if "NotJSONError" in log or "nbformat.reader" in log or "JSONDecodeError" in log:
        return f"{NOTEBOOK}.ipynb is no notebook, or is cut short"
    lines = [line for line in log.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return _shorten(lines[0] if lines else "nbgrader failed, see `nbgrader autograde`")


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
    for number, cell in enumerate(autograded.cells, start=1):
        name = grade_id(cell) or f"cell {number}"
        about = _failure_of(cell)
        if about and not about.startswith("NotImplementedError"):
            yield f"{name}: {about}"


def _failure_of(cell: NotebookNode, limit: int = EVENT_LENGTH) -> str | None:
    """What stopped a cell, or made nbgrader refuse it."""
    outputs = cell.get("outputs", [])
    errors = [output for output in outputs if output.output_type == "error"]
    errors.sort(key=lambda error: error.ename != "CellTimeoutError")
    if errors:
        message = errors[0].evalue.strip().splitlines() or [""]
        return _shorten(f"{errors[0].ename}: {message[0]}".rstrip(": "), limit)
    if cell.metadata.get("nbgrader", {}).get("grade"):
        for output in outputs:
            if output.output_type == "stream" and output.name == "stderr":
                text = f"wrote to stderr, which nbgrader fails: {output.text.strip()}"
                return _shorten(text, limit)
    return None


def _feedback(api: NbGraderAPI, course: Path, assignment: str, row: Row) -> None:
    """Write the student's page; one that only says why where nothing could be graded."""
    page = course / "feedback" / row.student / assignment / f"{NOTEBOOK}.html"
    if (course / "autograded" / row.student / assignment).is_dir():
        result = api.generate_feedback(assignment, row.student, force=True)
        if not result["success"]:
            row.events.append("no feedback could be written")
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"<p>{html.escape(event)}</p>" for event in row.events)
    page.write_text(f"<!doctype html><meta charset='utf-8'><title>{assignment}</title>{text}\n")


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
    return "" if points is None else f"{points:g}"


def _shorten(text: str, limit: int = EVENT_LENGTH) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(text.split()))
    text = re.sub(r" \(\d+\.py, line (\d+)\)", r" (line \1)", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


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
    parser.add_argument("--timeout", type=int, help="seconds a cell may run")
    parser.add_argument("--report", action="store_true", help="run nothing; write the table anew")
    asked = parser.parse_args(arguments)
    course = asked.course.resolve()
    try:
        if asked.step == "release":
            folder = release(course, asked.assignment)
            print(f"Hand out {folder.relative_to(course)}")
        else:
            grade(course, asked.assignment, asked.student, asked.timeout, asked.report)
            print(f"Grades are in grades_{asked.assignment}.csv, the students' pages in feedback/")
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
