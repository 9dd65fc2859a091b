"""Gives a program an allocator as its malloc: the environment, and the allocators for which it is possible."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtool.engine.abi import binding
from memtool.errors import InputError
from memtool.model import AllocatorPlan
from memtool.preload import call_sites

_LIBRARY = "libmemtool-malloc{}.so"
"""The library of all strategies and adaptors, and those of a single strategy that CMakeLists.txt builds."""
_MALLOC = "malloc"


@dataclass(frozen=True, slots=True)
class HeapReport:
    """The state of a process's heap when the process ended."""

    process: int
    footprint_bytes: int
    peak_footprint_bytes: int
    books_bytes: int
    """Memory that the strategy itself requested, in addition to its region."""
    granted_bytes: int | None
    """Bytes still live, as granted by the strategy; None where it does not know them."""
    finding: str
    """The first misuse that an adaptor has found, or a broken invariant; empty: none."""
    adaptors: Mapping[str, Any]
    """The reports of adaptors (track, leak, …)."""


def refuse_what_is_no_malloc(plan: AllocatorPlan) -> None:
    """Raise InputError, with the reason, for an allocator that cannot be the malloc of a program."""
    reason = why_no_malloc(plan)
    if reason is not None:
        raise InputError(f"{plan.spec.label}: {reason}")


def why_no_malloc(plan: AllocatorPlan) -> str | None:
    """Return why an allocator cannot be the malloc of a program; None: it can."""
    if plan.strategy == _MALLOC:
        return None
    if plan.adopted is not None:
        return "is loaded by memtool itself, and a program cannot load it (a library that defines malloc can be named)"
    if plan.is_control:
        return "is a control: it hands out memory that is not the program's"
    if not plan.uses_region:
        return "stands on a malloc, and cannot be one"
    if plan.free_order in ("lifo", "fifo"):
        return f"takes blocks back in one order only ({plan.free_order}), and programs free in any"
    try:
        largest_size, _ = binding.limits(plan.strategy, plan.engine_parameters, 16)
    except binding.CannotStand as problem:
        return str(problem)
    if largest_size is not None:
        return f"serves requests of up to {largest_size:,} bytes, and programs ask for any"
    return None


def environment(
    plan: AllocatorPlan, base: Mapping[str, str], report: Path | None = None, *, checks: bool = False
) -> dict[str, str]:
    """Return the environment in which a program has this allocator as its malloc.

    ``report``: file to which each of its processes appends a line when it ends, for the engine's strategies.
    ``checks``: whether each process verifies its whole heap before, the cost of which does not belong to the program.
    Raises FileNotFoundError where the library was not built.
    """
    preload = list(plan.preload)
    own = dict(plan.environment)
    if plan.strategy != _MALLOC:
        preload = [str(preloaded_library(plan))]
        own |= {"MEMTOOL_MALLOC": plan.strategy, "MEMTOOL_MALLOC_PARAMETERS": plan.engine_parameters}
        if report is not None:
            own["MEMTOOL_MALLOC_REPORT"] = str(report)
            own |= {"MEMTOOL_MALLOC_CHECK": "1"} if checks else {}
    if before := base.get("LD_PRELOAD"):
        preload.append(before)
    return {**base, **own, **({"LD_PRELOAD": ":".join(preload)} if preload else {})}


def preloaded_library(plan: AllocatorPlan) -> Path:
    """Return the path of the smallest library that contains a strategy.

    Raises FileNotFoundError where it was not built.
    """
    name, *adaptors = plan.strategy.split("+")
    if adaptors == ["as-malloc"] and (alone := _path_of(f"-{name}")).is_file():
        return alone
    path = _path_of("")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: run `make native`")
    return path


def _path_of(kind: str) -> Path:
    return Path(str(importlib.resources.files("memtool.preload").joinpath(_LIBRARY.format(kind))))


def read_reports(path: Path) -> list[HeapReport]:
    """Return the reports of the processes, in the order in which they ended; a killed process has none."""
    if not path.exists():
        return []
    reports = []
    for line in call_sites.named(path.read_text(encoding="utf-8", errors="replace")).splitlines():
        said = json.loads(line)
        reports.append(
            HeapReport(
                said["process"],
                said["footprint_bytes"],
                said["peak_footprint_bytes"],
                said["books_bytes"],
                said.get("granted_bytes"),
                said["finding"],
                said["adaptors"],
            )
        )
    return reports
