"""A trace: the events of a workload, generated, hashed, and laid out for replay."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtool.engine import generator_binding
from memtool.engine.binding import package_folder
from memtool.errors import InputError, did_you_mean
from memtool.model import TraceInfo
from memtool.workload.loader import load_workload
from memtool.workload.program import Program, compile_workload
from memtool.workload.schema import Workload

_NEVER = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Trace:
    """A generated trace whose event image lies in a memory file."""

    info: TraceInfo
    image_fd: int
    image_bytes: int
    generation_seconds: float
    """Time to generate the canonical events alone, without hashing and image."""

    def close(self) -> None:
        """Give the image back."""
        os.close(self.image_fd)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shipped() -> dict[str, Path]:
    """Return the workloads that come with memtool: short name (``chapter/game-frame``) -> file."""
    folder = Path(package_folder())
    # Beside the package in a checkout, in it where it is installed.
    root = next(
        (each for each in (folder.parent / "workloads", folder / "workloads") if (each / "quickstart.yaml").is_file()),
        None,
    )
    if root is None:
        return {}
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.yaml"))}


def find_workload(name: str) -> Path:
    """Return the file of a path, or of a shipped workload's short name. Raises InputError."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    known = shipped()
    if name in known:
        return known[name]
    raise InputError(f"{name}: no such file, and no shipped workload of that name{did_you_mean(name, known)}")


def canonical_events(program: Program) -> Iterator[memoryview]:
    """Yield the canonical events in portions (engine/events.hpp); each is valid until the next is asked for."""
    return generator_binding.generate(program.words)


def load_trace(name: str, seed: int | None = None) -> Trace:
    """Load a workload file or a shipped workload, generate its events and build their image. Raises InputError."""
    path = find_workload(name)
    workload = load_workload(path)
    return make_trace(workload, str(path), workload.seed if seed is None else seed)


def make_trace(workload: Workload, source: str, seed: int) -> Trace:
    """Generate the events of a workload in portions; each is hashed and goes into the image."""
    program = compile_workload(workload, seed)
    digest = hashlib.blake2b(digest_size=16)
    seconds = 0.0
    with generator_binding.ImageBuilder(workload.touch) as builder:
        portions = canonical_events(program)
        while True:
            begin = time.perf_counter()
            events = next(portions, None)
            seconds += time.perf_counter() - begin
            if events is None:
                break
            digest.update(events)
            builder.append(events)
        descriptor = os.memfd_create("memtool-image")
        head = builder.finish(descriptor)
    info = TraceInfo(
        name=workload.name,
        source=source,
        seed=seed,
        event_hash=digest.hexdigest(),
        touch=workload.touch,
        memory_limit=workload.memory_limit,
        notes=program.notes,
        first_not_lifo=None if head["first_not_lifo"] == _NEVER else head["first_not_lifo"],
        **{name: head[name] for name in _COPIED},
    )
    return Trace(info, descriptor, os.fstat(descriptor).st_size, seconds)


_COPIED = (
    "operations",
    "epilogue_operations",
    "allocations",
    "reallocations",
    "slots",
    "peak_live_bytes",
    "peak_live_objects",
    "total_bytes",
    "smallest_size",
    "largest_size",
    "largest_alignment",
    "scopes",
)
