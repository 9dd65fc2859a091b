"""Pages that are generated must be what would be generated now."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fidelity
from memtool.allocators.registry import Registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/allocators.md"


def test_the_page_of_allocators_is_what_they_say_of_themselves() -> None:
    command = [sys.executable, "scripts/allocators_page.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_allocator_has_its_section() -> None:
    sections = [line.removeprefix("### ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    assert {allocator.name for allocator in Registry().known()} <= set(sections)
    assert {f"+{adaptor.name}" for adaptor in Registry().known_adaptors()} <= set(sections)


def test_the_sample_of_the_readme_and_its_pictures_are_those_of_the_stored_run() -> None:
    command = [sys.executable, "scripts/readme_sample.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_stored_run_does_not_say_where_its_workload_lay() -> None:
    stored = json.loads((ROOT / "docs/data/quickstart.json").read_text(encoding="utf-8"))
    assert [workload["source"] for workload in stored["workloads"]] == ["quickstart.yaml"]


def test_the_page_on_fidelity_says_what_was_kept() -> None:
    kept = json.loads(fidelity.DATA.read_text(encoding="utf-8"))
    assert fidelity.PAGE.read_text(encoding="utf-8") == fidelity.page(kept)


def test_two_differences_have_an_order_where_both_are_beyond_their_intervals_and_the_error() -> None:
    up, down, none = (fidelity.Difference(*figures) for figures in ((2, 1, 3), (-2, -3, -1), (0, -1, 1)))
    assert [fidelity.verdict(up, other) for other in (up, down, none)] == ["same", "OPPOSITE", "not told apart by one"]
    assert fidelity.verdict(none, none) == "not told apart"
    assert fidelity.verdict(fidelity.Difference(2, 1, 3, error=1.0), down) == "not told apart by one"


def test_no_prose_is_wider_than_120_columns() -> None:
    wide = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in (
            ROOT / "README.md",
            ROOT / "CHANGELOG.md",
            ROOT / "CONTRIBUTING.md",
            *(ROOT / "docs").rglob("*.md"),
            *(ROOT / "workloads").rglob("*.md"),
        )
        for number, line in _prose(page.read_text(encoding="utf-8"))
        if len(line) > 120
    ]
    assert wide == []


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a page that are neither code, nor of a table, nor one long word."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        is_code ^= line.lstrip().startswith("```")
        if not is_code and not line.startswith(("|", "    ")) and len(line.split()) > 2:
            yield number, line
