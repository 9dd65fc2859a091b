"""The interface through which files of every kind become the input of workers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memtool.errors import InputError, option
from memtool.kinds import FIRST, KINDS
from memtool.kinds.ways import Way
from memtool.model import AllocatorPlan, Call, Mode, TraceInfo
from memtool.passes import Pass

if TYPE_CHECKING:
    from memtool.workload.sources.staged import Stages
    from memtool.workload.trace import Trace

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


class Load(Protocol):
    """Makes the input of a worker from a file."""

    def __call__(self, path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
        """Return the compiled form of a file; arguments that are not None override its own values.

        Raises InputError, MemtoolError.
        """


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a workload requests."""

    trace: TraceInfo
    image_bytes: int
    characteristics: Any
    """A record that the kind defines; for heap events Characteristics (workload/description/characterise.py)."""
    definition: Mapping[str, Any] | None
    """The file with every default written out; None for a trace file."""
    portrait: Sequence[Any] = ()
    """The kind of program, and the strategies that it could use: records with ``says`` and ``allocators``."""
    symbols: Mapping[int, str] = field(default_factory=dict)
    """Names of the most important call sites, by their return addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How files of a kind become the input of workers."""

    key: str | None = None
    """The key that marks a workload file of this kind; None: the first kind."""
    json_schema: Callable[[], dict[str, Any]]
    """Returns the JSON Schema (2020-12) of such a file."""
    load: Load
    load_staged: Callable[..., Trace] | None = None
    """Loads at the recorded pace or from a given moment on, as ``stages`` state; None: the kind has neither."""
    kernel: Callable[[], str] | None = None
    """Returns the path of the library with its kernel; None: the engine has the kernel, under the name of the kind."""
    ways: tuple[Way, ...] = ()
    """Ways in which a workload is served, one row each and without the null strategy; empty: one row per allocator."""
    has_references: bool = False
    """Whether its objects refer to each other. If so, collectors can serve it, and the null strategy, which returns the
    same block every time, cannot."""
    called: Callable[[AllocatorPlan], Call] = lambda plan: plan.call
    """How its kernel calls an allocator; ``ways.by_pointer`` for a kernel that is compiled once."""
    variables: tuple[str, ...] = ()
    """The only variables of the user's environment that are passed to its workers."""
    alone: bool = False
    """Whether its samples must run alone, because it uses something that all processes share, such as the disk."""
    seconds: Callable[[TraceInfo], float] = lambda trace: 0.0
    """Additional time limit in seconds for the first sample of a cell, beyond that of every worker."""
    why_not: Callable[[AllocatorPlan, TraceInfo], str | None]
    """Returns why an allocator cannot serve it, without running anything; None: it can."""
    notes: Callable[[Sequence[AllocatorPlan], TraceInfo, Mode, Sequence[Pass]], Iterable[str]] = (
        lambda plans, trace, mode, passes: ()
    )
    """Yields the remarks about the allocators that serve it and the passes that are taken."""
    pack: Callable[[Trace], int | None] = lambda trace: None
    """Returns the bytes of a packing with full knowledge of the events; None: unknown."""
    why_unpacked: Callable[[], str] = lambda: ""
    """Returns why the packing is unknown."""
    listed: Callable[[Path], tuple[str, str]]
    """Returns the source of a file's events, and its description."""
    inspect: Callable[[Path, int | None], Inspection]
    """Inspects a file; the second argument overrides its seed."""
    summary: Callable[[Inspection], str]
    """Returns an inspection as text, without its definition."""
    has_picture: bool = False
    """Whether its characteristics can be drawn (report/plots/characteristics.py)."""


def schema_of(kind: str, title: str) -> dict[str, Any]:
    """Return the JSON Schema of the files of a kind, whose model is ``Workload`` of its keys.py."""
    model = importlib.import_module(f"{KINDS[kind]}.keys").Workload
    return {"$schema": SCHEMA, **model.model_json_schema(), "title": title}


def refuse_options(path: Path, threads: int | None, rate: int | None, why: str) -> None:
    """Raise InputError for options that files of a kind without threads and rates do not have."""
    for name, given in (("threads", threads), ("rates", rate)):
        if given is not None:
            raise InputError(f"{path}: with {option(name)} {given}: {why}")


def in_memory(name: str, image: bytes) -> int:
    """Return the descriptor of a file in memory with this content."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        left = memoryview(image)
        while left:
            left = left[os.write(descriptor, left) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@cache
def _declared(kind: str) -> Work | None:
    declared: Work | None = importlib.import_module(f"{KINDS[kind]}.work").WORK
    return declared


def work(kind: str) -> Work:
    """Return the work of a kind that has files."""
    declared = _declared(kind)
    assert declared is not None, kind
    return declared


def _others() -> dict[str, Work]:
    """Return the kinds that have files, except the first, with their keys."""
    return {kind: declared for kind in KINDS if kind != FIRST and (declared := _declared(kind)) is not None}


def ways_alone() -> frozenset[str]:
    """Return the names of all ways without an allocator."""
    return frozenset(way.name for declared in _others().values() for way in declared.ways if not way.needs_allocator)


def kind_of(path: Path) -> str:
    """Return the kind of a file. Raises InputError where it cannot be read."""
    from memtool.workload.importers.known import importer_of
    from memtool.workload.language.document import mentions, read_document

    keys = {str(declared.key): kind for kind, declared in _others().items()}
    # A file that can be read only once is read by its loader.
    if not keys or importer_of(path) is not None or not path.is_file() or not mentions(path, keys):
        return FIRST
    content = read_document(path).data
    return next((keys[key] for key in content if key in keys), FIRST) if isinstance(content, dict) else FIRST


def load_trace(
    name: str, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode, stages: Stages | None = None
) -> Trace:
    """Load a workload file, a shipped workload or a trace file; the arguments are those of Load."""
    from memtool.workload.trace import find_workload

    path = find_workload(name)
    declared = work(kind_of(path))
    if stages is None or not stages.name:
        return declared.load(path, seed=seed, threads=threads, rate=rate, mode=mode)
    if declared.load_staged is None:
        raise InputError(f"{path}: with {option('paced')} or {option('begin')}: only recordings have a pace and times")
    return declared.load_staged(path, seed=seed, threads=threads, rate=rate, mode=mode, stages=stages)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of workload files of all kinds; the key determines the kind."""
    schema = work(FIRST).json_schema()
    for name, declared in _others().items():
        own, key = declared.json_schema(), declared.key
        definitions, further = schema.pop("$defs", {}), own.pop("$defs", {})
        assert all(definitions[shared] == further[shared] for shared in definitions.keys() & further), name
        title = schema.pop("title")
        schema.pop("$schema"), own.pop("$schema")
        schema = {
            "$schema": SCHEMA,
            "title": title,
            "if": {"required": [key]},
            "then": own,
            "else": schema,
            "$defs": {**definitions, **further},
        }
    return schema
