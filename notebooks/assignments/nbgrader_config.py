"""Settings of this course folder, for `make release`, `make grade` and nbgrader's own commands."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from grading import Judge, PutBackCells  # noqa: E402
from nbconvert.preprocessors import ClearMetadataPreprocessor  # noqa: E402
from nbgrader import preprocessors  # noqa: E402

c = get_config()  # noqa: F821  nbgrader provides it

c.CourseDirectory.root = str(FOLDER)
c.CourseDirectory.course_id = "sparse_vae_course"

c.ClearSolutions.code_stub = {"python": "raise NotImplementedError  # your code"}
c.ClearSolutions.text_stub = "*Your answer here.*"

# What one submission may use. Past a limit the cell or the call is stopped and the rest is judged.
c.Judge.timeout = 180  # seconds of one cell or one call
c.Judge.total = 1200  # seconds in all
c.Judge.memory = 6  # GB, of data (on Linux)

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

# judging.py runs a submission, in place of nbgrader's kernel.
c.Autograde.autograde_preprocessors = [
    Judge,
    ClearMetadataPreprocessor,
    preprocessors.LimitOutput,
    preprocessors.SaveAutoGrades,
    preprocessors.AssignLatePenalties,
    preprocessors.CheckCellMetadata,
]
