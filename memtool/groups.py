"""Groups of equal machines: the group in a workload's name, and a run's facts about groups.

Machines are equal if they agree in everything on which figures depend: processor, kernel, C library, compiler of the
engine, libraries under test. A run over one group looks like a run on one machine. In a run over several groups, each
workload appears once for each group, as ``quickstart:machine=3f9c2a``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_MARK = ":machine="
GROUPS = "groups"
"""Key in ``Run.machine``: name -> facts about the machines of a group, if there are several groups."""
GROUP = "group"
"""Key in ``Run.machine``: name of its only group, if it was measured on a cluster."""
HOSTS = "hosts"
"""Key in a group: name of a host -> ``blocks``, the number of blocks of which it has samples."""
_ROUNDED = ("memory_bytes", "memory_limit_bytes")
"""Equal machines differ in these by the memory that their firmware reserves."""


def in_group(workload: str, group: str) -> str:
    """Return the name of a workload that was measured in a group: ``quickstart:machine=3f9c2a``."""
    return f"{workload}{_MARK}{group}"


def split(name: str) -> tuple[str, str]:
    """Return (workload, group) of such a name; the group is empty where it names none."""
    workload, _, group = name.partition(_MARK)
    return workload, group


def facts_of(machine: Mapping[str, Any], workload: str) -> Mapping[str, Any]:
    """Return the facts about the machines on which a workload was measured.

    ``machine``: of the run; ``workload``: its name, with its group.
    """
    group = split(workload)[1]
    own = machine.get(GROUPS, {}).get(group)
    return machine if own is None else {**{key: value for key, value in machine.items() if key != GROUPS}, **own}


def name_of(facts: Mapping[str, Any]) -> str:
    """Return the name of the group of a machine with these facts: six digits that depend only on the facts."""
    known = {key: _rounded(value) if key in _ROUNDED else value for key, value in facts.items()}
    return hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=3).hexdigest()


def _rounded(value: object) -> object:
    return f"{value:.1e}" if isinstance(value, int) else value


def in_words(name: str, facts: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a group in one line: its processor, kernel and hosts, and its differences from the other groups."""
    in_title = ("cpu", "cores", "kernel", "libc", "compiler")
    differing = [
        key
        for key, value in facts.items()
        if key not in (*in_title, HOSTS, "ns_per_tick", "fingerprint") and isinstance(value, str | int | float)
        if any(other.get(key) != value for other in others.values())
    ]
    words = [
        str(facts.get("cpu", "unknown processor")),
        f"{facts.get('cores', '?')} cores",
        f"Linux {facts.get('kernel', '?')}",
        str(facts.get("libc", "?")),
        str(facts.get("compiler", "?")),
        *(f"{key} {facts[key]}" for key in differing),
    ]
    hosts = facts.get(HOSTS, {})
    return f"machine {name}: {', '.join(words)}; {len(hosts)} host{'' if len(hosts) == 1 else 's'}: {_listed(hosts)}"


def of_workload(machine: Mapping[str, Any], workload: str) -> str:
    """Return the machines on which a workload was measured, in one line; empty for one machine without a name."""
    facts = facts_of(machine, workload)
    name = facts.get(GROUP)
    return "" if name is None else in_words(str(name), facts, machine.get(GROUPS, {}))


def short(machine: Mapping[str, Any]) -> str:
    """Return a short description of the machine of a run: ``AMD EPYC, 2 cores``."""
    if GROUPS in machine:
        return f"{len(machine[GROUPS])} groups of machines"
    return f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores"


def _listed(hosts: Mapping[str, Any]) -> str:
    named = [f"{host} ({known.get('blocks', '?')} blocks)" for host, known in hosts.items()]
    return ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
