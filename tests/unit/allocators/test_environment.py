"""Tuning variables that are passed on, and those that are not."""

from __future__ import annotations

import pytest

from memtool.allocators.environment import ignored_note, variables_of, with_variables
from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec

GLIBC = AllocatorPlan(AllocatorSpec("glibc"), "malloc", "", uses_region=False)
POOL = AllocatorPlan(AllocatorSpec("pool"), "pool", "")


def spec(text: str) -> AllocatorSpec:
    return parse_allocators(text, {})[0]


def test_variables_are_taken_off_the_parameters_and_quotes_off_their_values() -> None:
    rest, variables = variables_of(spec('./libmine.so:grow=1,env.MINE_CONF="a:1,b:2",env.X=3'))
    assert rest == AllocatorSpec("./libmine.so", (("grow", "1"),))
    assert variables == (("MINE_CONF", "a:1,b:2"), ("X", "3"))


def test_a_plan_has_them_beside_those_of_its_parameters_and_keeps_its_label() -> None:
    named = spec("glibc:env.MALLOC_ARENA_MAX=1")
    plan = with_variables(GLIBC, named, (("MALLOC_ARENA_MAX", "1"),))
    assert (plan.environment, plan.spec.label) == ((("MALLOC_ARENA_MAX", "1"),), "glibc:env.MALLOC_ARENA_MAX=1")
    resolved = Registry().resolve(spec("glibc:arena_max=1,env.MALLOC_TOP_PAD_=4096"))
    assert resolved.environment == (("GLIBC_TUNABLES", "glibc.malloc.arena_max=1"), ("MALLOC_TOP_PAD_", "4096"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("glibc:env.LD_PRELOAD=./x.so", "env.LD_PRELOAD: is not an allocator's; memtool sets it for every worker"),
        ("glibc:env.PATH=/", "env.PATH: is not an allocator's; memtool sets it for every worker"),
        (
            "glibc:arena_max=1,env.GLIBC_TUNABLES=glibc.malloc.mxfast=0",
            "env.GLIBC_TUNABLES: other parameters set it to 'glibc.malloc.arena_max=1'",
        ),
        ("pool:env.X=1", "variables are for system allocators and libraries (allocators ./libmine.so)"),
        ("mine.py:Heap:env.X=1", "variables are for system allocators and libraries (allocators ./libmine.so)"),
    ],
)
def test_variables_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as problem:
        Registry().resolve(spec(text))
    assert str(problem.value) == f"allocators: {text}: {words}"


def test_what_the_users_environment_sets_in_vain_is_named() -> None:
    environment = {
        "PATH": "/bin",
        "MALLOC_CONF": "narenas:1",
        "GLIBC_TUNABLES": "glibc.malloc.mxfast=0",
        "MIMALLOC_PURGE_DELAY": "0",
        "TCMALLOC_RELEASE_RATE": "9",
        "MALLOC_ARENA_MAX": "1",
    }
    assert ignored_note([POOL, GLIBC], environment) == (
        "Not passed on to the allocators, though set in the environment: GLIBC_TUNABLES, MALLOC_ARENA_MAX, "
        "MALLOC_CONF, MIMALLOC_PURGE_DELAY, TCMALLOC_RELEASE_RATE ('ALLOCATOR:env.GLIBC_TUNABLES=VALUE' passes one)."
    )
    assert ignored_note([GLIBC], {"LD_PRELOAD": "/lib/libmine.so:/lib/other.so"}) == (
        "Not passed on to the allocators, though set in the environment: LD_PRELOAD "
        "(the allocator /lib/libmine.so is it, where it is a malloc)."
    )
    assert ignored_note([GLIBC], {"LD_PRELOAD": "/lib/libmine.so", "MALLOC_CONF": "retain:false"}) == (
        "Not passed on to the allocators, though set in the environment: MALLOC_CONF, LD_PRELOAD "
        "('ALLOCATOR:env.MALLOC_CONF=VALUE' passes one, the allocator /lib/libmine.so is it, where it is a malloc)."
    )
    assert ignored_note([GLIBC], {"LD_PRELOAD": ""}) is None
    assert ignored_note([GLIBC], {"PATH": "/bin", "MEMTOOL_X": "1"}) is None
    # What lives on a region reads none of them.
    assert ignored_note([POOL], environment) is None
