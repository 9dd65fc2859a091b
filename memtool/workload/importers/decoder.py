"""The decoder of one format, and the report of its reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from memtool.workload.importers.content import Portions

PORTION_CALLS = 1 << 16
MISALIGNED = "alignments that are no powers of two"
"""The name under which decoders count them among the calls."""


@dataclass(slots=True)
class Report:
    """The report on reading a file: what was kept, repaired and dropped."""

    matched: dict[str, int] = field(default_factory=dict)
    """Counts of the matcher (engine/recorded/matcher.hpp)."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls of each name in the file, and the irregularities among them."""
    misaligned: int = 0
    """Number of alignments that were left out, because they are no powers of two."""
    dropped: int = 0
    """Number of unreadable lines or records."""
    first_damage: int | None = None
    """Offset in bytes of the first of them in the decompressed content."""
    damage: str | None = None
    """Reason why the file could not be read to its end."""
    read_bytes: int = 0
    threads: int = 0

    def count(self, counts: Mapping[str, int], threads: int) -> None:
        """Take over what a decoder has counted."""
        self.calls, self.threads = dict(counts), threads
        self.misaligned = self.calls.pop(MISALIGNED, 0)

    def drop(self, offset: int) -> None:
        """Count an unreadable line or record."""
        self.dropped += 1
        if self.first_damage is None:
            self.first_damage = offset

    @property
    def cut_off(self) -> str:
        """Return how far the file could be read, and why no further."""
        return f"the file is damaged or cut off after {self.read_bytes:,} bytes: {self.damage}"

    def places(self) -> Iterator[str]:
        """Yield where the file is damaged, one sentence each."""
        if self.damage is not None:
            yield self.cut_off
        if self.first_damage is not None:
            yield f"the first damage is at byte {self.first_damage:,} of the unpacked content"


class Decoder(ABC):
    """Reads one format."""

    @abstractmethod
    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield AddressEvents in order and fill in the report. Raises InputError for a refused file."""
