"""Run notebooks from top to bottom and save them in place, as `make notebooks` does.

It also measures them: svae_helpers/assets/run_times.csv holds each notebook's running time, the
reading time that its first cell states, and the minutes of its exercises, added up. Notebook 00
shows that table, so it is run last.

What is stored is what a reader needs and no more: outputs, but no timings, no widget state (nor
the model ids of widgets that no longer exist) and nothing that a finished progress bar left.
"""

import csv
import re
import sys
import time
from pathlib import Path

import nbclient
import nbformat

ROOT = Path(__file__).resolve().parents[2]
TIMES = ROOT / "svae_helpers" / "assets" / "run_times.csv"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what changes from run to run and shows a reader nothing."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            output.pop("transient", None)
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)
                if not any(str(value).strip() for value in output.data.values()):
                    continue
            if kept and is_same_stream(kept[-1], output):
                kept[-1].text += output.text
                continue
            kept.append(output)
        for output in kept:
            if output.output_type == "stream":
                output.text = as_shown(output.text)
        cell.outputs = [o for o in kept if o.output_type != "stream" or o.text.strip()]
    return notebook


def as_shown(text: str) -> str:
    """What a terminal shows in the end, where text went back in its line as a progress bar does."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip() if "\r" in line else shown)
    return "\n".join(lines)


def is_same_stream(first: nbformat.NotebookNode, second: nbformat.NotebookNode) -> bool:
    """Whether a busy machine cut one printed text in two."""
    return first.output_type == second.output_type == "stream" and first.name == second.name


def remake(path: Path) -> float:
    """Run one notebook and save it; returns the seconds it took."""
    before = path.read_text()
    notebook = nbformat.reads(before, as_version=4)
    start = time.perf_counter()
    nbclient.NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    seconds = time.perf_counter() - start
    if path.read_text() != before:
        raise SystemExit(f"{path.name} was edited while it ran and is left as it is: run it again")
    nbformat.write(tidy(notebook), path)
    return seconds


def reading_minutes(path: Path) -> str:
    """The reading time that a notebook's first cell states."""
    opening = nbformat.read(path, as_version=4).cells[0].source
    stated = re.search(r"reading\D{0,20}(\d+) min", opening, flags=re.IGNORECASE)
    if not stated:
        raise SystemExit(f"{path.name}: the first cell must say 'Reading: about … minutes'")
    return stated[1]


def exercise_minutes(path: Path) -> str:
    """The sum of the minutes in the headings of a notebook's exercises."""
    cells = nbformat.read(path, as_version=4).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    stated = re.findall(r"^### Exercise .+ · (\d+) minutes$", prose, flags=re.MULTILINE)
    return str(sum(map(int, stated)))


def record_time(path: Path, seconds: float) -> None:
    """Write a notebook's row of the table of times, leaving the others as they are."""
    rows = {}
    if TIMES.exists():
        with TIMES.open(newline="") as file:
            rows = {row["notebook"]: row for row in csv.DictReader(file)}
    minutes = {
        "reading_minutes": reading_minutes(path),
        "exercise_minutes": exercise_minutes(path),
    }
    rows[path.stem] = {"notebook": path.stem, **minutes, "seconds": str(round(seconds))}
    with TIMES.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[path.stem]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))


def main(names: list[str]) -> None:
    paths = [Path(name).resolve() for name in names] or sorted(
        (ROOT / "notebooks").glob("0*.ipynb")
    )
    for path in sorted(paths, key=lambda path: path.stem.startswith("00")):
        print(f"{path.stem}: ", end="", flush=True)
        seconds = remake(path)
        if path.parent == ROOT / "notebooks":
            record_time(path, seconds)
        print(f"{seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
