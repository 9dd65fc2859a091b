"""Files of other tools: each format in a few lines, what is odd in them, and what nobody should be hurt by."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memtool.errors import InputError, MemtoolError
from memtool.workload.importers.content import LONGEST_LINE
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.known import importer_of
from memtool.workload.sources.source import Ending
from memtool.workload.trace import load_trace, open_source

DATA = Path(__file__).parents[4] / "shared" / "data"
KINDS = {0: "F", 1: "A", 2: "Z", 3: "R"}


def taken(path: Path) -> tuple[str, Report]:
    """Return the events of a file in words, and what came of reading it.

    A0:8 allocates object 0 of 8 bytes, Z zeroed, R resizes, F frees; /64 aligned, @1 by thread 1.
    """
    ending, words = Ending(), []
    for rows in open_source(path).portions(ending):
        for head, request in np.frombuffer(rows.events, "<u8").reshape(-1, 2).tolist():
            kind, thread, thing, log2 = KINDS[head & 0xFF], head >> 8 & 0xFFFF, head >> 24, request >> 58
            size = "" if kind == "F" else f":{request & (1 << 58) - 1}"
            aligned = f"/{1 << log2}" if kind in "AZ" and log2 != 4 else ""
            words.append(f"{kind}{thing}{size}{aligned}{f'@{thread}' if thread else ''}")
    assert ending.report is not None
    return " ".join(words), ending.report


HEAPTRACK = """v 10550 3
x 3 app
X app
I 1000 7d09db
t 7bf3f6a3579f 0
t 7bf3f6a1e3dc 1
+ 12000 2 5d7ec4ddc570
c a
+ 18 1 5d7ec4dee610
- 5d7ec4ddc570
R 3a2
"""
MTRACE = """= Start
@ ./a.out:(main+0x1d)[0x40115d] + 0x1b2d3a0 0x64
@ ./a.out:[0x401170] < 0x1b2d3a0
@ ./a.out:[0x401170] > 0x1b2d500 0xc8
@ /lib/libc.so.6:(fclose+0x103)[0x7f0] + 0x1b2d600 0x8
@ ./a.out:[0x401180] - 0x1b2d500
= End
"""
VALGRIND = """==4211== Memcheck, a memory error detector
--4211-- malloc(100) = 0x4A33040
the program says hello
--4211-- calloc(4,8) = 0x4A330F0
--4211-- memalign(al 64, size 33) = 0x4A33140
--4211-- realloc(0x4A33040,200) = 0x4A33200
--4211-- realloc(0x0,8)malloc(8) = 0x4A33300
--4211-- _Znwm(16) = 0x4A33400
--4211-- realloc(0x4A33300,0)free(0x4A33300)
 = 0
--4211-- free(0x4A330F0)
--4211-- _ZdlPvm(0x4A33400)
--4211-- malloc_usable_size(0x4A33200) = 200
"""
ANDROID = """186: malloc 0xb6027400 1024
186: free 0xb6027400
187: calloc 0x10 3 8
186: memalign 0x40 64 100
186: realloc 0x20 0x10 48
187: realloc 0x30 0x0 5
186: free 0x0
187: free 0x20
187: thread_done 0x0
"""
LOGALLOC = """18545 18545 malloc(32)=0x7f90495120e0
18545 18546 calloc(1,148)=0x7f90491bc000
18545 18546 realloc(0x7f90495120e0,64)=0x7f9049542000
18545 18545 posix_memalign(256,240)=0x7f9049583300
18545 18545 jemalloc_stats()
18545 18545 free(0x7f9049542000)
"""
LAB = "20000\n3\n6\n1\na 0 512\na 1 128\nr 0 640\nf 1\na 2 8\nf 0\n"
WEE = "Alloc(552),\nAlloc(120),\nFree(0),\nAlloc(8),\nFree(2),\n"
LTRACE = """[pid 7] 0.100000 app->malloc(32) = 0x55d0
[pid 7] app->calloc(2, 8) = 0x5600
[pid 8] app->realloc(0x55d0, 64 <unfinished ...>
[pid 7] app->free(0x5600) = <void>
[pid 8] <... realloc resumed> ) = 0x5700
[pid 8] app->puts("malloc(1) = 2") = 5
[pid 8] free@libc.so.6(0x5700) = <void>
+++ exited (status 0) +++
"""
BPFTRACE = """Attaching 4 probes...
711 malloc(32) = 0x55d0
712 malloc(8) = 0x5600
711 free(0x55d0)
"""
CSV = "kind,address,size,thread,time\nmalloc,0x10,100,5,7\ncalloc,0x20,8,5,9\nrealloc,0x10,200,6,11\nfree,0x20,,6,12\n"
TSV = "# of my own log\nop\tid\tbytes\told\nnew\t0\t8\t\nnew\t1\t16\t\nresize\t2\t32\t0\ndelete\t1\t\t\n"
LINES = """{"event": "alloc", "object": 0, "size": 8, "align": 64}
{"event": "alloc", "object": 1, "size": 0}
{"event": "free", "object": 0}
"""


def records(*fields: tuple[int, ...]) -> bytes:
    """Return records of DJ Delorie's form: thread, type, what is freed, what is made, size, alignment."""
    return b"".join(
        struct.pack("<iBBxxQQQQQ16x", thread, kind, 0, old, new, size, alignment, 0)
        for thread, kind, old, new, size, alignment in fields
    )


