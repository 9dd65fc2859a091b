"""memtool record --depth: call stacks of real programs, through functions that keep no frame pointer."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from memtool.workload.sources import trace_file
from memtool.workload.sources.source import Ending
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture
from tests.started import run_memtool

pq: Any = pytest.importorskip("pyarrow.parquet")
MADE = platform.machine() == "x86_64"
"""Whether the program makes code of its own while it runs."""


@pytest.fixture(scope="module")
def folder(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Return a folder with a trace, and what was said when it was made."""
    folder = tmp_path_factory.mktemp("stacks")
    done = run_memtool("record", "--depth", "4", "--", str(programs / "call_chains"), folder=folder)
    assert done.returncode == 3
    (folder / "said").write_text(done.stderr, encoding="utf-8")
    return folder


def test_chains_of_calls_are_those_of_the_program(folder: Path) -> None:
    said = json.loads(run_memtool("inspect", "call_chains.parquet", "--format", "json", folder=folder).stdout)

    def names(frames: list[int]) -> str:
        known = (said["symbols"].get(f"{frame:#x}", "?") for frame in frames)
        return " ".join(re.sub(r"near | \(.*", "", name) for name in known)

    stacks = Counter[str]()
    for stack in said["stacks"]:
        stacks[names(stack["frames"])] += stack["allocations"]
    own = {chain: count for chain, count in stacks.items() if chain.split()[0] in ("inner", "grow")}
    assert own["inner middle outer main"] == 30
    assert [count for chain, count in own.items() if chain.startswith("inner other main")] == [20]
    assert own["inner descend descend descend"] == 1  # it is 41 deep
    assert sum(count for chain, count in own.items() if chain.startswith("grow main")) == 1 + 5
    assert [count for chain, count in own.items() if chain.startswith("inner run")] == [10]
    if MADE:
        # From code that says nowhere how to unwind it nothing is known any more.
        assert own["inner ?"] == 7
    sites = {re.sub(r"near | \(.*", "", said["symbols"][f"{site['caller']:#x}"]): site for site in said["sites"]}
    assert sites["inner"]["allocations"] == 30 + 20 + 1 + 10 + 7 * MADE
    assert sites["inner"]["bytes"] == 30 * 100 + 20 * 200 + 300 + 10 * 400 + 7 * 500 * MADE


def test_stacks_that_end_early_are_said(folder: Path) -> None:
    said = (folder / "said").read_text(encoding="utf-8")
    cut = "process 1: 1 call stack cut short: the code there says nowhere how to unwind it"
    assert (cut in said) == MADE
    assert trace_file.load(folder / "call_chains.parquet").metadata["cut_stacks"] == int(MADE)


def test_each_stack_is_written_once(folder: Path) -> None:
    table = pq.read_table(folder / "call_chains.parquet", columns=["kind", "stack", "frames", "caller"]).to_pylist()
    said = [row for row in table if row["frames"] is not None]
    assert len({row["stack"] for row in said}) == len(said)
    assert {row["stack"] for row in said} == {row["stack"] for row in table} - {0}
    assert all(row["frames"][0] == row["caller"] for row in said)
    assert max(len(row["frames"]) for row in said) == 4
    assert {row["stack"] for row in table if row["kind"] == 0} == {0}


def test_a_stretch_keeps_the_stacks_that_it_names(folder: Path) -> None:
    done = run_memtool(
        "import", "call_chains.parquet", "-o", "part.parquet", "--skip", "61", "--take", "40", folder=folder
    )
    assert done.returncode == 0, done.stderr
    (rows, *_) = trace_file.load(folder / "part.parquet").portions(Ending())
    assert rows.stacks is not None
    named = {int(stack) for stack in rows.stacks if stack}
    assert named
    assert named == set(rows.frames)


def test_text_shows_stacks_with_names(folder: Path) -> None:
    text = run_memtool("inspect", "call_chains.parquet", folder=folder).stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    at = next(
        number
        for number, line in enumerate(lines)
        if "30" in line.split() and line.endswith("inner (call_chains, call_chains.c)")
    )
    assert lines[at + 1 : at + 4] == [
        "from middle (call_chains, call_chains.c)",
        "from outer (call_chains, call_chains.c)",
        "from near main (call_chains)",
    ]


def test_depth_and_no_callers_contradict_each_other(tmp_path: Path) -> None:
    done = run_memtool("record", "--depth", "2", "--no-callers", "--", "true", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "memtool: --depth: cannot be used with --no-callers, which leaves call sites out\n",
    )
