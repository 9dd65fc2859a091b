"""An image on a disk is in memory window by window, and never as a whole."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from tests.conftest import ROOT

WINDOW = 256 << 10
SHOWN = WINDOW - 32
"""No event begins in the last 32 bytes of a window that is not the last."""


def test_no_more_than_a_window_is_resident(tmp_path: Path) -> None:
    events = 1 << 15  # of 32 bytes: a mebibyte, four windows
    (tmp_path / "image").write_bytes(b"".join(struct.pack("<QQQQ", number, 0, 0, 0) for number in range(events)))
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", f"-I{ROOT / 'memtool'}"]
    subprocess.run(["c++", *flags, "-o", tmp_path / "window", ROOT / "tests/native/window.cpp"], check=True)
    done = subprocess.run(
        [tmp_path / "window", tmp_path / "image", str(WINDOW)], capture_output=True, text=True, check=True
    )
    *lines, total = done.stdout.splitlines()
    assert int(total) == sum(range(events))
    places, resident = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert places[0] == SHOWN
    assert places[-1] == events * 32
    assert len(places) == 5
    # The kernel may map what lies around a page that it brings in.
    assert max(resident) <= 2 * WINDOW >> 10
