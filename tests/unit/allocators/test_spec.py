"""The language of -a."""

from __future__ import annotations

import pytest

from memtool.allocators.spec import is_file, is_python, parse_allocators
from memtool.errors import InputError
from memtool.model import AdaptorSpec, AllocatorSpec

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
        ("pool:block=64,chunk=4KiB,glibc", ["pool:block=64,chunk=4KiB", "glibc"]),
        ("tlsf:subdivisions=32,grow=64KiB", ["tlsf:subdivisions=32,grow=64KiB"]),
        ("pool,block=64", ["pool:block=64"]),
        ("pool: block = 64", ["pool:block=64"]),
        ("pool:block=64,slab:keep=2", ["pool:block=64", "slab:keep=2"]),
        ("jemalloc:dirty_decay_ms=-1", ["jemalloc:dirty_decay_ms=-1"]),
        ("./libmine.so", ["./libmine.so"]),
        ("./a=b/libmine.so,glibc", ["./a=b/libmine.so", "glibc"]),
        ("mine.py:Heap", ["mine.py:Heap"]),
        ("mine.py:Heap:order=lifo,grow=1", ["mine.py:Heap:order=lifo,grow=1"]),
        ("pool+lock", ["pool+lock"]),
        (" pool + lock , glibc", ["pool+lock", "glibc"]),
        ("pool:block=64+redzone:bytes=32+lock", ["pool:block=64+redzone:bytes=32+lock"]),
        ("pool+redzone,bytes=32,fill=1+lock", ["pool+redzone:bytes=32,fill=1+lock"]),
        ("pool:block=64,chunk=4KiB+pad,line=64", ["pool:block=64,chunk=4KiB+pad:line=64"]),
        ("./libmine.so+lock", ["./libmine.so+lock"]),
        ("./libmine.so:env.MINE=1,glibc", ["./libmine.so:env.MINE=1", "glibc"]),
        ("./libmine.so:env.MINE=1|2", ["./libmine.so:env.MINE=1", "./libmine.so:env.MINE=2"]),
        ("glibc:env.GLIBC_TUNABLES=a.b=1:c.d=2,mmap_max=0", ["glibc:env.GLIBC_TUNABLES=a.b=1:c.d=2,mmap_max=0"]),
        ('jemalloc:env.MALLOC_CONF="a:1,b:x|y",glibc', ['jemalloc:env.MALLOC_CONF="a:1,b:x|y"', "glibc"]),
        ("./c++/lib+x.so+lock:a=1", ["./c++/lib+x.so+lock:a=1"]),
    ],
)
def test_lists(text: str, expected: list[str]) -> None:
    assert labels(text) == expected


def test_parameters_are_kept_as_they_were_written_and_in_their_order() -> None:
    assert parse_allocators("pool:chunk=4KiB,block=64", GROUPS) == (
        AllocatorSpec("pool", (("chunk", "4KiB"), ("block", "64"))),
    )


def test_the_class_in_a_python_file_is_part_of_the_name() -> None:
    assert parse_allocators("mine.py:Heap:grow=1", GROUPS) == (AllocatorSpec("mine.py:Heap", (("grow", "1"),)),)


def test_a_sweep_is_every_combination_in_the_order_written() -> None:
    assert labels("pool:block=32|64") == ["pool:block=32", "pool:block=64"]
    assert labels("pool:block=64|32,chunk=4KiB|8KiB") == [
        "pool:block=64,chunk=4KiB",
        "pool:block=64,chunk=8KiB",
        "pool:block=32,chunk=4KiB",
        "pool:block=32,chunk=8KiB",
    ]
    assert labels("pool:block=32|32") == ["pool:block=32"]


def test_sweeps_reach_into_adaptors_the_last_varying_fastest() -> None:
    assert labels("pool:block=32|64+redzone:bytes=8|16+lock") == [
        "pool:block=32+redzone:bytes=8+lock",
        "pool:block=32+redzone:bytes=16+lock",
        "pool:block=64+redzone:bytes=8+lock",
        "pool:block=64+redzone:bytes=16+lock",
    ]


def test_adaptors_are_kept_with_their_parameters_the_innermost_first() -> None:
    assert parse_allocators("pool:block=8+redzone:bytes=16+lock", GROUPS) == (
        AllocatorSpec("pool", (("block", "8"),), (AdaptorSpec("redzone", (("bytes", "16"),)), AdaptorSpec("lock"))),
    )


def test_adaptors_over_a_group_stand_on_each_member() -> None:
    assert labels("@pools+lock") == ["pool+lock", "slab+lock"]
    assert labels("@pools+redzone,bytes=8|16") == [
        "pool+redzone:bytes=8",
        "pool+redzone:bytes=16",
        "slab+redzone:bytes=8",
        "slab+redzone:bytes=16",
    ]


