"""Environments that are poorer than a shell's: what memtool lacks there is never an allocator's fault."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, AllocatorSpec, Cell
from memtool.passes import Pass
from memtool.worker import instruments
from memtool.worker.parent import Job, RegionRequest

ARGUMENTS = (
    *("check", "tiny.yaml", "--against", "tlsf", "--candidate", "tlsf", "--blocks", "1", "--passes", "footprint"),
    *("--metric", "peak_footprint_bytes", "--no-plots", "-o", "out"),
)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("", "<&-", 0),
        ("", ">&-", 0),
        ("", "2>&-", 0),
        ("", "<&- >&- 2>&-", 0),
        # 64 GiB of addresses for a region are not to be had: memtool's own failure, and said before measuring.
        ("ulimit -v 2000000; ", "", 1),
    ],
)
def test_unchanged_code_is_never_a_regression(
    before: str, after: str, code: int, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    (tmp_path / "tiny.yaml").write_text("name: tiny\nallocations: 2000\nobjects:\n  - {size: 64, lifetime: 50}\n")
    line = f"{before}{shlex.join([sys.executable, '-m', 'memtool', *ARGUMENTS])} {after}"
    ended = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=memtool_environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert "regression" not in ended.stdout + ended.stderr


def test_valgrind_is_started_from_where_the_path_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's own environment has the system's PATH alone."""
    elsewhere = tmp_path / "valgrind"
    elsewhere.write_text("#!/bin/sh\n")
    elsewhere.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    job = Job(
        cell=Cell("tiny", "tlsf"),
        block=0,
        run_pass=Pass.COUNTERS,
        plan=AllocatorPlan(AllocatorSpec("tlsf"), "tlsf", ""),
        image_fd=0,
        image_bytes=0,
        region=RegionRequest(1 << 30, 4096),
        warmups=1,
        iterations=1,
        checkpoints=0,
        use_counter=False,
        time_limit=1.0,
        counter=Counter.CALLGRIND,
    )
    with instruments._instructions_counted(job) as (prefix, *_):
        assert str(elsewhere) in prefix
