"""The functions that Dask calls on a host. A call is short, or waits for news without using a processor.

State is kept for each run. Arguments and results are plain data. A repeated call has no further effect, because
connections break and answers get lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from memtool import __version__
from memtool.cluster import machine, quiet
from memtool.engine.loading import EngineError, source_hash

_PATIENCE = 10.0
"""Seconds that a call waits for news."""
_COLLECTED = 1.0
"""Seconds for which samples are collected before they are fetched, because each call wakes the host up."""
_PORTION = 8 << 20
"""Approximate bytes of samples that are fetched at a time."""
_END_SECONDS = 5.0


INTRODUCTION = (
    f"{{'name': __import__('os').environ.get({machine.VARIABLE!r}) or __import__('platform').node(), "
    "'memtool': __import__('importlib.util').util.find_spec('memtool') and __import__('memtool').__version__}"
)
"""Evaluated first, because it needs only Python: a Dask worker ends if it receives a function that it cannot
import."""


def look() -> dict[str, Any]:
    """Return the identity of this machine and its version of memtool; from now on its Dask worker is quiet."""
    from importlib.metadata import version

    from distributed import get_worker

    quiet.hush(get_worker())
    try:
        engine, problem = source_hash(), ""
    except EngineError as missing:
        engine, problem = "", str(missing)
    return {
        "identity": machine.identity(),
        "name": machine.name(),
        "memtool": __version__,
        "engine": engine,
        "problem": problem,
        "dask": version("distributed"),
        "time": time.time(),
    }


@dataclass(slots=True)
class _Serving:
    """The process that measures here for a run, and its output."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    incarnation: str = field(default_factory=lambda: os.urandom(4).hex())
    news: threading.Condition = field(default_factory=threading.Condition)
    ready: dict[str, Any] | None = None
    problem: str = ""
    unit: str = ""
    lines: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: dict[str, Any] | None = None
    """The end of the unit: ``ended`` or ``error``."""

    def ask(self, **words: object) -> None:
        """Write a line to the process, even if it is gone."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(words).encode() + b"\n")
            self.process.stdin.flush()

    def listen(self) -> None:
        """Read the output of the process until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = None if line.startswith(b'{"check"') else json.loads(line)
            with self.news:
                if message is None:
                    self.lines.append(line)
                elif "ready" in message:
                    self.ready = message["ready"]
                elif "note" in message:
                    self.notes.append(message["note"])
                elif "error" in message and "unit" not in message:
                    self.problem = message["error"]
                elif self.unit in (message.get("ended"), message.get("unit")):
                    self.outcome = message
                self.news.notify_all()
        code = self.process.wait()
        with self.news:
            self.problem = self.problem or f"its process ended with status {code}{self._last_words()}"
            self.news.notify_all()

    def _last_words(self) -> str:
        self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, self.errors.tell() - 4096))
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""

    def end_of_unit(self) -> dict[str, Any]:
        """Return ``ended`` or ``error`` if the unit is over."""
        if self.outcome is not None:
            return {key: self.outcome[key] for key in ("ended", "error") if key in self.outcome}
        return {"error": self.problem} if self.problem else {}

    def end(self) -> None:
        """End the process and its measurement."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.errors.close()


_serving: dict[str, _Serving] = {}
_lock = threading.Lock()


def _start(run: str, order: str) -> _Serving:
    errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
    process = subprocess.Popen(
        [sys.executable, "-m", "memtool.cluster.serving"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=quiet.environment(),
        start_new_session=True,
    )
    serving = _Serving(process, errors)
    threading.Thread(target=serving.listen, daemon=True).start()
    serving.ask(**json.loads(order))
    return serving


def prepare(run: str, order: str) -> dict[str, Any]:
    """Let a separate process plan a run; return the plan as ``ready``, or ``error``, or neither: it is not finished."""
    with _lock:
        serving = _serving.get(run)
        if serving is None or serving.problem:
            if serving is not None:
                serving.errors.close()
            serving = _serving[run] = _start(run, order)
    with serving.news:
        serving.news.wait_for(lambda: serving.ready is not None or serving.problem, _PATIENCE)
        if serving.ready is not None and not serving.problem:
            return {"ready": serving.ready}
        return {"error": serving.problem} if serving.problem else {}


def collect(run: str, request: Mapping[str, Any], incarnation: str, offset: int) -> dict[str, Any]:
    """Return new samples of a unit; begin the unit if it has not been begun.

    Args:
        run: name of the run, which was prepared.
        request: the unit, in the form that ``serving`` takes.
        incarnation: the process to which ``offset`` refers.
        offset: number of lines that were fetched before.

    Returns:
        ``lines``, ``offset`` (after them), ``incarnation``, ``notes``, and at the end ``ended`` or ``error``.
        ``lost``: this host has no process of this run.
    """
    serving = _serving.get(run)
    if serving is None or serving.problem:
        return {"lost": serving.problem if serving is not None else ""}
    with serving.news:
        if serving.unit != request["name"] or incarnation not in ("", serving.incarnation):
            offset = 0
        if serving.unit != request["name"]:
            serving.unit, serving.lines, serving.outcome = request["name"], [], None
            serving.ask(**request)
        serving.ask(wanted=True)

        def is_over() -> bool:
            return serving.outcome is not None or bool(serving.problem)

        if serving.news.wait_for(lambda: len(serving.lines) > offset or is_over(), _PATIENCE) and not is_over():
            serving.news.wait_for(is_over, _COLLECTED)
        lines = _portion(serving.lines[offset:])
        notes, serving.notes = serving.notes, []
        answer: dict[str, Any] = {
            "lines": lines,
            "offset": offset + len(lines),
            "incarnation": serving.incarnation,
            "notes": notes,
        }
        if offset + len(lines) == len(serving.lines):
            answer |= serving.end_of_unit()
        return answer


def _portion(lines: list[bytes]) -> list[bytes]:
    size = 0
    taken: list[bytes] = []
    for line in lines:
        if taken and size > _PORTION:
            break
        taken.append(line)
        size += len(line)
    return taken


def release(run: str, keep: bool) -> None:
    """End the process of a run; ``keep`` its samples, or delete them because they have been fetched."""
    with _lock:
        serving = _serving.pop(run, None)
    if serving is not None:
        serving.end()
    if not keep:
        shutil.rmtree(machine.spool(run), ignore_errors=True)
