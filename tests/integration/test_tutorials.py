"""The tutorials: every command is run in the order of the page, and what is exact is what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import run_page
from tests.conftest import ROOT
from tests.started import shell_memtool

SAID = re.compile(r"^(?:exit code|REGRESSION|regression|PASS|main\.json|<0\.1%|served).*$", re.MULTILINE)
"""Lines that are the same everywhere, but for their figures."""


def page(name: str) -> str:
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["reading", "game-pool", "small-budget"])
def test_a_page_of_exact_figures_shows_what_its_commands_print(name: str, tmp_path: Path) -> None:
    # One that looks for packings as long as a user's: pages show how good they are.
    tools = shell_memtool(work=0).parent
    # Rows of tables are in the order of what they take of the machine, which two that are alike change.
    assert sorted(run_page.renewed(page(name), tmp_path, tools).splitlines()) == sorted(page(name).splitlines())


@pytest.mark.parametrize("name", ["start", "rss-grows"])
def test_a_page_shows_what_its_commands_print_but_for_figures(name: str, tmp_path: Path) -> None:
    text = page(name).replace("allocations: 100k", "allocations: 5k")
    renewed = run_page.renewed(text, tmp_path, shell_memtool().parent)
    assert [re.sub(r"[\d,.]+", "#", line) for line in SAID.findall(renewed)] == [
        re.sub(r"[\d,.]+", "#", line) for line in SAID.findall(text)
    ]
    assert len(SAID.findall(text)) >= 2