def test_groups_are_unfolded_where_they_stand_each_member_once() -> None:
    assert labels("slab,@pools,@system") == ["slab", "pool", "glibc"]


def test_parameters_do_not_make_two_of_the_same_name_one() -> None:
    assert parse_allocators("pool,pool:block=8", GROUPS) == (
        AllocatorSpec("pool"),
        AllocatorSpec("pool", (("block", "8"),)),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mine=./new/libmine.so", [("mine", "./new/libmine.so")]),
        ("glibc,mine=./libmine.so", [("glibc", "glibc"), ("mine", "./libmine.so")]),
        (
            "pool:block=64,old=libmine.so.2,chunk=4KiB",
            [("pool:block=64", "pool:block=64"), ("old", "libmine.so.2:chunk=4KiB")],
        ),
        ("my-heap = heap.py:Heap+lock", [("my-heap", "heap.py:Heap+lock")]),
        ('tuned=./lib.so:env.MALLOC_CONF="a:1,b:2"', [("tuned", './lib.so:env.MALLOC_CONF="a:1,b:2"')]),
        ("pool,block=64", [("pool:block=64", "pool:block=64")]),
        ("./lib.so:env.CONF=/etc/lib.so", [("./lib.so:env.CONF=/etc/lib.so",) * 2]),
    ],
)
def test_a_file_may_have_a_name(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(allocator.label, allocator.written) for allocator in parse_allocators(text, GROUPS)] == expected


FORM = "must be parameter=value or parameter=value|value"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no allocator"),
        (" , ", "names no allocator"),
        ("@empty", "names no allocator"),
        ("@pool", "unknown group '@pool'; did you mean '@pools'? (groups: @pools, @system, @empty)"),
        ("block=64", "block=64: a parameter, but no allocator before it"),
        ("@pools,block=8", "@pools,block=8: a group takes no parameters; name the allocator that is meant"),
        ("mine=./a.so,mine=./b.so", "'mine' names two allocators"),
        ("./a\nb.so", "'./a\\nb.so' has a control character, which no table can show"),
        ("./x\x1b[31m.so", "'./x\\x1b[31m.so' has a control character, which no table can show"),
        ("mine=./a.so:x=1|2", "mine=./a.so:x=1|2: a name is of one allocator, and these are 2"),
        ("glibc=./a.so", "glibc=./a.so: 'glibc' is the name of another allocator (memtool list allocators)"),
        ("pool:block", f"pool:block: 'block' {FORM}"),
        ("pool+", "pool+: an adaptor is written +name, such as pool+lock"),
        ("pool++lock", "pool++lock: an adaptor is written +name, such as pool+lock"),
        ("+lock", "+lock: no allocator before the adaptor"),
        ("pool+lock:x", f"lock:x: 'x' {FORM}"),
        ("@pool+lock", "unknown group '@pool'; did you mean '@pools'? (groups: @pools, @system, @empty)"),
        ("pool:=64", f"pool:=64: '=64' {FORM}"),
        ("pool:block=", f"pool:block=: 'block=' {FORM}"),
        ("pool:block=8|", f"pool:block=8|: 'block=8|' {FORM}"),
        ("pool:block=8,block=16", "pool:block=8,block=16: block is given twice; a sweep is written block=1|2"),
    ],
)
def test_errors_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_allocators(text, GROUPS)
    assert caught.value.message == message


def test_a_sweep_may_be_a_thousand_columns_and_no_more() -> None:
    ten = "|".join("0123456789")
    assert len(labels(f"a:x={ten},y={ten},z={ten}")) == 1000
    with pytest.raises(InputError, match="the sweep has more than 1000 combinations"):
        labels(f"a:x={ten},y={ten},z={ten},w=1|2")
    with pytest.raises(InputError, match="allocators: names more than 1000 allocators"):
        labels(f"a:x={ten},y={ten},z={ten},b")
    with pytest.raises(InputError, match="the sweep has more than 1000 combinations"):
        labels(f"a:x={ten},y={ten}+b:x={ten}|10")


@pytest.mark.parametrize(
    ("name", "file", "python"),
    [
        ("pool", False, False),
        ("libmine.so", True, False),
        ("libmine.so.2", True, False),
        ("./mine", True, False),
        ("mine.py", True, True),
        ("mine.py:Heap", True, True),
    ],
)
def test_files_of_the_user(name: str, file: bool, python: bool) -> None:
    assert (is_file(name), is_python(name)) == (file, python)


def test_the_class_in_a_python_file_is_no_parameter() -> None:
    assert parse_allocators("mine.py:Heap", GROUPS) == (AllocatorSpec("mine.py:Heap"),)
    assert parse_allocators("mine.py:Heap:order=1", GROUPS) == (AllocatorSpec("mine.py:Heap", (("order", "1"),)),)
