"""Files are replaced whole or not at all, read without hanging, and have names that every disk takes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from memtool import files
from memtool.errors import InputError
from memtool.workload.language.document import read_document


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An update of a baseline on a full disk once left the old one cut short.
    path = tmp_path / "baseline.json"
    path.write_text("old and whole", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "old and whole"
    assert [item.name for item in tmp_path.iterdir()] == ["baseline.json"]


def test_what_is_replaced_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "baseline.json", tmp_path / "link.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    link.symlink_to(path)
    files.write_whole(link, "new")
    assert link.is_symlink()
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        assert files.write_whole(tmp_path / "new", "text").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(mask)


def test_what_cannot_be_written_goes_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        files.write_whole(tmp_path / "none" / "new", "text")
    assert caught.value.filename == f"{tmp_path}/none/new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    assert files.write_whole(Path("/dev/null"), "text") == Path("/dev/null")
    assert not Path("/dev/null").is_file()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        files.read_text(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "compare.json"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="No such device or address"):
        files.write_whole(pipe, "text")


def test_a_pipe_is_read_whole_and_one_that_nobody_writes_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "workload.yaml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"name: piped\n" * 10_000,))
    writer.start()
    with files.open_input(pipe) as file:
        assert file.read() == b"name: piped\n" * 10_000
    writer.join()
    monkeypatch.setattr(files, "_WRITER_SECONDS", 0.01)
    with pytest.raises(InputError) as caught:
        read_document(pipe)
    assert str(caught.value) == f"{pipe}: is a pipe that no program writes to"


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    # A pipe hangs until somebody writes to it, and /dev/zero has no end.
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    assert refusal(pipe) == "is a pipe, not a file"
    assert refusal(Path("/dev/zero")) == "is a device, not a file"
    assert refusal(tmp_path) == "is a folder, not a file"
    assert refusal(loop) == "cannot be read: Too many levels of symbolic links"
    assert refusal(tmp_path / ("n" * 300)) == "cannot be read: File name too long"
    assert refusal(tmp_path / "gone") == "no such file"
    assert refusal(Path("nul\0l")) == "cannot be read: embedded null byte"


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(257 << 20)
    assert refusal(path) == "is larger than 256 MiB, and no result is that large"


def test_names_are_bounded_safe_and_told_apart() -> None:
    long = "a" * 250
    names = [files.safe_name(item) for item in (long, long + "b", "a/b", "a b", "..", "$\\frac$.so", "\udcff", "pool")]
    assert len(set(names)) == len(names)
    assert names[-1] == "pool"
    for name in names:
        assert 0 < len(name.encode()) <= 120
        assert "/" not in name
        assert not name.startswith(".")


def test_a_reason_is_in_the_systems_words_where_a_library_has_its_own() -> None:
    of_a_library = OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] No space left on device")
    assert files.reason(of_a_library) == "No space left on device"
    assert files.reason(OSError("what no number stands for")) == "what no number stands for"
