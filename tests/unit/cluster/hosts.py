"""A cluster that measures nothing, in a time of its own: hosts, workers and a network that fail when they are told."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from memtool.cluster import remote
from memtool.cluster.connection import Answer
from memtool.cluster.dispatcher import Dispatcher, Host
from memtool.cluster.ledger import Ledger
from memtool.cluster.orders import Unit, key_from
from memtool.cluster.serving import take_unit
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.plan import Plan
from memtool.store import journal
from memtool.worker.parent import Job, RegionRequest
from memtool.worker.schedule import Schedule
from memtool.worker.settings import Measurable, Settings
from tests.payloads import figures
from tests.runs import trace

PASSES = (Pass.CHECK, Pass.THROUGHPUT, Pass.FOOTPRINT, Pass.HEAP)
Result = Callable[[Job], Sample]


def measurable(workload: str, allocators: Sequence[str]) -> Measurable:
    def plan(name: str) -> AllocatorPlan:
        return AllocatorPlan(AllocatorSpec(name), name, "", is_control=name == "null")

    cells = {Cell(workload, name): plan(name) for name in allocators}
    return Measurable(workload, 5, 4096, plan("null"), cells, {"anonymous": RegionRequest(1 << 30, 4096)})


def plan_of(workloads: Sequence[str], allocators: Sequence[str], blocks: int) -> Plan:
    ready = tuple(measurable(name, allocators) for name in workloads)
    traces = tuple(cast("Any", _Trace(name)) for name in workloads)
    settings = Settings(blocks=blocks, footprint_repeats=2, passes=PASSES)
    return Plan(traces, ready, (), {cell: ready.cells[cell] for ready in ready for cell in ready.cells}, settings)


class _Trace:
    def __init__(self, name: str) -> None:
        self.info = trace(name)


def sound(job: Job) -> Sample:
    return Sample(job.cell, job.block, job.run_pass, Status.OK, None, figures(job.run_pass))


class _Invented:
    """Takes samples out of the air."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def execute(self, job: Job) -> Sample:
        return self._result(job)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        yield from map(self._result, (*waiting, *jobs))


