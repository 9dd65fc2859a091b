"""Threads side by side at a recorded pace: what nobody works in is no part of the time of the replay."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import ROOT


def test_the_time_is_that_in_which_some_lane_works(tmp_path: Path) -> None:
    sources = [ROOT / "tests/native/paces.cpp", ROOT / "memtool/engine/instruments/instructions.cpp"]
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-pthread", f"-I{ROOT / 'memtool'}"]
    subprocess.run(["c++", *flags, "-o", tmp_path / "paces", *sources], check=True)
    done = subprocess.run([tmp_path / "paces"], capture_output=True, text=True, check=True, timeout=300)
    body, wall = map(int, done.stdout.split())
    assert wall >= 2_030_000
    # Two stretches of work of 30 ms, the second of one lane alone; the lanes rest until 1 s, and until 2 s. A machine
    # may take a second to let them work and wait; what is waited for is not in it.
    assert 60_000 <= body <= wall - 1_000_000
