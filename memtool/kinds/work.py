"""How files become what workers run, whatever kind of work they ask for."""

from __future__ import annotations

import importlib
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
    """Makes what workers run of a file."""

    def __call__(self, path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
        """Return the compiled form of a file, with what is not None in place of its own.

        Raises InputError, MemtoolError.
        """


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a workload asks for."""

    trace: TraceInfo
    image_bytes: int
    characteristics: Any
    """A record of its kind's own; of heap events Characteristics (workload/description/characterise.py)."""
    definition: Mapping[str, Any] | None
    """With every default written out; None for a trace file."""
    portrait: Sequence[Any] = ()
    """What kind of program it is, and which strategies it could use: records with ``says`` and ``allocators``."""
    symbols: Mapping[int, str] = field(default_factory=dict)
    """Names of the foremost call sites, by their return addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How a file becomes what a worker runs."""

    key: str | None = None
    """The key by which a workload file is of this kind; None: of the first kind."""
    json_schema: Callable[[], dict[str, Any]]
    """Of such a file; 2020-12."""
    load: Load
    load_staged: Callable[..., Trace] | None = None
    """The same at the recorded pace or from a moment on, as ``stages`` say; None: it has neither."""
    kernel: Callable[[], str] | None = None
    """Path of the library that has its kernel; None: the engine has it, under the name of the kind."""
    ways: tuple[Way, ...] = ()
    """In which it can be served, a row each, and without the null strategy; none: each allocator serves it in one."""
    has_references: bool = False
    """Whether its objects refer to each other: collectors serve it too, and the null strategy, one block for all, does
    not."""
    called: Callable[[AllocatorPlan], Call] = lambda plan: plan.call
    """How its kernel calls an allocator; ``ways.by_pointer`` of one that is compiled once."""
    variables: tuple[str, ...] = ()
    """Variables of the user's environment that its workers get, and of nothing else does a worker know it."""
    alone: bool = False
    """Whether none of its samples may be taken beside another: it uses what all processes share, such as the disk."""
    seconds: Callable[[TraceInfo], float] = lambda trace: 0.0
    """What a sample may take of which nothing is known yet, beyond what every worker is given."""
    why_not: Callable[[AllocatorPlan, TraceInfo], str | None]
    """Why an allocator cannot serve it, known before anything runs; None: it can."""
    notes: Callable[[Sequence[AllocatorPlan], TraceInfo, Mode, Sequence[Pass]], Iterable[str]] = (
        lambda plans, trace, mode, passes: ()
    )
    """What is to be said of the allocators that serve it, and of the passes that are taken."""
    pack: Callable[[Trace], int | None] = lambda trace: None
    """The bytes that one needs who knows all of it beforehand; None: that is not known."""
    why_unpacked: Callable[[], str] = lambda: ""
    """Why it is not, in words."""
    listed: Callable[[Path], tuple[str, str]]
    """From a file to what gives it its events, and its description."""
    inspect: Callable[[Path, int | None], Inspection]
    """From a file and a seed in place of its own."""
    summary: Callable[[Inspection], str]
    """An inspection as text, its definition left out."""
    has_picture: bool = False
    """Whether its characteristics can be drawn (report/plots/characteristics.py)."""


@cache
def _declared(kind: str) -> Work | None:
    declared: Work | None = importlib.import_module(f"{KINDS[kind]}.work").WORK
    return declared


def work(kind: str) -> Work:
    """Return how files become what workers run, of a kind that has files."""
    declared = _declared(kind)
    assert declared is not None, kind
    return declared


def _others() -> dict[str, Work]:
    """Return the kinds that have files, but for the first, each with its key."""
    return {kind: declared for kind in KINDS if kind != FIRST and (declared := _declared(kind)) is not None}


def ways_alone() -> frozenset[str]:
    """Return the names of all ways that need no allocator."""
    return frozenset(way.name for declared in _others().values() for way in declared.ways if not way.needs_allocator)


def kind_of(path: Path) -> str:
    """Return of which kind a file is. Raises InputError where it cannot be read."""
    from memtool.workload.importers.known import importer_of
    from memtool.workload.language.document import mentions, read_document

    keys = {str(declared.key): kind for kind, declared in _others().items()}
    # What can be read but once is read by who loads it.
    if not keys or importer_of(path) is not None or not path.is_file() or not mentions(path, keys):
        return FIRST
    content = read_document(path).data
    return next((keys[key] for key in content if key in keys), FIRST) if isinstance(content, dict) else FIRST


def load_trace(
    name: str, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode, stages: Stages | None = None
) -> Trace:
    """Load a workload file, a shipped workload or a trace file; arguments as Load has them."""
    from memtool.workload.trace import find_workload

    path = find_workload(name)
    declared = work(kind_of(path))
    if stages is None or not stages.name:
        return declared.load(path, seed=seed, threads=threads, rate=rate, mode=mode)
    if declared.load_staged is None:
        raise InputError(f"{path}: with {option('paced')} or {option('begin')}: only recordings have a pace and times")
    return declared.load_staged(path, seed=seed, threads=threads, rate=rate, mode=mode, stages=stages)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a workload file of any kind: its key says which one."""
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
