"""Divides work among processes that are forked from this one, so that they share its state, and returns the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


def in_processes(shares: Sequence[Callable[[], list[T]]]) -> list[T]:
    """Return the results of the shares; the first is computed here and each other in its own process.

    All are computed here if another thread runs: in the child, nobody would release a lock that it holds during the
    fork. Raises the exception of a share, and RuntimeError for a process that dies.
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
    except Exception:  # it cannot be pickled
        answers.send(RuntimeError(f"{type(answer).__name__}: {answer}"))
