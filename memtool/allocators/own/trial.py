"""Runs untrusted code in a separate process: it may crash, exit, hang, print, or leave children."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from memtool.files import memory_file

_MOST_ANSWERED = 16 << 20
_MOST_COMPLAINED = 64 << 10


@dataclass(frozen=True, slots=True)
class Trial:
    """The end of such a process."""

    status: int
    """Exit status as in subprocess: below 0 the number of the signal that killed it."""
    answer: str
    """Its output to the descriptor of its answer."""
    complaint: str
    """Its output to standard error; bytes that are not valid text are replaced."""

    @property
    def ending(self) -> str:
        """Return in words how it ended, if it did not answer."""
        if self.status < 0:
            return f"dies of signal {-self.status}"
        last = "".join(self.complaint.strip().splitlines()[-1:])
        if self.status == 0:
            return f"ends without an answer{f': {last}' if last else ''}"
        return f"fails: {last or f'status {self.status}'}"


def try_apart(
    command: Sequence[str], *, request: bytes = b"", environment: Mapping[str, str] | None = None, seconds: float
) -> Trial:
    """Run a command that writes its answer to the descriptor named by its last argument, which is added here.

    Its standard output is discarded, and everything that it leaves running in its session is killed.

    Raises:
        TimeoutError: it takes longer.
    """
    with memory_file("answer") as answer, memory_file("stderr") as errors, memory_file("request") as request_file:
        os.write(request_file, request)
        os.lseek(request_file, 0, os.SEEK_SET)
        process = subprocess.Popen(
            [*command, str(answer)],
            stdin=request_file,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=(answer,),
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Trial(process.returncode, _text(answer, _MOST_ANSWERED), _text(errors, _MOST_COMPLAINED))


def _text(descriptor: int, most: int) -> str:
    """Return the end of a file: at most this many bytes."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, most, max(0, size - most)).decode(errors="replace")
