"""Build the course's web book from the committed notebooks: python make_book.py [folder].

Nothing is executed and nothing is fetched. The sources are gathered in a folder of their own, since
some pages are written from others: the API's from the package, the references from the notebooks.
"""

import argparse
import importlib.util
import inspect
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import nbformat
from sphinx.cmd.build import build_main

import svae_helpers
from svae_helpers import export

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent
ROOT = NOTEBOOKS.parent
# Modules whose names are used as `module.name`; other public names are svae_helpers' own.
NAMESPACES = ("checks", "plotting", "widgets", "sweep", "export")


def gather(sources: Path) -> None:
    """Put every source of the book into a folder."""
    shutil.copytree(HERE, sources, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "figures", sources / "figures")
    text = (NOTEBOOKS / "assignments" / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([\w/]+\.(?:py|ipynb))\)", text):
        copy = sources / "assignments" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(NOTEBOOKS / "assignments" / name, copy)
    page = sources / "assignments" / "README.md"
    page.write_text(as_downloads(text), encoding="utf-8")
    references = []
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            describe_pictures(cell)
        nbformat.write(notebook, sources / path.name)
        references += references_of(notebook, path.name)
    add_to(sources / "references.md", references)
    add_to(sources / "api.md", api())
    static = sources / "_static"
    for name in ("networks.js", "playground.js", "playground.css"):
        shutil.copy(HERE / "playground" / name, static)
    export.write_page(static / "weights.js")
    alone = (HERE / "playground" / "index.html").read_text(encoding="utf-8")
    main = alone.partition("to the end mark -->")[2].partition("<!-- end mark -->")[0]
    (sources / "playground" / "main.html").write_text(main, encoding="utf-8")
    shutil.copy(mathjax(), static)


def as_downloads(text: str) -> str:
    """The graded notebook is handed over as a file; a page of it would show its solutions."""
    return re.sub(r"\[([^]]*)\]\((source/[^)]*\.ipynb)\)", r"{download}`\1 <\2>`", text)


def describe_pictures(cell) -> None:
    """Give a picture's words to myst-nb, which reads them from the cell and not from the output."""
    for output in cell.get("outputs", []):
        words = output.get("metadata", {}).get("image/png", {}).get("alt")
        if words:
            cell.metadata["mystnb"] = {"image": {"alt": words}}


def references_of(notebook, name: str) -> list[str]:
    """A notebook's references under its title."""
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    for cell in notebook.cells:
        if cell.source.startswith("## References"):
            entries = cell.source.removeprefix("## References").partition("\n[←")[0].strip()
            return [f"## [{title}]({name})", entries]
    return []


def api() -> list[str]:
    """The public names by module, each with a page of its own."""
    groups: dict[str, list[str]] = {}
    for name in svae_helpers.__all__:
        module = getattr(svae_helpers, name).__module__
        if module.startswith("svae_helpers."):  # kl_divergence is torch's
            groups.setdefault(module, []).append(f"svae_helpers.{name}")
    for namespace in NAMESPACES:
        module = importlib.import_module(f"svae_helpers.{namespace}")
        groups[module.__name__] = [f"{module.__name__}.{name}" for name in public_names(module)]
    parts = []
    for module, names in groups.items():
        heading = (inspect.getdoc(sys.modules[module]) or module).split("\n\n")[0]
        heading = heading.replace("\n", " ").partition("; `python")[0].rstrip(".:")
        listed = "\n".join(f"~{name}" for name in sorted(names, key=str.lower))
        parts.append(f"## {heading}")
        parts.append(
            f"```{{eval-rst}}\n.. autosummary::\n   :toctree: api\n\n{indent(listed)}\n```"
        )
    return parts


def public_names(module: ModuleType) -> list[str]:
    """Its own functions and classes: those that it lists, or else all without an underscore."""
    listed = getattr(module, "__all__", None)
    return [
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith(module.__name__)
        and (name in listed if listed else name[0] != "_")
    ]


def indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())


def add_to(path: Path, parts: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text("\n\n".join([text.rstrip(), *parts]) + "\n", encoding="utf-8")


def mathjax() -> Path:
    """One file that sets every formula, fonts included, from the installed package."""
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        sys.exit("sphinx-mathjax-offline is missing: pip install '.[book]', or make book")
    return Path(found.origin).parent / "static" / "mathjax" / "tex-svg.js"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "book")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "sources"
        gather(sources)
        shutil.rmtree(folder, ignore_errors=True)
        options = ["--quiet", "--fail-on-warning", "--fresh-env"]
        options += ["--doctree-dir", str(Path(scratch) / "doctrees")]
        failed = build_main([*options, str(sources), str(folder)])
    if failed:
        sys.exit(failed)
    print(f"The book is in {folder}: open {folder / 'index.html'}")


if __name__ == "__main__":
    main()
