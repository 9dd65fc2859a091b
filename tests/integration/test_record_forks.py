"""A forked child's trace begins with what is live in its parent: nothing that it frees is unknown."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from memtool.recorder import inheritance, traces
from memtool.recorder.session import ProcessRecord
from memtool.workload.description.characterise import characterise
from memtool.workload.sources import trace_file
from memtool.workload.sources.source import Ending
from memtool.workload.trace import make_trace
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture

REPAIRS = ("implicit_frees", "unmatched_frees", "unmatched_reallocations")


@pytest.fixture(scope="module")
def recording(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> traces.Recording:  # noqa: F811
    file = tmp_path_factory.mktemp("forks") / "app.parquet"
    return traces.record([str(programs / "forks_with_blocks")], os.environ, traces.Options(file))


def test_no_call_of_a_child_is_for_an_unknown_block(recording: traces.Recording) -> None:
    assert recording.recorded.status == 7  # every one of them came to its end
    records = recording.recorded.processes
    assert [(record.inherited_objects, record.inherited_bytes) for record in records] == [
        (0, 0),
        # 949 of 64 bytes, 50 of 128, one of 512.
        (1000, 67648),
        # Without the first 300; 20 of 256 bytes for as many of 64, and 10 of 77.
        (710, 53058),
    ]
    assert [record.events for record in records] == [1000 + 50 + 1000, 10 + 310 + 20, 230]
    assert [record.counts[name] for record in records for name in REPAIRS] == [0] * 9
    assert [list(record.missing()) for record in records[1:]] == [[], []]


def test_the_trace_of_a_child_is_replayed_from_a_warm_heap(recording: traces.Recording) -> None:
    _, file, last = recording.files
    assert file is not None
    assert last is not None
    source = trace_file.load(file)
    assert source.marks == ("start",)
    assert source.metadata["inherited"] == {"objects": 1000, "bytes": 67648}
    with make_trace(source, str(file)) as trace:
        (mark,) = trace.info.marks
        assert (mark.name, mark.operation, mark.live_bytes) == ("start", 1000, 67648)
        assert trace.info.largest_alignment == 256
    seen = characterise(trace_file.load(last).portions(Ending()))
    assert seen.never_freed == 710 - 230
    # The call sites are those of the parent: two of main, one of child (which resized 20 of main's).
    assert sorted((site.allocations, site.left_objects) for site in seen.sites) == [(1, 0), (10, 10), (699, 470)]
    assert all(0 < time < 2**63 for rows in source.portions(Ending()) for time in _times(rows.nanoseconds)[1001:])


def _times(nanoseconds: np.ndarray | None) -> list[int]:
    assert nanoseconds is not None
    return [int(time) for time in nanoseconds]


def test_what_is_kept_for_children_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inheritance, "_MOST_BYTES", 100)
    monkeypatch.setattr(inheritance, "_MOST_UNASKED", 5)
    kept = inheritance.Inheritance()
    kept.expect(1, 30)
    kept.leave(1, 10, 2, lambda: bytearray(96))
    kept.leave(1, 20, 6, lambda: bytearray(288))  # too many for a child that nobody has seen
    kept.leave(1, 30, 6, lambda: bytearray(288))  # one that is there
    kept.leave(2, 10, 1, lambda: bytearray(48))
    assert [kept.take(1, 10), kept.take(1, 20), kept.take(2, 10)] == [None, None, None]
    assert kept.take(1, 30) == bytearray(288)
    kept.leave(2, 20, 2, lambda: bytearray(96))
    assert kept.take(2, 20) == bytearray(96)
    assert kept.take(2, 20) is None


def test_a_child_whose_parent_is_not_known_says_so() -> None:
    counts = dict.fromkeys((*REPAIRS, "reordered", "refused"), 0) | {"unmatched_frees": 3}
    record = ProcessRecord(2, 101, 100, "/bin/app", ["app"], 0, counts, came_to_its_end=True)
    assert list(record.missing()) == [
        "3 calls for blocks that it has from process 100: what was live there when it forked is not known"
    ]
