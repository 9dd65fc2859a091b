"""docs/notebook.ipynb: executed from its first cell to its last, and what is stored in it is of these cells.

jupyter execute --inplace docs/notebook.ipynb      # writes its outputs anew
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.conftest import ROOT
from tests.started import LITTLE_WORK

NOTEBOOK = ROOT / "docs/notebook.ipynb"
PACKING = f"""\
from functools import partial
from memtool.engine.packing import binding
binding.pack_image = partial(binding.pack_image, work={LITTLE_WORK})
"""
"""A cell before all others: no packing is looked for longer than a millisecond."""


def forms_of(notebook: NotebookNode) -> list[set[str]]:
    """Return of each cell that shows something in which forms it does."""
    return [
        {form for output in cell.outputs for form in output.get("data", {})}
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.outputs
    ]


def test_the_notebook_runs_and_shows_what_is_stored_in_it(tmp_path: Path) -> None:
    stored = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    notebook = nbformat.read(NOTEBOOK, 4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        # A tenth of the allocations: what is shown has the same forms.
        cell.source = cell.source.replace("allocations: 20k", "allocations: 2k").replace("blocks=6", "blocks=2")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PACKING))  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, timeout=600
    ).execute()
    forms = forms_of(notebook)
    assert forms == forms_of(stored)
    assert [form - {"text/plain"} for form in forms] == [
        {"text/html"},
        {"text/html"},
        {"text/markdown"},
        {"text/html"},
    ]
    assert NOTEBOOK.stat().st_size < 200_000
