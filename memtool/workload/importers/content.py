"""The content of another tool's file: decompressed as it is read, in lines of bounded length."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from memtool.errors import InputError, MemtoolError
from memtool.workload import reading

HEAD_BYTES = 64 << 10
_PORTION_BYTES = 32 << 10
"""Greatest loss before a damaged place: a decompressor yields nothing of a portion in which it fails."""
LONGEST_LINE = 64 << 10
_EXAMPLES = 3
_MACOS = "__MACOSX/"
_GZIP, _BZIP2, _XZ, _ZIP, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"
_PACKED = (_GZIP, _BZIP2, _XZ, _ZIP, _ZSTD)
_MAGIC_BYTES = 6
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError)
"""Errors of decompressors for a file that is truncated or damaged. OSError also covers unreadable files."""


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return the content of a file as a stream; it may be compressed with gzip, bzip2, xz, zstd or zip.

    A zip archive must have one file in it. Raises InputError, MemtoolError.
    """
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("Any", file))
    magic = buffered.peek(_MAGIC_BYTES)[:_MAGIC_BYTES]
    if magic.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=buffered))
    if magic.startswith(_BZIP2):
        return bz2.BZ2File(buffered)
    if magic.startswith(_XZ):
        return lzma.LZMAFile(buffered)
    if magic.startswith(_ZIP):
        return _only_one_of_archive(buffered)
    if magic.startswith(_ZSTD):
        return cast("IO[bytes]", _pyarrow().CompressedInputStream(buffered, "zstd"))
    return buffered


def _only_one_of_archive(file: io.BufferedReader) -> IO[bytes]:
    if not file.seekable():
        raise InputError("standard input: a zip archive cannot be read from a pipe: unpack it, as with `unzip -p`")
    archive = zipfile.ZipFile(file)
    # macOS adds what it knows of each file to the archives that it makes.
    names = [member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith(_MACOS)]
    name = "standard input" if file.name == "<stdin>" else file.name
    if not names:
        raise InputError(f"{name}: is a zip archive with no file in it")
    if len(names) > 1:
        examples = ", ".join(member.filename for member in names[:_EXAMPLES])
        more = "" if len(names) <= _EXAMPLES else ", ..."
        raise InputError(f"{name}: is a zip archive of {len(names)} files ({examples}{more}): unpack it")
    return archive.open(names[0])


def _pyarrow() -> Any:  # noqa: ANN401  # pyarrow has no types
    try:
        import pyarrow as pa
    except ImportError:
        raise MemtoolError("what zstd has compressed needs pyarrow: pip install 'memtool-bench[traces]'") from None
    return pa


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file and decompress it. Raises InputError."""
    try:
        with path.open("rb") as file, reading.from_file(file), unpacked(file) as content:
            yield content
    except DAMAGE as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise InputError(f"{path}: cannot be read: {reason}") from None


def head_of(path: Path) -> bytes:
    """Return the beginning of a file, decompressed; empty if it cannot be read."""
    try:
        with opened(path) as content:
            return head_from(Portions(content))
    except MemtoolError:
        return b""


def head_from(portions: Portions) -> bytes:
    """Return the beginning of a stream, as far as it can be read."""
    head = b""
    for portion in portions:
        head += portion
        if len(head) >= HEAD_BYTES:
            break
    return head


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed."""
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_BYTES).startswith(_PACKED)
    except OSError:
        return False


def refuse_unreadable(path: Path) -> None:
    """Raise InputError for a compressed file whose content cannot be recognised, with the reason."""
    if not path.is_file() or not is_packed(path):
        return
    with opened(path) as content:
        portions = Portions(content)
        if not head_from(portions):
            raise InputError(f"{path}: nothing of it can be unpacked: {portions.damage or 'it is empty'}")
    raise InputError(f"{path}: is compressed, and its content is in no known format; `memtool list importers` has them")


class Portions:
    """Reads a stream to its end or to the first damaged place, which ``damage`` then describes."""

    def __init__(self, content: IO[bytes]) -> None:
        self._read = getattr(content, "read1", content.read)
        self.read_bytes = 0
        self.damage: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                portion = self._read(_PORTION_BYTES)
            except DAMAGE as problem:
                self.damage = str(problem) or type(problem).__name__
                return
            if not portion:
                return
            self.read_bytes += len(portion)
            yield portion


class Lines:
    """Splits portions into lines; a line beyond 64 KiB is truncated to that length."""

    def __init__(self) -> None:
        self._offset, self._left, self._is_long = 0, b"", False

    @property
    def is_between(self) -> bool:
        """Return whether the next portion begins a new line."""
        return not self._left and not self._is_long

    def skip(self, length: int) -> None:
        """Skip whole lines that other code reads."""
        self._offset += length

    def feed(self, portion: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, line) for the lines that end in the portion, without line ends."""
        *lines, rest = (self._left + portion).split(b"\n")
        for line in lines:
            if not self._is_long:
                yield self._offset, line
            self._is_long = False
            self._offset += len(line) + 1
        self._left = rest
        if len(rest) > LONGEST_LINE:
            if not self._is_long:
                yield self._offset, rest[:LONGEST_LINE]
            self._offset += len(rest)
            self._left, self._is_long = b"", True

    def end(self) -> Iterator[tuple[int, bytes]]:
        """Yield a last line that has no line end."""
        if self._left and not self._is_long:
            yield self._offset, self._left


def lines_of(portions: Portions) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) for all lines, in the form of Lines."""
    lines = Lines()
    for portion in portions:
        yield from lines.feed(portion)
    yield from lines.end()


def blocks_of(portions: Portions, length: int) -> Iterator[bytes]:
    """Yield portions in blocks of about this length, each of which ends with a whole line if it contains one."""
    held = bytearray()
    for portion in portions:
        held += portion
        end = held.rfind(b"\n") + 1
        if len(held) >= length and end:
            yield bytes(held[:end])
            del held[:end]
        elif len(held) >= length:
            yield bytes(held)
            held.clear()
    yield bytes(held)
