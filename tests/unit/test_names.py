"""Names say what they hold: no variable, argument or function has one of the words that say nothing of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.conftest import ROOT

FOLDERS = ("memtool", "tests", "benchmarks", "scripts", "verification")
EMPTY = {"each", "found", "shown", "told", "tried"}


def bound(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield (name, line) of what a module defines, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def test_no_name_is_empty() -> None:
    sample = "def told(x):\n    for each in x:\n        found = each.found\n"
    assert [name for name, _ in bound(ast.parse(sample)) if name in EMPTY] == ["told", "each", "found"]
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert ROOT / "memtool/cli.py" in files
    assert [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for name, line in bound(ast.parse(file.read_text(encoding="utf-8")))
        if name in EMPTY
    ] == []
