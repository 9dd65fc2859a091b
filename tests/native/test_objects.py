"""Objects of all types in all ways, in every pass; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.kinds.construct.ways import SUMMARIES
from tests.native.conftest import BuildDriver

ALONE = ("in-place", "stack-buffer")
DROPPED = ("dropped", "forgotten")
OF_A_HEAP = tuple(way for way in SUMMARIES if way not in (*ALONE, *DROPPED))
TYPES, PASSES = 8, 4


@pytest.fixture(scope="session")
def objects(build_driver: BuildDriver) -> Path:
    return build_driver("objects", "asan")


@pytest.mark.parametrize(
    ("recipe", "order", "ways"),
    [
        ("tlsf", "0", OF_A_HEAP),
        ("malloc", "1", OF_A_HEAP),
        ("tlsf+redzone", "0", ("placement", "new", "make-shared")),
        ("arena", "1", ("placement", "dropped")),
        ("bump", "1", ("dropped",)),
        ("", "0", ALONE),
    ],
)
def test_all_objects_end_and_all_blocks_are_given_back(
    objects: Path, recipe: str, order: str, ways: tuple[str, ...]
) -> None:
    command = [str(objects), recipe, "+" * recipe.count("+"), order, *ways]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr[-2000:]) == (0, "")
    assert ended.stdout.splitlines() == [f"{len(ways) * TYPES * PASSES} replays"]
