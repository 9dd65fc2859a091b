"""Every allocator that can be named: the engine's strategies, and the system's allocators."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtool.allocators.spec import format_parameters
from memtool.allocators.system import SYSTEM_ALLOCATORS, SystemAllocator, library_of, why_missing
from memtool.engine import binding
from memtool.errors import InputError, did_you_mean
from memtool.model import AllocatorPlan, AllocatorSpec, TraceInfo
from memtool.units import format_size, parse_size

DEFAULT = (
    "glibc",
    "jemalloc",
    "mimalloc",
    "tcmalloc",
    "pool",
    "segregated-pool",
    "slab",
    "arena",
    "first-fit",
    "best-fit",
    "buddy",
    "tlsf",
)
"""What ``memtool bench`` compares when it is not told: four system allocators and eight strategies."""
_GROUPS = {
    "pools": "pool",
    "arenas": "arena",
    "free-lists": "free-list",
    "real-time": "real-time",
    "buddies": "buddy",
    "pmr": "pmr",
}
_OVER_MALLOC = "malloc"
_INTERNAL = ("malloc",)
"""Strategies that have no name of their own for the user: malloc is glibc, jemalloc and so on."""


class Unavailable(Exception):
    """A known allocator that this machine does not have; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Known:
    """An allocator as the lists show it."""

    name: str
    family: str
    summary: str
    source: str
    complexity: str
    when: str
    parameters: tuple[Mapping[str, Any], ...]
    missing: str | None = None


