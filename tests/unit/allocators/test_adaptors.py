"""Adaptors by really doing what they are there to detect, on heaps driven operation by operation."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from memtool.engine.abi import binding
from memtool.engine.abi.binding import BrokenInvariant, CannotStand, Heap
from memtool.engine.loading import EngineError
from tests.conftest import ROOT

Misdeed = Callable[[Heap], None]


def poke(heap: Heap, offset: int) -> None:
    """Write to a byte that may be anyone's."""
    ctypes.c_ubyte.from_address(heap.base + offset).value = 0x41


def block(heap: Heap, size: int = 48, alignment: int = 16) -> int:
    offset = heap.allocate(size, alignment)
    assert offset is not None
    return offset


def double_free(heap: Heap) -> None:
    first = block(heap)
    heap.deallocate(first, 48)
    heap.deallocate(first, 48)


def double_free_of_old(heap: Heap) -> None:
    """The block is freed and allocated over and over before its second free, which is one all the same."""
    for _ in range(100):
        first = block(heap)
        heap.deallocate(first, 48)
    heap.deallocate(first, 48)


def foreign_inside(heap: Heap) -> None:
    heap.deallocate(block(heap) + 8, 40)


def foreign_outside(heap: Heap) -> None:
    block(heap)
    heap.deallocate(1 << 25, 48)


def wrong_size(heap: Heap) -> None:
    heap.deallocate(block(heap), 40)


def resized_after_free(heap: Heap) -> None:
    first = block(heap)
    heap.deallocate(first, 48)
    assert heap.reallocate(first, 48, 100) is None


def overrun(heap: Heap) -> None:
    first = block(heap)
    poke(heap, first + 48)
    heap.deallocate(first, 48)


def overrun_by_seven(heap: Heap) -> None:
    poke(heap, block(heap) + 48 + 6)


def overrun_before_a_resize(heap: Heap) -> None:
    first = block(heap)
    poke(heap, first + 48)
    heap.reallocate(first, 48, 96)


def underrun(heap: Heap) -> None:
    first = block(heap)
    poke(heap, first - 1)
    heap.deallocate(first, 48)


def overrun_of_41(heap: Heap) -> None:
    """Of the default alignment, so that the block does not end at the page: the guard does not trap this byte."""
    first = block(heap, 41)
    poke(heap, first + 41)
    heap.deallocate(first, 41)


def use_after_free(heap: Heap) -> None:
    first = block(heap)
    heap.deallocate(first, 48)
    poke(heap, first + 8)


def use_after_free_let_go(heap: Heap) -> None:
    use_after_free(heap)
    for _ in range(30):
        heap.deallocate(block(heap, 40_000), 40_000)


def use_after_resize(heap: Heap) -> None:
    first = block(heap)
    heap.reallocate(first, 48, 200)
    poke(heap, first)


BLOCK = r"the block of (48|41) bytes at 0x[0-9a-f]+ \(allocated at operation {0}\)"
DOUBLE = "double free: " + BLOCK.format(0) + " was freed at operation 1 and again at operation 2"
INSIDE = r"free of a foreign pointer at operation 1: 0x[0-9a-f]+ lies 8 bytes into " + BLOCK.format(0)
OUTSIDE = "free of a foreign pointer at operation 1: 0x[0-9a-f]+ is not a block of this heap"
SIZE = r"free with another size or alignment \(40 bytes, 16\) than it was asked for with: " + BLOCK.format(0)
RESIZED = "double reallocation: " + BLOCK.format(0) + " was freed at operation 1 and again at operation 2"


@pytest.mark.parametrize("adaptor", ["redzone", "quarantine", "guard", "leak", "track"])
@pytest.mark.parametrize(
    ("misdeed", "words"),
    [
        (double_free, DOUBLE),
        (double_free_of_old, "double free: " + BLOCK.format(198) + " was freed at operation 199 and again at .* 200"),
        (foreign_inside, INSIDE),
        (foreign_outside, OUTSIDE),
        (wrong_size, SIZE),
        (resized_after_free, RESIZED),
    ],
)
@pytest.mark.parametrize("strategy", ["tlsf", "first-fit"])
def test_what_keeps_books_names_wrong_frees(strategy: str, adaptor: str, misdeed: Misdeed, words: str) -> None:
    with Heap(f"{strategy}+{adaptor}") as heap:
        misdeed(heap)
        with pytest.raises(BrokenInvariant) as caught:
            heap.check()
        assert re.fullmatch(words, str(caught.value))
        # The heap below has not seen it, so that the program goes on, and what was found is not forgotten.
        heap.deallocate(block(heap, 100), 100)
        with pytest.raises(BrokenInvariant, match=re.escape(str(caught.value))):
            heap.check()


