"""Files that users rely on: written atomically, read without hanging, with names that every file system accepts."""

from __future__ import annotations

import hashlib
import os
import re
import select
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from memtool.errors import InputError

_LONGEST_NAME = 100
"""Bytes; with additions, a name stays far below the 255 that file systems accept."""
_UNSAFE = re.compile(r"[^A-Za-z0-9.=-]+")
_WRITER_SECONDS = 2.0
"""Seconds in which a pipe to read must get a writer."""
LARGEST_READ = 256 << 20
"""Largest size of a file that is read as a whole, in bytes; results are far smaller."""


def write_whole(path: Path, text: str) -> Path:
    """Write a file atomically: it is written next to an existing one, and then renamed. Raises OSError.

    A link is followed. If something other than a file is there (/dev/null), it is written to directly.
    """
    named, path = path, Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with open_device(path) as device:
            device.write(text)
        return path
    try:
        descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".memtool-", suffix=".part")
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, os.fspath(named)) from None  # not the name of the scratch file
    try:
        # Names of files may contain bytes that are not UTF-8, which must survive the round trip.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(file.fileno(), _mode_of(path))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise
    return path


def open_device(path: Path) -> IO[str]:
    """Open a file, a device or a pipe to append text; does not wait for a pipe's reader. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _mode_of(path: Path) -> int:
    """Return the mode of the replaced file, or that of a new file."""
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def behind_links(path: Path) -> Path:
    """Return what a link leads to, which is what a rename shall replace; another path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def refuse_other_than_file(path: Path) -> None:
    """Raise InputError if a folder, a device or a pipe is there, which a file that is renamed to it would replace."""
    if is_there(path) and not path.is_file():
        raise InputError(f"{path}: is {_kind(path)}, not a file")


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return the descriptor of a regular file: pipes would hang, devices have no end. Raises InputError, OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path}: is {_kind(path)}, not a file")
    return descriptor


def open_input(path: Path) -> IO[bytes]:
    """Open a file, or a pipe, to read it once. Raises InputError for a pipe without a writer, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not _has_writer(descriptor):
            raise InputError(f"{path}: is a pipe that no program writes to")
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _has_writer(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if poll.poll(1000 * _WRITER_SECONDS):
        return True
    try:
        return os.read(pipe, 1) != b""
    except BlockingIOError:  # it has a writer, which has not written yet
        return True


@contextmanager
def name_in_utf8(path: Path, flags: int = os.O_RDONLY) -> Iterator[Path]:
    """Yield a name under which a library that takes no other bytes can open a file. Raises OSError."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        yield path


def read_text(path: Path) -> str:
    """Return the text of a regular file. Raises InputError with one line, UnicodeDecodeError."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            content = file.read(LARGEST_READ + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    if len(content) > LARGEST_READ:
        raise InputError(f"{path}: is larger than {LARGEST_READ >> 20} MiB, and no result is that large")
    return content.decode("utf-8")


def _kind(path: Path) -> str:
    mode = path.stat().st_mode
    kinds = (("a folder", stat.S_ISDIR), ("a pipe", stat.S_ISFIFO), ("a socket", stat.S_ISSOCK))
    return next((name for name, holds in kinds if holds(mode)), "a device")


def reason(problem: OSError) -> str:
    """Return the system's words for what went wrong: libraries add words of their own."""
    return os.strerror(problem.errno) if problem.errno else str(problem)


def refusal(problem: OSError, path: Path) -> str:
    """Return in one line which file could not be written, and why; ``path`` is used where the problem has none."""
    return f"{problem.filename or path}: cannot be written: {reason(problem)}"


def is_there(path: Path) -> bool:
    """Return whether a path exists. Raises InputError for a path that cannot be resolved (a loop of links)."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    return True


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; false if it cannot be examined (a name too long, a loop of links)."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


@contextmanager
def memory_file(name: str) -> Iterator[int]:
    """Yield the descriptor of a file in memory."""
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def readable_name(text: str) -> str:
    """Return a possible beginning of a file name for this text; different texts may share it."""
    return _UNSAFE.sub("_", text).lstrip(".-")[:_LONGEST_NAME]


def safe_name(text: str) -> str:
    """Return a unique, readable, bounded file name for any text.

    A text that is changed or cut is followed by a digest of the whole.
    """
    readable = readable_name(text)
    if readable == text:
        return readable
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{readable}_{digest}"
