"""A run over the hosts of a cluster: its groups of equal machines, each with its plan, its samples and its facts."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from memtool import __version__, groups
from memtool.cluster import connection, ledger, orders
from memtool.cluster.dispatcher import Dispatcher, Host, State
from memtool.cluster.ledger import Ledger
from memtool.engine.loading import source_hash
from memtool.errors import InputError, MemtoolError
from memtool.host.counters import Counter as InstructionCounter
from memtool.model import AllocatorPlan, Cell, CellResult
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.passes.records import record_from
from memtool.plan import Plan, as_planned_elsewhere
from memtool.store.journal import Journal
from memtool.worker.schedule import Progress

_SAME_CLOCK = 0.005
"""Share by which the lengths of ticks of equal processors may differ: a larger difference means another clock."""
_SHOWN_HOSTS = 4
_WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of one group of equal machines."""

    group: str
    plan: Plan
    samples: tuple[Sample, ...]
    """In the order of their arrival, by plain names of workloads."""
    facts: Mapping[str, Any]
    """Facts about the machine in the form of run.json, with the hosts."""
    missing: int
    """Number of missing samples of cells that have not failed."""


def refuse_what_stays_here(options: BenchOptions) -> None:
    """Raise InputError for a run that cannot be measured on other machines."""
    if options.programs:
        raise InputError("programs are run on this machine only", field="cluster")


@dataclass(slots=True)
class _Spread:
    """Takes the samples of a run on a cluster."""

    options: BenchOptions
    plan: Plan
    log: Journal
    progress: Progress
    say: Callable[[str], None]
    show_standings: Callable[[], None]
    run: str
    order: str
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    _expected: dict[str, int] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _at_first: int | None = None
    _last_progress: tuple[str, int] = ("", -1)
    _standings_at: float = 0.0

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Return why a host cannot be used."""
        if not facts.get("memtool"):
            return "has no memtool"
        if facts["memtool"] != __version__:
            return f"has memtool {facts['memtool']}, not {__version__}"
        if facts.get("problem"):
            return str(facts["problem"])
        if facts.get("engine", source_hash()) != source_hash():
            return "its engine was built from other sources than this one"
        return None

    def group_of(self, host: str, described: Mapping[str, Any]) -> str:
        """Return the group of a host, and store its facts."""
        events = {info.name: info.event_hash for info in self.plan.infos}
        for name, event_hash in described["events"].items():
            if events.get(name) != event_hash:
                raise MemtoolError(
                    f"its events of {name} are others ({event_hash[:12]}, here {events.get(name, '')[:12]})"
                )
        name = self._name_of(described)
        known = self.log.groups.get(name, {"described": described, "hosts": {}})
        ticks = described["settings"]["ns_per_tick"]
        if known["hosts"].get(host) is None:
            known = {**known, "hosts": {**known["hosts"], host: ticks}}
            self.log.add_group(name, known)
        if name not in self.ledgers:
            self._open(name)
        return name

    def _name_of(self, described: Mapping[str, Any]) -> str:
        facts = identifying(described, self.plan)
        name = groups.name_of(facts)
        ticks = described["settings"]["ns_per_tick"]
        first = next(iter(self.log.groups.get(name, {}).get("hosts", {}).values()), ticks)
        if abs(ticks / first - 1) <= _SAME_CLOCK:
            return name
        return groups.name_of({**facts, "ns_per_tick": f"{ticks:.2g}"})

    def _open(self, name: str) -> None:
        plan = self._plan_of(name)
        opened = Ledger(name, plan, self.log.append, ledger.of_group(name, self.log.finished))
        self.ledgers[name] = opened
        self._expected[name] = opened.total

    def _plan_of(self, name: str) -> Plan:
        """Return the plan of a group, from the facts of its first host."""
        known = self.log.groups[name]
        described, own = known["described"], known["described"]["settings"]
        settings = replace(
            self.plan.settings,
            ns_per_tick=median(known["hosts"].values()),
            use_counter=own["use_counter"],
            counter=InstructionCounter(own["counter"]),
            can_count_calls=own["can_count_calls"],
            passes=tuple(map(Pass, own["passes"])),
        )
        cells = {record_from(Cell, cell): record_from(AllocatorPlan, plan) for cell, plan in described["plans"]}
        excluded = [record_from(CellResult, result) for result in described["excluded"]]
        return as_planned_elsewhere(self.plan, self.options, cells, excluded, settings, described["notes"])

    def announce(self, words: str) -> None:
        """Report a line."""
        self.say(words)

    def changed(self, hosts: Sequence[Host]) -> None:
        """Show the current work of each host."""
        done = sum(len(opened.samples) for opened in self.ledgers.values())
        self._at_first = done if self._at_first is None and self.ledgers else self._at_first
        total = max(done, sum(self._expected.values()))
        what = _in_words(hosts)
        if (what, done) == self._last_progress:
            return
        self._last_progress = (what, done)
        new, seconds = done - (self._at_first or 0), time.monotonic() - self._began
        self.progress(what, done, total, seconds / new * (total - done) if new else None)
        if time.monotonic() - self._standings_at >= _WATCH_SECONDS:
            self._standings_at = time.monotonic()
            self.show_standings()

    def measured(self) -> list[Measured]:
        """Return the results of each group, including groups of an interrupted run that have no host now."""
        for name in self.log.groups:
            if name not in self.ledgers:
                self._open(name)
        return [
            Measured(name, self._plan_of(name), tuple(opened.samples.values()), self._facts(name), opened.missing)
            for name, opened in sorted(self.ledgers.items())
            if opened.samples or not opened.total  # all of its cells may be left out, each for a reason
        ]

    def _facts(self, name: str) -> dict[str, Any]:
        known = self.log.groups[name]
        blocks = Counter(
            host for host, _ in {(sample.host, sample.block) for sample in self.ledgers[name].samples.values()} if host
        )
        hosts = {host: {"blocks": blocks[host]} for host in sorted(blocks)}
        return {**known["described"]["facts"], groups.GROUP: name, groups.HOSTS: hosts}


def identifying(described: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the facts by which machines are grouped.

    Of cells and passes only the differences from the plan here are included, so that the identity of a machine does not
    depend on what is measured.
    """
    facts = dict(described["facts"])
    if not any(plan.get("adopted") and plan["adopted"][0] == "python" for _, plan in described["plans"]):
        del facts["python"]  # no measured code is written in it
    settings = {key: value for key, value in described["settings"].items() if key not in ("ns_per_tick", "passes")}
    cells = {"/".join(cell.values()) for cell, _ in described["plans"]}
    other_cells = cells ^ {"/".join(asdict(cell).values()) for cell in plan.plans}
    other_passes = {*described["settings"]["passes"]} ^ set(map(str, plan.settings.passes))
    differing = {"cells": sorted(other_cells), "passes": sorted(other_passes)}
    return {**facts, "libraries": described["libraries"], "settings": settings, **differing}


