"""Graphs: where objects die by a plain search at every operation, what shapes come to, what cannot be."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators.pairing import why_not_collected
from memtool.allocators.parameters import Parameter
from memtool.allocators.registry import Registry, Unavailable
from memtool.allocators.spec import parse_allocators
from memtool.errors import AllocatorError, InputError, InputErrors
from memtool.kinds.graph.work import WORK
from memtool.model import AllocatorSpec, Mode
from memtool.workload.trace import Trace

HEAD_WORDS = 21
NULL = (1 << 20) - 1
ALLOCATE, LOAD, STORE, COPY, CLEAR, ACCESS, FREE, CONTROL, REPEAT, AGAIN = range(1, 11)


def loaded(folder: Path, graph: str) -> Trace:
    path = folder / "w.yaml"
    path.write_text(f"name: w\ngraph:\n{graph}", encoding="utf-8")
    return WORK.load(path, seed=None, threads=None, rate=None, mode=Mode.SERIAL)


def words_of(trace: Trace) -> list[int]:
    image = os.pread(trace.image_fd, trace.image_bytes, 0)
    return list(struct.unpack(f"<{len(image) // 8}Q", image))


class Machine:
    """Plays the words of an image, and searches the whole graph from the roots after every operation."""

    def __init__(self, words: list[int]) -> None:
        self.words = words[HEAD_WORDS:]
        self.roots: dict[int, int] = {}
        self.fields: dict[int, list[int | None]] = {}
        self.slots: dict[int, int] = {}
        self.made = 0
        self.sum = 0
        self.operations = 0
        self.most_live = 0

    def reachable(self) -> set[int]:
        seen: set[int] = set()
        left = list(self.roots.values())
        while left:
            if (one := left.pop()) not in seen:
                seen.add(one)
                left += [to for to in self.fields[one] if to is not None]
        return seen

    def hold(self, root: int, one: int | None) -> None:
        if one is None:
            self.roots.pop(root, None)
        else:
            self.roots[root] = one

    def play(self) -> Iterator[tuple[int, list[int]]]:
        """Yield what is done, and which objects it frees."""
        at, loops = 0, []
        while (word := self.words[at]) >> 60:
            at, op = at + 1, word >> 60
            a, b, c = word >> 40 & NULL, word >> 20 & NULL, word & NULL
            freed: list[int] = []
            self.operations += op <= ACCESS
            if op == ALLOCATE:
                references, slot = self.words[at] >> 32, self.words[at] & 0xFFFFFFFF
                assert slot not in self.slots
                at, self.made = at + 1, self.made + 1
                self.slots[slot], self.fields[self.made] = self.made, [None] * references
                self.hold(word >> 32 & 0xFFFFFFF, self.made)
                self.most_live = max(self.most_live, len(self.slots))
            elif op == LOAD:
                self.hold(a, self.fields[self.roots[b]][c])
            elif op == STORE:
                self.fields[self.roots[a]][c] = None if b == NULL else self.roots[b]
            elif op == COPY:
                self.hold(a, self.roots[b])
            elif op == CLEAR:
                self.hold(word >> 32 & 0xFFFFFFF, None)
            elif op == ACCESS:
                self.sum += next(slot for slot, one in self.slots.items() if one == self.roots[a])
            elif op == FREE:
                count = word & 0xFFFFFFFF
                freed = [self.slots.pop(word & 0xFFFFFFFF) for word in self.words[at : at + count]]
                at += count
            elif op == REPEAT:
                loops.append([at, (word & (1 << 60) - 1) - 1])
            elif op == AGAIN and loops[-1][1]:
                loops[-1][1] -= 1
                at = loops[-1][0]
            elif op == AGAIN:
                loops.pop()
            yield op, freed


MUTATING = "  mutating: {nodes: 12, references: 3, operations: 3000, payload: [8, 60]}\n"
SHAPES = {
    "mutating": MUTATING,
    "trees": "  binary-trees: {depth: 3, iterations: 2}\n",
    "gcbench": "  gcbench: {depth: 3, array: 100}\n",
    "lists": "  lists: {length: 20, rounds: 3}\n",
    "cache": "  cache: {entries: 9, requests: 60, misses: 40%, payload: [8, 100]}\n",
    "young": "  young: {objects: 100, survivors: 10%, live: 7}\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_are_freed_by_the_operation_that_makes_them_unreachable(tmp_path: Path, shape: str) -> None:
    with loaded(tmp_path, SHAPES[shape]) as trace:
        machine = Machine(words_of(trace))
        before: set[int] = set()
        for op, freed in machine.play():
            if op == FREE:
                assert set(freed) == before - machine.reachable()
                before -= set(freed)
                continue
            # What was unreachable before this operation has been freed behind the one that made it so.
            assert before <= set(machine.slots.values())
            before |= {machine.made} if op == ALLOCATE else set()
        assert before == machine.reachable()
        assert (trace.info.allocations, trace.info.operations) == (machine.made, machine.operations)
        assert trace.info.peak_live_objects == machine.most_live
        assert words_of(trace)[HEAD_WORDS - 1] == machine.sum


def test_at_scope_ends_what_is_dead_goes_at_the_next_safe_point(tmp_path: Path) -> None:
    steps = "[make: {name: a}, make: {name: a}, control: safe-point, drop: a, read: b, control: safe-point, drop: b]"
    script = f"  frees: scope-end\n  script: {steps}\n".replace("[make", "[make: {name: b}, make", 1)
    with loaded(tmp_path, script) as trace:
        done = [(op, freed) for op, freed in Machine(words_of(trace)).play()]
    # The second object is dead when the third takes its root, the third when that is dropped; the first lives until no
    # safe point comes any more.
    assert [freed for op, freed in done if op == FREE] == [[2], [3]]
    assert [op for op, _ in done] == [ALLOCATE] * 3 + [CONTROL, FREE, CLEAR, ACCESS, CONTROL, FREE, CLEAR]


def test_the_size_of_trees(tmp_path: Path) -> None:
    with loaded(tmp_path, "  binary-trees: {depth: 6}\n") as trace:
        # A tree of depth d has 2^(d+1) - 1 nodes: one of 7, one of 6, 64 of 4, 16 of 6.
        assert trace.info.allocations == 255 + 127 + 64 * 31 + 16 * 127
        assert trace.info.peak_live_objects == 255
        assert trace.info.peak_live_bytes == 255 * 24


def test_a_list_dies_from_its_first_node_which_is_its_youngest(tmp_path: Path) -> None:
    with loaded(tmp_path, "  lists: {length: 1000}\n") as trace:
        # 1,000 nodes, 999 links, 1,000 copies of the first; one to read from; 1,000 reads and steps; it is dropped.
        assert (trace.info.first_not_lifo, trace.info.first_not_fifo) == (None, 2999 + 1 + 2000 + 1)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (
            ["make: {name: a}", "read: b"],
            "w.yaml:5:7: graph.script[1]: names 'b', which holds no object: it was never made",
        ),
        (
            ["make: {name: a}", "drop: a", "read: a"],
            "w.yaml:6:7: graph.script[2]: names 'a', which holds no object any more",
        ),
        (
            ["make: {name: a, references: 1}", "link: {from: a, field: 1, to: a}"],
            "w.yaml:5:7: graph.script[1]: names field 1 of 'a', which has 1, counted from 0",
        ),
    ],
)
def test_an_object_that_is_not_there_is_named_with_its_line(tmp_path: Path, steps: list[str], words: str) -> None:
    text = "  script:\n" + "".join(f"    - {step}\n" for step in steps)
    with pytest.raises(InputErrors) as refused:
        loaded(tmp_path, text)
    assert str(refused.value).endswith(words)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (
            "  {}\n",
            "graph: must have one shape of binary-trees, gcbench, lists, mutating, cache, young, script, events",
        ),
        ("  lists: {length: 1}\n  young: {objects: 1, survivors: 1%, live: 1}\n", "must have only one shape, has"),
        ("  binary-trees: {depth: 22}\n", "graph.binary-trees.depth: must be <= 21, is 22"),
        ("  mutating: {nodes: 2, operations: 9, payload: [9, 8]}\n", "payload: must begin with the least, is 9 to 8"),
        ("  lists: {length: 100M}\n", "graph.lists: comes to 500,000,000 operations, which are at most 134,217,728"),
    ],
)
def test_what_cannot_be(tmp_path: Path, graph: str, words: str) -> None:
    with pytest.raises(InputErrors) as refused:
        loaded(tmp_path, graph)
    assert words in str(refused.value)


def heap_parameter(name: str) -> Parameter:
    known = {known.name: known for known in Registry().known()}
    return next(parameter for parameter in known[name].parameters if parameter.name == "heap")


def test_a_heap_is_written_in_bytes_or_as_a_multiple() -> None:
    heap = heap_parameter("mark-sweep")
    assert heap.canonical("64MiB") == str(64 << 20)
    assert heap.canonical("2.5x") == str((1 << 62) + 2500)
    assert (heap.default, heap.range) == ("3x", "at least 4KiB, or a multiple such as 2x")
    with pytest.raises(ValueError, match="must be a size such as"):
        heap.canonical("twice")


def test_a_pause_is_a_time() -> None:
    known = {known.name: known for known in Registry().known()}
    pause = next(parameter for parameter in known["incremental"].parameters if parameter.name == "pause")
    assert (pause.canonical("200us"), pause.canonical("1.5ms"), pause.default) == ("200000", "1500000", "1ms")
    with pytest.raises(ValueError, match=r"must be a time such as 200us, 1ms or 1\.5s, is '3'"):
        pause.canonical("3")


def test_collectors_are_in_no_group_but_their_own() -> None:
    groups = Registry().groups
    assert {"mark-sweep", "semispace", "generational"} < set(groups["collectors"])
    assert all("mark-sweep" not in members for group, members in groups.items() if group != "collectors")


def test_a_sweep_of_heaps_is_a_row_each() -> None:
    specs = parse_allocators("mark-sweep:heap=2x|3x|5x", Registry().groups)
    assert [spec.label for spec in specs] == ["mark-sweep:heap=2x", "mark-sweep:heap=3x", "mark-sweep:heap=5x"]


def test_nothing_stands_over_a_collector_and_it_is_no_malloc() -> None:
    registry = Registry()
    (over,) = parse_allocators("mark-sweep+lock", registry.groups)
    with pytest.raises(
        AllocatorError, match="an adaptor stands on an allocator, and mark-sweep is a garbage collector"
    ):
        registry.resolve(over)
    with pytest.raises(Unavailable, match="is a garbage collector, which no malloc can be"):
        registry.resolve(AllocatorSpec("mark-sweep"), as_malloc=True)


def test_a_library_that_is_missing_is_said() -> None:
    described: list[dict[str, Any]] = [
        {"name": "far", "summary": "", "source": "", "complexity": "", "when": "", "parameters": []}
        | {"uses_region": False, "route": "pointer", "library": "libfar.so.9", "package": "far9", "is_timed": False}
    ]
    registry = Registry(collectors=described)
    with pytest.raises(Unavailable, match=r"libfar.so.9 is not installed \(Debian and Ubuntu: apt install far9\)"):
        registry.resolve(AllocatorSpec("far"))


def test_who_knows_no_references_is_told_so(tmp_path: Path) -> None:
    plan = Registry().resolve(AllocatorSpec("semispace"))
    with loaded(tmp_path, SHAPES["young"]) as trace:
        info = replace(trace.info, name="events")
    assert why_not_collected(plan, info, has_references=True) is None
    assert why_not_collected(plan, info, has_references=False) == (
        "is a garbage collector, and events does not say what its objects refer to; "
        "a workload with graph: {events: NAME} plays it with roots only"
    )
    assert WORK.why_not(Registry().resolve(AllocatorSpec("null")), info) == (
        "hands out the same block again and again, and objects would live upon each other"
    )


def test_events_are_roots_and_a_free_is_one_that_is_dropped(tmp_path: Path) -> None:
    events = "name: e\nallocations: 3\npattern: {lifo: {batch: 3, size: {cycle: [[1, 40], [1, 0], [1, 9]]}}}\n"
    (tmp_path / "e.yaml").write_text(events, encoding="utf-8")
    with loaded(tmp_path, "  events: e.yaml\n") as trace:
        machine = Machine(words_of(trace))
        done = [(op, freed) for op, freed in machine.play()]
        assert [op for op, _ in done] == [ALLOCATE] * 3 + [CLEAR, FREE] * 3
        assert [freed for op, freed in done if op == FREE] == [[3], [2], [1]]
        # Rounded up to words; an object has one at least.
        assert (trace.info.total_bytes, trace.info.smallest_size, trace.info.largest_size) == (40 + 8 + 16, 8, 40)


def test_what_has_no_events_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("name: e\nallocations: 3\n", encoding="utf-8")
    with pytest.raises(InputErrors, match=r"e\.yaml"):
        loaded(tmp_path, "  events: e.yaml\n")
    with pytest.raises(InputError, match="no such file, and no shipped workload of that name"):
        loaded(tmp_path, "  events: nowhere\n")
