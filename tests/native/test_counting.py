"""Threads that count (memtool/kinds/access/sharing.cpp), in every pass; with --sanitize under TSan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native.conftest import BuildDriver
from tests.native.test_kernels import DONE, WAYS, run

COUNTING = [way for way in WAYS if way.startswith("count-")]


@pytest.mark.parametrize("way", COUNTING)
def test_no_count_is_lost(build_driver: BuildDriver, tmp_path: Path, way: str) -> None:
    assert len(COUNTING) == 3
    assert run(build_driver("kernels", "tsan"), tmp_path, way, "tlsf") == [line.format(way=way) for line in DONE]
