"""The recorder, preloaded into real programs: nothing is lost, nothing is invented, and the program is as it was."""

from __future__ import annotations

import mmap
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from memtool.engine.recorded.binding import Matcher, Recording
from memtool.recorder.preload import Preload
from tests.conftest import ROOT, shared_folder

PROGRAMS = ROOT / "tests/native/programs"
SEEN = np.dtype(
    [
        ("ticks", "u8"),
        ("address", "u8"),
        ("size", "u8"),
        ("caller", "u8"),
        ("resident", "u8"),
        ("thread", "u4"),
        ("kind", "u1"),
        ("log2_alignment", "u1"),
        ("is_cpp", "u1"),
        ("padding", "u1"),
    ]
)
KINDS = (
    *("?", "allocate", "free", "zeroed", "realloc<", ">realloc", "start", "end"),
    *("map", "unmap", "refused", "fork", "off", "on"),
)
CHILD = 64
"""The line of the forked child in the file of counts_calls."""


@dataclass(slots=True)
class Seen:
    """What the file of one process holds."""

    process: int
    parent: int
    program: str
    arguments: list[str]
    is_over: bool
    missed: int
    lost: int
    damaged: int
    events: np.ndarray
    counts: dict[str, int] = field(default_factory=dict)

    def requests(self) -> list[tuple[object, ...]]:
        """Return (kind, size, log2 of the alignment) of what was allocated, freed or refused."""
        return [(KINDS[event["kind"]], int(event["size"]), int(event["log2_alignment"])) for event in self.events]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the programs of tests/native/programs, built."""
    with shared_folder(tmp_path_factory, "recorded-programs") as folder:
        if not folder.exists():
            folder.mkdir()
            for source in PROGRAMS.iterdir():
                compiler = ["cc"] if source.suffix == ".c" else ["c++", "-std=c++17"]
                flags = ["-O0", "-fno-builtin", "-pthread", "-o", str(folder / source.stem)]
                subprocess.run([*compiler, *flags, str(source)], check=True)
    return folder


@contextmanager
def recorded(tmp_path: Path, *command: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a program that runs under the recorder."""
    folder = tmp_path / "recording"
    folder.mkdir()
    preload = Preload(folder, **options)  # type: ignore[arg-type]
    environment = preload.environment({"PATH": os.environ["PATH"]})
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def killed_memtool(programs: Path, folder: Path) -> Iterator[int]:
    """Yield the process of a memtool that records counts_calls into app.parquet; both are killed at the end."""
    program = [str(programs / "counts_calls"), "counts", "2", "0"]
    command = [sys.executable, "-m", "memtool", "record", "-o", "app.parquet", "--", *program]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read(path: Path, beside: Path | None = None) -> Seen:
    descriptor = os.open(path, os.O_RDWR)
    try:
        with Recording(descriptor, beside) as recording, Matcher() as matcher:
            parts = []
            for seen in recording.read():
                parts.append(np.frombuffer(bytes(seen), SEEN))
                matcher.append(seen)
            head = recording.head
            return Seen(
                process=head.process,
                parent=head.parent,
                program=Path(recording.program()).name,
                arguments=recording.arguments(),
                is_over=head.is_over == 1,
                missed=head.missed,
                lost=head.lost,
                damaged=recording.damaged_chunks,
                events=np.concatenate([np.empty(0, SEEN), *parts]),
                counts=matcher.counts(),
            )
    finally:
        os.close(descriptor)


def all_of(tmp_path: Path) -> list[Seen]:
    """Return what each process has left, in the order of their starts."""
    # Beside each lies what was mapped where.
    paths = [path for path in (tmp_path / "recording").iterdir() if path.suffix != ".maps"]
    paths.sort(key=lambda path: int(path.name.partition(".")[2]))
    return [read(path) for path in paths]


def run(tmp_path: Path, *command: str, **options: object) -> tuple[int, list[Seen]]:
    with recorded(tmp_path, *command, **options) as process:
        status = process.wait(300)
    return status, all_of(tmp_path)


