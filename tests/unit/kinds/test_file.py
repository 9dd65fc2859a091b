"""Files: what a workload may say, what stands in the way of a row, and what is made of what workers find."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from memtool.engine.instruments import binding
from memtool.errors import InputError, InputErrors
from memtool.host import machine
from memtool.kinds import results
from memtool.kinds.file import place
from memtool.kinds.file.names import serving
from memtool.kinds.file.results import Latencies, Memory
from memtool.kinds.file.work import seconds
from memtool.kinds.work import load_trace, work
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, CellResult, Mode, Status, TraceInfo
from memtool.passes import Clock, Figures, Pass, Sample
from memtool.passes.declaration import CellSamples
from memtool.passes.latency import Histogram

READS = "pattern: random-read, size: 1MiB, accesses: 1k"


def written(folder: Path, file: str) -> Path:
    path = folder / "w.yaml"
    path.write_text(f"name: w\nseed: 7\nfile: {{{file}}}\n", encoding="utf-8")
    return path


def trace_of(folder: Path, file: str, seed: int | None = None) -> TraceInfo:
    with load_trace(str(written(folder, file)), seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        return trace.info


def test_a_file_becomes_what_the_kernel_reads(tmp_path: Path) -> None:
    path = written(tmp_path, f"{READS}, folder: .")
    with load_trace(str(path), seed=9, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image = Path(f"/proc/self/fd/{trace.image_fd}").read_bytes()
        (held,) = trace.held
        assert os.fstat(held).st_size == 0
        assert os.fstat(held).st_dev == tmp_path.stat().st_dev
        info = trace.info
    numbers = struct.unpack("<13Q", image[:104])
    # magic, seed, descriptor, kind, bytes, block, accesses, pattern, cache, limit, sync, every, depth
    assert numbers == (0x31656C6966, 9, held, 0, 1 << 20, 4096, 1000, 1, 0, 0, 0, 1, 32)
    assert (info.kind, info.operations, info.total_bytes) == ("file", 1000, 4_096_000)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["w.yaml"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)


def test_where_it_lies_is_no_part_of_the_work_and_everything_else_is(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    same = {trace_of(tmp_path, READS).event_hash, trace_of(tmp_path, f"{READS}, folder: elsewhere").event_hash}
    assert len(same) == 1
    others = {
        trace_of(tmp_path, f"{READS}, ways: [pread]").event_hash,
        trace_of(tmp_path, f"{READS}, cache: cold").event_hash,
        trace_of(tmp_path, f"{READS}, depth: 8").event_hash,
        trace_of(tmp_path, READS, seed=8).event_hash,
    }
    assert len(others | same) == 5


def test_a_scan_and_a_log_have_an_access_for_each_block(tmp_path: Path) -> None:
    assert trace_of(tmp_path, "pattern: scan, size: 1MiB, block: 64KiB").operations == 16
    assert trace_of(tmp_path, "pattern: append, size: 1MiB").operations == 256


def test_patterns_have_the_ways_that_serve_them() -> None:
    assert "mmap-dontneed" in serving("scan", None)
    assert "mmap-dontneed" not in serving("random-read", None)
    assert serving("append", None)[:2] == ("write", "pwrite")
    assert serving("append", None)[6:] == ("mmap-shared", "mmap-sequential", "mmap-huge")
    assert serving("scan", "/dev/zero") == (
        "read", "pread", "mmap-shared", "mmap-private", "mmap-populate", "mmap-huge",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("size: 1MiB", "file.pattern: is missing"),
        ("pattern: scan, block: 12", "file.block: must be a multiple of 8, and at most 64.0 MiB, is 12"),
        ("pattern: scan, size: 1000", "file.size: must be a multiple of block (4096), is 1000"),
        ("pattern: scan, accesses: 5", "file.accesses: must not be given: a scan has an access for each block"),
        ("pattern: append, accesses: 5", "file.accesses: must not be given: size is what is appended"),
        ("pattern: scan, ways: []", "file.ways: must name a way"),
        ("pattern: scan, ways: [pread, pread]", "file.ways: names a way twice"),
        ("pattern: scan, ways: [pwrite]", "file.ways[0]: does not serve scan; there are read, pread,"),
        ("pattern: scan, ways: [mmap]", "file.ways[0]: must be "),
        ("pattern: scan, device: memfd, ways: [pread-direct]", "does not serve scan of a device; there are read"),
        ("pattern: scan, cache: limited", "file.limit: must be given where cache is limited"),
        ("pattern: scan, limit: 8MiB", "file.limit: is of cache: limited alone"),
        ("pattern: scan, cache: limited, limit: 64MiB", "and less than size (67108864), is 67108864"),
        ("pattern: scan, cache: limited, limit: 1MiB", "file.limit: must be at least 8.00 MiB"),
        ("pattern: append, cache: cold", "file.cache: must not be cold: what is appended is in no cache before"),
        ("pattern: scan, sync: fsync", "file.sync: must not be given: scan writes nothing"),
        ("pattern: append, device: memfd", "file.device: does not grow: append is of files"),
        ("pattern: random-write, device: /dev/mem", "file.device: is only read: what is written to a device drives it"),
        ("pattern: scan, device: memfd, cache: cold", "file.cache: must not be given: memfd is no file on a disk"),
        ("pattern: scan, device: memfd, folder: .", "file.folder: must not be given: memfd is no file on a disk"),
        ("pattern: scan, device: zero", "file.device: must be memfd, or the path of a device from the root, is 'zero'"),
        ("pattern: scan, blok: 4", "file.blok: unknown key; did you mean 'block'?"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line_and_key(tmp_path: Path, file: str, words: str) -> None:
    path = written(tmp_path, file)
    with pytest.raises(InputErrors) as problems:
        load_trace(str(path), seed=None, threads=None, rate=None, mode=Mode.SERIAL)
    (line,) = str(problems.value).splitlines()
    assert line.startswith(f"{path}:3:")
    assert words in line


def test_a_file_of_the_users_is_no_device(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"kept")
    with pytest.raises(InputError, match="mine: is not a character device"):
        trace_of(tmp_path, f"pattern: scan, device: {mine}")
    assert mine.read_bytes() == b"kept"


def why_not(way: str, info: TraceInfo) -> str | None:
    return work("file").why_not(AllocatorPlan(AllocatorSpec("", way=way), "", ""), info)


GOOD = place.Ground(free_bytes=1 << 40)


def has_ground(monkeypatch: pytest.MonkeyPatch, ground: place.Ground) -> None:
    monkeypatch.setattr(place, "ground", lambda folder: ground)


def test_a_row_is_left_out_where_the_file_system_cannot_serve_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, cold = trace_of(tmp_path, READS), trace_of(tmp_path, f"{READS}, cache: cold")
    log, odd = (
        trace_of(tmp_path, "pattern: append, size: 1MiB"),
        trace_of(tmp_path, "pattern: scan, block: 1000, size: 1000000"),
    )
    has_ground(monkeypatch, GOOD)
    assert why_not("pread-direct", reads) is why_not("mmap-shared", log) is why_not("pread", cold) is None
    assert str(why_not("pread-direct", odd)).startswith("O_DIRECT needs a block of whole sectors (a multiple of 512")
    has_ground(
        monkeypatch, place.Ground(no_direct="no O_DIRECT", no_dropping="kept", no_holes="no holes", free_bytes=1 << 40)
    )
    assert why_not("pread-direct", reads) == "no O_DIRECT"
    assert why_not("pread", reads) is None
    assert why_not("pread", cold) == "kept"
    assert (why_not("mmap-shared", log), why_not("pwrite", log)) == ("no holes", None)
    has_ground(monkeypatch, place.Ground(free_bytes=10 << 20))
    assert str(why_not("pread", reads)).startswith("needs 65.0 MiB in ")
    assert str(why_not("pread", reads)).endswith(" 10.0 MiB are free: choose another folder, or a smaller size")
    has_ground(monkeypatch, place.Ground(free_bytes=None))
    assert why_not("pread", reads) is None
    has_ground(monkeypatch, place.Ground(no_file="no file can be made in /x: Permission denied"))
    assert why_not("pread", reads) == "no file can be made in /x: Permission denied; choose another folder (folder)"


def test_a_cache_that_memory_cannot_hold_is_not_warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = trace_of(tmp_path, READS)
    has_ground(monkeypatch, GOOD)
    monkeypatch.setattr(machine, "available_memory", lambda: 1000)
    assert str(why_not("pread", info)).startswith("a warm page cache of 1.00 MiB needs more memory than is available")


def test_a_ring_that_the_kernel_does_not_give_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = trace_of(tmp_path, READS)
    has_ground(monkeypatch, GOOD)
    monkeypatch.setattr(binding, "ring_refusal", lambda: "Operation not permitted")
    assert str(why_not("uring-read", info)).startswith(
        "the kernel gives no io_uring (Operation not permitted): see /proc"
    )
    assert why_not("pread", info) is None


def test_what_cannot_be_made_durable_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = "pattern: random-write, size: 1MiB"
    by_msync, by_fsync = (trace_of(tmp_path, f"{updates}, sync: {name}") for name in ("msync", "fsync"))
    has_ground(monkeypatch, GOOD)
    assert why_not("mmap-private", by_fsync) == "what is written to a private mapping never reaches the file"
    assert why_not("pwrite", by_msync) == "msync is of mappings: fsync and fdatasync are of both"
    assert why_not("pwritev2-dsync", by_fsync) == "is durable by itself (RWF_DSYNC)"
    assert why_not("mmap-shared", by_msync) is why_not("pwrite", by_fsync) is None


def test_a_device_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    info = trace_of(tmp_path, "pattern: scan, device: /dev/zero, size: 1MiB")
    assert why_not("mmap-shared", info) is None
    assert place.why_no_device("/dev/none-such", 4096) == "this machine has no /dev/none-such"
    assert str(place.why_no_device("/dev/null", 4096)).startswith("/dev/null serves no mapping of 4096 bytes: ")


def test_a_folder_is_tried(tmp_path: Path) -> None:
    assert place.ground(str(tmp_path)).no_file is None
    assert (place.ground(str(tmp_path)).free_bytes or 0) > 0
    assert list(tmp_path.iterdir()) == []
    absent = place.ground(str(tmp_path / "absent"))
    assert absent.no_file == f"no file can be made in {tmp_path}/absent: No such file or directory"


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="nothing is mounted at /dev/shm")
def test_a_file_system_in_memory_is_known_by_its_page_cache() -> None:
    assert place.ground("/dev/shm").no_dropping == (
        "the page cache of /dev/shm cannot be emptied (a file system in memory?): choose another folder"
    )


def groups_of(folder: Path, membership: str, *, files: tuple[str, ...]) -> place.Groups:
    (folder / "self").write_text(membership, encoding="ascii")
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return place.groups(folder / "tree", folder / "self")


def test_a_control_group_is_made_where_it_can_limit_memory(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    none = groups_of(tmp_path, "1:cpu:/a\n", files=())
    assert none.refusal == "no control group here can limit memory: the controller is not mounted"
    left = tmp_path / "tree/memory/job/memtool-999999999"
    left.mkdir(parents=True)
    refused = place.groups(tmp_path / "tree", written_membership(tmp_path, "4:memory:/job\n"))
    # A folder of this file system has no limit in it, as a group has.
    assert str(refused.refusal).startswith(f"a control group below {tmp_path}/tree/memory/job cannot limit memory: run")
    assert not left.exists()


def written_membership(folder: Path, text: str) -> Path:
    path = folder / "membership"
    path.write_text(text, encoding="ascii")
    return path


def test_a_slow_disk_is_given_its_time(tmp_path: Path) -> None:
    sizes = "size: 100000000, block: 100000"
    warm = trace_of(tmp_path, f"pattern: scan, {sizes}, ways: [pread]")
    direct = trace_of(tmp_path, f"pattern: scan, {sizes}, ways: [pread, pread-direct]")
    cold = trace_of(tmp_path, f"pattern: random-read, {sizes}, accesses: 100, cache: cold")
    # Ten megabytes a second; six rounds, of a thousand accesses of 20 ms past the cache, and of a hundred of 0.1 s.
    assert [seconds(warm), seconds(direct), seconds(cold)] == pytest.approx([10.0, 130.0, 70.0])


def summarised(run_pass: Pass, *figures: Figures) -> dict[str, float | None]:
    cell = Cell("w", "pread")
    samples = [Sample(cell, block, run_pass, Status.OK, None, counted) for block, counted in enumerate(figures)]
    info = TraceInfo("w", 1, "0" * 32, 4, 1, 0, kind="file", facts={"size": 1000, "block": 100})
    summary = results("file").measures[run_pass].summarise(CellSamples(samples, (), (), info, Clock(2.0, "tsc")))
    return {name: figure.by_block[0][1] for name, figure in summary.figures.items()}


def test_latencies_are_less_the_floor() -> None:
    latencies = Latencies(
        access=Histogram(50, ((20, 98), (50, 2))), sync=Histogram(0, ()), floor=Histogram(12, ((10, 9), (12, 1)))
    )
    figures = summarised(Pass.LATENCY, latencies)
    # In ticks of 2 ns: half take 20, 99 % take 50 at most, an empty region 10.
    assert (figures["access_p50_ns"], figures["access_p99_ns"], figures["access_max_ns"]) == (20.0, 80.0, 100)
    assert not any(name.startswith("sync_") for name in figures)


def test_memory_is_in_shares_of_the_file() -> None:
    figures = summarised(Pass.FOOTPRINT, Memory(1000, 500, 7, 3, None, None, 100, 200, None))
    assert figures == {
        "minor_faults": 7,
        "major_faults": 3,
        "cached_before_share": 1.0,
        "cached_after_share": 0.5,
        "mapped_resident_bytes": None,
        "mapped_huge_bytes": None,
        "dirty_bytes": 100,
        "device_read_bytes": 200,
        "tlb_shootdowns": None,
    }


def test_what_is_missing_has_a_reason(tmp_path: Path) -> None:
    reads, zero = trace_of(tmp_path, READS), trace_of(tmp_path, "pattern: scan, device: /dev/zero, size: 1MiB")
    why = results("file").why_not
    call = CellResult(Cell("w", "pread"), Status.OK, None, {}, {}, {})
    assert why(call, "mapped_resident_bytes", reads, was_measured=True) == "a call maps nothing"
    assert why(call, "sync_p50_ns", reads, was_measured=False) == "nothing is made durable (sync)"
    assert why(call, "cached_after_share", zero, was_measured=True) == "/dev/zero has no page cache"
    assert str(why(call, "tlb_shootdowns", reads, was_measured=True)).startswith("this kernel does not count them")
