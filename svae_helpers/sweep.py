"""The runs behind notebooks 06 to 09; `python -m svae_helpers.sweep --output sweep.csv` makes them.

A `Setting` is one training, `run` turns it into a row, `sweep` adds the rows that a file lacks.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

import joblib
import pandas as pd

from .arguments import path_of, whole_number
from .measures import MEASURES
from .runs import attempt
from .settings import ALLOWED, KEY, Setting, as_text, full_grid
from .tables import add_row, read_rows
from .whole_files import require_writable

COLUMNS = [*KEY, *MEASURES]


def sweep(
    settings: Sequence[Setting],
    path: str | Path,
    say: Callable[[str], None] = print,
    jobs: int = 1,
    root: str | Path | None = None,
) -> int:
    """Run the settings that a CSV file lacks, a row on the disk before the next; returns how many.

    With jobs above 1, that many processes train at a time, each with one thread; this one alone
    writes. They are joblib's, so a cluster serves too: call this function inside
    `joblib.parallel_config(backend="dask")` or `"ray"` (joblib's pages say how to register
    these), with jobs=-1 for all of its workers; `root` must be a folder that they all see.

    Args:
        jobs: runs at a time; -1 for one a core.
        root: folder of the published files, as in `load_mnist`.

    Raises:
        ValueError: if the file holds something else than rows of this sweep.
        OSError: if a row cannot be written; it is said then, so that it can be kept by hand.
        Exception: the first error of a run, once all other runs have ended and are in the file.
    """
    path = path_of("path", path)
    if jobs != -1:
        whole_number("jobs", jobs, 1)
    done = set(read_rows(path, COLUMNS, ALLOWED)[KEY].itertuples(index=False, name=None))
    todo = [s for s in dict.fromkeys(settings) if tuple(as_text(s).values()) not in done]
    say(f"{len(settings) - len(todo)} of {len(settings)} runs are in {path.name}")
    if todo:
        require_writable(path)  # better now than after the first training
    start, failures = time.perf_counter(), []
    for number, (setting, row) in enumerate(_results(todo, jobs, root), 1):
        if isinstance(row, Exception):
            failures.append(row)
            say(f"[{number}/{len(todo)}] {_described(setting)}: {type(row).__name__}: {row}")
            continue
        try:
            add_row(path, row, COLUMNS, ALLOWED, KEY)
        except OSError:
            say(f"not written: {','.join(row[name] for name in COLUMNS)}")
            raise
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        result = (
            f"diverged in epoch {row['diverged']}" if row["diverged"] else f"ELBO {row['elbo']}"
        )
        say(f"[{number}/{len(todo)}] {_described(setting)}: {result}; {left / 60:.0f} min left")
    if failures:
        raise failures[0]
    return len(todo)


def read_sweep(path: str | Path | None = None) -> pd.DataFrame:
    """Rows of a sweep's file, with a column for each field of `Setting` and each measure.

    Args:
        path: the CSV file; the course's own, which comes with the package, if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else than rows of this sweep.
    """
    own = str(files("svae_helpers.assets") / "sweep.csv")
    path = path_of("path", own if path is None else path)
    if not path.is_file():
        raise FileNotFoundError(f"no sweep at {path}: python -m svae_helpers.sweep makes one")
    rows = read_rows(path, COLUMNS, ALLOWED)
    return rows.assign(**{name: pd.to_numeric(rows[name]) for name in rows if name not in ALLOWED})


def _results(
    todo: Sequence[Setting], jobs: int, root: str | Path | None
) -> Iterator[tuple[Setting, dict[str, str] | Exception]]:
    """Each setting with its row, or with the error that it ended in, as they come."""
    workers = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
    yield from workers(joblib.delayed(attempt)(setting, root) for setting in todo)


def _described(setting: Setting) -> str:
    """What sets this run apart from the default one."""
    usual = as_text(Setting())
    return ", ".join(
        f"{name} {value}"
        for name, value in as_text(setting).items()
        if value != usual[name] or name == "seed"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Run the sweep behind notebooks 06 to 09.")
    parser.add_argument("--output", type=Path, default=Path("sweep.csv"), help="the CSV file")
    parser.add_argument("--source", choices=ALLOWED["source"], default="embedded")
    parser.add_argument("--root", type=Path, help="folder of the published files (load_mnist)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; -1 for one a core")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, help="of every run, in place of the course's budgets")
    options = parser.parse_args(arguments)
    if options.seeds < 1 or (options.epochs is not None and options.epochs < 1):
        parser.error("--seeds and --epochs must be at least 1")
    if options.jobs < 1 and options.jobs != -1:
        parser.error("--jobs must be at least 1, or -1")
    try:
        grid = full_grid(options.source, range(options.seeds), options.epochs)
        say = partial(print, flush=True)
        sweep(grid, options.output, say, options.jobs, options.root)
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished runs are kept; the same command goes on from here.")
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
