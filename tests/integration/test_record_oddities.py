"""Programs that do odd things while they are recorded: they end as they would, and what is missing is said."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from memtool.recorder import traces
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture
from tests.started import run_memtool

THREADS, BLOCKS = 400, 400 * 20 * 5
PAST = "it ended past the C library, or went on as a program that was not recorded; every call before that is there"


@pytest.mark.parametrize(
    ("way", "allocations", "threads", "unmatched", "missing"),
    [
        # One before main, one in a destructor; a kilobyte is asked for by nobody else.
        ("threads", BLOCKS, THREADS + 1, 0, []),
        ("libraries", 10, 1, 0, []),
        ("environment", 1, 1, 0, [PAST]),
    ],
)
def test_what_is_asked_for_in_odd_ways(
    programs: Path,  # noqa: F811
    tmp_path: Path,
    way: str,
    allocations: int,
    threads: int,
    unmatched: int,
    missing: list[str],
) -> None:
    command = [str(programs / "odd_ways"), way]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet"))
    assert recording.recorded.status == 3
    (own,) = recording.recorded.processes
    assert (own.counts["unmatched_frees"], own.counts["implicit_frees"]) == (unmatched, 0)
    assert list(own.missing()) == missing
    sizes = read(tmp_path / "app.parquet")
    assert sizes.count(1000 if way == "threads" else 55) == allocations
    assert sizes.count(77) == 1
    assert sizes.count(99) == (way != "environment")
    assert own.counts["threads"] == threads


def read(path: Path) -> list[int]:
    """Return the sizes of all allocations."""
    table = pytest.importorskip("pyarrow.parquet").read_table(path, columns=["kind", "size"]).to_pydict()
    return [size for kind, size in zip(table["kind"], table["size"], strict=True) if kind == 1]


def test_what_takes_no_recorder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "still.c"
    source.write_text("int main(void) { return 0; }\n")
    for name, flag in (("still", "-static"), ("sanitized", "-fsanitize=address"), ("other", "-O0")):
        subprocess.run(["cc", flag, "-o", str(tmp_path / name), str(source)], check=True)
    (tmp_path / "other").chmod(stat.S_ISUID | 0o755)
    reasons = {
        "still": "is linked statically: nothing can be preloaded into it",
        "sanitized": (
            "is built with a sanitizer (libasan.so.8), which brings an allocator of its own: take a build without"
        ),
        "other": "runs as another user (setuid): the dynamic linker preloads nothing then",
    }
    for name, reason in reasons.items():
        done = run_memtool("record", "--", f"./{name}", folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"memtool: {name}: {reason}\n")
    assert not list(tmp_path.glob("*.parquet*"))