class Registry:
    """Resolves what the user writes into what a worker needs."""

    def __init__(self, described: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Take the engine's own description, or another one in tests."""
        strategies = binding.describe() if described is None else described
        self._strategies = {str(each["name"]): each for each in strategies}

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name that a user may write, system allocators first."""
        own = (name for name in self._strategies if name not in _INTERNAL)
        return (*SYSTEM_ALLOCATORS, *own)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the members of each group; controls are in none."""
        own = {name: str(each["family"]) for name, each in self._strategies.items() if name not in _INTERNAL}
        measured = tuple(name for name, family in own.items() if family != "control")
        groups = {
            group: tuple(name for name in own if own[name] == family) for group, family in _GROUPS.items()
        }
        found = tuple(name for name in SYSTEM_ALLOCATORS if why_missing(name) is None)
        everything = {"system": found, "strategies": measured, "all": (*found, *measured), "default": DEFAULT}
        return {**{name: members for name, members in groups.items() if members}, **everything}

    def default_allocators(self) -> tuple[AllocatorSpec, ...]:
        """Return the allocators of a bench without -a."""
        return tuple(AllocatorSpec(name) for name in DEFAULT)

    def known(self) -> list[Known]:
        """Return every allocator for the lists."""
        system = [
            Known(
                each.name,
                "system",
                each.summary,
                "",
                "",
                "",
                tuple(
                    {
                        "name": t.name,
                        "summary": t.summary,
                        "minimum": t.minimum,
                        "maximum": t.maximum,
                        "default": None,
                        "unit": "",
                        "choices": [],
                    }
                    for t in each.tunables
                ),
                why_missing(each.name),
            )
            for each in SYSTEM_ALLOCATORS.values()
        ]
        own = [
            Known(
                *(str(each[key]) for key in ("name", "family", "summary", "source", "complexity", "when")),
                tuple(each["parameters"]),
            )
            for name, each in self._strategies.items()
            if name not in _INTERNAL
        ]
        return system + own

    def resolve(self, spec: AllocatorSpec) -> AllocatorPlan:
        """Return what a worker needs for an allocator.

        Raises:
            InputError: there is no such allocator or parameter, or a value is out of range.
            Unavailable: it is not installed here.
        """
        if "/" in spec.name or spec.name.endswith(".so"):
            return _library(spec)
        if spec.name in SYSTEM_ALLOCATORS:
            return _system(spec, SYSTEM_ALLOCATORS[spec.name])
        if spec.name not in self._strategies or spec.name in _INTERNAL:
            raise InputError(f"unknown allocator '{spec.name}'{did_you_mean(spec.name, self.names)}")
        return self._strategy(spec, self._strategies[spec.name])

    def _strategy(self, spec: AllocatorSpec, described: Mapping[str, Any]) -> AllocatorPlan:
        own = [
            (key, value)
            for key, value in spec.parameters
            if not (key == _OVER_MALLOC and not described["uses_region"])
        ]
        declared = {str(each["name"]): each for each in described["parameters"]}
        engine_parameters = format_parameters(
            [(key, _value(spec, key, value, declared)) for key, value in own]
        )
        try:
            binding.limits(spec.name, engine_parameters)
        except binding.EngineError as problem:
            raise InputError(f"{spec.label}: {problem}") from None
        under = _system(AllocatorSpec(dict(spec.parameters).get(_OVER_MALLOC, "glibc")), None)
        uses_region = bool(described["uses_region"])
        return AllocatorPlan(
            spec=spec,
            strategy=spec.name,
            engine_parameters=engine_parameters,
            preload=() if uses_region else under.preload,
            expected_owner=None if uses_region else under.expected_owner,
            version_call=None if uses_region else under.version_call,
            family=str(described["family"]),
            exact=uses_region,
            uses_region=uses_region,
            is_control=bool(described["is_control"]),
            free_order=str(described["free_order"]),
        )


def _value(spec: AllocatorSpec, key: str, value: str, declared: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a parameter's value as the engine takes it: sizes in bytes, the rest as it is."""
    if key not in declared:
        known = ", ".join(declared) or "none"
        raise InputError(
            f"{spec.label}: {spec.name} has no parameter '{key}' (it has: {known}){did_you_mean(key, declared)}"
        )
    if declared[key]["choices"]:
        return value
    try:
        return str(parse_size(value))
    except ValueError as problem:
        raise InputError(f"{spec.label}: {key}: {problem}") from None


def _system(spec: AllocatorSpec, allocator: SystemAllocator | None) -> AllocatorPlan:
    if allocator is None:
        if spec.name not in SYSTEM_ALLOCATORS:
            raise InputError(f"malloc={spec.name}: must be one of {', '.join(SYSTEM_ALLOCATORS)}")
        allocator = SYSTEM_ALLOCATORS[spec.name]
    environment = _tuning(spec, allocator)
    missing = why_missing(allocator.name)
    if missing is not None:
        raise Unavailable(missing)
    library = library_of(allocator.name)
    return AllocatorPlan(
        spec=spec,
        strategy="malloc",
        engine_parameters="",
        preload=(str(library),) if library is not None else (),
        environment=environment,
        expected_owner=allocator.owner,
        version_call=allocator.version,
        family="system",
        exact=False,
        uses_region=False,
    )


def _tuning(spec: AllocatorSpec, allocator: SystemAllocator) -> tuple[tuple[str, str], ...]:
    """Return the environment variables that an allocator's parameters stand for."""
    tunables = {each.name: each for each in allocator.tunables}
    written = []
    for key, text in spec.parameters:
        if key not in tunables:
            known = ", ".join(tunables) or "none"
            raise InputError(
                f"{spec.label}: {spec.name} has no parameter '{key}' (it has: {known}){did_you_mean(key, tunables)}"
            )
        tunable = tunables[key]
        try:
            value = parse_size(text)
        except ValueError as problem:
            raise InputError(f"{spec.label}: {key}: {problem}") from None
        if not tunable.minimum <= value <= tunable.maximum:
            raise InputError(
                f"{spec.label}: {key}: must be from {tunable.minimum} to {tunable.maximum}, is {value}"
            )
        written.append(tunable.written.format(value=value))
    if not written:
        return ()
    if allocator.variable:
        return ((allocator.variable, allocator.separator.join(written)),)
    return tuple((name, value) for name, _, value in (each.partition("=") for each in written))


def _library(spec: AllocatorSpec) -> AllocatorPlan:
    """Return the plan of a malloc replacement that the user brings: preloaded, and proven to serve malloc."""
    path = Path(spec.name).resolve()
    if spec.parameters:
        raise InputError(f"{spec.label}: a library takes no parameters")
    if not path.is_file():
        raise InputError(f"{spec.name}: no such file")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as problem:
        raise InputError(f"{spec.name}: cannot be loaded: {problem}") from None
    # A name looked up through the library is also found in what it depends on, so this can only miss what nobody has;
    # that malloc is really this library's own is what the proof in each worker shows.
    needed = ("malloc", "free", "calloc", "realloc", "aligned_alloc", "malloc_usable_size")
    missing = [name for name in needed if not hasattr(library, name)]
    if missing:
        raise InputError(f"{spec.name}: does not define {', '.join(missing)}")
    return AllocatorPlan(
        spec=spec,
        strategy="malloc",
        engine_parameters="",
        preload=(str(path),),
        expected_owner=path.name,
        family="library",
        exact=False,
        uses_region=False,
    )


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why an allocator cannot serve a trace; None when it can. Decided from the trace, before anything runs."""
    if not plan.uses_region and trace.memory_limit is not None:
        return f"takes its memory from the system, which a memory_limit of {format_size(trace.memory_limit)} does not bind"
    if plan.strategy == "malloc" or plan.is_control:
        return None
    largest_size, largest_alignment = binding.limits(plan.strategy, plan.engine_parameters)
    if largest_size is not None and trace.largest_size > largest_size:
        return f"serves requests of up to {format_size(largest_size)}; the workload asks for up to {format_size(trace.largest_size)}"
    if largest_alignment is not None and trace.largest_alignment > largest_alignment:
        return f"aligns to {largest_alignment} at most; the workload asks for {trace.largest_alignment}"
    if plan.free_order == "lifo" and trace.first_not_lifo is not None:
        return f"takes back only the youngest block; operation {trace.first_not_lifo:,} of the workload frees another"
    return None