@pytest.mark.parametrize(
    ("recipe", "misdeed", "words"),
    [
        ("tlsf+redzone", overrun, "overrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("pool+redzone", overrun, "overrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("tlsf+redzone", overrun_by_seven, "overrun of " + BLOCK.format(0) + " by 7 bytes, found at operation 0"),
        ("tlsf+redzone", overrun_before_a_resize, "overrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("tlsf+redzone", underrun, "underrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("tlsf+guard", underrun, "underrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("tlsf+guard", overrun_of_41, "overrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        ("tlsf+guard=before", overrun, "overrun of " + BLOCK.format(0) + " by 1 byte, found at operation 1"),
        (
            "tlsf+quarantine",
            use_after_free,
            "use after free: byte 8 of " + BLOCK.format(0) + ", freed at operation 1, was written to after that",
        ),
        ("tlsf+quarantine", use_after_free_let_go, "use after free: byte 8 of .*"),
        ("tlsf+quarantine", use_after_resize, "use after free: byte 0 of .*"),
        ("tlsf+redzone+quarantine+track+lock", use_after_free, "use after free: byte 8 of .*"),
        ("tlsf+quarantine+redzone+lock", overrun, "overrun of .* by 1 byte, found at operation 1"),
    ],
)
def test_writes_out_of_place_are_named(recipe: str, misdeed: Misdeed, words: str) -> None:
    name = recipe.replace("=before", "")
    parameters = {"pool+redzone": "block=256", "tlsf+guard=before": "+side=before"}.get(recipe, "")
    with Heap(name, parameters) as heap:
        misdeed(heap)
        with pytest.raises(BrokenInvariant) as caught:
            heap.check()
        assert re.fullmatch(words, str(caught.value))


def test_writes_within_a_block_are_nobodys_business() -> None:
    with Heap("tlsf+fill+redzone+guard+quarantine+leak+track+pad+lock") as heap:
        first = block(heap)
        for offset in range(48):
            poke(heap, first + offset)
        heap.check()
        heap.deallocate(first, 48)
        heap.check()


TRAPPED = """
import ctypes, sys
from memtool.engine.abi.binding import Heap
heap = Heap("tlsf+guard", sys.argv[1])
heap.allocate(40)
offset = heap.allocate(int(sys.argv[2]))
ctypes.c_ubyte.from_address(heap.base + offset + int(sys.argv[3])).value = 1
print("not trapped")
"""


@pytest.mark.parametrize(
    ("side", "size", "at", "words"),
    [
        ("after", 48, 48, "overrun of the block of 48 bytes at 0x.* (allocated at operation 1) by 1 byte"),
        ("after", 48, 52, "overrun of the block of 48 bytes at 0x.* (allocated at operation 1) by 5 bytes"),
        ("after", 1, 1, "overrun of the block of 1 byte at 0x.* (allocated at operation 1) by 1 byte"),
        ("after", 8192, 8192, "overrun of the block of 8192 bytes at 0x.* (allocated at operation 1) by 1 byte"),
        ("before", 48, -1, "underrun of the block of 48 bytes at 0x.* (allocated at operation 1) by 1 byte"),
        ("before", 48, -4096, "underrun of the block of 48 bytes at 0x.* (allocated at operation 1) by 4096 bytes"),
    ],
)
def test_the_guard_page_traps_and_names(side: str, size: int, at: int, words: str) -> None:
    command = [sys.executable, "-c", TRAPPED, f"+side={side}", str(size), str(at)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-11, "")
    pattern = re.escape(words).replace(r"0x\.\*", "0x[0-9a-f]+")
    assert re.fullmatch(pattern + ", trapped after operation 1\n", ended.stderr)


def test_a_fault_elsewhere_is_not_explained_away() -> None:
    script = (
        "import ctypes; from memtool.engine.abi.binding import Heap\nheap = Heap('tlsf+guard'); heap.allocate(40)\n"
    )
    command = [sys.executable, "-c", script + "ctypes.c_ubyte.from_address(4096).value = 1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-11, "")


def test_the_guard_page_of_a_freed_block_is_open_again() -> None:
    with Heap("tlsf+guard") as heap:
        freed = block(heap)
        heap.deallocate(freed, 48)
        ctypes.memset(heap.base, 0, heap.footprint)


@pytest.mark.parametrize("recipe", ["arena+redzone", "arena+quarantine", "arena+guard", "arena+leak"])
def test_scopes_end_what_lives_in_them(recipe: str) -> None:
    with Heap(recipe) as heap:
        outer = block(heap)
        assert heap.mark()
        inner = block(heap)
        heap.deallocate(block(heap), 48)
        assert heap.mark()
        block(heap)
        assert heap.release()
        assert heap.release()
        heap.check()
        heap.deallocate(outer, 48)
        heap.check()
        heap.deallocate(inner, 48)
        # Operations: four allocations, a free, two blocks that ended by their scopes, a free, and this one.
        with pytest.raises(
            BrokenInvariant, match=r"double free: .* was freed at operation \d and again at operation 8"
        ):
            heap.check()


@pytest.mark.parametrize("recipe", ["arena+redzone", "arena+guard"])
def test_damage_is_found_when_a_scope_ends(recipe: str) -> None:
    with Heap(recipe) as heap:
        assert heap.mark()
        poke(heap, block(heap) - 1)
        assert heap.release()
        with pytest.raises(BrokenInvariant, match=r"underrun of .* by 1 byte"):
            heap.check()


def test_quarantine_is_emptied_before_memory_is_out() -> None:
    with Heap("tlsf+quarantine", "+bytes=1073741824", capacity=1 << 20) as heap:
        for _ in range(100):
            heap.deallocate(block(heap, 100_000), 100_000)
        heap.check()


def test_fill_writes_fresh_and_freed_memory_but_no_zeroes() -> None:
    with Heap("pool+fill", "block=64+fresh=17,freed=34") as heap:
        first = block(heap, 60)
        assert ctypes.string_at(heap.base + first, 60) == b"\x11" * 60
        heap.deallocate(first, 60)
        assert ctypes.string_at(heap.base + first + 8, 52) == b"\x22" * 52  # the list's link is in front
        zeroed = heap.allocate_zeroed(60)
        assert zeroed is not None
        assert ctypes.string_at(heap.base + zeroed, 60) == bytes(60)


@pytest.mark.parametrize("line", [16, 64, 128])
def test_pad_gives_whole_lines_to_each_block(line: int) -> None:
    with Heap("tlsf+pad", f"+line={line}") as heap:
        for size in (0, 1, line - 1, line, line + 1):
            offset = block(heap, size)
            assert (heap.base + offset) % line == 0
            assert heap.usable_size(offset, size) >= max(line, -(-size // line) * line)
        heap.check()


def test_what_redzone_adds_is_metadata() -> None:
    with Heap("pool+redzone", "block=256+bytes=32") as heap:
        for _ in range(3):
            block(heap, 100)
        stats = heap.stats()
        assert stats["granted"] == 300
        assert stats["metadata_bytes"] == 3 * (256 - 100) + (stats["metadata_apart_bytes"] or 0)
        assert stats["used_blocks"] == 3


def test_what_is_held_back_is_neither_granted_nor_free() -> None:
    with Heap("pool", "block=64") as plain, Heap("pool+quarantine", "block=64") as heap:
        for item in (plain, heap):
            blocks = [block(item) for _ in range(10)]
            for offset in blocks[:4]:
                item.deallocate(offset, 48)
        stats, below = heap.stats(), plain.stats()
        assert (stats["granted"], stats["used_blocks"]) == (6 * 64, 6)
        assert (below["granted"], below["used_blocks"]) == (6 * 64, 6)
        assert stats["free_bytes"] == (below["free_bytes"] or 0) - 4 * 64


def test_leak_reports_what_is_left_by_size() -> None:
    with Heap("tlsf+leak") as heap:
        for _ in range(5):
            block(heap, 100)
        heap.deallocate(block(heap, 7), 7)
        block(heap, 1000)
        assert heap.report() == {
            "leak": {
                "blocks": 6,
                "bytes": 1500,
                "sizes": 2,
                "groups": [
                    {"size": 1000, "blocks": 1, "operations": [7]},
                    {"size": 100, "blocks": 5, "operations": [0, 1, 2, 3]},
                ],
            }
        }


def test_track_reports_use() -> None:
    with Heap("arena+track") as heap:
        first = block(heap, 100)
        heap.deallocate(first, 100)
        heap.allocate_zeroed(64)
        moved = block(heap, 10)
        block(heap, 1)
        assert heap.reallocate(moved, 10, 500) != moved
        assert heap.allocate(1 << 60) is None
        heap.mark()
        block(heap, 65)
        heap.release()
        assert heap.report() == {
            "track": {
                "allocations": 5,
                "zeroed": 1,
                "frees": 1,
                "ended_by_scope": 1,
                "reallocations": 1,
                "moved": 1,
                "refused": 1,
                "total_bytes": 240,
                "peak_live_bytes": 630,
                "peak_live_blocks": 4,
                "live_bytes": 565,
                "live_blocks": 3,
                "sizes": {"1": 1, "16": 1, "64": 1, "128": 2},
            }
        }


def test_each_adaptor_of_a_recipe_reports() -> None:
    with Heap("tlsf+track+quarantine+track+leak+lock") as heap:
        heap.deallocate(block(heap), 48)
        report: dict[str, Any] = heap.report()
        assert set(report) == {"track", "leak"}


@pytest.mark.parametrize(
    ("recipe", "parameters", "alignment", "expected"),
    [
        ("pool+redzone", "block=256+bytes=32", 16, (192, 128)),  # aligned to 256 there is no room behind the zone
        ("pool+redzone", "block=256+bytes=32", 128, (96, 128)),  # before the block the zone grows to its alignment
        ("pool+pad", "block=200+line=64", 16, None),  # blocks of 208 bytes are aligned to 16 only
        ("pool+pad", "block=256+line=64", 16, (256, 256)),
        ("pool+redzone+pad", "block=256+bytes=16+line=64", 16, (128, 128)),  # 64 and 16 bytes of zone, whole lines
        ("pool+pad+redzone", "block=256+line=64+bytes=16", 16, (224, 128)),
        ("pool+guard", "block=16384", 16, (12288, 4096)),
        ("pool+guard", "block=16384+side=before", 4096, (12288, 4096)),
        ("tlsf+redzone+guard+pad", "", 16, (None, None)),
        ("malloc+guard", "", 16, (None, None)),
        ("pool+virtual+lock+fill+track", "block=64", 16, (64, 64)),
    ],
)
def test_limits_know_what_adaptors_add(
    recipe: str, parameters: str, alignment: int, expected: tuple[int | None, int | None] | None
) -> None:
    if expected is None:
        with pytest.raises(CannotStand):
            binding.limits(recipe, parameters, alignment)
    else:
        assert binding.limits(recipe, parameters, alignment) == expected


@pytest.mark.parametrize(
    ("recipe", "parameters", "alignment"), [("pool+redzone", "block=256", 16), ("pool+redzone", "block=256", 128)]
)
def test_what_is_within_the_limits_is_served(recipe: str, parameters: str, alignment: int) -> None:
    largest, _ = binding.limits(recipe, parameters, alignment)
    assert largest is not None
    with Heap(recipe, parameters) as heap:
        blocks = [block(heap, largest, alignment) for _ in range(3)]
        for offset in blocks:
            ctypes.memset(heap.base + offset, 1, largest)
        heap.check()


@pytest.mark.parametrize(
    ("recipe", "parameters", "words"),
    [
        ("pool+redzone", "block=64", "redzone adds 64 bytes to a block; the heap below serves up to 64 bytes"),
        (
            "pool+guard",
            "block=64",
            "guard needs blocks of 8192 bytes aligned to 4096; the heap below serves up to 64 bytes aligned to 64",
        ),
        (
            "stack+quarantine",
            "",
            "quarantine frees blocks later and in another order; stack takes back only the youngest block",
        ),
        ("null+leak", "", "leak records each block; null hands out the same block again and again"),
    ],
)
def test_what_cannot_stand_says_why(recipe: str, parameters: str, words: str) -> None:
    with pytest.raises(CannotStand) as caught:
        binding.limits(recipe, parameters)
    assert str(caught.value) == words
    with pytest.raises(EngineError, match=re.escape(words)):
        Heap(recipe, parameters)


def test_guard_is_limited_by_the_mappings_of_the_kernel() -> None:
    most = binding.most_blocks("tlsf+guard", "")
    assert most is not None
    assert most * 2 == int((ROOT / "/proc/sys/vm/max_map_count").read_text()) // 2 * 2
    assert binding.most_blocks("tlsf+redzone", "") is None


@pytest.mark.parametrize(
    ("recipe", "parameters", "words"),
    [
        ("pool+nothing", "", "no adaptor 'nothing' in this engine"),
        ("nothing+lock", "", "no strategy 'nothing' in this engine"),
        ("pool+redzone", "+bytes=0", "bytes: must be from 1 to 4096, is '0'"),
        ("pool+lock", "+bytes=1", "lock has no parameter 'bytes'"),
    ],
)
def test_the_engine_refuses_what_it_does_not_have(recipe: str, parameters: str, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        binding.limits(recipe, parameters)
    assert str(caught.value) == words
