"""Tuning variables: those that ``-a`` passes to a worker, and those of the user's environment, which it never sees."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from memtool.allocators.spec import VARIABLE
from memtool.errors import AllocatorError
from memtool.model import AllocatorPlan, AllocatorSpec

_TUNES = re.compile(r"GLIBC_TUNABLES|\w*MALLOC_\w+")
"""MALLOC_CONF and _RJEM_MALLOC_CONF, MALLOC_ARENA_MAX, MIMALLOC_*, TCMALLOC_*, TBB_MALLOC_*, ..."""
_PRELOAD = "LD_PRELOAD"
_OURS = re.compile(r"LD_\w+|PATH|LC_ALL|LANG|MEMTOOL_\w*|PYTHON\w*")
"""Variables that would change the worker itself, or which allocator it measures."""


def variables_of(spec: AllocatorSpec) -> tuple[AllocatorSpec, tuple[tuple[str, str], ...]]:
    """Return an allocator without its ``env.`` parameters, and the variables that these set.

    Raises InputError for one of memtool's own variables.
    """
    variables = tuple((name, value) for name, value in spec.parameters if name.startswith(VARIABLE))
    for name, _ in variables:
        if _OURS.fullmatch(name.removeprefix(VARIABLE)):
            raise AllocatorError(f"{spec.label}: {name}: is not an allocator's; memtool sets it for every worker")
    rest = tuple(parameter for parameter in spec.parameters if parameter not in variables)
    values = tuple((name.removeprefix(VARIABLE), value.strip('"')) for name, value in variables)
    return replace(spec, parameters=rest), values


def with_variables(plan: AllocatorPlan, spec: AllocatorSpec, variables: Iterable[tuple[str, str]]) -> AllocatorPlan:
    """Return a plan whose workers also have these variables. Raises InputError where a parameter sets the same one."""
    taken = dict(plan.environment)
    for name, _ in variables:
        if name in taken:
            raise AllocatorError(f"{spec.label}: {VARIABLE}{name}: other parameters set it to '{taken[name]}'")
    return replace(plan, spec=spec, environment=(*plan.environment, *variables))


def without_tuning(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without variables that tune or replace an allocator or make it report."""
    return {
        name: value
        for name, value in environment.items()
        if name != _PRELOAD and not _TUNES.fullmatch(name) and not name.startswith("MEMTOOL_")
    }


def ignored_note(plans: Iterable[AllocatorPlan] | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the user's tuning variables that no worker sees, and how to pass them; None: there are none that matter.

    ``plans``: the allocators of the replay; None: whole programs are run, which see the environment.
    """
    if plans is not None and all(plan.uses_region for plan in plans):
        return None
    ignored = sorted(name for name in environment if _TUNES.fullmatch(name))
    preloaded = [library for library in re.split("[: ]", environment.get(_PRELOAD, "")) if library]
    if preloaded:
        ignored.append(_PRELOAD)
    if not ignored:
        return None
    example = f"the allocator {preloaded[0]} is it, where it is a malloc" if preloaded else ""
    if ignored[0] != _PRELOAD:
        example = f"'ALLOCATOR:{VARIABLE}{ignored[0]}=VALUE' passes one{example and f', {example}'}"
    return f"Not passed on to the allocators, though set in the environment: {', '.join(ignored)} ({example})."