DELORIE = records(
    (0, 255, 0x1234, 0, 8, 0),
    (7, 1, 0, 0x10, 100, 0),
    (8, 2, 0, 0x20, 24, 0),
    (8, 4, 0x10, 0x30, 200, 0),
    (7, 5, 0, 0x40, 33, 64),
    (7, 3, 0x20, 0, 0, 0),
    (0, 0, 0, 0, 0, 0),
)
FORMATS: dict[str, tuple[str, str | bytes, str]] = {
    "heaptrack": ("heaptrack", HEAPTRACK, "A0:73728 A1:24 F0"),
    "mtrace": ("mtrace", MTRACE, "A0:100 R0:200 A1:8 F0"),
    "valgrind": ("valgrind", VALGRIND, "A0:100 Z1:32 A2:33/64 R0:200 A3:8 A4:16 F3 F1 F4"),
    "android": ("android", ANDROID, "A0:1024 F0 Z1:24@1 A2:100/64 R1:48 A3:5@1 F1@1"),
    "logalloc": ("logalloc", LOGALLOC, "A0:32 Z1:148@1 R0:64@1 A2:240/256 F0"),
    "malloc lab": ("malloc-lab", LAB, "A0:512 A1:128 R0:640 F1 A2:8 F0"),
    "wee_alloc": ("wee-alloc", WEE, "A0:552 A1:120 F0 A2:8 F2"),
    "ltrace": ("calls", LTRACE, "A0:32 Z1:16 F1 R0:64@1 F0@1"),
    "bpftrace": ("calls", BPFTRACE, "A0:32 A1:8@1 F0"),
    "CSV": ("plain", CSV, "A0:100 Z1:8 R0:200@1 F1@1"),
    "CSV, quoted": ("plain", '"kind","object","size"\n"malloc","0","8"\n"free","0",""\n', "A0:8 F0"),
    "TSV": ("plain", TSV, "A0:8 A1:16 R0:32 F1"),
    "JSON lines": ("plain", LINES, "A0:8/64 A1:0 F0"),
    "DJ Delorie": ("malloc-trace-utils", DELORIE, "A0:100 Z1:24@1 R0:200@1 A2:33/64 F1"),
}


@pytest.mark.parametrize(("name", "content", "events"), FORMATS.values(), ids=FORMATS)
def test_each_format_is_known_by_its_content_and_read(
    tmp_path: Path, name: str, content: str | bytes, events: str
) -> None:
    path = tmp_path / "recording"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    importer = importer_of(path)
    assert importer is not None
    assert importer.name == name
    result, report = taken(path)
    assert result == events
    assert (report.dropped, report.first_damage, report.damage) == (0, None, None)


def test_no_workload_is_taken_for_a_recording() -> None:
    workloads = sorted((Path(__file__).parents[3] / "workloads").rglob("*.yaml"))
    assert workloads
    assert [path for path in workloads if importer_of(path) is not None] == []


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recording.txt", content)
    return file.getvalue()


def xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=0)


def zstandard(content: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("pyarrow").compress(content, "zstd", asbytes=True)
    return compressed


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, xz, zipped, zstandard])
def test_what_is_packed_is_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "recording"
    path.write_bytes(pack(ANDROID.encode()))
    assert taken(path)[0] == FORMATS["android"][2]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, xz, zipped])
def test_a_packed_file_that_is_cut_off_gives_what_comes_before(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    # bzip2 packs 900,000 bytes at a time, and gives none of a block that is damaged.
    lines = [f"1: malloc 0x{address:x} {address * 7919 % 99_991}" for address in range(16, 2_000_000, 16)]
    whole = pack("\n".join(lines).encode())
    path = tmp_path / "recording"
    path.write_bytes(whole[: len(whole) * 2 // 3] if pack is not zipped else whole)
    if pack is zipped:
        path.write_bytes(whole[:-4000] + bytes(3900) + whole[-100:])
    ending = Ending()
    events = sum(len(rows.events) // 16 for rows in open_source(path).portions(ending))
    report = ending.report
    assert report is not None
    assert 0 < events < len(lines)
    assert report.damage
    assert report.first_damage is not None
    assert any("the file is damaged or cut off after" in note for note in ending.notes)


def test_times_and_call_sites_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(HEAPTRACK)
    for rows in open_source(path).portions(Ending()):
        assert rows.nanoseconds is not None
        assert rows.callers is not None
        assert rows.nanoseconds.tolist() == [0, 10_000_000, 10_000_000]
        assert rows.callers.tolist() == [0x7BF3F6A1E3DC, 0x7BF3F6A3579F, 0]


def test_what_cannot_have_happened_is_repaired_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    lines = ["1: malloc 0x10 8", "1: free 0x99", "1: malloc 0x10 16", "1: realloc 0x50 0x77 32", "1: malloc 0x0 64"]
    path.write_text("\n".join(lines))
    events, report = taken(path)
    assert events == "A0:8 F0 A1:16 A2:32"
    assert report.matched["unmatched_frees"] == 1
    assert report.matched["implicit_frees"] == 1
    assert report.matched["unmatched_reallocations"] == 1
    assert report.calls["refused by the allocator"] == 1
    ending = Ending()
    list(open_source(path).portions(ending))
    assert ending.notes == [
        "1 free of what was not live dropped",
        "1 reallocation of what was not live kept as an allocation",
        "1 object freed unseen: another was allocated at the address",
    ]


DAMAGE = {
    "android": ("1: malloc 0x10 8\n1: malloc 0x20 \xff\n1: nonsense\n1: free 0x10\n", 17, 2),
    "heaptrack": ("v 1 3\n+ 8 1 10\n+ zz 1 20\nq\n- 10\n", 15, 2),
    "mtrace": ("= Start\n+ 0x10 0x8\n+ 0x 0x8\n?\n- 0x10\n", 19, 2),
    "malloc lab": ("1\n2\n2\n1\na 0 8\na x 8\nz\nf 0\n", 14, 2),
    "wee_alloc": ("Alloc(8),\nAlloc(-8),\nAllo\nFree(0),\n", 10, 2),
    "logalloc": ("1 1 malloc(8)=0x10\n1 1 malloc(=0x10\n1 mal\n1 1 free(0x10)\n", 19, 2),
    "CSV": ("kind,address,size\nmalloc,16,8\nmalloc,x,8\nmalloc,32\nfree,16,\n", 30, 2),
    "JSON lines": ('{"kind":"malloc","id":1,"size":8}\n{"kind":\n[]\n{"kind":"free","id":1}\n', 34, 2),
}


@pytest.mark.parametrize(("content", "offset", "dropped"), DAMAGE.values(), ids=DAMAGE)
def test_lines_that_cannot_be_read_are_dropped_and_the_first_is_named(
    tmp_path: Path, content: str, offset: int, dropped: int
) -> None:
    path = tmp_path / "recording"
    path.write_text(content, encoding="latin-1")
    events, report = taken(path)
    assert events == "A0:8 F0"
    assert (report.first_damage, report.dropped) == (offset, dropped)


def test_a_record_that_is_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(DELORIE[: 2 * 64 + 10])
    assert taken(path)[0] == "A0:100"
    assert taken(path)[1].first_damage == 128


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_cut_off_anywhere_raises_nothing_but_one_line(tmp_path: Path, name: str) -> None:
    content = FORMATS[name][1]
    whole = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / "recording"
    for length in range(1, len(whole), 5):
        path.write_bytes(whole[:length])
        if importer_of(path) is None:
            continue
        try:
            taken(path)
        except InputError as problem:
            assert str(problem) == f"{path}: holds no allocation that can be read"  # noqa: PT017


SIZES = {
    "android": "1: malloc 0x10 {}\n1: calloc 0x30 {} {}\n1: malloc 0x20 8\n",
    "heaptrack": "v 1 3\n+ {:x} 1 10\n+ 8 1 20\n",
    "mtrace": "= Start\n+ 0x10 {:#x}\n+ 0x20 0x8\n",
    "malloc lab": "1\n2\n2\n1\na 0 {}\na 1 8\n",
    "wee_alloc": "Alloc({}),\nAlloc(8),\n",
    "logalloc": "1 1 malloc({})=0x10\n1 1 malloc(8)=0x20\n",
    "calls": "malloc({}) = 0x10\nmalloc(8) = 0x20\n",
    "CSV": "kind,address,size\nmalloc,16,{}\nmalloc,32,8\n",
}


@pytest.mark.parametrize("size", [1 << 58, 1 << 63, (1 << 64) - 1, 1 << 64, 10**400])
@pytest.mark.parametrize("content", SIZES.values(), ids=SIZES)
def test_sizes_that_nobody_can_have_are_dropped(tmp_path: Path, content: str, size: int) -> None:
    path = tmp_path / "recording"
    path.write_text(content.format(size, size, size))
    events, report = taken(path)
    assert events == "A0:8"
    assert report.dropped + report.matched["oversized"] >= 1


def test_a_million_threads_are_told_as_65_536(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text("".join(f"{thread}: malloc 0x{16 * thread + 16:x} 8\n" for thread in range(1_000_000)))
    ending, most, events = Ending(), 0, 0
    for rows in open_source(path).portions(ending):
        heads = np.frombuffer(rows.events, "<u8")[::2]
        most, events = max(most, int((heads >> np.uint64(8) & np.uint64(0xFFFF)).max())), events + len(heads)
    assert ending.report is not None
    assert (events, most) == (1_000_000, 65_535)
    assert ending.report.calls["calls of threads beyond 65,535, told as one"] == 1_000_000 - 65_535


def test_a_zip_bomb_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    bomb = b"1: malloc 0x10 8\n" + bytes(128 << 20)
    path.write_bytes(zipped(bomb))
    del bomb
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    events, report = taken(path)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    assert (events, report.dropped, report.first_damage) == ("A0:8", 1, 17)


@pytest.mark.parametrize("begins", ["kind,address,size\nmalloc,16,8\n", "Alloc(8),\n", "1: malloc 0x10 8\n"])
def test_a_line_without_end_is_one_line_that_is_dropped(tmp_path: Path, begins: str) -> None:
    path = tmp_path / "recording"
    path.write_text(begins + "x" * (5 * LONGEST_LINE) + "\n" + begins.splitlines()[-1].replace("16", "32") + "\n")
    events, report = taken(path)
    assert events.replace("F0 ", "") == "A0:8 A1:8"
    assert (report.dropped, report.first_damage) == (1, len(begins))


@pytest.mark.parametrize("content", ["v 1 2\ns 3 app\n", "v 10550 3\na 48 3\n+ 0\n", "v 1 2\n+ 1\n"])
def test_what_heaptrack_has_interpreted_is_refused_with_the_way_to_record_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recording"
    path.write_text(content)
    with pytest.raises(InputError) as problem:
        taken(path)
    words = "is interpreted by heaptrack, which has lost what a free is of: record it with `heaptrack --raw`"
    assert str(problem.value) == f"{path}: {words}"


def test_a_recording_is_replayed_like_a_workload(tmp_path: Path) -> None:
    path = tmp_path / "my recording.txt"
    path.write_text(ANDROID)
    with load_trace(str(path)) as trace:
        info = trace.info
    assert (info.name, info.threads, info.allocations, info.reallocations) == ("my-recording", 2, 4, 1)
    assert (info.operations, info.epilogue_operations, info.peak_live_bytes) == (7, 2, 1024)


CAPTURE = b"\x04\x22\x4d\x18@@\xc0\xbf\x02\x00\x00\xfa\x04memray\x00\x0b\x00\x00\x00"
"""What a capture of format 11 begins with."""


class FakeMemray:
    """What is used of memray, over records of (allocator, thread, address, size)."""

    AllocatorType = IntEnum(
        "AllocatorType", ["PYMALLOC_FREE", "PYMALLOC_MALLOC", "FREE", "MALLOC", "REALLOC", "CALLOC", "MMAP"]
    )

    def __init__(self, *records: tuple[str, int, int, int]) -> None:
        self._records = records

    def FileReader(self, path: str) -> FakeMemray:  # noqa: N802
        if not self._records:
            raise OSError("The provided input file is incompatible with this version")
        return self

    def __enter__(self) -> FakeMemray:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_allocation_records(self) -> Iterator[SimpleNamespace]:
        for name, thread, address, size in self._records:
            yield SimpleNamespace(allocator=self.AllocatorType[name], tid=thread, address=address, size=size)


def test_a_capture_of_memray_is_read_by_memray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes a reallocation as a free and what is allocated by it, next to each other in one thread."""
    records = [
        ("MALLOC", 1, 0x10, 8),
        ("PYMALLOC_MALLOC", 1, 0x99, 8),
        ("CALLOC", 2, 0x20, 16),
        ("FREE", 1, 0x10, 0),
        ("REALLOC", 1, 0x30, 32),
        ("MMAP", 1, 0x1000, 4096),
        ("FREE", 2, 0x30, 0),
        ("REALLOC", 1, 0x40, 64),
        ("FREE", 1, 0x20, 0),
    ]
    monkeypatch.setitem(sys.modules, "memray", FakeMemray(*records))
    path = tmp_path / "capture.bin"
    path.write_bytes(CAPTURE)
    events, report = taken(path)
    assert events == "A0:8 Z1:16@1 R0:32 F0@1 A2:64 F1"
    assert report.calls["pymalloc_malloc"] == 1


def test_a_capture_of_another_memray_names_the_version_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "memray", FakeMemray())
    path = tmp_path / "capture.bin"
    path.write_bytes(CAPTURE)
    with pytest.raises(InputError) as problem:
        taken(path)
    assert str(problem.value).endswith("it is of format 11: memray 1.11 to 1.18 reads it")
    monkeypatch.setitem(sys.modules, "memray", None)
    with pytest.raises(MemtoolError, match="pip install memray"):
        taken(path)


def expected() -> dict[str, dict[str, object]]:
    path = DATA / "expected-counts.json"
    counts: dict[str, dict[str, object]] = json.loads(path.read_text()) if path.is_file() else {}
    return counts


@pytest.mark.parametrize("name", sorted(expected()) or ["none"])
def test_recordings_of_others_hold_what_an_independent_count_has_found(name: str) -> None:
    if not (DATA / name).is_file():
        pytest.skip("the recordings are not here")
    wanted, ending = expected()[name], Ending()
    for _ in open_source(DATA / name).portions(ending):
        pass
    report = ending.report
    assert report is not None
    matched, calls = report.matched, {call: report.calls.get(call, 0) for call in ("Alloc", "Free")}
    result = {
        "calls": {call: count for call, count in report.calls.items() if call != "frees of nothing"},
        "threads": report.threads,
        "allocations": calls["Alloc"],
        "frees": calls["Free"],
        "peak_live_bytes": matched["peak_live_bytes"],
        "peak_live_objects": matched["peak_live_objects"],
        "total_bytes": matched["total_bytes"],
        "left_live": matched["live_objects"],
        "unmatched": matched["unmatched_frees"] + matched["unmatched_reallocations"],
        "freed_by_other_thread": matched["freed_by_other_thread"],
    }
    assert {key: result[key] for key in wanted} == wanted
    assert (report.dropped, report.damage) == (0, None)