def test_every_function_of_c(programs: Path, tmp_path: Path) -> None:
    status, (seen,) = run(tmp_path, str(programs / "every_function"))
    assert status == 0  # errno and usable sizes are as they were
    assert seen.requests() == [
        ("allocate", 101, 0),
        ("zeroed", 201, 0),
        ("allocate", 303, 0),
        ("realloc<", 0, 0),
        (">realloc", 100003, 0),
        ("allocate", 405, 0),
        ("allocate", 506, 6),
        ("allocate", 640, 7),
        ("allocate", 707, 8),
        ("allocate", 808, 12),
        ("allocate", 4096, 12),
        ("allocate", 0, 0),
        ("refused", 1 << 60, 0),
        *[("free", 0, 0)] * 10,
        ("map", 1 << 20, 0),
        ("unmap", 1 << 20, 0),
    ]
    assert seen.is_over
    assert (seen.missed, seen.lost, seen.damaged) == (0, 0, 0)
    freed = seen.events[seen.events["kind"] == KINDS.index("free")]
    # All of the 100,003 bytes were written, and nothing but a large block is looked at.
    assert [100003 <= size <= 100003 + 8192 for size in freed["resident"][2:3]] == [True]
    assert (np.delete(freed["resident"], 2) == 2**64 - 1).all()
    assert len({int(event) for event in seen.events["caller"] if event}) == 12
    assert {key: seen.counts[key] for key in ("allocations", "frees", "reallocations", "refused", "live_objects")} == {
        "allocations": 10,
        "frees": 10,
        "reallocations": 1,
        "refused": 1,
        "live_objects": 0,
    }


def test_new_and_delete(programs: Path, tmp_path: Path) -> None:
    status, (seen,) = run(tmp_path, str(programs / "cpp_calls"))
    assert status == 0  # the exception came through
    own = [
        (KINDS[event["kind"]], int(event["size"]), int(event["log2_alignment"]), int(event["thread"]))
        for event in seen.events
        if event["is_cpp"] and event["size"] not in (16, 24)  # without the state of std::thread
    ]
    frees = own.count(("free", 0, 0, 0))
    assert [item for item in own if item != ("free", 0, 0, 0)] == [
        ("allocate", 1, 0, 0),
        ("allocate", 1001, 0, 0),
        ("allocate", 2002, 0, 0),
        ("allocate", 256, 7, 0),
        ("free", 0, 0, 1),
        ("free", 0, 0, 1),
        ("allocate", 3003, 0, 0),
    ]
    assert frees == 4
    assert seen.counts["freed_by_other_thread"] == 2
    assert seen.missed == 0


def test_what_follows_a_refused_new_is_recorded(programs: Path, tmp_path: Path) -> None:
    status, (seen,) = run(tmp_path, str(programs / "gives_back_reserve"))
    assert status == 3
    begin = next(at for at, request in enumerate(seen.requests()) if request == ("allocate", 5005, 0))
    free = ("free", 0, 0)
    # The requests for the exceptions are those of the C++ library, whose size it alone knows.
    thrown = [("allocate", int(event["size"]), 0) for event in seen.events[begin:] if 0 < event["size"] < 1000]
    refused = [(kind, size) for kind, size, _ in seen.requests() if kind == "refused"]
    assert refused == [("refused", 1 << 60)] * 3
    assert [request for request in seen.requests()[begin:] if request[0] not in ("refused", "end")] == [
        ("allocate", 5005, 0),
        free,
        thrown[0],
        free,
        thrown[1],
        free,
        ("allocate", 6006, 0),
        free,
    ]
    assert (seen.counts["unmatched_frees"], seen.counts["implicit_frees"], seen.missed) == (0, 0, 0)


def test_threads_and_a_forked_child_lose_nothing(programs: Path, tmp_path: Path) -> None:
    status, (own, child) = run(tmp_path, str(programs / "counts_calls"), str(tmp_path / "counts"), "8", "20000")
    assert status == 7  # as it was
    calls = own.events[np.isin(own.events["kind"], (1, 2))]
    small = calls[(calls["kind"] == 2) | (calls["size"] <= 1024)]
    assert np.bincount(small["thread"], minlength=8)[1:].tolist() == [20000] * 7
    assert (child.parent, child.process != own.process) == (own.process, True)
    assert len(child.events[np.isin(child.events["kind"], (1, 2))]) == 20000
    assert own.counts["implicit_frees"] == own.counts["unmatched_frees"] == own.counts["reordered"] == 0
    assert child.counts["implicit_frees"] == child.counts["unmatched_frees"] == 0
    assert (own.missed, own.lost, own.damaged) == (0, 0, 0)


