"""Groups of equal machines: how a workload's name says in which group it was measured, and what a run says of them.

Machines are equal where nothing differs that figures depend on: processor, kernel, C library, compiler of the engine,
libraries under test. A run over one group looks like a run on one machine. In a run over several, each workload is
there once for each group, as ``quickstart:machine=3f9c2a``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_MARK = ":machine="
GROUPS = "groups"
"""Of ``Run.machine``: name -> what is known of the machines of a group, where there are several."""
GROUP = "group"
"""Of ``Run.machine``: the name of its one group, where it was measured through a cluster."""
HOSTS = "hosts"
"""Of a group: name of a host -> ``blocks``, of how many it has samples."""
_ROUNDED = ("memory_bytes", "memory_limit_bytes")
"""Equal machines differ in it by what their firmware keeps."""


def in_group(workload: str, group: str) -> str:
    """Return the name of a workload that was measured in a group: ``quickstart:machine=3f9c2a``."""
    return f"{workload}{_MARK}{group}"


def split(name: str) -> tuple[str, str]:
    """Return (workload, group) of such a name; the group is empty where it names none."""
    workload, _, group = name.partition(_MARK)
    return workload, group


def facts_of(machine: Mapping[str, Any], workload: str) -> Mapping[str, Any]:
    """Return what a run says of the machines that a workload was measured on.

    ``machine``: of the run; ``workload``: its name, with its group.
    """
    group = split(workload)[1]
    own = machine.get(GROUPS, {}).get(group)
    return machine if own is None else {**{key: value for key, value in machine.items() if key != GROUPS}, **own}


def name_of(facts: Mapping[str, Any]) -> str:
    """Return the name of the group that a machine with these facts belongs to: six digits, the same on every day."""
    known = {key: _rounded(value) if key in _ROUNDED else value for key, value in facts.items()}
    return hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=3).hexdigest()


def _rounded(value: object) -> object:
    return f"{value:.1e}" if isinstance(value, int) else value


def in_words(name: str, facts: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a group is, in a line: its processor, kernel and hosts, and what else tells it from the others."""
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
    """Return which machines a workload was measured on, in a line; nothing where this was one without a name."""
    facts = facts_of(machine, workload)
    name = facts.get(GROUP)
    return "" if name is None else in_words(str(name), facts, machine.get(GROUPS, {}))


def short(machine: Mapping[str, Any]) -> str:
    """Return what a run was measured on, in a few words: ``AMD EPYC, 2 cores``."""
    if GROUPS in machine:
        return f"{len(machine[GROUPS])} groups of machines"
    return f"{machine.get('cpu', 'unknown processor')}, {machine.get('cores', '?')} cores"


def _listed(hosts: Mapping[str, Any]) -> str:
    named = [f"{host} ({known.get('blocks', '?')} blocks)" for host, known in hosts.items()]
    return ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
