"""Counters of disturbance."""

from __future__ import annotations

import os

from memtool.host import noise


def test_counters_only_grow() -> None:
    before = noise.read()
    assert set(before) == {
        "elapsed_ns",
        "machine_ticks",
        "steal_ticks",
        "involuntary_switches",
        "voluntary_switches",
    }
    after = noise.read()
    assert all(after[name] >= before[name] >= 0 for name in before)


def test_waiting_is_a_voluntary_switch() -> None:
    before = noise.read()["voluntary_switches"]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        os._exit(0)
    os.write(writer, b"x")
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert noise.read()["voluntary_switches"] >= before
