"""A process of its own that runs what nobody has vouched for: it may crash, exit, hang, write, leave children."""

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
    """How such a process ended."""

    status: int
    """As subprocess has it: below 0 the signal that it died of."""
    answer: str
    """What it wrote to the descriptor of its answer."""
    complaint: str
    """What it wrote to standard error; bytes that are no text are replaced."""

    @property
    def ending(self) -> str:
        """Return in words how it ended, where it did not answer."""
        if self.status < 0:
            return f"dies of signal {-self.status}"
        last = "".join(self.complaint.strip().splitlines()[-1:])
        if self.status == 0:
            return f"ends without an answer{f': {last}' if last else ''}"
        return f"fails: {last or f'status {self.status}'}"


def try_apart(
    command: Sequence[str], *, request: bytes = b"", environment: Mapping[str, str] | None = None, seconds: float
) -> Trial:
    """Run a command that writes its answer to the descriptor named by its last argument, which is added to it.

    Its standard output goes nowhere, and whatever it leaves running in its session is ended.

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
    """Return the end of a file: at most so many bytes."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, most, max(0, size - most)).decode(errors="replace")
