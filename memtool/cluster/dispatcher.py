"""Hands units to hosts, one at a time for each host, and receives the results, even if hosts and network fail.

A host is inspected, prepares the plan, joins the group of its equals, and then receives units of that group until none
is left. If a host is gone for a while, its unit is given to another; when it returns, it continues with what is left.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from memtool.cluster import remote
from memtool.cluster.connection import Answer, Connection
from memtool.cluster.ledger import Ledger
from memtool.cluster.orders import Unit
from memtool.errors import MemtoolError
from memtool.units import format_duration

_ABSENT_SECONDS = 10.0
"""Seconds of absence after which a host's unit is given to another host."""
_PATIENCE_SECONDS = 300.0
"""Seconds that a run waits if no host is left or the scheduler cannot be reached."""
_GATHER_SECONDS = 60.0
"""Latest start of the first block, in seconds; until then hosts gather, so that blocks are spread over all of them."""
_POLL_SECONDS = 0.5
_RELEASE_SECONDS = 5.0
_MOST_SKEW = 60.0
_MOST_REFUSALS = 3
"""Number of hosts on which a unit may fail before it is given up."""


class State(Enum):
    """State of a host."""

    LOOKED_AT = auto()
    PREPARING = auto()
    READY = auto()
    AT_WORK = auto()
    OUT = auto()
    """It is not used, for a reason that was reported."""


@dataclass(slots=True)
class Host:
    """A machine, by its identity; if it has several Dask workers, the one that is used."""

    identity: str
    name: str
    address: str
    state: State = State.LOOKED_AT
    token: int | None = None
    """Token of the current call."""
    group: str = ""
    unit: Unit | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    incarnation: str = ""
    offset: int = 0
    absent_since: float | None = None


