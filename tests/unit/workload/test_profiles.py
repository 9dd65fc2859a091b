"""Heap profiles become workloads: what they hold, what they cannot know, and where they are damaged."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from memtool.cli import run
from memtool.errors import InputError
from memtool.workload.importers.convert import ImportedProfile, import_profile
from memtool.workload.importers.known import by_content
from memtool.workload.language.loader import load_workload
from memtool.workload.trace import load_trace

JEMALLOC = """heap_v2/1
  t*: 130: 9440 [2130: 41440]
  t0: 130: 9440 [2130: 41440]
@ 0x1 0x2
  t*: 100: 1600 [2000: 32000]
  t0: 60: 960 [1000: 16000]
  t3: 40: 640 [1000: 16000]
@ 0x3
  t*: 30: 7680 [30: 7680]
  t0: 30: 7680 [30: 7680]
@ 0x4
  t*: 0: 0 [10: 480]
  t0: 0: 0 [10: 480]

MAPPED_LIBRARIES:
559d1000-559d2000 r-xp 00000000 00:00 1 /usr/bin/app
"""
GPERFTOOLS = """heap profile:    104:    12800 [  1204:   34816] @ heapprofile
   100:     4800 [  1200:    26816] @ 0x00001 0x00002
     4:     8000 [     4:     8000] @ 0x00003

MAPPED_LIBRARIES:
00400000-00401000 r-xp 00000000 00:00 1 /usr/bin/app
"""
STATISTICS = {
    "jemalloc": {
        "version": "5.3.0",
        "arenas": {"bin": [{"size": 8}, {"size": 16}], "lextent": [{"size": 16384}, {"size": 1 << 61}]},
        "stats.arenas": {
            "0": {
                "bins": [
                    {"nmalloc": 100, "nrequests": 900, "curregs": 7},
                    {"nmalloc": 20, "nrequests": 5, "curregs": 3},
                ],
                "lextents": [{"nmalloc": 4, "curlextents": 2}, {"curlextents": 0}],
            },
            "1": {"bins": [{"nmalloc": 0, "nrequests": 0, "curregs": 1}], "lextents": []},
        },
    }
}


def imported(tmp_path: Path, content: str, name: str = "app.heap") -> tuple[ImportedProfile, dict[str, Any]]:
    """Return what came of it, and the profile of the workload that was written."""
    path = tmp_path / name
    path.write_text(content)
    made = import_profile(str(path), tmp_path / "out.yaml")
    assert made is not None
    workload = load_workload(tmp_path / "out.yaml")
    assert workload.profile is not None
    return made, {"allocations": workload.allocations, **workload.effective()["profile"]}


def test_a_profile_of_jemalloc(tmp_path: Path) -> None:
    made, written = imported(tmp_path, JEMALLOC)
    assert written["rows"] == [[16, 2000, 100], [48, 10, 0], [256, 30, 30]]
    assert (written["heap"], written["allocations"]) == (9280, 2040)
    assert (made.format, made.sizes, made.live_objects, made.live_bytes) == ("jemalloc", 3, 130, 9280)
    assert (made.dropped, made.first_damage) == (0, None)
    assert "sizes are their size classes, as jemalloc rounds them up" in made.notes
    assert any("neither order nor threads" in note for note in made.notes)


def test_counts_of_sampled_allocations_are_scaled_as_jeprof_does_it(tmp_path: Path) -> None:
    """One of 16 bytes, sampled every 524,288, stands for 32,768.5; one of 1 MiB for 1.1565."""
    sampled = "heap_v2/524288\n  t*: 3: 0 [0: 0]\n@ 0x1\n  t*: 1: 16 [0: 0]\n@ 0x2\n  t*: 2: 2097152 [0: 0]\n"
    made, written = imported(tmp_path, sampled)
    # Allocations are not counted in it, so each size is taken to be allocated as often as it is live.
    assert written["rows"] == [[16, 32768.5, 32768.5], [1048576, 2.31304, 2.31304]]
    assert "one allocation in 524,288 bytes was sampled: counts are estimates" in made.notes
    assert any("how often each size is allocated is not in it" in note for note in made.notes)


def test_a_profile_of_gperftools_has_the_mean_size_of_each_site(tmp_path: Path) -> None:
    made, written = imported(tmp_path, GPERFTOOLS)
    assert written["rows"] == [[48, 1200, 100], [2000, 4, 4]]
    assert written["heap"] == 12800
    assert made.format == "gperftools"


def test_a_profile_that_is_cut_off_says_what_is_missing(tmp_path: Path) -> None:
    made, written = imported(tmp_path, GPERFTOOLS.partition("     4:")[0])
    assert written["rows"] == [[48, 1200, 100]]
    assert "its lines hold 100 of the 104 live objects that its head counts" in made.notes


def test_statistics_of_jemalloc_add_up_all_arenas(tmp_path: Path) -> None:
    made, written = imported(tmp_path, json.dumps(STATISTICS), "stats.json")
    assert written["rows"] == [[8, 900, 8], [16, 20, 3], [16384, 4, 2]]
    assert (made.format, made.live_objects, made.live_bytes) == ("jemalloc-stats", 13, 32880)


def test_lines_that_cannot_be_read_are_counted_and_the_first_is_told_by_its_offset(tmp_path: Path) -> None:
    damaged = GPERFTOOLS.replace(
        " @ 0x00003", " @ 0x3\nnonsense\n  99999999999999999999: 1 [1: 1] @ 0x4\n 1: -1 [1: 1] @"
    )
    made, written = imported(tmp_path, damaged)
    assert written["rows"] == [[48, 1200, 100], [2000, 4, 4]]
    assert (made.dropped, made.first_damage) == (3, damaged.index("nonsense"))
    huge = GPERFTOOLS.replace("8000", "9000000000000000000")
    assert imported(tmp_path, huge)[0].dropped == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("heap_v2/1\n", "holds no live object that can be read"),
        ("heap profile: 0: 0 [ 0: 0] @ heapprofile\n", "holds no live object that can be read"),
        ("heap profile: 1: 8 [ 1: 8] @ growthz/1\n", "is a profile of 'growthz', not of live objects"),
        ('{"jemalloc": {"arenas": 3', "is cut off, or not JSON, at byte 25"),
        ('{"jemalloc": {"arenas": 3}}', "is not jemalloc's statistics: KeyError 'stats.arenas'"),
        ('{"jemalloc": {"arenas": {}, "stats.arenas": {"0": []}}}', "is not jemalloc's statistics"),
        ('{"jemalloc": ' + "[" * 100_000, "is "),
    ],
)
def test_what_is_no_profile_of_live_objects_is_refused_in_a_line(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        imported(tmp_path, content)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out.yaml").exists()


def test_more_sizes_than_a_profile_may_have_are_put_together(tmp_path: Path) -> None:
    sites = "".join(f" 1: {size} [1: {size}] @ 0x1\n" for size in range(1, 30_001, 7))
    _, written = imported(tmp_path, f"heap profile: 1: 1 [1: 1] @ heapprofile\n{sites}")
    assert len(written["rows"]) <= 2048
    assert sum(row[2] for row in written["rows"]) == 4286
    assert written["heap"] == pytest.approx(sum(range(1, 30_001, 7)), rel=0.01)


def test_a_profile_is_known_by_its_content_and_benched_and_inspected_as_it_is(tmp_path: Path) -> None:
    for content, name in (
        (JEMALLOC, "jemalloc"),
        (GPERFTOOLS, "gperftools"),
        (json.dumps(STATISTICS), "jemalloc-stats"),
    ):
        importer = by_content(content.encode())
        assert importer is not None
        assert importer.name == name
    path = tmp_path / "any.name"
    path.write_text(JEMALLOC)
    with load_trace(str(path)) as trace:
        assert trace.info.allocations == 2040 + 130
        assert any("neither order nor threads" in note for note in trace.info.notes)


def test_the_command_says_what_it_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.heap").write_text(JEMALLOC)
    assert run(["import", "app.heap"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "app.yaml (jemalloc)" in said
    assert "9.06 KiB in 130 objects" in said
    assert Path("app.yaml").read_text().startswith("# Made by memtool of app.heap (jemalloc).\n# note: sizes are")
    assert run(["import", "app.heap", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"] == 3
    assert run(["import", "app.heap", "-o", "app.heap"]) == 2


def field(number: int, *values: int | bytes) -> bytes:
    """Return fields of a number in protobuf's encoding: whole numbers below 128, or what has a length below that."""
    return b"".join(
        bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value
        for value in values
    )


