"""What reads one format, and what came of reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from memtool.workload.importers.content import Portions

PORTION_CALLS = 1 << 16


@dataclass(slots=True)
class Report:
    """What came of reading a file: kept, repaired, dropped."""

    matched: dict[str, int] = field(default_factory=dict)
    """As the matcher counts (engine/recorded/matcher.hpp)."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls as the file has them, by their names; and what was odd about them."""
    dropped: int = 0
    """Lines or records that could not be read."""
    first_damage: int | None = None
    """Offset in the unpacked content of the first of them, in bytes."""
    damage: str | None = None
    """Why the file could not be read to its end."""
    read_bytes: int = 0
    threads: int = 0

    def drop(self, offset: int) -> None:
        """Note what could not be read."""
        self.dropped += 1
        if self.first_damage is None:
            self.first_damage = offset


class Decoder(ABC):
    """Reads one format."""

    @abstractmethod
    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield AddressEvents in order, and fill in the report. Raises InputError for what is refused."""
