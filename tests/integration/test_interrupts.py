"""An interrupt while instructions are counted: valgrind and what it runs end at once, and nothing finished is lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.allocators.test_shared_library import REPLACEMENT

# A worker that never ends by itself, but only where valgrind runs it: its first passes are sound.
STAYS_UNDER_VALGRIND = """
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void stay(void) {
  const char* loaded = getenv("LD_PRELOAD");
  if (loaded && strstr(loaded, "vgpreload")) for (;;) pause();
}
"""
WORKLOAD = "name: small\nallocations: 500\nobjects: [{size: 64, lifetime: 20}]\n"
HOURS = "7200"


def descendants(pid: int) -> dict[int, str]:
    """Return the command lines of all that a process has started, by their ids."""
    result: dict[int, str] = {}
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, listing.read_text(encoding="ascii").split()):
                result[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                result |= descendants(child)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return result


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind counts the instructions")
def test_an_interrupt_of_the_counters_pass_ends_valgrind_and_keeps_what_is_finished(
    tmp_path: Path, memtool_environment: Mapping[str, str]
) -> None:
    compiler = shutil.which("cc") or pytest.skip("no compiler")
    (tmp_path / "stays.c").write_text(REPLACEMENT + STAYS_UNDER_VALGRIND, encoding="ascii")
    flags = ["-shared", "-fPIC", "-O1", "-fno-builtin", "-DALLOCATE", "-DREST"]
    subprocess.run([compiler, *flags, "-o", "libstays.so", "stays.c"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "small.yaml").write_text(WORKLOAD, encoding="utf-8")
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    options = ["--passes", "check,throughput,counters", "--counters", "callgrind", "--blocks", "1", "--no-plots"]
    options += ["--time-limit", HOURS, "-o", str(out)]
    running = subprocess.Popen(
        [sys.executable, "-m", "memtool", "bench", "small.yaml", "-a", "./libstays.so", *options],
        cwd=tmp_path,
        env={**memtool_environment, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 200
        workers: dict[int, str] = {}
        while not any("--tool=callgrind" in line for line in workers.values()):
            assert running.poll() is None, running.communicate()[1]
            assert time.monotonic() < end, "valgrind was not started"
            time.sleep(0.02)
            workers = descendants(running.pid)
        before = (out / "journal.jsonl").read_bytes().splitlines()
        running.send_signal(signal.SIGINT)
        # The worker would stay for hours: whoever waits for it is killed here.
        complaint = running.communicate(timeout=300)[1].decode()
    finally:
        running.kill()
    assert running.returncode == 130
    assert [pid for pid in workers if not has_ended(pid)] == []
    after = (out / "journal.jsonl").read_bytes().splitlines()
    assert after[: len(before)] == before
    samples = [json.loads(line)["sample"] for line in after[1:]]
    finished = [(sample["cell"]["allocator"], sample["run_pass"], sample["status"]) for sample in samples]
    assert {("./libstays.so", "check", "ok"), ("./libstays.so", "throughput", "ok")} <= set(finished)
    assert ("./libstays.so", "counters", "failed") not in finished
    assert complaint.endswith(
        f"memtool: interrupted: {len(samples)} finished samples are in {out}; the same command with --resume goes on\n"
    )
    assert not (out / "run.json").exists()
    assert list(temporary.iterdir()) == []
