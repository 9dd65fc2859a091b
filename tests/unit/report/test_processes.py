"""Work that several processes share."""

from __future__ import annotations

import os
import threading

import pytest

from memtool.report.paper.processes import in_processes


def test_each_share_but_the_first_has_a_process_of_its_own_and_all_come_back() -> None:
    result = in_processes([lambda: [("a", os.getpid())], lambda: [("b", os.getpid()), ("c", os.getpid())]])
    assert [name for name, _ in result] == ["a", "b", "c"]
    processes = [process for _, process in result]
    assert processes[0] == os.getpid() != processes[1] == processes[2]
    assert in_processes([]) == []


def test_what_a_share_raises_is_raised_here() -> None:
    def fails() -> list[int]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        in_processes([lambda: [1], fails])


def test_a_process_that_dies_is_an_error_and_no_share_that_is_missing() -> None:
    with pytest.raises(RuntimeError, match="died"):
        in_processes([lambda: [1], lambda: os._exit(3)])


def test_beside_another_thread_nothing_is_forked() -> None:
    # What it holds at that moment, the lock of an import for one, would be held in the child for ever.
    over = threading.Event()
    beside = threading.Thread(target=over.wait)
    beside.start()
    try:
        processes = in_processes([lambda: [os.getpid()], lambda: [os.getpid()]])
    finally:
        over.set()
        beside.join()
    assert processes == [os.getpid()] * 2
