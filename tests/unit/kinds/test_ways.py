"""The rows of a workload that is served in several ways."""

from __future__ import annotations

import pytest

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.kinds import KINDS
from memtool.kinds.ways import Way, by_pointer, of_trace, rows, why_not
from memtool.kinds.work import ways_alone
from memtool.model import AllocatorPlan, AllocatorSpec, Call, TraceInfo

WAYS = (Way("in-place", needs_allocator=False), Way("new"), Way("placement"))
ALONE = (Way("mmap", needs_allocator=False), Way("pread", needs_allocator=False))


def specs(text: str) -> tuple[AllocatorSpec, ...]:
    return parse_allocators(text, {"pools": ("pool", "slab")})


def labels(text: str, ways: tuple[Way, ...] = WAYS, *, adds_alone: bool = True) -> list[str]:
    return [spec.label for spec in rows(specs(text), ways, adds_alone=adds_alone)]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("pool@new", [("pool", "pool", "new", "pool@new")]),
        ("pool:block=64+lock@placement", [("pool", "pool:block=64+lock", "placement", "pool:block=64+lock@placement")]),
        ("@pools@new", [("pool", "pool", "new", "pool@new"), ("slab", "slab", "new", "slab@new")]),
        ("mine=./libmine.so@new", [("./libmine.so", "./libmine.so", "new", "mine@new")]),
        ("pool", [("pool", "pool", "", "pool")]),
    ],
)
def test_the_way_stands_behind_the_allocator(text: str, written: list[tuple[str, str, str, str]]) -> None:
    assert [(spec.name, spec.written, spec.way, spec.label) for spec in specs(text)] == written


def test_every_allocator_has_a_row_in_every_way_that_needs_one() -> None:
    assert labels("pool,arena") == ["in-place", "pool@new", "pool@placement", "arena@new", "arena@placement"]


def test_an_allocator_whose_way_is_named_has_that_alone() -> None:
    assert labels("pool@new,arena") == ["in-place", "pool@new", "arena@new", "arena@placement"]


def test_who_names_a_way_that_needs_no_allocator_gets_that_alone() -> None:
    assert labels("pread", ALONE) == ["pread"]
    assert labels("in-place,pool@new") == ["in-place", "pool@new"]


def test_two_sides_are_measured_alone() -> None:
    assert labels("pool@new,pool@placement", adds_alone=False) == ["pool@new", "pool@placement"]


def test_a_file_chooses_among_the_ways_of_its_kind() -> None:
    trace = TraceInfo("w", 0, "0" * 32, 1, 1, 1, facts={"ways": ["placement", "in-place"]})
    assert [way.name for way in of_trace(WAYS, trace)] == ["in-place", "placement"]


@pytest.mark.parametrize(
    ("spec", "ways", "reason"),
    [
        (AllocatorSpec("pool", way="new"), WAYS, None),
        (AllocatorSpec("", way="in-place"), WAYS, None),
        (AllocatorSpec("pool"), (), None),
        (AllocatorSpec("pool", way="news"), WAYS, "has no way 'news' here; there are in-place, new, placement"),
        (AllocatorSpec("pool", way="in-place"), WAYS, "has no way 'in-place' here; there are in-place, new, placement"),
        (AllocatorSpec("pool", way="new"), (), "has no way 'new' here: every allocator serves the workload in one"),
        (AllocatorSpec("pool"), ALONE, "is not needed: the workload has ways of its own (mmap, pread)"),
        (AllocatorSpec("in-place"), (), "is no allocator, but a way of other workloads"),
    ],
)
def test_what_a_workload_has_no_row_for_is_said(spec: AllocatorSpec, ways: tuple[Way, ...], reason: str | None) -> None:
    assert why_not(spec, ways, others={"in-place"}) == reason


def test_a_kernel_that_is_compiled_once_calls_what_is_inlined_elsewhere_by_a_pointer() -> None:
    inlined = AllocatorPlan(AllocatorSpec("pool"), "pool", "", call=Call("inlined", "sized", "one"))
    linked = AllocatorPlan(AllocatorSpec("glibc"), "malloc", "", call=Call("linker", "bare", "any"))
    assert by_pointer(inlined) == Call("pointer", "sized", "one")
    assert by_pointer(linked) == Call("linker", "bare", "any")


def test_no_way_is_called_as_an_allocator_is() -> None:
    assert "in-place" in ways_alone()
    assert not ways_alone() & set(Registry().names)
    assert not ways_alone() & set(KINDS)
