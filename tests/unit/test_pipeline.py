"""What a run says of its workloads."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memtool import pipeline
from memtool.model import Mode, Pass
from tests.runs import trace


@pytest.mark.parametrize("mode", [Mode.PARALLEL, Mode.LOCKSTEP])
def test_what_several_threads_replay_is_not_packed_and_says_that_this_is_why(mode: Mode) -> None:
    info = trace(threads=2)
    made = cast("Any", SimpleNamespace(info=replace(info, lanes=2)))
    found = pipeline._packed(made, (Pass.FOOTPRINT,), mode)
    assert found.packing_bytes is None
    assert found.notes == (
        "not packed offline, packing_ratio is n/a: only what is replayed on one thread is (--mode serial)",
    )