def test_a_program_that_is_killed_has_every_call_before(
    programs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = int(request.config.getoption("--kills"))
    draw = random.Random(kills)
    for turn in range(kills):
        folder = tmp_path / str(turn)
        folder.mkdir()
        counts = folder / "counts"
        with recorded(folder, str(programs / "counts_calls"), str(counts), "8", "0") as process:
            while not counts.exists() or counts.stat().st_size == 0 or counted(counts)[0][1] < 1000:
                time.sleep(0.01)
            time.sleep(draw.random() / 10)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(300)
        for seen in all_of(folder):
            check_counts(seen, counts)


def check_counts(seen: Seen, counts: Path) -> None:
    """Compare what was recorded of counts_calls, which was killed, with what it has counted itself."""
    lines = counted(counts)
    calls = seen.events[np.isin(seen.events["kind"], (1, 2))]
    small = calls[(calls["kind"] == 2) | (calls["size"] <= 1024)]
    result = np.bincount(small["thread"], minlength=8)
    threads = {0: CHILD} if seen.parent else {number: number for number in range(1, 8)}
    for thread, line in threads.items():
        begun, ended = lines[line]
        # A call that was begun has been recorded or not.
        assert ended <= result[thread] <= begun
    assert seen.counts["implicit_frees"] == seen.counts["unmatched_frees"] == 0
    assert seen.damaged == 0


def counted(path: Path) -> list[tuple[int, int]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        return list(struct.iter_unpack("QQ", memory[:]))


def test_a_program_that_is_executed_has_a_file_of_its_own(programs: Path, tmp_path: Path) -> None:
    script = f"{programs / 'every_function'}; exec {programs / 'every_function'} again"
    status, seen = run(tmp_path, "sh", "-c", script)
    assert status == 0
    assert [item.program for item in seen if item.program == "every_function"] == ["every_function"] * 2
    assert seen[-1].arguments == [str(programs / "every_function"), "again"]
    # exec keeps the number of the process.
    assert seen[0].process == seen[-1].process


def test_children_can_be_left_out(programs: Path, tmp_path: Path) -> None:
    status, seen = run(tmp_path, "sh", "-c", f"(true); {programs / 'every_function'}", follows=False)
    assert status == 0
    assert len(seen) == 1
    assert seen[0].parent == 0


def test_a_signal_switches_recording(tmp_path: Path) -> None:
    # A program of its own words: it allocates 777 bytes a hundred times, signals itself, and again with 888 and 999.
    source = (
        "import ctypes, os, signal\n"
        "c = ctypes.CDLL(None)\n"
        "c.malloc.restype = ctypes.c_void_p\n"
        "for size in (777, 888, 999):\n"
        "    for _ in range(100): c.malloc(size)\n"
        "    c.kill(os.getpid(), signal.SIGUSR2)\n"
    )
    status, (seen,) = run(
        tmp_path, sys.executable, "-I", "-S", "-c", source, signal=int(signal.SIGUSR2), starts_off=True
    )
    assert status == 0
    sizes = [int(event["size"]) for event in seen.events if event["size"] in (777, 888, 999)]
    assert sizes == [888] * 100
    assert [KINDS[event] for event in seen.events["kind"] if KINDS[event] in ("on", "off")] == ["on", "off", "on"]


def test_times_go_on_after_a_pause(programs: Path, tmp_path: Path) -> None:
    status, (seen,) = run(tmp_path, str(programs / "pauses"))
    assert status == 0
    ticks = seen.events["ticks"][seen.events["size"] == 777].astype(np.int64).reshape(20, 100)
    # At most three events have the time from before the pause.
    assert (np.diff(ticks[:, 3]) > 65536).all()


def test_a_folder_that_is_gone_changes_nothing(programs: Path, tmp_path: Path) -> None:
    environment = Preload(tmp_path / "none").environment(dict(os.environ))
    assert subprocess.run([str(programs / "every_function")], env=environment, check=False).returncode == 0


def test_where_files_may_not_grow_recording_stops(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "recording").mkdir()
    environment = Preload(tmp_path / "recording").environment(dict(os.environ))
    done = subprocess.run(
        [str(programs / "counts_calls"), str(tmp_path / "counts"), "1", "200000"],
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
        check=False,
    )
    assert done.returncode == 7
    own = all_of(tmp_path)[0]
    recorded_calls = len(own.events[np.isin(own.events["kind"], (1, 2))])
    # Chunks of 64, 128 and 256 KiB: the last does not fit any more.
    assert 20000 < recorded_calls < 200000
    assert recorded_calls + own.lost >= 200000
