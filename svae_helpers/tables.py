"""A CSV file that grows by a row at a time and never loses one."""

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

Words = Mapping[str, Sequence[str]]  # the columns that hold words, and the words they may hold


def read_rows(path: Path, columns: Sequence[str], words: Words) -> pd.DataFrame:
    """The rows of a file as text, so that they are written as they were; none if there is no file.

    Raises:
        ValueError: if the file has other columns, another word, or no finite number in a column
            without words. An empty value stands for a number that does not exist.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(columns), dtype=str)
    advice = "move it away first"
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"{path.name} is no table of runs ({error}): {advice}") from None
    if list(rows.columns) != list(columns):
        raise ValueError(f"{path.name} has other columns than this sweep: {advice}")
    for number, row in enumerate(rows.itertuples(index=False), 2):
        for name, value in zip(columns, row):
            if not _is_sound(value, words.get(name)):
                raise ValueError(f"{path.name}, line {number}: {name} is {value!r}: {advice}")
    return rows


def add_row(path: Path, row: Mapping[str, str], columns: Sequence[str], words: Words) -> None:
    """Add a row: the whole table is written to a file beside it, which then takes its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.concat([read_rows(path, columns, words), pd.DataFrame([row], columns=list(columns))])
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", newline="", delete=False
    ) as file:
        table.to_csv(file, index=False, lineterminator="\n")
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)  # a temporary file is its owner's alone
    os.replace(file.name, path)


def _is_sound(value: str | float, words: Sequence[str] | None) -> bool:
    if words is not None:
        return value in words
    try:
        return value == "" or math.isfinite(float(value))
    except ValueError:
        return False