@dataclass
class FakeHost:
    """A machine with a spool that outlives its Dask workers."""

    name: str
    plan: Plan
    group: str = "aaaaaa"
    result: Result = sound
    problem: str = ""
    """Why it prepares no plan."""
    broken: str = ""
    """Why it takes no unit."""
    ahead: float = 0.0
    """Seconds that its clock is ahead."""
    worker: int = 0
    """Number of its worker: each has an address and a memory of its own."""
    is_up: bool = True
    per_call: int = 3
    """Samples that it takes between two calls."""
    spool: dict[str, list[bytes]] = field(default_factory=dict)
    taken: list[tuple[str, Any]] = field(default_factory=list)
    """Keys of all samples that it has taken, however often."""
    _unit: str = ""
    _units: int = 0
    _lines: list[bytes] = field(default_factory=list)
    _ready: bool = False

    @property
    def address(self) -> str:
        return f"tcp://{self.name}:{self.worker}"

    def kill(self) -> None:
        self.is_up, self._ready, self._unit = False, False, ""

    def begin(self) -> None:
        self.is_up, self.worker = True, self.worker + 1

    def answer(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        if function is eval:
            return {"name": self.name, "memtool": "1"}
        if function is remote.look:
            return {"identity": self.name, "name": self.name, "time": time.time() + self.ahead}
        if function is remote.prepare:
            self._ready = not self.problem
            return {"error": self.problem} if self.problem else {"ready": {"group": self.group}}
        if function is remote.release:
            self._ready = False
            return None
        if not self._ready:
            return {"lost": ""}
        return self._collected(*arguments[1:])

    def _collected(self, request: Mapping[str, Any], incarnation: str, offset: int) -> dict[str, Any]:
        if self.broken:
            return {"lines": [], "offset": 0, "incarnation": "", "notes": [], "error": self.broken}
        json.dumps(request)  # it travels as plain data
        unit = Unit(request["workload"], request["part"], request["block"])
        if self._unit != request["name"]:
            self._unit, self._units = request["name"], self._units + 1
            self.spool.setdefault(unit.name, [])
            self._lines = [*self.spool[unit.name], *self._taken(request, self.spool[unit.name])]
        if incarnation != f"{self.worker}-{self._units}":
            offset = 0
        spool = self.spool[unit.name]
        for line in self._lines[len(spool) :][: self.per_call]:
            spool.append(line)
            self.taken.append((unit.name, line))
        lines = spool[offset:]
        is_over = len(spool) == len(self._lines)
        answer = {"lines": lines, "offset": len(spool), "incarnation": f"{self.worker}-{self._units}", "notes": []}
        return answer | ({"ended": self._unit} if is_over else {})

    def _taken(self, request: Mapping[str, Any], spool: Sequence[bytes]) -> list[bytes]:
        lines: list[bytes] = []
        finished = {key_of(line): journal.sample_of(line, {}) for line in spool}
        schedule = Schedule(
            _Invented(self.result),
            self.plan.settings,
            lambda sample: lines.append(journal.line_of(sample)),
            finished=finished,
            elsewhere={key for key in map(key_from, request["done"]) if key not in finished},
        )
        take_unit(schedule, self.plan.measurables, request)
        return lines


def key_of(line: bytes) -> journal.Key:
    sample = journal.sample_of(line, {})
    return sample.cell, sample.block, sample.run_pass


@dataclass
class FakeCluster:
    """Hosts, and what happens on the way to them: ``events`` are called between two steps of half a second."""

    hosts: list[FakeHost]
    before_call: Callable[[FakeCluster], None] = lambda cluster: None
    now: float = 0.0
    is_reached: bool = True
    loses: Callable[[], bool] = lambda: False
    """Whether an answer gets lost on its way, of what has been done."""
    _calls: deque[tuple[int, str, Callable[..., Any], tuple[Any, ...]]] = field(default_factory=deque)

    def clock(self) -> float:
        return self.now

    def members(self) -> frozenset[str] | None:
        if not self.is_reached:
            return None
        return frozenset(host.address for host in self.hosts if host.is_up)

    def call(self, token: int, address: str, function: Callable[..., Any], *arguments: object) -> None:
        self._calls.append((token, address, function, arguments))

    def drop(self, token: int) -> None:
        self._calls = deque(call for call in self._calls if call[0] != token)

    def next(self, seconds: float) -> Answer | None:
        if not self._calls:
            self.now += seconds
            return None
        self.before_call(self)
        token, address, function, arguments = self._calls.popleft()
        self.now += 0.05
        host = next((host for host in self.hosts if host.is_up and host.address == address), None)
        if host is None or not self.is_reached:
            return Answer(token, is_lost=True)
        value = host.answer(function, arguments)
        return Answer(token, is_lost=True) if self.loses() else Answer(token, value)

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Run:
    """Who makes a run of it: each host says itself which group it is of."""

    plan: Plan
    finished: dict[journal.Key, Sample] = field(default_factory=dict)
    run: str = "run"
    order: str = "{}"
    said: list[str] = field(default_factory=list)
    recorded: list[journal.Key] = field(default_factory=list)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        return None

    def group_of(self, host: str, described: Mapping[str, Any]) -> str:
        name = str(described["group"])
        if name not in self.ledgers:
            self.ledgers[name] = Ledger(name, self.plan, self.record, dict(self.finished))
        return name

    def record(self, sample: Sample) -> None:
        self.recorded.append((sample.cell, sample.block, sample.run_pass))

    def announce(self, words: str) -> None:
        self.said.append(words)

    def changed(self, hosts: Sequence[Host]) -> None:
        self.states = [f"{host.name} {host.state.name}" for host in hosts]

    def over(self, cluster: FakeCluster) -> Dispatcher:
        return Dispatcher(cluster, self, self.ledgers, clock=cluster.clock)


def with_host(plan: Plan, *names: str, **changed: Any) -> list[FakeHost]:
    return [replace(FakeHost(name, plan), **changed) for name in names]
