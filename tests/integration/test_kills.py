"""A run that is killed at random moments, beside others that want to resume it, loses no finished sample."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.fork_client import Asked
from tests.started import ask_for_memtool

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
    options = ("--passes", "check,throughput", "--blocks", "1000", "--no-plots", "-o", out)
    environment = {**memtool_environment, "TMPDIR": str(temporary)}

    def start(complaint: str, *more: str) -> Asked:
        words = ("bench", workload, "-a", "tlsf,buddy", *options, *more)
        errors = tmp_path / complaint
        return ask_for_memtool(*words, environment=environment, folder=tmp_path, output=Path(os.devnull), errors=errors)

    before: list[bytes] = []
    refused = 0
    for number in range(kills):
        running = start(f"running-{number}", *(["--resume"] if before else []))
        deadline = time.monotonic() + 300
        while len(whole_lines(journal)) <= len(before) + 1 and time.monotonic() < deadline:
            assert psutil.pid_exists(running.process), (tmp_path / f"running-{number}").read_text()
            time.sleep(0.01)
        rival = start(f"rival-{number}", "--resume")
        rival_ended = draw.random() < 0.7  # else it is killed while it waits, or goes on with what is left
        if rival_ended:
            code, complaint = rival.exit_code(), (tmp_path / f"rival-{number}").read_text()
            assert (code, complaint) == (2, f"memtool: {out}: another memtool is writing this run\n")
            refused += 1
        time.sleep(0.3 * draw.random())
        how = draw.choice(SIGNALS)
        os.kill(running.process, how)
        code = running.exit_code(300)
        assert code == ENDED.get(how, code) != 0
        if not rival_ended:
            time.sleep(0.5 * draw.random())
            os.kill(rival.process, signal.SIGKILL)
            rival.exit_code()
        after = whole_lines(journal)
        assert after[: len(before)] == before
        assert len(after) > len(before)
        before = after
        assert list(temporary.iterdir()) == [] or how is signal.SIGKILL
    assert refused > 0 or kills < 3
    samples = [json.loads(line)["sample"] for line in before[1:]]
    keys = {(sample["cell"]["allocator"], sample["block"], sample["run_pass"]) for sample in samples}
    assert len(keys) == len(samples)
