"""Makes the image that workers run from a container workload: the drawn operations of its steps, and their counts."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from memtool.errors import MemtoolError
from memtool.host import machine
from memtool.kinds.container import binding
from memtool.kinds.container.image import (
    ACTIONS,
    GROUPS,
    KEYED,
    MAGIC,
    NESTED,
    ORDERS,
    TYPES,
)
from memtool.kinds.container.keys import Container, Step, Workload
from memtool.model import TraceInfo
from memtool.units import format_size
from memtool.workload.language import tables
from memtool.workload.language.law_tables import law_table
from memtool.workload.trace import Trace

_HEAD = struct.Struct("<6Q")
_STEP = struct.Struct("<3Q")
_WORD = 8
_CHECKSUM_AT = 5 * _WORD
_STEP_WORDS = 5
_FIRST_WORDS = 4
_TAKES_AWAY = frozenset({"pop", "erase", "churn", "clear"})
_DEFAULT_LENGTHS = (4, 40)


def steps_of(container: Container) -> Iterator[tuple[int, int, int]]:
    """Yield for each step its group, its first operation, and the operation after its last."""
    at, churned = 0, False
    for step in container.script:
        action, _ = step.action
        group = "churned" if action == "traverse" and churned else action
        end = at + container.operations_of(step)
        yield GROUPS.index(group), at, end
        at, churned = end, churned or action in _TAKES_AWAY


def program_of(container: Container, seed: int) -> array[int]:
    """Return the program that draws the operations (draw.cpp): words, followed by the laws."""
    steps = container.script
    words = [seed, container.containers, int(container.type in KEYED), len(steps)]
    laws: list[int] = []
    behind = _FIRST_WORDS + _STEP_WORDS * len(steps)

    def place(table: Iterator[int] | list[int]) -> int:
        offset = behind + len(laws)
        laws.extend(table)
        return offset

    lengths = place(_lengths(container)) if container.type in NESTED else 0
    for step in steps:
        action, times = step.action
        keys = getattr(times, "keys", None)
        offset = 0 if keys is None else place(list(law_table(keys, 0)))
        words += [ACTIONS.index(action), ORDERS.index(times.order), times.count, offset, lengths]
    return array("Q", words + laws)


def _lengths(container: Container) -> list[int]:
    if container.length is None:
        return tables.uniform(*_DEFAULT_LENGTHS)
    return list(law_table(container.length, 1))


def make_trace(workload: Workload, path: Path, seed: int | None) -> Trace:
    """Draw the operations of a workload and run them once, to determine their requests. Raises MemtoolError."""
    container, seed = workload.container, workload.seed if seed is None else seed
    steps = list(steps_of(container))
    operations = steps[-1][2]
    offset = _HEAD.size + _STEP.size * len(steps)
    length = offset + _WORD * operations
    if length > machine.available_memory() // 2:
        raise MemtoolError(f"{path}: its operations take {format_size(length)}, more than half of what is available")
    descriptor = os.memfd_create("memtool-containers", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, length)
        with mmap.mmap(descriptor, length) as memory:
            head = (MAGIC, TYPES.index(container.type), container.containers, len(steps), operations, 0)
            memory[: _HEAD.size] = _HEAD.pack(*head)
            memory[_HEAD.size : offset] = b"".join(_STEP.pack(*step) for step in steps)
            with memoryview(memory) as image:
                binding.draw(program_of(container, seed), image, offset)
                event_hash = hashlib.blake2b(image, digest_size=16).hexdigest()
                surveyed = binding.survey(image)
            if surveyed is not None:
                memory[_CHECKSUM_AT : _CHECKSUM_AT + _WORD] = struct.pack("<Q", surveyed["checksum"])
    except BaseException:
        os.close(descriptor)
        raise
    info = _info(workload, path, seed, event_hash, operations, surveyed)
    return Trace(info, descriptor, length, 0.0)


def _info(
    workload: Workload, path: Path, seed: int, event_hash: str, operations: int, surveyed: Mapping[str, int] | None
) -> TraceInfo:
    container = workload.container
    of = surveyed or dict.fromkeys(binding.SURVEYED, 0)
    return TraceInfo(
        name=workload.name,
        kind="container",
        source=str(path),
        seed=seed,
        event_hash=event_hash,
        operations=operations,
        threads=1,
        allocations=of["allocations"],
        peak_live_bytes=of["peak_live_bytes"],
        peak_live_objects=of["peak_blocks"],
        total_bytes=of["asked_bytes"],
        smallest_size=of["smallest_size"] if of["allocations"] else 0,
        largest_size=of["largest_size"],
        largest_alignment=of["largest_alignment"] or 1,
        first_not_lifo=None if of["is_lifo"] else 0,
        first_not_fifo=None if of["is_fifo"] else 0,
        touch="all",
        memory_limit=workload.memory_limit,
        workload_name=workload.name,
        facts={
            "type": container.type,
            "containers": container.containers,
            "ways": list(container.ways),
            "elements": of["elements"],
            "available": surveyed is not None,
            "steps": [_said(step) for step in container.script],
        },
    )


def _said(step: Step) -> str:
    action, times = step.action
    return f"{action} {times.count:,}"
