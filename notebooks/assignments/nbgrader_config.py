"""Settings of this course folder, for `make release`, `make grade` and nbgrader's own commands."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from grading import PutBackCells  # noqa: E402
from nbgrader import preprocessors  # noqa: E402

c = get_config()  # noqa: F821  nbgrader provides it

c.CourseDirectory.root = str(FOLDER)
c.CourseDirectory.course_id = "sparse_vae_course"

c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # your code"}
c.ClearSolutions.text_stub = "*Your answer here.*"

# Seconds a cell may run. Past it the cell is interrupted and the next one runs.
c.Execute.timeout = 180
c.Execute.iopub_timeout = 10  # how long an interrupted cell may take to end
c.Execute.error_on_timeout = {
    "ename": "CellTimeoutError",
    "evalue": "the cell ran past the time limit and was stopped: is there an endless loop?",
    "traceback": ["CellTimeoutError: the cell ran past the time limit and was stopped"],
}

# Deleted cells come back before anything runs: nbgrader's own option fails where a solution and its
# tests are both gone.
c.Autograde.sanitize_preprocessors = [
    PutBackCells,
    preprocessors.ClearOutput,
    preprocessors.DeduplicateIds,
    preprocessors.OverwriteKernelspec,
    preprocessors.OverwriteCells,
    preprocessors.CheckCellMetadata,
]
