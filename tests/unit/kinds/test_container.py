"""Containers: what a script is drawn as, what it asks for, what cannot be, and what becomes of samples."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators.registry import Registry
from memtool.errors import InputError
from memtool.kinds.container.image import ACTIONS, GROUPS
from memtool.kinds.container.work import WORK
from memtool.model import AllocatorPlan, AllocatorSpec, Mode, TraceInfo
from memtool.workload.trace import Trace

ZERO = dict.fromkeys(GROUPS, 0)


def loaded(folder: Path, container: str, rest: str = "", seed: int | None = None) -> Trace:
    path = folder / "w.yaml"
    path.write_text(f"name: w\n{rest}container:\n{container}", encoding="utf-8")
    return WORK.load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL)


def operations(trace: Trace) -> list[tuple[str, int, int]]:
    """Return (action, container, key) of all operations, read back from the image."""
    image = os.pread(trace.image_fd, trace.image_bytes, 0)
    steps = struct.unpack_from("<6Q", image)[3]
    words = struct.unpack(f"<{trace.info.operations}Q", image[48 + 24 * steps :])
    return [(ACTIONS[word >> 60], word >> 32 & 0xFFFF, word & 0xFFFFFFFF) for word in words]


def info(folder: Path, container: str, rest: str = "") -> TraceInfo:
    with loaded(folder, container, rest) as trace:
        return trace.info


def test_pushes_have_serial_keys_and_go_round_the_containers(tmp_path: Path) -> None:
    with loaded(
        tmp_path, "  type: list\n  containers: 2\n  script: [push: {count: 2, order: round}, traverse: 3]\n"
    ) as trace:
        assert operations(trace) == [
            ("push", 0, 0), ("push", 1, 0), ("push", 0, 1), ("push", 1, 1), ("traverse", 0, 3), ("traverse", 1, 3),
        ]  # fmt: skip


def test_churn_gives_to_the_container_that_lost_an_element_before(tmp_path: Path) -> None:
    script = "[push: 1, churn: {count: 2, order: round}]"
    with loaded(tmp_path, f"  type: map\n  containers: 2\n  script: {script}\n") as trace:
        # Of a map the oldest key goes: what comes has the next one.
        assert operations(trace)[2:] == [
            ("pop", 0, 0),
            ("pop", 1, 0), ("push", 0, 1),
            ("pop", 0, 1), ("push", 1, 1),
            ("pop", 1, 1), ("push", 0, 2),
            ("push", 1, 2),
        ]  # fmt: skip


def test_what_is_found_and_erased_was_pushed(tmp_path: Path) -> None:
    script = "[push: {count: 50, keys: {choice: {7: 1, 9: 1}}}, find: 20, erase: 20]"
    with loaded(tmp_path, f"  type: map\n  script: {script}\n") as trace:
        drawn = operations(trace)
    assert {key for action, _, key in drawn if action != "push"} == {7, 9}
    assert [action for action, _, _ in drawn] == ["push"] * 50 + ["find"] * 20 + ["erase"] * 20


def test_the_same_seed_gives_the_same_operations(tmp_path: Path) -> None:
    text = "  type: vector\n  script: [insert: 100]\n"
    hashes = []
    for seed in (1, 2, 1):
        with loaded(tmp_path, text, seed=seed) as trace:
            hashes.append(trace.info.event_hash)
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize(
    ("text", "allocations", "asked", "largest"),
    [
        # A node of two pointers and a number, a node of a tree with two numbers, one of a hash table.
        ("  type: list\n  script: [push: 3]\n", 3, 3 * 24, 24),
        ("  type: map\n  script: [push: 3]\n", 3, 3 * 48, 48),
        ("  type: unordered_map\n  script: [push: 1]\n", 2, 24 + 13 * 8, 13 * 8),
        # Capacities 1, 2, 4, 8.
        ("  type: vector\n  script: [push: 5]\n", 4, (1 + 2 + 4 + 8) * 8, 64),
        # Capacities 15 (in the object), 30, 60, with a zero behind.
        ("  type: string\n  script: [push: 31]\n", 2, 31 + 61, 61),
        # A map of 8 nodes, and a node of 64 numbers; another one for the 64th, which is at its end.
        ("  type: deque\n  script: [push: 64]\n", 3, 64 + 2 * 512, 512),
        # Objects of 32 bytes and their allocator's pointer in capacities 1 and 2; texts of 20 letters and a zero.
        ("  type: vector_of_strings\n  length: 20\n  script: [push: 2]\n", 4, 40 + 80 + 2 * 21, 80),
        # Nodes with a key and a vector of 24 bytes and its allocator's pointer.
        ("  type: map_of_vectors\n  length: 2\n  script: [push: 3]\n", 6, 3 * (32 + 8 + 32) + 3 * 16, 72),
    ],
)  # fmt: skip
def test_what_a_script_asks_for_is_known_before(
    tmp_path: Path, text: str, allocations: int, asked: int, largest: int
) -> None:
    inspected = info(tmp_path, text)
    assert (inspected.allocations, inspected.total_bytes, inspected.largest_size) == (allocations, asked, largest)


def test_the_checksum_is_of_all_that_is_read(tmp_path: Path) -> None:
    script = "[push: 3, traverse: 2, find: {count: 1, keys: 5}, pop: 1, traverse: 1, copy: 1]"
    with loaded(tmp_path, f"  type: list\n  script: {script}\n") as trace:
        checksum = struct.unpack_from("<6Q", os.pread(trace.image_fd, 48, 0))[5]
    # 0 + 1 + 2 twice; the third (5 modulo 3) is 2; one is taken away; 1 + 2; two are copied.
    assert checksum == 6 + 2 + 1 + 3 + 2
    assert trace.info.facts["elements"] == 6 + 2 + 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  type: rope\n  script: [push: 1]\n", "w.yaml:3:9: container.type: must be 'vector', "),
        ("  type: list\n", "w.yaml:3:3: container.script: is missing"),
        ("  type: list\n  script: [push: 1, grow: 2]\n", "w.yaml:4:21: container.script[1].grow: unknown key"),
        (
            "  type: list\n  script:\n  - {push: 1, pop: 1}\n",
            "container.script[0]: must have only one operation, has push and pop",
        ),
        (
            "  type: list\n  length: 3\n  script: [push: 1]\n",
            "w.yaml:4:11: container.length: must go: a list has no strings or vectors in it",
        ),
        (
            "  type: list\n  ways: [std, std]\n  script: [push: 1]\n",
            "w.yaml:4:15: container.ways[1]: is 'std', which is there already",
        ),
        (
            "  type: list\n  ways: [pmr-each]\n  script: [push: 1]\n",
            "w.yaml:4:10: container.ways[0]: is 'pmr-each', which needs several containers",
        ),
        (
            "  type: list\n  containers: 70k\n  script: [push: 1]\n",
            "w.yaml:4:15: container.containers: must be <= 65536, is '70k'",
        ),
        (
            "  type: list\n  script: [push: 100M]\n",
            "container.script: must have at most 67,108,864 operations, has 100,000,000",
        ),
        ("  type: list\n  script: [traverse: {count: 1, keys: 3}]\n", "container.script[0].traverse.keys: unknown key"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        loaded(tmp_path, text)
    assert words in str(raised.value)


def test_containers_have_no_threads(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    with pytest.raises(InputError, match=r"w\.yaml: with threads 2: containers have none"):
        WORK.load(path, seed=None, threads=2, rate=None, mode=Mode.SERIAL)


def resolved(name: str, way: str, **parameters: str) -> AllocatorPlan:
    plan = Registry().resolve(AllocatorSpec(name, tuple(parameters.items())))
    return replace(plan, spec=replace(plan.spec, way=way))


def why_not(folder: Path, plan: AllocatorPlan, text: str, rest: str = "") -> Any:
    return WORK.why_not(plan, info(folder, text, rest))


def test_what_cannot_serve_is_left_out_with_the_reason(tmp_path: Path) -> None:
    lists = "  type: list\n  containers: 1000\n  ways: [std, std-each]\n  script: [push: 3, churn: 3]\n"
    assert why_not(tmp_path, resolved("tlsf", "std-each"), lists) is None
    assert why_not(tmp_path, resolved("glibc", "std"), lists) is None
    assert why_not(tmp_path, resolved("glibc", "std-each"), lists) == (
        "takes memory from the system, where all heaps are one: it has the way std"
    )
    assert why_not(tmp_path, resolved("tlsf", "std-each"), lists, "memory_limit: 1MiB\n") == (
        "a memory_limit of 1.00 MiB is less than a page for each of 1,000 heaps: raise it, or use the way std"
    )
    assert why_not(tmp_path, resolved("null", "std"), lists) == (
        "hands out the same block again and again; the way control is what containers cost by themselves"
    )
    assert why_not(tmp_path, resolved("stack", "std"), lists) == (
        "takes back only the youngest block; operation 0 of the workload frees or resizes another"
    )
    pool = resolved("pool", "std", block="64")
    assert why_not(tmp_path, pool, lists) is None
    assert why_not(tmp_path, pool, "  type: vector\n  script: [push: 100]\n") == (
        "serves requests of up to 64 B; the workload asks for up to 1.00 KiB"
    )


def test_a_queue_of_nodes_suits_what_takes_back_the_oldest(tmp_path: Path) -> None:
    assert why_not(tmp_path, resolved("ring", "std"), "  type: list\n  script: [push: 9, pop: 4]\n") is None


def test_a_container_that_the_library_has_not_is_left_out(tmp_path: Path) -> None:
    assert why_not(tmp_path, resolved("tlsf", "std"), "  type: flat_map\n  script: [push: 3]\n") == (
        "the engine's C++ library has no std::flat_map, which is of C++23; use map, or a vector"
    )
