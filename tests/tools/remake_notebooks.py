"""Run notebooks from top to bottom and save them in place, as `make notebooks` does.

What is stored is what a reader needs and no more: outputs, but no timings, no widget state (nor
the model ids of widgets that no longer exist) and nothing that a finished progress bar left.
"""

import sys
import time
from pathlib import Path

import nbclient
import nbformat

ROOT = Path(__file__).resolve().parents[2]
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
        cell.outputs = kept
    return notebook


def is_same_stream(first: nbformat.NotebookNode, second: nbformat.NotebookNode) -> bool:
    """Whether a busy machine cut one printed text in two."""
    return first.output_type == second.output_type == "stream" and first.name == second.name


def remake(path: Path) -> float:
    """Run one notebook and save it; returns the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    nbclient.NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    seconds = time.perf_counter() - start
    nbformat.write(tidy(notebook), path)
    return seconds


def main(names: list[str]) -> None:
    paths = [Path(name).resolve() for name in names] or sorted(
        (ROOT / "notebooks").glob("0*.ipynb")
    )
    for path in paths:
        print(f"{path.stem}: ", end="", flush=True)
        print(f"{remake(path):.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
