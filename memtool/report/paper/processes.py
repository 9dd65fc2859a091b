"""Work that is done by several processes, forked from this one: they know what it knows, and say what they return."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


def in_processes(shares: Sequence[Callable[[], list[T]]]) -> list[T]:
    """Return what the shares return, the first of them worked off here and each other in a process of its own.

    All of them here where another thread runs: what it holds at the moment of a fork nobody would ever let go of in
    the child. Raises what a share raises, and RuntimeError for a process that dies.
    """
    if threading.active_count() > 1:
        return [figure for share in shares for figure in share()]
    fork = get_context("fork")
    begun = []
    for share in shares[1:]:
        ours, theirs = fork.Pipe(duplex=False)
        process = fork.Process(target=_work, args=(share, theirs), daemon=True)
        process.start()
        theirs.close()
        begun.append((process, ours))
    done = list(shares[0]()) if shares else []
    for process, answers in begun:
        try:
            answer = answers.recv()
        except EOFError:
            raise RuntimeError("a process of memtool's own died") from None
        process.join()
        if isinstance(answer, Exception):
            raise answer
        done += answer
    return done


def _work(share: Callable[[], list[T]], answers: Connection) -> None:
    try:
        answer: list[T] | Exception = share()
    except Exception as problem:
        answer = problem
    try:
        answers.send(answer)
    except Exception:  # it cannot be sent as it is
        answers.send(RuntimeError(f"{type(answer).__name__}: {answer}"))
