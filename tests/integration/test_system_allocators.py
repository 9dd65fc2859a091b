"""The allocators that are installed here: each really serves malloc, and really hears what it is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from memtool.allocators.registry import Registry, Unavailable
from memtool.allocators.system import library_of, why_missing
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.model import AllocatorPlan, AllocatorSpec

PROBE = str(files("memtool.allocators.own").joinpath("library_probe.py"))
LINKER = next((path for path in Path("/lib64").glob("ld-linux-*.so.*")), None)
INSTALLED = [name for name in SYSTEM_ALLOCATORS if why_missing(name) is None]
SETTINGS = [
    (name, tunable.parameter.name, value)
    for name in INSTALLED
    for tunable in SYSTEM_ALLOCATORS[name].tunables
    for value in tunable.parameter.choices or (str(tunable.parameter.minimum), str(tunable.parameter.maximum))
]


def resolve(name: str, *parameters: tuple[str, str]) -> AllocatorPlan:
    try:
        return Registry().resolve(AllocatorSpec(name, parameters))
    except Unavailable as problem:
        pytest.skip(str(problem))


def run(plan: AllocatorPlan, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    preload = {"LD_PRELOAD": ":".join(plan.preload)} if plan.preload else {}
    return subprocess.run(
        command,
        env={"PATH": os.defpath, **preload, **dict(plan.environment), **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("name", INSTALLED)
def test_it_owns_malloc_where_it_is_preloaded(name: str) -> None:
    plan = resolve(name)
    symbols = ("malloc", "free", "calloc", "realloc", "aligned_alloc", "malloc_usable_size")
    owners = json.loads(run(plan, sys.executable, "-I", "-S", PROBE, "", *symbols, "1").stdout)
    assert len(owners) == len(symbols)
    assert plan.expected_owner is not None
    assert all(plan.expected_owner in Path(owner).name for owner in owners)


@pytest.mark.parametrize(("name", "parameter", "value"), SETTINGS)
def test_both_ends_of_every_range_are_heard_without_complaint(name: str, parameter: str, value: str) -> None:
    """What an allocator does not know or want it passes over; the column would bear a setting without effect."""
    plan = resolve(name, (parameter, value))
    ended = run(plan, sys.executable, "-I", "-S", "-c", "print('alive')", MIMALLOC_VERBOSE="1")
    assert ended.stdout == "alive\n"
    assert "<jemalloc>" not in ended.stderr
    if "mimalloc" in name:
        assert re.search(rf"option '{parameter}': {value}\b", ended.stderr)


@pytest.mark.skipif(LINKER is None, reason="the dynamic linker is elsewhere")
@pytest.mark.parametrize(("name", "parameter", "value"), [setting for setting in SETTINGS if setting[0] == "glibc"])
def test_glibc_takes_the_value_over(name: str, parameter: str, value: str) -> None:
    plan = resolve(name, (parameter, value))
    listed = run(plan, str(LINKER), "--list-tunables").stdout
    result = re.search(rf"^glibc\.malloc\.{parameter}: (\w+) ", listed, re.MULTILINE)
    assert result is not None
    assert int(result[1], 0) == int(value) % 2**64  # what is meant as -1 is listed as an unsigned number


def test_two_builds_of_one_allocator_are_two_columns() -> None:
    if {"mimalloc", "mimalloc-pypi"} - set(INSTALLED):
        pytest.skip("there are no two builds of mimalloc here")
    assert library_of("mimalloc") != library_of("mimalloc-pypi")
