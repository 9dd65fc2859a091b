"""An interrupt ends whatever memtool waits for, also when its signal wakes nobody.

Such a signal is one that another thread receives: the main thread, asleep in a wait, hears of it when it next runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from memtool.host.waiting import completed, result
from memtool.programs.supervised import Supervised
from memtool.worker.answer import read_answer, wait_for_end

HOURS = 7200.0
ASLEEP = "S"


def state_of_main_thread() -> str:
    own = os.getpid()
    return Path(f"/proc/{own}/task/{own}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@contextmanager
def interrupt_that_wakes_nobody() -> Iterator[None]:
    """Interrupt when the main thread has been asleep for as long as it takes to see it five times."""

    def send() -> None:
        seen = 0
        while seen < 5:
            time.sleep(0.01)
            seen = seen + 1 if state_of_main_thread() == ASLEEP else 0
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    yield
    sender.join()


def for_futures() -> None:
    list(completed([Future[int](), Future[int]()]))


def for_a_result() -> None:
    result(Future[int]())


def for_an_answer() -> None:
    read, write = os.pipe()
    with subprocess.Popen(["sleep", str(HOURS)]) as process:
        try:
            read_answer(read, process.pid, b"token", time.monotonic() + HOURS)
        finally:
            process.kill()
            os.close(read)
            os.close(write)


def for_the_end_of_a_worker() -> None:
    with subprocess.Popen(["sleep", str(HOURS)]) as process:
        try:
            wait_for_end(process.pid, time.monotonic() + HOURS)
        finally:
            process.kill()


def for_a_program() -> None:
    with Supervised(Path("/bin/sleep"), ("sleep", str(HOURS)), {}) as running:
        running.wait(HOURS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wait", [for_futures, for_a_result, for_an_answer, for_the_end_of_a_worker, for_a_program])
def test_an_interrupt_that_wakes_nobody_ends_a_wait(wait: Callable[[], None]) -> None:
    with interrupt_that_wakes_nobody(), pytest.raises(KeyboardInterrupt):
        wait()


def test_futures_come_as_they_end_and_what_they_raise_is_raised() -> None:
    first, second, third = Future[int](), Future[int](), Future[int]()
    ending = completed([first, second, third])
    second.set_result(2)
    assert next(ending).result() == 2
    first.set_result(1)
    assert next(ending).result() == 1
    third.set_exception(ValueError("its own"))
    with pytest.raises(ValueError, match="its own"):
        next(ending).result()
    assert list(ending) == []
    with pytest.raises(ValueError, match="its own"):
        result(third)
