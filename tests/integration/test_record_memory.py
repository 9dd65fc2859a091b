"""What is recorded into memory: nothing is lost when that is full, when the program is killed, or when memtool is."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from memtool.host import machine
from memtool.recorder import traces
from memtool.recorder.memory import Memory, memory
from tests.integration.test_recorder import check_counts, counted, killed_memtool, programs, read, recorded  # noqa: F401  # a fixture

SHARED = Path("/dev/shm")
MIB = 1 << 20
Usage = namedtuple("Usage", "free")


@pytest.fixture(autouse=True)
def room() -> None:
    """Skip where memtool itself would record to the disk."""
    with memory() as made:
        if made is None:
            pytest.skip("/dev/shm or the machine has too little memory free")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = SHARED / f"memtool-test-{os.getpid()}-{tmp_path.name}"
    made.mkdir()
    yield made
    for path in (made, made.with_name(f"{made.name}.full")):
        shutil.rmtree(path, ignore_errors=True)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix[1:].isdecimal()]


def wait_for(counts: Path, calls: int) -> None:
    """Wait until each thread of counts_calls, and its child, has made so many calls since now."""
    while not counts.exists() or counts.stat().st_size == 0:
        time.sleep(0.01)
    lines = (1, 2, 3, 4, 5, 6, 7, 64)
    before = [counted(counts)[line][1] for line in lines]
    while any(counted(counts)[line][1] < at + calls for line, at in zip(lines, before, strict=True)):
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["all in memory", "its share is full", "the folder is hidden", "hidden from the start"])
def test_a_program_that_is_killed_has_every_call_before(
    programs: Path,  # noqa: F811
    tmp_path: Path,
    folder: Path,
    way: str,
) -> None:
    counts, taken, disk = tmp_path / "counts", Memory(folder), tmp_path / "recording"
    beside = 2 if way in ("its share is full", "the folder is hidden") else 0
    if way == "hidden from the start":
        (folder / "full").write_bytes(b"1")
        taken.look(0)
    with recorded(tmp_path, str(programs / "counts_calls"), str(counts), "8", "0", memory=folder) as process:
        wait_for(counts, 1000)
        if way == "its share is full":
            for path in files(taken.now):
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 1 << 36, 64 * MIB)
        elif way == "the folder is hidden":
            taken.look(0)
            assert not folder.exists()
        # More than what most chunks hold that there were until then; a thread that was far ahead has a large one.
        wait_for(counts, 150_000)
        while len(list(disk.glob("*.beside"))) < beside:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(300)
    held = disk if way == "hidden from the start" else taken.now
    assert len(files(held)) == 2
    spilled = {path.stem for path in disk.glob("*.beside")}
    if way == "all in memory":
        # Nobody reads: what runs for long on a busy machine fills its share, 64 MiB less a chunk of 4 at most.
        assert spilled <= {path.name for path in files(held) if 512 * path.stat().st_blocks > 60 * MIB}
    else:
        assert len(spilled) == beside
    for path in files(held):
        check_counts(read(path, disk / f"{path.name}.beside"), counts)


def test_a_folder_that_is_too_full_is_hidden_until_it_is_not(folder: Path) -> None:
    taken = Memory(folder)
    (folder / "first").write_bytes(b"1" * 3 * MIB)
    taken.look(4 * MIB)
    assert taken.now == folder
    (folder / "second").write_bytes(b"1" * 2 * MIB)
    taken.look(4 * MIB)
    hidden = folder.with_name(f"{folder.name}.full")
    assert (taken.now, folder.exists(), hidden.is_dir()) == (hidden, False, True)
    (hidden / "first").unlink()
    taken.look(4 * MIB)
    assert (taken.now, folder.is_dir(), hidden.exists()) == (folder, True, False)


def test_there_is_a_folder_only_where_enough_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def free(disk: int, available: int) -> bool:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(disk))
        monkeypatch.setattr(machine, "available_memory", lambda: available)
        with memory() as made:
            assert made is None or (made.now.is_dir() and made.now.parent == SHARED)
        return made is not None and not made.now.exists()

    assert free(1024 * MIB, 1024 * MIB)
    assert not free(1024 * MIB - 1, 4096 * MIB)
    assert not free(4096 * MIB, 1024 * MIB - 1)
    with memory(tmp_path / "none") as made:
        assert made is None


def test_what_a_killed_memtool_has_left_is_removed_by_the_next(
    programs: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with killed_memtool(programs, tmp_path) as process:
        while not (held := folders_of(process)):
            time.sleep(0.01)
        (left,) = held
        # It is held: whoever comes meanwhile leaves it.
        with memory():
            assert left.is_dir()
    with memory():
        assert not left.exists()


def folders_of(pid: int) -> set[Path]:
    """Return the folders in memory with files of the children of a process; other memtools may record meanwhile."""
    names = tuple(f"{child.pid}." for child in psutil.Process(pid).children(recursive=True))
    return {path.parent for path in SHARED.glob("memtool-record-*/*") if path.name.startswith(names)}


def test_a_recording_leaves_nothing_in_memory(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    command = [str(programs / "counts_calls"), str(tmp_path / "counts"), "2", "1000"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet"))
    assert recording.recorded.status == 7
    for path in SHARED.glob("memtool-record-*"):
        # That of another memtool, which runs.
        descriptor = os.open(path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
