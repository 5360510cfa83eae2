"""A CSV file that grows by a row at a time and never loses one."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from .whole_files import locked, write_whole

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


def add_row(
    path: Path, row: Mapping[str, str], columns: Sequence[str], words: Words, key: Sequence[str]
) -> None:
    """Add a row whose key the table lacks: the whole table, written anew, takes its place.

    Several processes may add to one file; each row then comes in, and each key once.

    Raises:
        OSError: if it cannot be written; the table is then as it was.
    """
    with locked(path.parent):
        rows = read_rows(path, columns, words)
        if (rows[list(key)] == pd.Series({name: row[name] for name in key})).all(axis=1).any():
            return
        table = pd.concat([rows, pd.DataFrame([row], columns=list(columns))])
        write_whole(path, table.to_csv(index=False, lineterminator="\n").encode())


def _is_sound(value: str | float, words: Sequence[str] | None) -> bool:
    if words is not None:
        return value in words
    try:
        return value == "" or math.isfinite(float(value))
    except ValueError:
        return False
