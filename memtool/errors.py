"""Errors that reach the user as one line on stderr, with the exit code of the contract."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3
EXIT_INCONCLUSIVE = 4
EXIT_INCOMPARABLE = 5
EXIT_INTERRUPTED = 130


class MemtoolError(Exception):
    """memtool itself could not do what was asked: exit code 1. The message is one line."""

    exit_code = EXIT_FAILED


class Interrupted(KeyboardInterrupt):
    """The user stopped a run; the message says what is left of it."""


class InputError(MemtoolError):
    """What the user gave is wrong (a file, a name, a range): exit code 2. The message names it."""

    exit_code = EXIT_USAGE


class InputErrors(InputError):
    """Several things are wrong with what the user gave: each is one line, and the message is the first of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Take at least one line."""
        super().__init__(lines[0])
        self.lines = tuple(lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for the known names nearest to ``word``, or ``""``."""
    nearest = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    if not nearest:
        return ""
    return "; did you mean " + " or ".join(f"'{name}'" for name in nearest) + "?"
