"""Copy the pictures that the README shows out of the notebooks, as `make figures` does.

A code cell tagged `figure-NAME` gives figures/NAME.png: the first picture among its outputs, as the
last run of the notebook saved it (`make notebooks` runs them anew).
"""

import base64
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAG = "figure-"


def tagged_pictures(notebook: dict) -> dict[str, bytes]:
    """File names and PNG data of the pictures that a notebook gives away.

    Raises:
        ValueError: if a tagged cell holds no picture.
    """
    pictures = {}
    for cell in notebook["cells"]:
        for tag in cell["metadata"].get("tags", []):
            if not tag.startswith(TAG):
                continue
            data = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
            data = [png for png in data if png]
            if not data:
                raise ValueError(f"the cell tagged {tag} holds no picture: run `make notebooks`")
            pictures[tag.removeprefix(TAG) + ".png"] = base64.b64decode("".join(data[0]))
    return pictures


def all_pictures() -> dict[str, bytes]:
    """The pictures of every notebook of the course."""
    pictures = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pictures |= tagged_pictures(json.loads(path.read_text(encoding="utf-8")))
    return pictures


def main() -> None:
    pictures = all_pictures()
    if not pictures:
        raise SystemExit(f"no cell of a notebook is tagged {TAG}NAME")
    (ROOT / "figures").mkdir(exist_ok=True)
    for name, data in pictures.items():
        (ROOT / "figures" / name).write_bytes(data)
        print(f"figures/{name}: {len(data) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
