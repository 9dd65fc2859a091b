"""``memtool doctor``: what this machine can measure, and how to enable the rest."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from memtool import get_include
from memtool.commands.options import width_of_lists

_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_COUNTERS = Path("/sys/bus/event_source/devices")
_COMPILERS = ("c++", "g++", "clang++")
_LOOK_SECONDS = 0.2
_BUSY = 0.25
"""Share of the processors in use by others from which figures are affected."""
_STOLEN = 1.0
"""Per cent of the processors' time taken by the host from which figures are affected."""


class State(StrEnum):
    """The grade of a finding."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about the machine."""

    subject: str
    state: State
    words: str
    mend: str = ""
    """A command, or another remedy; empty where none is needed."""


@click.command()
def command() -> None:
    """Report what this machine can measure, and how to enable the rest."""
    from tabulate import tabulate

    rows = [
        (finding.state, finding.subject, finding.words + (f"\n-> {finding.mend}" if finding.mend else ""))
        for finding in examine()
    ]
    room = width_of_lists(114) - sum(max(len(row[at]) for row in rows) + 2 for at in (0, 1))
    click.echo(tabulate(rows, headers=("", "what", "finding"), tablefmt="simple", maxcolwidths=[None, None, room]))


def examine() -> Iterator[Finding]:
    """Yield every finding, in the order of interest to a person."""
    from memtool.host import machine

    facts = machine.fingerprint()
    yield engine()
    yield compiler()
    yield header()
    yield clock(facts["clocksource"], facts["architecture"])
    yield cores(facts)
    yield from quiet(facts["cores"])
    yield frequency(facts["governor"])
    yield memory(machine.available_memory(), facts["memory_limit_bytes"])
    limits = (machine.soft_limit(which) for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    yield address_space(facts["overcommit"], min((limit for limit in limits if limit is not None), default=None))
    yield locked_memory(machine.soft_limit(resource.RLIMIT_MEMLOCK))
    yield randomisation(facts["aslr"])
    yield from regions()
    yield from allocators()
    yield counters(_COUNTERS, machine.text_of(_PARANOID))
    yield valgrind()
    yield system_calls()


def engine() -> Finding:
    """Check for the native core."""
    from memtool.engine.abi import binding
    from memtool.engine.loading import EngineError, source_hash

    try:
        words = f"{len(binding.describe())} strategies, from sources {source_hash()[:12]}"
    except EngineError as problem:
        return Finding("engine", State.MISSING, str(problem))
    return Finding("engine", State.OK, words)


def compiler() -> Finding:
    """Check for the tools that build the native core and the user's own strategies."""
    program = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if program is None:
        return Finding("compiler", State.NOTE, "no C++ compiler: the engine cannot be rebuilt", "apt install g++")
    return Finding("compiler", State.OK, program)


def header() -> Finding:
    """Report the path of the header for the user's own libraries."""
    return Finding("memtool.h", State.OK, f"{get_include()} (for the compiler's -I)")


def clock(source: str | None, architecture: str) -> Finding:
    """Report the clock from which latencies are read."""
    if source == "tsc":
        return Finding("clock", State.OK, "the time stamp counter, which the kernel trusts")
    if architecture == "aarch64":
        return Finding("clock", State.OK, "the architecture's counter")
    words = f"clock_gettime over {source}: readings cost more, and short latencies drown in them"
    mend = "dmesg | grep -i tsc says why; on a virtual machine, ask for a host with an invariant counter"
    return Finding("clock", State.NOTE, words, mend)


def cores(facts: Mapping[str, Any]) -> Finding:
    """Check the number of processors: at least one for the measured process, and one for the rest."""
    count, quota = facts["cores"], facts["core_quota"]
    words = f"{count} of {facts['cpu']}" + (", on a virtual machine" if facts["virtual_machine"] else "")
    if quota is not None and quota < count:
        mend = "raise the quota: a group that has used it up is stopped, which shows as latency"
        return Finding("cores", State.NOTE, f"{words}, of which the control group may use {quota:g}", mend)
    if count == 1:
        return Finding("cores", State.NOTE, words, "use two or more: everything else disturbs each sample")
    return Finding("cores", State.OK, words)


def quiet(count: int) -> Iterator[Finding]:
    """Check for a moment which other processes use the processors."""
    from memtool.host import machine

    busy, taken = machine.processor_use(_LOOK_SECONDS)
    yield load(os.getloadavg()[0], busy, count)
    yield stolen(taken)


def load(average: float, busy: float, count: int) -> Finding:
    """Judge the load of the last minute and the per cent of the processors in use now."""
    words = f"{average:.1f} over the last minute, {busy:.0f} % of the processors in use now"
    if busy > 100 * _BUSY or average > _BUSY * count:
        return Finding("load", State.NOTE, words, "stop what else is running, or wait")
    return Finding("load", State.OK, words)


def stolen(per_cent: float) -> Finding:
    """Judge the time that the host gave to other guests."""
    words = f"{per_cent:.1f} % taken by the host"
    if per_cent > _STOLEN:
        return Finding(
            "steal time", State.NOTE, words, "medians hold, percentiles beyond 99 do not: use a quieter host"
        )
    return Finding("steal time", State.OK, words)


def frequency(governor: str | None) -> Finding:
    """Report what controls the processors' frequency."""
    if governor is None:
        return Finding("frequency", State.OK, "not this system's to govern")
    if governor == "performance":
        return Finding("frequency", State.OK, "governor performance")
    mend = "sudo cpupower frequency-set -g performance"
    return Finding("frequency", State.NOTE, f"governor {governor}: short runs begin slowly", mend)


def memory(available: int, limit: int | None) -> Finding:
    """Report how large a workload may be."""
    from memtool.units import format_size

    within = f", within a control group's limit of {format_size(limit)}" if limit is not None else ""
    return Finding("memory", State.OK, f"{format_size(available)} available{within}")


def address_space(overcommit: str | None, limit: int | None) -> Finding:
    """Check whether a region as large as for bench, 64 GiB, can be reserved."""
    from memtool.plan import RESERVED_BYTES
    from memtool.units import format_size

    subject, needed = "address space", f"{format_size(RESERVED_BYTES)} are reserved for a region without memory_limit"
    if overcommit == "2":
        mend = "sudo sysctl vm.overcommit_memory=0, or give workloads a memory_limit"
        return Finding(subject, State.NOTE, f"{needed}; overcommit is off, so that may fail", mend)
    if limit is not None and limit < RESERVED_BYTES:
        mend = "ulimit -v unlimited and ulimit -d unlimited, or give workloads a memory_limit"
        return Finding(subject, State.NOTE, f"{needed}; this shell allows {format_size(limit)}", mend)
    return Finding(subject, State.OK, f"unlimited; {needed}")


def locked_memory(limit: int | None) -> Finding:
    """Report how much memory a process may lock."""
    from memtool.units import format_size

    words = "unlimited" if limit is None else f"up to {format_size(limit)} (ulimit -l)"
    return Finding("locked memory", State.OK, words)


def randomisation(setting: str | None) -> Finding:
    """Report whether address space layout randomisation is on."""
    subject = "address randomisation"
    if setting == "2":
        return Finding(subject, State.OK, "on: each process is laid out anew, and a lucky layout averages out")
    words = f"set to {setting}: every process shares one layout, which may favour an allocator"
    return Finding(subject, State.NOTE, words, "sudo sysctl kernel.randomize_va_space=2")


def regions() -> Iterator[Finding]:
    """Report which kinds of memory are available under strategies."""
    from memtool.allocators.regions import REGIONS, why_unavailable

    for kind in REGIONS.values():
        reason = why_unavailable(kind)
        yield Finding(f"region {kind.name}", State.MISSING if reason else State.OK, reason or kind.summary)


def allocators() -> Iterator[Finding]:
    """Report which of the system's allocators are installed, and where."""
    from memtool.allocators.system import library_of, why_missing
    from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS

    for name in SYSTEM_ALLOCATORS:
        reason = why_missing(name)
        yield Finding(name, State.MISSING if reason else State.OK, reason or str(library_of(name) or "the C library"))


def counters(devices: Path, paranoid: str | None) -> Finding:
    """Report whether the processor's own counters can be read."""
    subject = "hardware counters"
    if not any((devices / name).exists() for name in ("cpu", "cpu_core", "armv8_pmuv3_0")):
        words = "none: this kernel shows no counters of the processor, as most virtual machines"
        return Finding(subject, State.NOTE, words, "counts of instructions need valgrind, or a machine of one's own")
    if paranoid is None or int(paranoid) > 2:
        words = f"there, but not for ordinary users (perf_event_paranoid {paranoid})"
        return Finding(subject, State.NOTE, words, "sudo sysctl kernel.perf_event_paranoid=2")
    return Finding(subject, State.OK, f"there (perf_event_paranoid {paranoid})")


def valgrind() -> Finding:
    """Check for a counter of instructions other than the processor's."""
    from memtool.host.counters import Counter, why_not

    reason = why_not(Counter.CALLGRIND)
    if reason is not None:
        words, _, mend = reason.partition("; ")
        return Finding("valgrind", State.NOTE, words, mend.partition(": ")[2])
    return Finding("valgrind", State.OK, f"{shutil.which('valgrind')}, with what the engine needs to be counted by it")


def system_calls() -> Finding:
    """Report whether the system calls of a worker can be counted."""
    from memtool.engine.instruments.binding import system_calls_refusal

    reason = system_calls_refusal()
    if reason is not None:
        mend = "Linux 5.7 or newer; in a container: --security-opt seccomp=unconfined"
        return Finding("system calls", State.NOTE, f"cannot be counted (seccomp): {reason}", mend)
    return Finding("system calls", State.OK, "counted by a seccomp filter")
