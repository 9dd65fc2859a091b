"""The key ``file`` of a workload file (docs/mapping.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from memtool.kinds.file.names import MEMORY, WRITES, ZERO, Cache, Mapped, Pattern, Reading, Sync, Writing, serving
from memtool.workload.language.schema import Name
from memtool.workload.language.values import Capacity, Count, Size, Strict, misfit, raise_all

WORD = 8
"""Bytes of the units in which the contents of a file are generated."""
_LARGEST_BLOCK = 64 << 20
LEAST_LIMIT = 8 << 20
"""Bytes: the limit also covers the memory of the process, and the kernel's memory for it."""
_MOST_ACCESSES = 1 << 30
_IS_READ = f"is only read: what is written to a device drives it ({ZERO} and {MEMORY} can be written)"


class File(Strict):
    """The accessed file, the number of accesses, and the ways of access."""

    pattern: Pattern = Field(
        description="Pattern of the accesses: in order from the first byte to the last, or at random."
    )
    size: Capacity = Field(
        64 << 20, description="Bytes of the file, or of the mapped part of a device.", examples=["1GiB"]
    )
    block: Size = Field(4096, description="Bytes of one access.", examples=["4KiB", "128KiB"])
    accesses: Count | None = Field(
        None,
        description="Number of accesses in a round; for a scan, the number of blocks in the file.",
        examples=["64k"],
    )
    ways: list[Reading | Writing | Mapped] | None = Field(
        None,
        description="Ways of access, one row each. Default: all that can serve the pattern.",
        examples=[["pread", "mmap-random"]],
    )
    cache: Cache | None = Field(None, description="State of the page cache for the file when a round begins.")
    limit: Capacity | None = Field(None, description="Bytes of the limited page cache.", examples=["256MiB"])
    sync: Sync = Field("none", description="The call that makes written data durable.")
    every: Count = Field(1, description="Number of accesses from one sync to the next.")
    depth: Annotated[StrictInt, Field(ge=1, le=4096)] = Field(
        32, description="Number of accesses that io_uring has in flight at a time."
    )
    folder: StrictStr | None = Field(
        None, description="Folder of the file. Default: $TMPDIR, or else /var/tmp.", examples=["/mnt/data"]
    )
    device: StrictStr | None = Field(
        None, description=f"Mapped instead of a file: a character device, or {MEMORY}.", examples=[ZERO]
    )

    @model_validator(mode="after")
    def _consistent(self) -> File:
        raise_all(self._misfits())
        return self

    def _misfits(self) -> Iterator[PydanticCustomError]:
        if self.block % WORD or self.block > _LARGEST_BLOCK:
            yield misfit(f"must be a multiple of {WORD}, and at most 64.0 MiB, is {self.block}", "block")
        elif self.size % self.block:
            yield misfit(f"must be a multiple of block ({self.block}), is {self.size}", "size")
        if self.accesses is not None and self.pattern == "scan":
            yield misfit("must not be given: a scan has an access for each block of size", "accesses")
        if self.accesses is not None and self.pattern == "append":
            yield misfit("must not be given: size is what is appended, an access a block", "accesses")
        if self.accesses is not None and self.accesses > _MOST_ACCESSES:
            yield misfit(f"must be at most {_MOST_ACCESSES:,}, is {self.accesses}", "accesses")
        yield from self._misfits_of_ways()
        yield from self._misfits_of_cache()
        if self.sync != "none" and self.pattern not in WRITES:
            yield misfit(f"must not be given: {self.pattern} writes nothing", "sync")
        yield from self._misfits_of_device()

    def _misfits_of_ways(self) -> Iterator[PydanticCustomError]:
        ways = self.ways or []
        if self.ways is not None and not ways:
            yield misfit("must name a way", "ways")
        if len(set(ways)) < len(ways):
            yield misfit("names a way twice", "ways")
        allowed = serving(self.pattern, self.device)
        for at, way in enumerate(ways):
            if way not in allowed:
                of = "" if self.device is None else " of a device"
                yield misfit(f"does not serve {self.pattern}{of}; there are {', '.join(allowed)}", "ways", at)

    def _misfits_of_cache(self) -> Iterator[PydanticCustomError]:
        if (self.limit is None) != (self.cache != "limited"):
            words = "must be given where cache is limited" if self.limit is None else "is of cache: limited alone"
            yield misfit(words, "limit")
        if self.limit is not None and not LEAST_LIMIT <= self.limit < self.size:
            yield misfit(f"must be at least 8.00 MiB, and less than size ({self.size}), is {self.limit}", "limit")
        if self.cache == "cold" and self.pattern == "append":
            yield misfit("must not be cold: what is appended is in no cache before", "cache")

    def _misfits_of_device(self) -> Iterator[PydanticCustomError]:
        if self.device is None:
            return
        if self.pattern == "append":
            yield misfit("does not grow: append is of files", "device")
        if self.pattern in WRITES and self.device not in (ZERO, MEMORY):
            yield misfit(_IS_READ, "device")
        for name in ("cache", "folder"):
            if getattr(self, name) is not None:
                yield misfit(f"must not be given: {self.device} is no file on a disk", name)
        if self.sync != "none":
            yield misfit(f"must not be given: {self.device} is no file on a disk", "sync")
        if self.device != MEMORY and not self.device.startswith("/"):
            yield misfit(f"must be {MEMORY}, or the path of a device from the root, is '{self.device}'", "device")

    @property
    def chosen(self) -> tuple[str, ...]:
        """Return the ways that have a row."""
        return tuple(self.ways) if self.ways is not None else serving(self.pattern, self.device)

    @property
    def rounds(self) -> int:
        """Return the number of accesses in a round."""
        return self.accesses or self.size // self.block


class Workload(Strict):
    """A workload file that reads and writes files."""

    name: Name = Field(description="Name in tables and files.", examples=["lookups"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(
        1, description="Seed of the order of accesses and of the content of the file."
    )
    file: File = Field(description="The accesses to the file.")
