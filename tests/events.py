"""Canonical events as a person reads and writes them, and an oracle of what they mean."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from memtool.workload.language.schema import Workload
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending

DEALLOCATE, ALLOCATE, ALLOCATE_ZEROED, REALLOCATE, SCOPE_BEGIN, SCOPE_END, SCOPE_CLOSED, MARK, EPILOGUE = range(9)
THREAD_START, THREAD_JOIN = 16, 17
_WIDE = {9: DEALLOCATE, 10: ALLOCATE, 11: ALLOCATE_ZEROED}
_HEAD_BYTES = 22 * 8
Event = tuple[int, int, int, int]
"""(kind, object, size, log2 of the alignment)."""
Word = tuple[int, ...]
"""Of an image: (kind, slot, size, alignment), and the old size for a reallocation; of scopes: (kind, words to skip)."""


def workload_of(content: Mapping[str, Any]) -> Workload:
    """Return the workload of plain data, which needs no name."""
    return Workload.model_validate({"name": "test", **content})


def events_of(content: Mapping[str, Any], seed: int = 42) -> list[Event]:
    """Return the canonical events of a workload."""
    portions = generated(workload_of(content), seed).events(Ending())
    return [event for portion in portions for event in decode(portion)]


def decode(portion: memoryview) -> Iterator[Event]:
    """Yield the events that 16-byte records stand for."""
    for head, request in struct.iter_unpack("<QQ", portion):
        yield head & 0xFF, head >> 24, request & (1 << 58) - 1, request >> 58


def encode(*events: Event) -> memoryview:
    """Return events as the engine reads them."""
    packed = bytearray()
    for kind, thing, size, log2_alignment in events:
        packed += struct.pack("<QQ", kind | thing << 24, size | log2_alignment << 58)
    return memoryview(packed)


def in_words(events: Iterable[Event]) -> str:
    """Return events in a line.

    A0 and Z0 allocate object 0, R0 resizes it, F0 frees it; ( begins a scope, [ and ]) end it; | begins the epilogue;
    *0 is mark 0.
    """
    bare = {SCOPE_BEGIN: "(", SCOPE_END: "[", SCOPE_CLOSED: "])", EPILOGUE: "|"}
    numbered = {DEALLOCATE: "F", ALLOCATE: "A", ALLOCATE_ZEROED: "Z", REALLOCATE: "R", MARK: "*"}
    return " ".join(bare.get(kind) or numbered[kind] + str(thing) for kind, thing, _, _ in events)


@dataclass
class Oracle:
    """Follows canonical events as plainly as can be, refuses what cannot be, and says what their image must hold."""

    sizes: dict[int, int] = field(default_factory=dict)
    """Of live objects, in order of birth."""
    alignments: dict[int, int] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    free_slots: list[int] = field(default_factory=list)
    open_scopes: list[set[int]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    epilogue_at: int | None = None
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    """(operations before, live bytes, words of the image before)."""
    scopes: int = 0
    peak: int = 0
    most: int = 0
    total: int = 0
    first_not_lifo: int | None = None
    first_not_fifo: int | None = None

    def follow(self, events: Iterable[Event]) -> Oracle:
        for kind, thing, size, log2_alignment in events:
            if kind in (ALLOCATE, ALLOCATE_ZEROED):
                self.allocate(kind, thing, size, 1 << log2_alignment)
            elif kind == REALLOCATE:
                self.note_order(thing, oldest_first=max(self.alignments))
                self.words.append((kind, self.slots[thing], size, self.alignments[thing], self.sizes[thing]))
                self.grow(thing, size)
            elif kind == DEALLOCATE:
                assert (size, log2_alignment) == (0, 0)
                self.note_order(thing, oldest_first=min(self.sizes))
                self.words.append((kind, self.slots[thing], self.sizes.pop(thing), self.alignments[thing]))
                self.free_slots.append(self.slots[thing])
            else:
                self.pass_boundary(kind, thing)
        assert not self.sizes
        assert not self.open_scopes
        return self

    def allocate(self, kind: int, thing: int, size: int, alignment: int) -> None:
        assert thing == len(self.alignments)
        assert self.epilogue_at is None
        self.slots[thing] = self.free_slots.pop() if self.free_slots else len(set(self.slots.values()))
        self.alignments[thing] = alignment
        if self.open_scopes:
            self.open_scopes[-1].add(thing)
        self.words.append((kind, self.slots[thing], size, alignment))
        self.grow(thing, size)

    def grow(self, thing: int, size: int) -> None:
        self.sizes[thing] = size
        self.total += size
        self.peak = max(self.peak, sum(self.sizes.values()))
        self.most = max(self.most, len(self.sizes))

    def note_order(self, thing: int, oldest_first: int) -> None:
        """Note that an object is freed or resized; of ``oldest_first`` it would be in the order of a queue."""
        if self.first_not_lifo is None and thing != max(self.sizes):
            self.first_not_lifo = self.operations()
        if self.first_not_fifo is None and thing != oldest_first:
            self.first_not_fifo = self.operations()

    def operations(self) -> int:
        return sum(len(word) > 2 for word in self.words)

    def pass_boundary(self, kind: int, thing: int) -> None:
        if kind == SCOPE_BEGIN:
            self.scopes += 1
            self.open_scopes.append(set())
            self.words.append((kind, 0))
        elif kind == SCOPE_END:
            self.ends.append(len(self.words))
            self.words.append((kind, 0))
        elif kind == SCOPE_CLOSED:
            # Everything that was allocated in the scope has been freed in it.
            assert not self.open_scopes.pop() & set(self.sizes)
            at = self.ends.pop()
            self.words[at] = (SCOPE_END, sum(map(width, self.words[at + 1 :])))
        elif kind == MARK:
            # In none of what a strategy with scopes skips.
            assert not self.ends
            operations = self.operations()
            self.marks.append((operations, sum(self.sizes.values()), sum(map(width, self.words))))
            self.words.append((kind, thing))
        else:
            assert kind == EPILOGUE
            assert self.epilogue_at is None
            self.epilogue_at = sum(map(width, self.words))


def width(word: Word) -> int:
    """Return how many 8-byte words of an image an operation takes."""
    if word[0] == REALLOCATE:
        return 3
    return 1 if len(word) == 2 or (0 < word[2] < 1 << 32 and word[3] == 16) else 2


def read_image(image: bytes) -> list[Word]:
    """Return the operations of an event image (engine/events/events.hpp)."""
    words = iter(struct.unpack(f"<{(len(image) - _HEAD_BYTES) // 8}Q", image[_HEAD_BYTES:]))
    result: list[Word] = []
    for word in words:
        kind, slot, size = word & 0xF, (word & 0xFFFFFFFF) >> 4, word >> 32
        if kind in (SCOPE_BEGIN, SCOPE_END, MARK):
            result.append((kind, word >> 4))
        elif kind == REALLOCATE:
            asked = next(words)
            result.append((kind, slot, asked & (1 << 58) - 1, 1 << (asked >> 58), next(words)))
        elif kind in _WIDE:
            asked = next(words)
            result.append((_WIDE[kind], slot, asked & (1 << 58) - 1, 1 << (asked >> 58)))
        else:
            result.append((kind, slot, size, 16))
    return result
