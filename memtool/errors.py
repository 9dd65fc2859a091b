"""Errors that reach the user as one line on stderr, with their exit codes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3
EXIT_INCONCLUSIVE = 4
EXIT_INCOMPARABLE = 5
EXIT_INTERRUPTED = 130


_OPTION = re.compile("\N{LEFT-POINTING ANGLE BRACKET}([a-z_]+)\N{RIGHT-POINTING ANGLE BRACKET}")


def option(field: str) -> str:
    """Return a placeholder for a field of an option record; commands replace it with an option, Python with a name."""
    return f"\N{LEFT-POINTING ANGLE BRACKET}{field}\N{RIGHT-POINTING ANGLE BRACKET}"


def in_options(words: str, options: Mapping[str, str]) -> str:
    """Return a message with each field replaced by its option in ``options``, or else by its name."""
    return _OPTION.sub(lambda marked: options.get(marked[1], marked[1]), words)


class _Spelled(BaseException):
    """A message with placeholders for fields of option records."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        """``message`` is one line; ``field`` is what is wrong, and precedes it."""
        self._marked = message
        self.field = field
        super().__init__(self.spelled({}))

    @property
    def message(self) -> str:
        """Return the message without the field before it."""
        return in_options(self._marked, {})

    def spelled(self, options: Mapping[str, str]) -> str:
        """Return the message with each field replaced by its option."""
        whole = self._marked if self.field is None else f"{option(self.field)}: {self._marked}"
        return in_options(whole, options)


class MemtoolError(_Spelled, Exception):
    """memtool itself failed: exit code 1. The message is one line."""

    exit_code = EXIT_FAILED


class Interrupted(_Spelled, KeyboardInterrupt):
    """The user stopped a run; the message says what remains of it."""


class Incomparable(MemtoolError):
    """There is nothing to compare: exit code 5."""

    exit_code = EXIT_INCOMPARABLE


class InputError(MemtoolError):
    """The user's input is wrong (a file, a name, a range): exit code 2. The message names it."""

    exit_code = EXIT_USAGE


class AllocatorError(InputError):
    """The user's list of allocators is wrong."""

    def __init__(self, message: str) -> None:
        """``message`` is one line without the field, which is always the same."""
        super().__init__(message, field="allocators")


class InputErrors(InputError):
    """Several errors in the user's input: each is one line, and the message is the first of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        """There is at least one line."""
        super().__init__(lines[0])
        self.lines = tuple(lines)


def refuse_unknown(name: str, known: Iterable[str], noun: str, field: str) -> None:
    """Raise InputError for a name that is not one of the known ones, and lists them; ``noun`` says what it names."""
    names = list(known)
    if name not in names:
        words = f"unknown {noun} '{name}' (known: {', '.join(names)}){did_you_mean(name, names)}"
        raise InputError(words, field=field)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for the known names nearest to ``word``, or ``""``."""
    nearest = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    if not nearest:
        return ""
    return "; did you mean " + " or ".join(f"'{name}'" for name in nearest) + "?"