class Listener(Protocol):
    """The interface to the code that makes a run of the results."""

    run: str
    order: str

    def refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Return why a host cannot be used, by the facts known so far; None: it can."""
        ...

    def group_of(self, host: str, described: Mapping[str, Any]) -> str:
        """Return the name of the group of a host, for which a ledger exists from now on.

        Raises MemtoolError for a host that belongs to no group.
        """
        ...

    def announce(self, words: str) -> None:
        """Report a line."""
        ...

    def changed(self, hosts: Sequence[Host]) -> None:
        """Show the progress."""
        ...


@dataclass(slots=True)
class Dispatcher:
    """The run on a cluster, from the first look to the last sample."""

    connection: Connection
    listener: Listener
    ledgers: dict[str, Ledger]
    """Group -> ledger; the listener adds groups."""
    clock: Callable[[], float] = time.monotonic
    _hosts: dict[str, Host] = field(default_factory=dict)
    """Hosts by identity."""
    _looking: dict[int, str] = field(default_factory=dict)
    """Token -> address of a worker that is still unknown."""
    _known: dict[str, str] = field(default_factory=dict)
    """Address of a worker -> identity of its machine; "" if the inspection failed."""
    _tokens: itertools.count[int] = field(default_factory=itertools.count)
    _refused: dict[tuple[str, Unit], int] = field(default_factory=dict)
    _began: float = 0.0
    _nobody_since: float | None = None
    _is_reached: bool = True

    def run(self) -> None:
        """Return once every unit of every group has ended. Raises MemtoolError if nobody is left to do one."""
        self._began = self.clock()
        while not self._is_over():
            self._see_who_is_there()
            self._hand_out()
            self.listener.changed(list(self._hosts.values()))
            answer = self.connection.next(_POLL_SECONDS)
            while answer is not None:
                self._answered(answer)
                answer = self.connection.next(0)
            self._lose_patience()
        self.listener.changed(list(self._hosts.values()))

    def release(self, *, keep: bool) -> None:
        """End the run on all hosts; with ``keep`` they keep their finished samples for a resumed run."""
        releases = set()
        for host in self._hosts.values():
            self._forget_call(host)
            if host.absent_since is None and host.state is not State.LOOKED_AT:
                releases.add(token := next(self._tokens))
                self.connection.call(token, host.address, remote.release, self.listener.run, keep)
        end = self.clock() + _RELEASE_SECONDS
        while releases and self.clock() < end:
            answer = self.connection.next(end - self.clock())
            releases -= set() if answer is None else {answer.token}

    def _is_over(self) -> bool:
        if not self.ledgers or not all(ledger.is_complete for ledger in self.ledgers.values()):
            return False
        # Another host may still start a new group.
        pending = (host for host in self._hosts.values() if host.state in (State.LOOKED_AT, State.PREPARING))
        return not self._looking and not any(host.absent_since is None for host in pending)

    def _see_who_is_there(self) -> None:
        members = self.connection.members()
        if (members is not None) != self._is_reached:
            self._is_reached = members is not None
            words = "is reached again" if self._is_reached else "cannot be reached; what hosts have begun goes on"
            self.listener.announce(f"the cluster {words}")
            for host in self._hosts.values():  # an absent host has time to return from now on
                host.absent_since = None if host.absent_since is None else self.clock()
        known = members or frozenset()
        for address in [address for address in self._known if address not in known]:
            del self._known[address]
        for token in [token for token, address in self._looking.items() if address not in known]:
            del self._looking[token]
            self.connection.drop(token)
        for host in self._hosts.values():
            if host.address not in known:
                self._miss(host)
        for address in sorted(known - set(self._known) - set(self._looking.values())):
            self._look(address, eval, remote.INTRODUCTION)

    def _look(self, address: str, function: Callable[..., Any], *arguments: object) -> None:
        """Ask a worker about its machine."""
        token = next(self._tokens)
        self._looking[token] = address
        self.connection.call(token, address, function, *arguments)

    def _miss(self, host: Host) -> None:
        """Record that a host's worker is gone; another worker of the host replaces it, or later another host."""
        now = self.clock()
        self._forget_call(host)
        other = next((address for address, identity in self._known.items() if identity == host.identity), None)
        if other is not None:
            self._return(host, other)
            return
        if host.absent_since is None:
            host.absent_since = now
            if host.state is not State.OUT and self._is_reached:
                self.listener.announce(f"{host.name}: has gone{self._in_the_middle(host)}")
        if host.unit is not None and self._is_reached and now - host.absent_since >= _ABSENT_SECONDS:
            self.ledgers[host.group].give_back(host.unit)
            host.unit = None

    def _return(self, host: Host, address: str) -> None:
        """Continue with a host that has a new worker: its process ended with the old one, or will report itself."""
        host.address, host.absent_since = address, None
        if host.state is not State.OUT:
            host.state, host.incarnation, host.offset = State.PREPARING, "", 0

    @staticmethod
    def _in_the_middle(host: Host) -> str:
        return "" if host.unit is None else f" in the middle of {host.unit.words}; its finished samples are kept"

    def _forget_call(self, host: Host) -> None:
        if host.token is not None:
            self.connection.drop(host.token)
            host.token = None

    def _hand_out(self) -> None:
        gathering = self._is_gathering()
        for host in self._hosts.values():
            if host.absent_since is not None or host.token is not None:
                continue
            if host.state in (State.LOOKED_AT, State.PREPARING):
                host.state = State.PREPARING
                self._call(host, remote.prepare, self.listener.run, self.listener.order)
            elif host.state is State.READY and not gathering:
                ledger = self.ledgers[host.group]
                host.unit = ledger.next()
                if host.unit is not None:
                    host.state, host.request = State.AT_WORK, ledger.request(host.unit)
                    host.incarnation, host.offset = "", 0
            if host.state is State.AT_WORK and host.token is None:
                self._call(host, remote.collect, self.listener.run, host.request, host.incarnation, host.offset)

    def _is_gathering(self) -> bool:
        if self.clock() - self._began >= _GATHER_SECONDS:
            return False
        pending = any(
            host.state in (State.LOOKED_AT, State.PREPARING) and host.absent_since is None
            for host in self._hosts.values()
        )
        return bool(self._looking) or pending

    def _call(self, host: Host, function: Callable[..., Any], *arguments: object) -> None:
        host.token = next(self._tokens)
        self.connection.call(host.token, host.address, function, *arguments)

    def _answered(self, answer: Answer) -> None:
        if answer.token in self._looking:
            self._looked(self._looking.pop(answer.token), answer)
            return
        host = next((host for host in self._hosts.values() if host.token == answer.token), None)
        if host is None:
            return
        host.token = None
        if answer.is_lost:
            return  # it is asked again if it is still there
        if answer.problem:
            self._put_out(host, answer.problem)
        elif host.state is State.PREPARING:
            self._prepared(host, answer.value)
        elif host.state is State.AT_WORK and host.unit is not None:
            self._collected(host, host.unit, answer.value)

    def _looked(self, address: str, answer: Answer) -> None:
        if answer.is_lost:
            return  # it is inspected again if it is still there
        facts = answer.value or {}
        problem = answer.problem or self.listener.refusal(facts)
        if problem:
            self._known[address] = ""
            self.listener.announce(f"{facts.get('name', address)}: {problem}; it is left out")
            return
        if "identity" not in facts:  # this was the introduction, and more can be sent now
            self._look(address, remote.look)
            return
        self._known[address] = identity = str(facts["identity"])
        host = self._hosts.get(identity)
        if host is None:
            skew = float(facts["time"]) - time.time()
            if abs(skew) > _MOST_SKEW:
                side = "ahead" if skew > 0 else "behind"
                words = f"its clock is {format_duration(round(abs(skew)))} {side}; no figure depends on it"
                self.listener.announce(f"{facts['name']}: {words}")
            self._hosts[identity] = Host(identity, str(facts["name"]), address)
        elif host.absent_since is not None:
            if host.state is not State.OUT:
                self.listener.announce(f"{host.name}: is back")
            self._return(host, address)

    def _prepared(self, host: Host, value: Mapping[str, Any]) -> None:
        if "error" in value:
            self._put_out(host, value["error"])
        elif "ready" in value:
            try:
                host.group = host.group or self.listener.group_of(host.name, value["ready"])
            except MemtoolError as problem:
                self._put_out(host, str(problem))
                return
            host.state = State.AT_WORK if host.unit is not None else State.READY

    def _collected(self, host: Host, unit: Unit, value: Mapping[str, Any]) -> None:
        if "lost" in value:
            host.state, host.incarnation, host.offset = State.PREPARING, "", 0
            return
        ledger = self.ledgers[host.group]
        for note in value["notes"]:
            self.listener.announce(f"{host.name}: {note}")
        for line in value["lines"]:
            try:
                ledger.take(line, host.name)
            except ValueError as problem:
                self._put_out(host, f"sends what is no sample: {problem}")
                return
        host.incarnation, host.offset = value["incarnation"], value["offset"]
        if "error" in value:
            self._put_out(host, value["error"])
        elif "ended" in value:
            ledger.ended(unit)
            host.unit, host.state = None, State.READY

    def _put_out(self, host: Host, problem: str) -> None:
        """Stop using a host; its unit goes to another host, unless it fails there too."""
        doing = "" if host.unit is None else f" ({host.unit.words})"
        self.listener.announce(f"{host.name}: {problem}{doing}; it is left out")
        if host.unit is not None:
            key = (host.group, host.unit)
            self._refused[key] = self._refused.get(key, 0) + 1
            ledger = self.ledgers[host.group]
            if self._refused[key] >= _MOST_REFUSALS:
                ledger.give_up(host.unit)
            else:
                ledger.give_back(host.unit)
        host.unit, host.state = None, State.OUT

    def _lose_patience(self) -> None:
        """Raise MemtoolError if no host that could do the rest has been there for long."""
        usable = [host for host in self._hosts.values() if host.state is not State.OUT and host.absent_since is None]
        open_groups = {name for name, ledger in self.ledgers.items() if not ledger.is_complete}
        starting = [host for host in usable if host.state in (State.LOOKED_AT, State.PREPARING)]
        if self._looking or starting or (open_groups and open_groups <= {host.group for host in usable}):
            self._nobody_since = None
            return
        if not open_groups and self.ledgers:
            return
        now = self.clock()
        self._nobody_since = now if self._nobody_since is None else self._nobody_since
        may_return = any(host.state is not State.OUT for host in self._hosts.values()) or not self._is_reached
        if may_return and now - self._nobody_since < _PATIENCE_SECONDS:
            return
        if not self._hosts and not self._known and now - self._began < _GATHER_SECONDS:
            return  # workers may still be connecting
        for name in open_groups - {host.group for host in usable}:
            self._give_up_group(name)
        if not self.ledgers:
            raise MemtoolError("no host of the cluster can be used" if self._known else "the cluster has no workers")

    def _give_up_group(self, name: str) -> None:
        ledger = self.ledgers[name]
        self.listener.announce(f"machine {name}: no host is left; {ledger.missing:,} samples were not taken")
        ledger.give_up_all()
