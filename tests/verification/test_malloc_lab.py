"""The malloc lab's traces, generated from their descriptions."""

from __future__ import annotations

import pytest

from verification import malloc_lab


@pytest.mark.parametrize(
    ("name", "operations", "peak"),
    [
        ("coalescing", 14_400, 8190),
        ("binary", 12_000, 2000 * (64 + 512)),
        ("binary2", 24_000, 4000 * (16 + 128)),
        ("realloc", 14_401, 512 + 4799 * 128 + 2 * 128),
        ("realloc2", 14_401, 4092 + 4799 * 5 + 2 * 16),
    ],
)
def test_the_traces_have_the_size_of_the_labs(name: str, operations: int, peak: int) -> None:
    requests = list(malloc_lab.trace(name))
    assert len(requests) == operations
    live: dict[int, int] = {}
    payload = most = 0
    for kind, number, size in requests:
        payload += size - live.pop(number, 0)
        if kind != "f":
            live[number] = size
        most = max(most, payload)
    assert (payload, most) == (0, peak)
