"""Asks the server of tests/started.py for a memtool; as a program it stands for memtool in a shell's PATH.

An interpreter that imports no more than this is there after ten milliseconds.
"""

from __future__ import annotations

import marshal
import os
import socket
import sys
from collections.abc import Sequence


class Asked:
    """A memtool that a server has forked. It does not hear the signals that whoever asked for it hears."""

    def __init__(
        self, address: str, words: Sequence[str], variables: dict[str, str], folder: str, work: int, files: list[int]
    ) -> None:
        """Have it begin in a folder, with these for its input, output and errors; ``work``: see fork_server.py."""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address)
        socket.send_fds(self._server, [b"."], files)
        self._server.sendall(marshal.dumps((list(words), variables, folder, work)))
        self.process = self._number()

    def exit_code(self, timeout: float | None = None) -> int:
        """Return how it ended, below zero by a signal. Raises TimeoutError."""
        self._server.settimeout(timeout)
        return self._number()

    def close(self) -> None:
        """Forget it."""
        self._server.close()

    def _number(self) -> int:
        answer = self._server.recv(8)
        if not answer:
            raise EOFError("the server of tests/started.py has ended")
        return int.from_bytes(answer, sys.byteorder, signed=True)


def main() -> None:
    """Be a memtool for a shell."""
    address, work, *words = sys.argv[1:]
    code = Asked(address, words, dict(os.environ), os.getcwd(), int(work), [0, 1, 2]).exit_code()  # noqa: PTH109
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
