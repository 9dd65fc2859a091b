"""Which C++ may include which: downwards only, and the rooms are small enough to look around in."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

SOURCES = ROOT / "memtool"
FLOORS = (
    ("include", "recorder", "allocators/concept"),
    ("allocators/support",),
    ("allocators/strategies", "allocators/adaptors"),
    ("allocators",),
    ("engine/abi/capi.h",),
    ("engine/events", "engine/instruments"),
    ("engine/generate", "engine/packing", "engine/recorded", "engine/replay", "engine/survey"),
    ("engine/passes",),
    ("kinds",),
    ("engine/registry",),
    ("engine/adopted",),
    ("engine/abi", "worker", "preload"),
)
"""From the ground up: who stands on a floor may include what stands below it and, but for strategies and adaptors, what
is beside it in its own room. The structures that cross the ABI include nothing, so they stand low."""
ALONE = ("allocators/strategies", "allocators/adaptors")


def room(name: str) -> tuple[int, str]:
    """Return the floor and the room of a file, the longest name first."""
    rooms = [(floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms]
    for floor, item in sorted(rooms, key=lambda entry: -len(entry[1])):
        if name == item or name.startswith(f"{item}/"):
            return floor, item
    raise AssertionError(f"{name} is in no room that FLOORS knows")


def sources() -> dict[str, str]:
    files = (path for path in SOURCES.rglob("*") if path.suffix in (".hpp", ".cpp", ".h"))
    return {str(path.relative_to(SOURCES)): path.read_text() for path in files}


def wrong_includes(texts: dict[str, str]) -> list[str]:
    wrong = []
    for name, text in texts.items():
        floor, own = room(name)
        for other in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
            below, beside = room(other)
            if below > floor or (below == floor and (beside != own or own in ALONE)):
                wrong.append(f"{name} includes {other}")
    return wrong


def test_includes_run_one_way() -> None:
    assert wrong_includes(sources()) == []


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("allocators/concept/strategy.hpp", "allocators/support/bits.hpp"),
        ("allocators/support/bits.hpp", "engine/events/events.hpp"),
        ("allocators/strategies/pool.hpp", "allocators/strategies/arena.hpp"),
        ("allocators/strategies/pool.hpp", "allocators/adaptors/lock.hpp"),
        ("engine/replay/replay.hpp", "engine/passes/check.hpp"),
        ("engine/packing/packing.hpp", "engine/generate/random.hpp"),
    ],
)
def test_an_include_that_runs_the_other_way_is_seen(name: str, other: str) -> None:
    assert wrong_includes({name: f'#include "{other}"\n'}) == [f"{name} includes {other}"]


def test_no_file_of_the_allocators_knows_the_engine() -> None:
    assert [
        name for name, text in sources().items() if name.startswith("allocators/") and '#include "engine' in text
    ] == []


def test_rooms_are_small() -> None:
    """strategies/ is a list by nature, and support/ what its entries are made of."""
    rooms = (SOURCES / "engine", SOURCES / "report")
    others = ("vendor", "__pycache__")
    folders = [path for room in rooms for path in (room, *room.rglob("*")) if path.is_dir() and path.name not in others]
    assert len(folders) > 15
    counts = {
        str(folder): sum(path.is_file() and path.suffix != ".so" for path in folder.iterdir()) for folder in folders
    }
    assert {name: count for name, count in counts.items() if count > 15} == {}


def test_files_are_short() -> None:
    paths = [path for suffix in ("py", "c") for path in SOURCES.rglob(f"*.{suffix}")]
    assert len(paths) > 300
    rest = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    lines = {name: text.count("\n") for name, text in (sources() | rest).items()}
    assert {name: count for name, count in lines.items() if count > 450} == {}
