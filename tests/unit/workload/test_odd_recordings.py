"""Recordings of other tools that are odd in what they hold or how they are packed, and what is said of them."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memtool.errors import InputError
from memtool.workload.importers.convert import import_trace
from memtool.workload.importers.decoder import Report
from memtool.workload.sources.source import Ending
from memtool.workload.trace import open_source

COLUMNS = "kind,object,size\n"


def read(path: Path) -> tuple[list[int], Report]:
    """Return the times of the events of a recording, and what came of reading it."""
    ending, times = Ending(), []
    for rows in open_source(path).portions(ending):
        assert rows.nanoseconds is not None
        times += rows.nanoseconds.tolist()
    assert ending.report is not None
    return times, ending.report


def written(folder: Path, content: str | bytes, name: str = "recording") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        for name in names:
            whole.writestr(name, COLUMNS + "malloc,1,8\n")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        "kind,object,size,time\nmalloc,1,8,1700000000000000000\nfree,1,,1700000000000000500\n",
        '{"kind":"malloc","object":1,"size":8,"time":1700000000000000000}\n'
        '{"kind":"free","object":1,"time":1700000000000000500}\n',
        "1: malloc 0x10 8 1700000000000000000 1700000000000000001\n"
        "1: free 0x10 1700000000000000500 1700000000000000501\n",
    ],
)
def test_times_count_from_the_first_event(tmp_path: Path, content: str) -> None:
    assert read(written(tmp_path, content))[0] == [0, 500]


def test_a_time_beyond_63_bits_is_not_before_the_beginning(tmp_path: Path) -> None:
    path = written(tmp_path, f"kind,object,size,time\nmalloc,1,8,0\nfree,1,,{2**64 - 1}\n")
    assert read(path)[0] == [0, 2**63 - 1]


@pytest.mark.parametrize(
    ("content", "dropped", "oversized"),
    [
        (COLUMNS + f"malloc,1,8\nrealloc,1,{2**58}\nfree,1,\n", 0, 1),
        (COLUMNS + "malloc,1,8\nrealloc,1,-5\nfree,1,\n", 1, 0),
        (COLUMNS.replace("object", "old,address") + f"malloc,,1,8\nrealloc,1,{2**64},9\nfree,,1,\n", 1, 0),
        (f"1: malloc 0x10 8\n1: realloc 0x20 0x10 {2**60}\n1: free 0x10\n", 0, 1),
    ],
)
def test_a_reallocation_that_is_dropped_leaves_its_block(
    tmp_path: Path, content: str, dropped: int, oversized: int
) -> None:
    _, report = read(written(tmp_path, content))
    matched = report.matched
    assert (report.dropped, matched["oversized"], matched["unmatched_frees"]) == (dropped, oversized, 0)
    assert (matched["frees"], matched["live_objects"], matched["live_bytes"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("content", "misaligned"),
    [
        # -1 is read line by line; the others by columns.
        ("kind,object,size,alignment\nmalloc,1,8,48\nmalloc,2,8,64\nmalloc,3,8,-1\nmalloc,4,8,0\nmalloc,5,8,1\n", 2),
        ("kind,object,size,alignment\nmalloc,1,8,48\nmalloc,2,8,64\nmalloc,3,8,3\nfree,3,,5\nmalloc,4,8,1\n", 2),
        ("1: memalign 0x10 48 8\n1: memalign 0x20 64 8\n", 1),
        ("1 1 posix_memalign(48,8)=0x10\n1 1 memalign(64,8)=0x20\n", 1),
    ],
)
def test_an_alignment_that_is_no_power_of_two_is_said(tmp_path: Path, content: str, misaligned: int) -> None:
    ending = Ending()
    for _ in open_source(written(tmp_path, content)).portions(ending):
        pass
    assert ending.report is not None
    assert (ending.report.misaligned, ending.report.dropped) == (misaligned, 0)
    assert f"{misaligned} alignment{'s' * (misaligned > 1)} left out: not a power of two" in ending.notes


@pytest.mark.parametrize(
    "content",
    [
        '{"Kind":"malloc","Object":0,"Size":8}\n{"Kind":"free","Object":0}\n',
        '{"Kind":"malloc","Object":0,"Size":"8"}\n{"Kind":"free","Object":0,"Size":" "}\n',
        "kind, object, size\nmalloc, 0, 8\nfree, 0, \n",
    ],
)
def test_capitals_of_columns_and_spaces_around_values_do_not_matter(tmp_path: Path, content: str) -> None:
    _, report = read(written(tmp_path, content))
    assert report.dropped == 0
    assert report.calls == {"malloc": 1, "free": 1}
    assert (report.matched["total_bytes"], report.matched["live_objects"]) == (8, 0)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_buffers_are_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, pack(b"id,lower,upper,size\n0,0,5,10\n1,2,7,20\n"), "buffers.csv.gz")
    events = np.concatenate([np.frombuffer(part, "<u8") for part in open_source(path).events(Ending())])
    assert [request & (1 << 58) - 1 for request in events[1::2].tolist()] == [10, 20, 0, 0]


CUT = bz2.compress(bytes(1000))[:-20]
UNREADABLE = {
    "a block that is cut off": (CUT, "nothing of it can be unpacked: Compressed file ended before"),
    "no gzip after all": (b"\x1f\x8b garbage", "nothing of it can be unpacked: Unknown compression method"),
    "an archive that is cut off": (archive("a.csv")[:-30], "cannot be read: File is not a zip file"),
    "an archive of two": (archive("a.csv", "b.csv"), r"is a zip archive of 2 files \(a.csv, b.csv\): unpack it"),
    "packed twice": (gzip.compress(gzip.compress(b"kind")), "is compressed, and its content is in no known format"),
    "nothing": (gzip.compress(b""), "nothing of it can be unpacked: it is empty"),
}


@pytest.mark.parametrize(("content", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_unpacked_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    path = written(tmp_path, content)
    for take in (lambda: import_trace(str(path), tmp_path / "o.parquet"), lambda: open_source(path)):
        with pytest.raises(InputError, match=f"recording: {words}"):
            take()


def test_what_macos_adds_to_an_archive_is_no_second_file(tmp_path: Path) -> None:
    path = written(tmp_path, archive("a.csv", "__MACOSX/._a.csv"))
    assert read(path)[1].matched["allocations"] == 1


def test_a_compressed_trace_file_is_said_to_be_one(tmp_path: Path) -> None:
    trace = import_trace(str(written(tmp_path, COLUMNS + "malloc,1,8\n")), tmp_path / "a.parquet").path
    path = written(tmp_path, gzip.compress(trace.read_bytes()), "a.parquet.gz")
    with pytest.raises(InputError, match=r"a\.parquet\.gz: is a trace file that has been compressed once more"):
        open_source(path)


def test_a_folder_of_traces_is_not_one_trace(tmp_path: Path) -> None:
    recording = written(tmp_path, COLUMNS + "malloc,1,8\n")
    folder = tmp_path / "traces"
    folder.mkdir()
    for name in ("a", "b"):
        import_trace(str(recording), folder / f"{name}.parquet")
    with pytest.raises(InputError, match="traces: is a folder of 2 traces, not of one trace's parts"):
        open_source(folder)


class _Input:
    """Standard input that gives portions slowly, as a program does through a pipe."""

    def __init__(self, *portions: bytes) -> None:
        reads, self._writes = os.pipe()
        self.buffer = os.fdopen(reads, "rb")
        self._portions = portions
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        with os.fdopen(self._writes, "wb", buffering=0) as file:
            for portion in self._portions:
                file.write(portion)
                time.sleep(0.05)

    def close(self) -> None:
        self._thread.join()
        self.buffer.close()


def test_standard_input_is_known_by_more_than_its_first_portion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = _Input(b"==1== Memcheck, a memory error detector\n", b"--1-- malloc(10) = 0x4A33040\n")
    monkeypatch.setattr("sys.stdin", slow)
    imported = import_trace("-", tmp_path / "o.parquet")
    slow.close()
    assert (imported.format, imported.events) == ("valgrind", 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CUT, "nothing of it can be read: Compressed file ended before"),
        (b"\x1f\x8b garbage", "nothing of it can be read: Unknown compression method"),
        (b"", "is empty"),
    ],
)
def test_damaged_standard_input_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    given = _Input(content)
    monkeypatch.setattr("sys.stdin", given)
    with pytest.raises(InputError, match=f"standard input: {words}"):
        import_trace("-", tmp_path / "o.parquet")
    given.close()


def test_standard_input_that_is_cut_off_gives_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"malloc,{number},{number % 1000 + 1}\n" for number in range(40_000))
    whole = gzip.compress((COLUMNS + lines).encode())
    given = _Input(whole[: len(whole) // 2], whole[len(whole) // 2 : -5000])
    monkeypatch.setattr("sys.stdin", given)
    imported = import_trace("-", tmp_path / "o.parquet")
    given.close()
    assert 0 < imported.events < 40_000
    assert any("is damaged or cut off after" in note for note in imported.notes)
