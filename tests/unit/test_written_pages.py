"""What scripts write into pages: the commands of docs/choosing.md, and verdicts of docs/custom-allocators.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memtool.model import Basis, Comparison
from scripts import custom_allocators, run_page


def test_a_block_is_what_is_typed_and_what_came_of_it(tmp_path: Path) -> None:
    page = "Text.\n\n```console\n$ echo 'one   two' \\\n    > said; cat said\n$ echo three\nold\n```\n\nMore.\n"
    block = page.partition("```console\n")[2].partition("```")[0]
    assert run_page.commands(block) == ["echo 'one two' > said; cat said", "echo three"]
    assert run_page.renewed(page, tmp_path) == page.replace("old\n", "one two\nthree\n")


def test_a_block_that_says_nothing_keeps_its_commands(tmp_path: Path) -> None:
    page = "```console\n$ touch here\n```\n"
    assert run_page.renewed(page, tmp_path) == page
    assert (tmp_path / "here").is_file()


def test_every_command_of_the_page_has_its_output() -> None:
    blocks = run_page._BLOCK.findall(run_page.PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 7
    for block in blocks[1:]:
        assert len(block) > len(run_page.typed(block)), block


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-0.2, -0.1, "faster"), (0.1, 0.2, "slower"), (-0.1, 0.1, "undecided"), (None, None, "undecided")],
)
def test_a_verdict_goes_by_the_interval(low: float | None, high: float | None, said: str) -> None:
    of = Comparison("w", "anonymous", "serial", "glibc", "slab", "cpu_ns_per_op", Basis.PAIRED, True)
    assert custom_allocators.verdict(replace(of, change=-0.15, low=low, high=high)) == said
