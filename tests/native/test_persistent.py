"""The heap that outlives its process: ended at every store, killed, damaged, shared; --sanitize: ASan and UBSan."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.native.conftest import BuildDriver


@pytest.fixture(scope="session")
def persistent(build_driver: BuildDriver) -> Path:
    return build_driver("persistent", "asan")


def run(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-2000:]
    return ended.stdout


def test_it_is_sound_whichever_store_was_the_last(persistent: Path) -> None:
    """Its first store has not made a heap yet; the last limit is beyond all stores, so nothing is cut there."""
    outcomes = dict(line.rsplit(": ", 1) for line in run(persistent, "crashes", "3", "30").splitlines())
    assert set(outcomes) == {"had not begun", "nothing", "undone", "completed", "recovery cut too"}
    assert int(outcomes["had not begun"]) <= 2
    assert sum(map(int, outcomes.values())) > 400


def test_it_is_sound_after_each_of_30_kills(persistent: Path, tmp_path: Path) -> None:
    lines = run(persistent, "kills", tmp_path / "heap", "30", "1").splitlines()
    counts = {line.strip().partition("  ")[2]: int(line.split()[0]) for line in lines}
    assert sum(counts.values()) == 30
    assert all(what.startswith("sound: ") for what in counts)


def test_a_changed_bit_is_said_or_of_no_consequence(persistent: Path) -> None:
    text = run(persistent, "damage", "300", "1")
    assert "SILENCE" not in text
    assert re.search(r"\d  said: the run at byte N: its state is damaged", text)
    assert re.search(r"\d  said: the count of a slab's blocks is not that of its bitmap", text)


def test_two_processes_use_one_heap(persistent: Path) -> None:
    assert re.fullmatch(
        r"100000 operations of two processes, 0 kills: \d+ blocks left and verified, 0 lost with the dead\n",
        run(persistent, "shared", "100000", "0"),
    )


def test_one_that_dies_with_the_lock_does_not_harm_the_others(persistent: Path) -> None:
    text = run(persistent, "shared", "100000", "20")
    assert text.startswith("100000 operations of two processes, 20 kills: ")
