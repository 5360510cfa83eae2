"""A reader sees ideas, not matplotlib: a cell that draws is folded, and does nothing else."""

import ast
import re
import symtable
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
DRAWS = re.compile(
    r"\bplt\.(?!rcParams)\w|\bplotting\.(?:show|plot_)|\bwidgets\.explore|\bax(?:es)?\b"
)


def code_cells(path):
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def is_folded(cell):
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
    tagged = "hide-input" in cell.metadata.get("tags", [])
    assert hidden == tagged, f"{cell.id}: source_hidden and hide-input go together"
    return hidden


def scopes(table):
    """A symbol table and all that are nested in it."""
    yield table
    for child in table.get_children():
        yield from scopes(child)


def defined(source):
    """Names that a cell binds at its top level: assignments, loops, imports, definitions."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def used(source):
    """Names that a cell reads before it binds them itself: what it takes from other cells."""
    bound, taken = set(), set()
    for statement in ast.parse(source).body:
        text = ast.unparse(statement)
        top, *inner = scopes(symtable.symtable(text, "cell", "exec"))
        reads = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
        reads |= {s.get_name() for table in inner for s in table.get_symbols() if s.is_global()}
        if not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            reads -= defined(text)  # a loop's variable, a function's own name
        taken |= reads - bound
        bound |= defined(text)
    return taken


def faults(cells):
    """What breaks the rule, in words."""
    found, from_folded = [], {}
    for cell in cells:
        if is_folded(cell):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Assert):
                    found.append(f"{cell.id}: a folded cell asserts")
                if isinstance(node, ast.Name) and node.id in ("print", "checks"):
                    found.append(f"{cell.id}: a folded cell has {node.id}")
            if re.search(r"manual_seed|seed_everything|\bfit\(|\.backward\(", cell.source):
                found.append(f"{cell.id}: a folded cell changes more than a picture")
            from_folded |= dict.fromkeys(defined(cell.source), cell.id)
            continue
        if DRAWS.search(cell.source) and "use_course_style" not in cell.source:
            found.append(f"{cell.id}: draws, and is not folded")
        for name in used(cell.source) & from_folded.keys():
            found.append(f"{cell.id}: uses {name}, which the folded cell {from_folded[name]} makes")
        for name in defined(cell.source):
            from_folded.pop(name, None)
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_draws_is_folded_and_only_draws(path):
    assert faults(code_cells(path)) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_pictures_are_shown_in_one_way_and_coloured_by_style(path):
    for cell in code_cells(path):
        assert not re.search(r"#[0-9A-Fa-f]{6}\b", cell.source), f"{cell.id}: a colour of its own"
        for call in re.findall(r"plotting\.show\((.*?)\)\s*$", cell.source, flags=re.S | re.M):
            assert re.match(r"\s*fig,\s*alt=", call), f"{cell.id}: plotting.show(fig, alt=...)"
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef) and "# your code" not in cell.source:
                assert ast.get_docstring(node), f"{cell.id}: {node.name} says nothing of itself"


def cell(source, folded=False):
    made = nbformat.v4.new_code_cell(source)
    if folded:
        made.metadata = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    return made


DRAWING = "fig, ax = plt.subplots()\nheight = 2\nplotting.show(fig, alt='a line')"


@pytest.mark.parametrize(
    "cells, fault",
    [
        ([cell(DRAWING)], "draws, and is not folded"),
        ([cell(DRAWING, folded=True), cell("print(height)")], "uses height"),
        ([cell(DRAWING, folded=True), cell("def f():\n    return height")], "uses height"),
        ([cell(DRAWING, folded=True), cell("height = height + 1")], "uses height"),
        ([cell(DRAWING + "\nassert height", folded=True)], "asserts"),
        ([cell("seed_everything(1)\n" + DRAWING, folded=True)], "changes more than a picture"),
        ([cell("height = 1"), cell(DRAWING, folded=True), cell("print(height)")], "uses height"),
    ],
)
def test_a_broken_rule_is_noticed(cells, fault):
    assert any(fault in found for found in faults(cells))


def test_a_kept_rule_is_let_pass():
    after = "high = [height for height in range(3)]\nfor height in high:\n    print(height)"
    ours = [cell("height = 1"), cell(DRAWING, folded=True), cell(after)]
    assert faults(ours) == []
