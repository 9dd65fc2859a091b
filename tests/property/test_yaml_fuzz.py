"""Damaged workload files are taken or refused, within bounds of time and memory; `make soak` has two thousand."""

from __future__ import annotations

import pytest

from tests.property import yaml_fuzzer


@pytest.mark.timeout(3600)
def test_damaged_workloads_are_taken_or_refused_within_bounds(documents: int) -> None:
    faults, outcomes = yaml_fuzzer.check(documents, seed=9)
    assert [(fault.what, fault.document) for fault in faults] == []
    assert sum(outcomes.values()) == documents
    # Both ways are tried: a fuzzer whose every document is refused at the door finds nothing behind it.
    assert outcomes["taken"] >= documents / 10
    assert outcomes["refused"] >= documents / 10


def test_a_document_of_a_seed_is_always_the_same() -> None:
    assert list(yaml_fuzzer.documents(5, 3)) == list(yaml_fuzzer.documents(9, 3))[:5]
