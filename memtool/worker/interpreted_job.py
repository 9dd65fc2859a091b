"""A sample that an interpreter takes (child.py), of an allocator that is written in Python."""

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
    """The files that a worker in Python reads its request from and writes its answer to."""

    def __init__(self, request: Mapping[str, Any], token: bytes) -> None:
        """Write the request; ``token`` stands around the answer."""
        self._token = token
        self._answers, self._worker_end = os.pipe()
        # A file: a pipe would keep us where a library does not let the worker come to reading it.
        self.input: int | None = os.memfd_create("request")
        self.command = [sys.executable, "-I", "-S", str(Path(package_folder()) / "worker" / "start.py")]
        self.descriptors: tuple[int, ...] = (self._worker_end,)
        self.environment: Mapping[str, str] = request["environment"]
        whole_request = {**request, "path": tuple(sys.path), "token": token, "result": self._worker_end}
        os.write(self.input, marshal.dumps(whole_request))
        os.lseek(self.input, 0, os.SEEK_SET)

    def started(self) -> None:
        """Let go of what is the worker's alone, so that the pipe ends when the worker does."""
        os.close(self._worker_end)
        self.descriptors = ()

    def answer(self, pid: int, deadline: float) -> dict[str, Any] | None:
        """Return the worker's answer; None: it has died. Raises TimedOut and Foreign."""
        return read_answer(self._answers, pid, self._token, deadline)

    def close(self) -> None:
        """Let go of the files."""
        assert self.input is not None
        for descriptor in (self.input, self._answers, *self.descriptors):
            os.close(descriptor)