def _in_words(hosts: Sequence[Host]) -> str:
    """Return the current work of each host; of many, the first few."""
    at = []
    for host in hosts:
        if host.absent_since is not None:
            at.append(f"{host.name} gone")
        elif host.unit is not None:
            at.append(f"{host.name} {host.unit.words}")
        else:
            at.append(f"{host.name} {_IDLE[host.state]}")
    more = f" and {len(at) - _SHOWN_HOSTS} more" if len(at) > _SHOWN_HOSTS else ""
    return (" · ".join(at[:_SHOWN_HOSTS]) or "looking for hosts") + more


_IDLE = {
    State.LOOKED_AT: "found",
    State.PREPARING: "prepares",
    State.READY: "idle",
    State.AT_WORK: "at work",
    State.OUT: "left out",
}


def take(
    options: BenchOptions,
    plan: Plan,
    log: Journal,
    progress: Progress,
    announce: Callable[[str], None],
    show_standings: Callable[[list[Measured]], None] | None = None,
    reach: Callable[[str], connection.Connection] = connection.DaskConnection,
) -> list[Measured]:
    """Take the samples of a run on the hosts of a cluster, and return them by group.

    Every sample is in the journal as soon as it has arrived. ``show_standings`` is called with all samples from time to
    time. Raises InputError where nobody answers, MemtoolError where no host can be used.
    """
    cluster = options.cluster or ""
    own = json.dumps([log.started, sorted(map(str, plan.plans)), [info.event_hash for info in plan.infos]])
    run = hashlib.blake2b(own.encode(), digest_size=8).hexdigest()
    options = replace(options, blocks=plan.settings.blocks, footprint_repeats=plan.settings.footprint_repeats)
    spread = _Spread(
        options,
        plan,
        log,
        progress,
        announce,
        (lambda: None) if show_standings is None else (lambda: show_standings(spread.measured())),
        run,
        orders.order_of(options, run),
    )
    reached = reach(cluster)
    dispatcher = Dispatcher(reached, spread, spread.ledgers)
    is_over = False
    try:
        dispatcher.run()
        is_over = True
    finally:
        dispatcher.release(keep=not is_over)
        reached.close()
    return spread.measured()
