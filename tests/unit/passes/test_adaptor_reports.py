"""What adaptors report, as a reader sees it."""

from __future__ import annotations

from memtool.passes.adaptor_reports import sentences

TRACK = {
    "allocations": 1000,
    "zeroed": 10,
    "frees": 900,
    "ended_by_scope": 0,
    "reallocations": 20,
    "moved": 5,
    "refused": 0,
    "total_bytes": 65536,
    "peak_live_bytes": 4096,
    "peak_live_blocks": 101,
    "live_bytes": 2048,
    "live_blocks": 100,
    "sizes": {"16": 700, "64": 295, "1024": 5},
}


def test_track() -> None:
    assert sentences({"track": TRACK}) == [
        "track: 1,000 allocations (10 zeroed) of 64.0 KiB, 900 frees, 20 reallocations (5 moved), "
        "peak 4.00 KiB in 101 blocks; sizes up to 16 B 70%, 64 B 30%"
    ]


def test_leaks_by_size_the_largest_first() -> None:
    groups = [
        {"size": 1024, "blocks": 3, "operations": [5, 70, 1900]},
        {"size": 48, "blocks": 6, "operations": [1, 2, 3, 4]},
        {"size": 100, "blocks": 1, "operations": [17]},
    ]
    assert sentences({"leak": {"blocks": 12, "bytes": 3460, "sizes": 5, "groups": groups}}) == [
        "leak: 12 blocks of 3.38 KiB live at the end: 3 × 1.00 KiB (operations 5, 70, 1,900), "
        "6 × 48 B (operations 1, 2, 3, 4, …), 1 × 100 B (operation 17), and 2 further sizes"
    ]


def test_nothing_leaked_is_said_too() -> None:
    nothing = {"blocks": 0, "bytes": 0, "sizes": 0, "groups": []}
    assert sentences({"leak": nothing}) == ["leak: nothing is live at the end"]


def test_nothing_reported() -> None:
    assert sentences({}) == []
