"""Reads a worker's answer as it arrives, within the worker's time, and trusts only a complete, marked answer.

The worker writes into a pipe: a token that is random for each worker, the length of the answer, the marshalled answer,
and the token again. A worker may die, hang, close the pipe, write into it, or leave children that hold it open.
"""

from __future__ import annotations

import marshal
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

TOKEN_BYTES = 16
_LENGTH_BYTES = 8
_LARGEST = 1 << 30
_LOOK_SECONDS = 0.1
"""Seconds between checks of a process for which the kernel has no descriptor."""
_GRACE_SECONDS = 5.0
"""Seconds for a worker that has closed the pipe to end; meanwhile the kernel releases its memory."""


class Foreign(Exception):
    """The data in the pipe is not an answer."""


class TimedOut(Exception):
    """The worker was alive at its time limit but had not answered."""


def read_answer(pipe: int, pid: int, token: bytes, deadline: float) -> dict[str, Any] | None:
    """Return the answer of a worker; None: it died, or closed the pipe, without an answer.

    ``deadline``: by time.monotonic(). Raises TimedOut and Foreign.
    """
    os.set_blocking(pipe, False)
    data = bytearray()
    with _process(pid) as process:
        while True:
            is_dead = _wait(pipe, process, pid, deadline)
            is_open = _drain(pipe, data, token)
            if _is_whole(data, token):
                return _loaded(data, token)
            if is_dead:
                return None if not data else _broken()
            if not is_open:
                if not _dies(process, pid, min(deadline, time.monotonic() + _GRACE_SECONDS)):
                    raise Foreign("closed the pipe of its answer, and went on")
                return None if not data else _broken()
            if time.monotonic() >= deadline:
                raise TimedOut


def wait_for_end(pid: int, deadline: float) -> None:
    """Wait until a process has ended. Raises TimedOut at the deadline."""
    with _process(pid) as process:
        if not _dies(process, pid, deadline):
            raise TimedOut


@contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """Yield a descriptor that becomes readable when the process ends; None if the kernel does not provide one."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(pipe: int, process: int | None, pid: int, deadline: float) -> bool:
    """Wait for data, the end of the process or the deadline; return whether the process has ended."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if process is not None:
        poll.register(process, select.POLLIN)
    seconds = max(0.0, deadline - time.monotonic())
    ready = poll.poll(1000 * min(seconds, _LOOK_SECONDS))
    return any(watched == process for watched, _ in ready) if process is not None else _is_zombie(pid)


def _dies(process: int | None, pid: int, deadline: float) -> bool:
    """Return whether a process has ended by the deadline."""
    while time.monotonic() < deadline:
        poll = select.poll()
        if process is not None:
            poll.register(process, select.POLLIN)
        if poll.poll(1000 * _LOOK_SECONDS) or (process is None and _is_zombie(pid)):
            return True
    return False


def _is_zombie(pid: int) -> bool:
    """Return whether a child has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _drain(pipe: int, data: bytearray, token: bytes) -> bool:
    """Add the available data; return whether more may come. Raises Foreign if it cannot be the start of an answer."""
    with suppress(BlockingIOError):
        while True:
            chunk = os.read(pipe, 1 << 20)
            if not chunk:
                return False
            data += chunk
            if data[:TOKEN_BYTES] != token[: len(data)] or _length(data) > _LARGEST:
                _broken()
            if _is_whole(data, token):
                return True
    return True


def _length(data: bytearray) -> int:
    return int.from_bytes(data[TOKEN_BYTES : TOKEN_BYTES + _LENGTH_BYTES], "little")


def _is_whole(data: bytearray, token: bytes) -> bool:
    around = 2 * TOKEN_BYTES + _LENGTH_BYTES
    return len(data) >= around and len(data) >= around + _length(data) and data[:TOKEN_BYTES] == token


def _loaded(data: bytearray, token: bytes) -> dict[str, Any]:
    begin = TOKEN_BYTES + _LENGTH_BYTES
    end = begin + _length(data)
    if data[end:] != token:
        _broken()
    try:
        answer = marshal.loads(data[begin:end])
    except (ValueError, EOFError, TypeError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
        _broken()
    return answer


def _broken() -> NoReturn:
    raise Foreign("wrote what is no answer into the pipe of its answer")
