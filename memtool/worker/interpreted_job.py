"""A sample of an allocator that is written in Python, taken by an interpreter (child.py)."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtool.engine.loading import package_folder
from memtool.worker.answer import read_answer


class InterpretedJob:
    """The files for the request to a worker in Python, and for its answer."""

    def __init__(self, request: Mapping[str, Any], token: bytes) -> None:
        """Write the request; ``token`` frames the answer."""
        self._token = token
        self._answers, self._worker_end = os.pipe()
        # A file, because writing to a pipe would block if a library prevents the worker from reading it.
        self.input: int | None = os.memfd_create("request")
        self.command = [sys.executable, "-I", "-S", str(Path(package_folder()) / "worker" / "start.py")]
        self.descriptors: tuple[int, ...] = (self._worker_end,)
        self.environment: Mapping[str, str] = request["environment"]
        whole_request = {**request, "path": tuple(sys.path), "token": token, "result": self._worker_end}
        os.write(self.input, marshal.dumps(whole_request))
        os.lseek(self.input, 0, os.SEEK_SET)

    def started(self) -> None:
        """Close the files that only the worker needs, so that the pipe ends with the worker."""
        os.close(self._worker_end)
        self.descriptors = ()

    def answer(self, pid: int, deadline: float) -> dict[str, Any] | None:
        """Return the worker's answer; None: it has died. Raises TimedOut and Foreign."""
        return read_answer(self._answers, pid, self._token, deadline)

    def close(self) -> None:
        """Close the files."""
        assert self.input is not None
        for descriptor in (self.input, self._answers, *self.descriptors):
            os.close(descriptor)
