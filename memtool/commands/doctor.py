"""``memtool doctor``: what this machine can and cannot measure, and how to mend it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

OK, WARN, MISSING = "ok", "note", "missing"
_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: str
    words: str
    mend: str = ""


@click.command()
def command() -> None:
    """Say what this machine can and cannot measure, and how to mend it."""
    from tabulate import tabulate

    rows = [(each.state, each.subject, each.words + (f"\n-> {each.mend}" if each.mend else "")) for each in examine()]
    click.echo(tabulate(rows, headers=("", "what", "finding"), tablefmt="simple", maxcolwidths=[None, None, 84]))


def examine() -> Iterator[Finding]:
    """Yield every finding, in the order in which a person would want to know."""
    from memtool.measure import machine

    facts = machine.fingerprint()
    yield _engine()
    yield _clock(facts["clocksource"], facts["architecture"])
    cores = facts["cores"]
    yield Finding(
        "cores",
        OK if cores > 1 else WARN,
        f"{cores}: {facts['cpu']}",
        "" if cores > 1 else "other work disturbs every sample",
    )
    yield _load(cores)
    yield _governor(facts["governor"])
    if facts["virtual_machine"]:
        yield Finding(
            "virtual machine",
            WARN,
            "the host's other guests show as steal time and in maxima; medians and exact figures hold",
        )
    yield _memory(facts["overcommit"])
    yield _aslr(facts["aslr"])
    yield from _regions()
    yield from _allocators()
    yield _counters()
    yield _valgrind()


def _engine() -> Finding:
    from memtool.engine import binding

    try:
        return Finding("engine", OK, f"{len(binding.describe())} strategies, sources {binding.source_hash()[:12]}")
    except binding.EngineError as problem:
        return Finding("engine", MISSING, str(problem))


def _clock(source: str | None, architecture: str) -> Finding:
    if source == "tsc":
        return Finding("clock", OK, "time stamp counter, which the kernel trusts")
    if architecture == "aarch64":
        return Finding("clock", OK, "the architecture's counter")
    mend = "see `dmesg | grep -i tsc`; on a virtual machine ask for a host with an invariant counter"
    return Finding("clock", WARN, f"clock_gettime: the kernel's clock source is {source}; readings cost more", mend)


def _load(cores: int) -> Finding:
    load = os.getloadavg()[0]
    if load > 0.5 * cores:
        return Finding("load", WARN, f"{load:.1f} over the last minute on {cores} cores", "stop what else is running")
    return Finding("load", OK, f"{load:.1f} over the last minute")


def _governor(governor: str | None) -> Finding:
    if governor in (None, "performance"):
        return Finding("frequency", OK, governor or "not the guest's to govern")
    return Finding("frequency", WARN, f"governor {governor}", "sudo cpupower frequency-set -g performance")


def _memory(overcommit: str | None) -> Finding:
    from memtool.measure import machine
    from memtool.units import format_size

    words = f"{format_size(machine.available_memory())} available"
    if overcommit == "2":
        mend = "sudo sysctl vm.overcommit_memory=0, or give the workload a memory_limit"
        return Finding("memory", WARN, f"{words}; overcommit is off, so 64 GiB cannot be reserved", mend)
    return Finding("memory", OK, words)


def _aslr(setting: str | None) -> Finding:
    if setting == "2":
        return Finding("address randomisation", OK, "on: each process is laid out anew, as timing wants it")
    return Finding(
        "address randomisation",
        WARN,
        f"set to {setting}: every process shares one layout",
        "sudo sysctl kernel.randomize_va_space=2",
    )


def _regions() -> Iterator[Finding]:
    from memtool.allocators.regions import REGIONS, why_unavailable

    for region in REGIONS.values():
        reason = why_unavailable(region)
        yield Finding(f"region {region.name}", MISSING if reason else OK, reason or region.summary)


def _allocators() -> Iterator[Finding]:
    from memtool.allocators.system import SYSTEM_ALLOCATORS, library_of, why_missing

    for name in SYSTEM_ALLOCATORS:
        reason = why_missing(name)
        yield Finding(name, MISSING if reason else OK, reason or str(library_of(name) or "the C library"))


def _counters() -> Finding:
    level = _PARANOID.read_text(encoding="ascii").strip() if _PARANOID.exists() else None
    if level is None or not Path("/sys/bus/event_source/devices/cpu").exists():
        return Finding("hardware counters", WARN, "none on this machine; instructions an operation need callgrind")
    return Finding("hardware counters", OK, f"present (perf_event_paranoid {level})")


def _valgrind() -> Finding:
    found = shutil.which("valgrind")
    if found:
        return Finding("valgrind", OK, found)
    return Finding("valgrind", WARN, "not installed", "apt install valgrind")
