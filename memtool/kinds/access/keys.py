"""The key ``access`` of a workload file (docs/access.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from memtool.kinds.access.names import AS_GIVEN, Aligned, Counting, Load, Pattern
from memtool.units import SIZE_PATTERN
from memtool.workload.language.schema import Name
from memtool.workload.language.values import Alignment, Capacity, Count, Size, Strict, misfit, raise_all

WORD = 8
"""Bytes of one access."""
PAGE = 4096
_MOST_BLOCKS = 1 << 26
_LARGEST_BLOCK = 1 << 31
_SIZE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": SIZE_PATTERN}]}
Sizes = Annotated[
    tuple[Size, Size],
    BeforeValidator(lambda value: value if isinstance(value, (list, tuple)) else (value, value)),
    WithJsonSchema({"anyOf": [*_SIZE["anyOf"], {"type": "array", "items": _SIZE, "minItems": 2, "maxItems": 2}]}),
]
"""Bytes: ``64``, or equally probable sizes in a range, both ends included: ``[1, 256]``."""


class Access(Strict):
    """The accessed memory, the number of accesses, and the ways of access."""

    ways: Annotated[list[Pattern | Load | Counting | Aligned], Field(min_length=1, max_length=64)] = Field(
        list(get_args(Pattern)),
        description="Ways of access. Each has a row, alone or with each allocator.",
        examples=[["chase"]],
    )
    blocks: Count = Field(16_384, description="Number of blocks, allocated one after the other.", examples=["64k"])
    size: Sizes = Field(
        (64, 64), description="Bytes of each block; [low, high]: uniformly distributed.", examples=[64, [1, 256]]
    )
    alignment: Alignment = Field(
        16, description="Alignment of each block, unless the way determines it.", examples=[16, 64]
    )
    every: Size = Field(64, description="Bytes from one access to the next within a block.", examples=[64, "4KiB"])
    accesses: Count = Field(1 << 18, description="Accesses of 8 bytes in a round, by each thread.")
    stride: Count = Field(16, description="Distance between accesses of the strided ways, in accesses.", examples=[16])
    ahead: Annotated[StrictInt, Field(ge=1, le=4096)] = Field(
        16, description="Number of accesses by which chase-prefetched prefetches memory in advance."
    )
    pages: Annotated[StrictInt, Field(ge=1, le=65_536)] = Field(
        64,
        description="Pages over which loads are spread; twice as many for loads that cross pages. Lines at the same "
        "place of more than 8 pages may not all be in a first-level cache.",
    )
    threads: Annotated[StrictInt, Field(ge=2, le=8)] = Field(
        2, description="Number of threads that count concurrently."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Access:
        raise_all(self._misfits())
        return self

    def _misfits(self) -> Iterator[PydanticCustomError]:
        low, high = self.size
        if low > high:
            yield misfit(f"must be [low, high], is [{low}, {high}]", "size")
        if high > _LARGEST_BLOCK:
            yield misfit("must be at most 2.00 GiB", "size")
        if self.blocks > _MOST_BLOCKS:
            yield misfit(f"must be at most {_MOST_BLOCKS:,}, is {self.blocks}", "blocks")
        aligned = [way for way in self.ways if way in get_args(Aligned)]
        if aligned and len(aligned) < len(self.ways):
            other = next(way for way in self.ways if way not in aligned)
            yield misfit(f"must not have {aligned[0]}, which is of allocations, beside {other}, which is not", "ways")
        if len(set(self.ways)) < len(self.ways):
            yield misfit("names a way twice", "ways")
        words = [way for way in self.ways if way in get_args(Pattern) or way == AS_GIVEN]
        if words and low < WORD:
            yield misfit(f"must be at least {WORD}, the bytes of an access, for {words[0]}, is {low}", "size")
        if AS_GIVEN in self.ways and self.alignment < WORD:
            yield misfit(f"must be at least {WORD} for {AS_GIVEN}, is {self.alignment}", "alignment")
        if AS_GIVEN in self.ways and self.blocks < self.threads:
            yield misfit(f"must be at least threads ({self.threads}), is {self.blocks}", "blocks")

    @property
    def allocates_only(self) -> bool:
        """Return whether allocations are timed."""
        return all(way in get_args(Aligned) for way in self.ways)

    @property
    def loaded_bytes(self) -> int:
        """Return the bytes of a region that loads need."""
        return (2 * self.pages + 1) * PAGE if any(way in get_args(Load) for way in self.ways) else 0


class Workload(Strict):
    """A workload file about memory accesses."""

    name: Name = Field(description="Name in tables and files.", examples=["patterns"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(
        1, description="Seed of the sizes and of the order of accesses."
    )
    memory_limit: Capacity | None = Field(None, description="Capacity of the region in bytes.", examples=["64MiB"])
    access: Access = Field(description="The memory accesses.")

    @model_validator(mode="after")
    def _fits(self) -> Workload:
        if self.memory_limit is not None and self.memory_limit < self.access.loaded_bytes:
            words = f"must be at least {self.access.loaded_bytes} for loads of {self.access.pages} pages"
            raise misfit(f"{words}, is {self.memory_limit}", "memory_limit")
        return self
