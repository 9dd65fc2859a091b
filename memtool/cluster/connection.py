"""The connection to a cluster: calls on its workers, each answered once or lost, even if scheduler or network fail."""

from __future__ import annotations

import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from memtool import files
from memtool.errors import InputError, MemtoolError

_CONNECT_SECONDS = 20.0
_WATCH_SECONDS = 1.0
_ANSWER_SECONDS = 15.0
"""Seconds in which a scheduler must list its workers; a network may stall."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a call."""

    token: int
    value: Any = None
    problem: str = ""
    """Reason why the called function returned no value."""
    is_lost: bool = False
    """Whether the outcome is unknown, because the worker or the connection is gone."""


class Connection(Protocol):
    """The dispatcher's interface to a cluster: Dask in production, a fake in tests of faults."""

    def members(self) -> frozenset[str] | None:
        """Return the addresses of all current workers; None: no connection."""
        ...

    def call(self, token: int, address: str, function: Callable[..., Any], *arguments: object) -> None:
        """Call a function on a worker; ``next`` returns its answer."""
        ...

    def drop(self, token: int) -> None:
        """Stop waiting for an answer."""
        ...

    def next(self, seconds: float) -> Answer | None:
        """Return the next answer; None: there was none within this time."""
        ...

    def close(self) -> None:
        """Disconnect, and leave the cluster unchanged."""
        ...


def address_of(cluster: str) -> str:
    """Return the address that ``--cluster`` names: directly, or through a file that a scheduler has written.

    Raises InputError.
    """
    if "://" in cluster:
        return cluster
    path = Path(cluster)
    if not files.is_there(path):
        if ":" in cluster and cluster.rpartition(":")[2].isdecimal():
            return f"tcp://{cluster}"
        raise InputError(f"{cluster}: no such file, and no address such as tcp://HOST:8786", field="cluster")
    try:
        content = json.loads(files.read_text(path))
        address = content["address"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{cluster}: is not a scheduler file of Dask (JSON with an address)", field="cluster"
        ) from None
    return str(address)


def refuse_without_dask() -> None:
    """Raise MemtoolError where the extra is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise MemtoolError("other machines are reached through Dask: pip install 'memtool-bench[cluster]'") from None


class DaskConnection:
    """A client of a Dask scheduler, with a thread that follows its list of workers and reconnects."""

    def __init__(self, cluster: str) -> None:
        """Connect. Raises InputError where nobody answers or the address is not valid."""
        refuse_without_dask()
        # Dask sets its own level for some of its loggers when it is imported.
        for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module="distributed")
        self._cluster = cluster
        self._answers: SimpleQueue[tuple[int, Any | None]] = SimpleQueue()
        self._futures: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        address = address_of(cluster)
        try:
            self._client = self._connect()
        except (OSError, TimeoutError, ValueError) as problem:
            why = "nobody answers there" if isinstance(problem, OSError | TimeoutError) else str(problem)
            raise InputError(f"{address}: {why}", field="cluster") from None
        self._members: frozenset[str] | None = self._query_members()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _connect(self) -> Any:  # noqa: ANN401  # Dask's client has no types
        import distributed

        make: Any = distributed.Client
        return make(address_of(self._cluster), timeout=_CONNECT_SECONDS, set_as_default=False)

    def members(self) -> frozenset[str] | None:
        """Return the workers as of a second ago."""
        return self._members

    def call(self, token: int, address: str, function: Callable[..., Any], *arguments: object) -> None:
        """Submit a call to this worker only."""
        try:
            with self._lock:
                client = self._client
            future = client.submit(
                function, *arguments, workers=[address], allow_other_workers=False, pure=False, retries=0
            )
        except Exception:  # the connection is being lost at this moment
            self._answers.put((token, None))
            return
        self._futures[token] = future
        future.add_done_callback(lambda done: self._answers.put((token, done)))

    def drop(self, token: int) -> None:
        """Cancel a call that has not been made yet."""
        future = self._futures.pop(token, None)
        if future is not None:
            with suppress(Exception):
                future.cancel()

    def next(self, seconds: float) -> Answer | None:
        """Return the next answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                token, future = self._answers.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                return None
            known = self._futures.pop(token, None)
            if future is None:
                return Answer(token, is_lost=True)
            if known is not None:
                return _answer(token, future)

    def close(self) -> None:
        """Disconnect, and leave the cluster unchanged."""
        self._ended.set()
        self._watching.join(_ANSWER_SECONDS)
        _closed(self._client)

    def _query_members(self) -> frozenset[str] | None:
        try:
            return frozenset(self._client.nthreads(callback_timeout=_ANSWER_SECONDS))
        except Exception:  # a broken connection raises many kinds
            return None

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_SECONDS):
            self._members = self._query_members()
            if self._members is None and not self._ended.is_set():
                self._reconnect()

    def _reconnect(self) -> None:
        """Connect anew: all calls are lost, because a restarted scheduler does not know them."""
        _closed(self._client)
        for token in list(self._futures):
            self._answers.put((token, None))
        while not self._ended.is_set():
            try:
                client = self._connect()
            except Exception:  # not there yet
                self._ended.wait(_WATCH_SECONDS)
                continue
            with self._lock:
                self._client = client
            return


def _closed(client: Any) -> None:  # noqa: ANN401
    with suppress(Exception):
        client.close(timeout=2)


def _answer(token: int, future: Any) -> Answer:  # noqa: ANN401
    """Return the outcome of a call."""
    try:
        if future.status == "finished":
            return Answer(token, future.result(timeout=_ANSWER_SECONDS))
        if future.status == "error":
            problem = future.exception(timeout=_ANSWER_SECONDS)
            return Answer(token, problem=_in_words(problem), is_lost=type(problem).__name__ == "KilledWorker")
    except Exception:  # the worker is gone with its answer
        return Answer(token, is_lost=True)
    return Answer(token, is_lost=True)


def _in_words(problem: BaseException | None) -> str:
    """Return in one line why a call could not be made or failed."""
    cause = problem.__cause__ if problem is not None and problem.__cause__ is not None else problem
    if isinstance(cause, ModuleNotFoundError):
        missing = (cause.name or str(cause)).partition(".")[0]
        where = " where the scheduler runs" if cause is not problem else ""
        return f"has no {missing} in its Python{where}" if missing != "memtool" else f"has no memtool{where}"
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"
