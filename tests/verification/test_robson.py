"""Robson's adversary on allocators that are played by hand."""

from __future__ import annotations

import pytest

from memtool.engine.abi import binding
from memtool.engine.abi.binding import Heap
from verification.robson import attack, bound

WORD = 8
ANY_ORDER = [
    str(item["name"])
    for item in binding.describe()
    if item["uses_region"] and not item["is_control"] and item["free_order"] == "any"
]


class Script:
    """An allocator whose answers are written down beforehand, in words; it notes what is asked of it."""

    def __init__(self, *addresses: int) -> None:
        self._addresses = iter(addresses)
        self.asked: list[tuple[str, int, int]] = []
        self.footprint = 0

    def allocate(self, size: int, alignment: int) -> int:
        assert alignment == WORD
        address = next(self._addresses)
        self.asked.append(("allocate", address, size // WORD))
        self.footprint = max(self.footprint, address * WORD + size)
        return address * WORD

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        assert alignment == WORD
        self.asked.append(("deallocate", offset // WORD, size // WORD))

    def after(self, count: int) -> list[tuple[str, int, int]]:
        return self.asked[count:]


@pytest.mark.parametrize(
    ("live", "largest", "words"),
    [
        (4, 2, 5),
        (8, 4, 13),
        (4096, 16, 12_273),
        (4096, 64, 16_321),
        (4096, 256, 20_225),
        (16_384, 256, 81_665),
    ],
)
def test_the_bound(live: int, largest: int, words: int) -> None:
    assert bound(live, largest) == words


def test_two_sizes_on_first_fit() -> None:
    """M = 4, n = 2. Words 0 to 3 are used; both remainders keep two, so 0 and 2 stay. A block of 2 words fits into
    neither hole of one word, but the hole at 3 is the heap's end: words 3 and 4, five in all.
    """
    heap = Script(0, 1, 2, 3, 3)
    attack(heap, 4, 2)
    assert heap.after(4) == [("deallocate", 1, 1), ("deallocate", 3, 1), ("allocate", 3, 2)]
    assert heap.footprint == 5 * WORD


def test_three_sizes_on_first_fit() -> None:
    """M = 8, n = 4. Of words 0 to 7 the even ones stay; two blocks of 2 words go to 7 and 9.

    Modulo 4, remainder 0 is covered by the words 0 and 4 and by the block at 7, which reaches over 8: withheld are
    3 + 3 + 2 words. Remainder 2 is covered by 2, 6 and the block at 9, which reaches over 10: as many. So 0, 4 and 7
    stay, four words, and a block of 4 words takes 9 to 12: thirteen in all.
    """
    heap = Script(0, 1, 2, 3, 4, 5, 6, 7, 7, 9, 9)
    attack(heap, 8, 4)
    assert heap.after(8) == [
        ("deallocate", 1, 1),
        ("deallocate", 3, 1),
        ("deallocate", 5, 1),
        ("deallocate", 7, 1),
        ("allocate", 7, 2),
        ("allocate", 9, 2),
        ("deallocate", 2, 1),
        ("deallocate", 6, 1),
        ("deallocate", 9, 2),
        ("allocate", 9, 4),
    ]
    assert heap.footprint == 13 * WORD


def test_it_goes_by_the_addresses_that_it_is_given() -> None:
    """Where more blocks lie at odd words, those are kept: three words stay, and no block of two is within M = 4."""
    heap = Script(0, 1, 3, 5)
    attack(heap, 4, 2)
    assert heap.after(4) == [("deallocate", 0, 1)]


@pytest.mark.parametrize("strategy", ANY_ORDER)
def test_no_strategy_needs_less(strategy: str) -> None:
    """Robson's bound is for every allocator: M = 256, n = 16 is 256 + 512 - 15 words."""
    if binding.limits(strategy, "")[0] is not None:
        pytest.skip("one size only")
    with Heap(strategy, capacity=16 << 20) as heap:
        attack(heap, 256, 16)
        assert heap.footprint >= 753 * WORD
