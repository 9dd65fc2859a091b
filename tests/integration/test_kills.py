"""A run that is killed at random moments, beside others that want to resume it, loses no finished sample."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKLOAD = """
name: small
allocations: 2000000
objects: [{size: 64, lifetime: 20}]
"""
"""So large that no run ends before it is killed."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDED = {signal.SIGKILL: -9, signal.SIGTERM: 143}
"""How a run that was still going on ends; an interrupt has memtool's own code."""


def whole_lines(journal: Path) -> list[bytes]:
    content = journal.read_bytes() if journal.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


@pytest.mark.timeout(7200)
def test_no_finished_sample_is_lost(
    tmp_path: Path, memtool_environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    kills = int(request.config.getoption("--kills"))
    draw = random.Random(kills)
    workload, out, temporary = tmp_path / "small.yaml", tmp_path / "out", tmp_path / "temporary"
    workload.write_text(WORKLOAD, encoding="utf-8")
    temporary.mkdir()
    journal = out / "journal.jsonl"
    options = ("--passes", "check,throughput", "--blocks", "1000", "--no-plots", "-o", str(out))
    command = [sys.executable, "-m", "memtool", "bench", str(workload), "-a", "tlsf,buddy", *options]
    environment = {**memtool_environment, "TMPDIR": str(temporary)}

    def start(*more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *more], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path
        )

    before: list[bytes] = []
    refused = 0
    for _ in range(kills):
        running = start(*(["--resume"] if before else []))
        deadline = time.monotonic() + 300
        while len(whole_lines(journal)) <= len(before) + 1 and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.01)
        assert running.poll() is None, running.communicate()[1]
        rival = start("--resume")
        rival_ended = draw.random() < 0.7  # else it is killed while it waits, or goes on with what is left
        if rival_ended:
            complaint = rival.communicate()[1].decode()
            assert (rival.returncode, complaint) == (2, f"memtool: {out}: another memtool is writing this run\n")
            refused += 1
        time.sleep(0.3 * draw.random())
        how = draw.choice(SIGNALS)
        running.send_signal(how)
        running.communicate(timeout=300)
        assert running.returncode == ENDED.get(how, running.returncode) != 0
        if not rival_ended:
            time.sleep(0.5 * draw.random())
            rival.kill()
            rival.communicate()
        after = whole_lines(journal)
        assert after[: len(before)] == before
        assert len(after) > len(before)
        before = after
        assert list(temporary.iterdir()) == [] or how is signal.SIGKILL
    assert refused > 0 or kills < 3
    samples = [json.loads(line)["sample"] for line in before[1:]]
    keys = {(sample["cell"]["allocator"], sample["block"], sample["run_pass"]) for sample in samples}
    assert len(keys) == len(samples)
