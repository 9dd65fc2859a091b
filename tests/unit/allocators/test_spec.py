"""The language of -a."""

from __future__ import annotations

import pytest

from memtool.allocators.spec import format_parameters, parse_allocators
from memtool.errors import InputError
from memtool.model import AllocatorSpec

GROUPS = {"pools": ("pool", "slab"), "system": ("glibc",), "empty": ()}


def labels(text: str) -> list[str]:
    return [spec.label for spec in parse_allocators(text, GROUPS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("glibc", ["glibc"]),
        ("glibc,pool", ["glibc", "pool"]),
        (" glibc , pool ,", ["glibc", "pool"]),
        ("pool,glibc,pool", ["pool", "glibc"]),
        ("pool:block=64", ["pool:block=64"]),
        ("pool:block=64,chunk=4KiB", ["pool:block=64,chunk=4KiB"]),
        ("pool:block=64,chunk=4KiB,tlsf", ["pool:block=64,chunk=4KiB", "tlsf"]),
        ("pool,block=64", ["pool:block=64"]),
        ("pool: block = 64", ["pool:block=64"]),
        ("pool:block=64,slab:keep=2", ["pool:block=64", "slab:keep=2"]),
        ("./libmine.so", ["./libmine.so"]),
    ],
)
def test_lists(text: str, expected: list[str]) -> None:
    assert labels(text) == expected


def test_a_sweep_is_every_combination_in_the_order_written() -> None:
    assert labels("pool:block=32|64") == ["pool:block=32", "pool:block=64"]
    assert labels("pool:block=64|32,chunk=4KiB|8KiB") == [
        "pool:block=64,chunk=4KiB",
        "pool:block=64,chunk=8KiB",
        "pool:block=32,chunk=4KiB",
        "pool:block=32,chunk=8KiB",
    ]
    assert labels("pool:block=32|32") == ["pool:block=32"]


def test_groups_are_unfolded_where_they_stand_each_member_once() -> None:
    assert labels("slab,@pools,@system") == ["slab", "pool", "glibc"]


def test_parameters_do_not_make_two_of_the_same_name_one() -> None:
    assert parse_allocators("pool,pool:block=8", GROUPS) == (
        AllocatorSpec("pool"),
        AllocatorSpec("pool", (("block", "8"),)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "-a: names no allocator"),
        (" , ", "-a: names no allocator"),
        ("@empty", "-a: names no allocator"),
        ("@pool", "-a: unknown group '@pool' (known: @pools, @system, @empty)"),
        ("pool:block", "-a: pool:block: 'block' must be parameter=value"),
        ("pool:block=", "-a: pool:block=: 'block=' must be parameter=value"),
        ("pool:=64", "-a: pool:=64: '=64' must be parameter=value"),
        ("pool:block=8,block=16", "-a: pool:block=8,block=16: block is there twice"),
    ],
)
def test_errors_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_allocators(text, GROUPS)
    assert str(caught.value) == message


def test_parameters_for_the_engine() -> None:
    assert format_parameters([("block", "64"), ("chunk", "4096")]) == "block=64,chunk=4096"
    assert format_parameters([]) == ""
