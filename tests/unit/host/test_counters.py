"""What counts instructions: the choice, and what is said where there is none."""

from __future__ import annotations

import pytest

from memtool.errors import InputError
from memtool.host.counters import Counter, choose, why_not


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Return what the engine refuses, by counter; nothing yet. Every program is installed."""
    refusals: dict[str, str | None] = {}
    monkeypatch.setattr("memtool.host.counters.counter_refusal", lambda counter: refusals.get(str(counter)))
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    return refusals


def test_the_processor_is_asked_first(machine: dict[str, str | None]) -> None:
    assert choose("auto") == (Counter.PERF, None)


def test_valgrind_counts_where_the_processor_does_not(machine: dict[str, str | None]) -> None:
    machine["perf"] = "No such file or directory"
    assert choose("auto") == (Counter.CALLGRIND, None)


def test_where_nothing_counts_every_reason_is_given(
    machine: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine["perf"] = "Permission denied"
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert choose("auto") == (
        Counter.NONE,
        "the kernel refuses a counter of instructions: Permission denied; "
        "valgrind is not installed; get it with: apt install valgrind",
    )


def test_a_counter_that_was_named_must_be_there(machine: dict[str, str | None]) -> None:
    machine["callgrind"] = "the engine was built without valgrind's header callgrind.h"
    with pytest.raises(InputError) as raised:
        choose("callgrind")
    assert str(raised.value) == (
        "counters callgrind: the engine was built without valgrind's header callgrind.h; "
        "mend it with: apt install valgrind && make native"
    )
    assert choose("none") == (Counter.NONE, None)
    assert why_not(Counter.NONE) is None