def pprof(*samples: bytes, kinds: int = 4) -> bytes:
    """Return a profile of pprof by its wire format; a sample has four values."""
    texts = (b"", b"alloc_objects", b"count", b"alloc_space", b"bytes", b"inuse_objects", b"inuse_space")
    types = [field(1, number) + field(2, unit) for number, unit in ((1, 2), (3, 4), (5, 2), (6, 4))]
    return field(1, *types[:kinds]) + field(2, *samples) + field(6, *texts) + field(12, 100)


SAMPLES = (
    field(1, 9) + field(2, bytes([20, 80, 5, 20])),  # packed, as protobuf writes it; a stack besides
    field(2, 3, 96, 3, 96) + field(3, field(1, 4) + field(3, 32)),
    field(2, 7, 70, 0, 0),
)


def test_a_profile_of_pprof(tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    (tmp_path / "heap.pb.gz").write_bytes(gzip.compress(pprof(*SAMPLES)))
    made = import_profile(str(tmp_path / "heap.pb.gz"), tmp_path / "out.yaml")
    assert made is not None
    workload = load_workload(tmp_path / "out.yaml")
    assert workload.effective()["profile"]["rows"] == [[4, 20, 5], [10, 7, 0], [32, 3, 3]]
    assert (made.format, made.live_objects, made.live_bytes, made.dropped) == ("pprof", 8, 116, 0)
    assert made.notes[0] == "one allocation in 100 bytes was sampled: counts are estimates"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pprof(*SAMPLES, kinds=2), "is a profile of alloc_objects, alloc_space, not of live objects and their space"),
        (pprof(*SAMPLES)[:-20], "is damaged, or not a profile of pprof"),
        (pprof(field(2, 1, 2)), "holds no live object that can be read"),
        (field(1, field(1, 99)) + field(6, b""), "is damaged: it names texts that are not there"),
    ],
)
def test_a_profile_of_pprof_that_is_none(content: bytes, words: str, tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    (tmp_path / "heap.pb").write_bytes(content)
    with pytest.raises(InputError) as problem:
        import_profile(str(tmp_path / "heap.pb"), tmp_path / "out.yaml")
    assert str(problem.value).startswith(f"{tmp_path / 'heap.pb'}: {words}")
