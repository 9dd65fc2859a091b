"""How much of a workload's memory_limit was used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from memtool.stats import summarise


@pytest.mark.parametrize(
    ("footprint", "limit", "figures"),
    [
        (49_152, 65_536, {"limit_used_share": 0.75}),
        (65_536, 65_536, {"limit_used_share": 1.0}),
        (None, 65_536, {"limit_used_share": None}),
        (49_152, None, {}),
    ],
)
def test_the_share_is_the_peak_of_the_footprint_over_the_limit(
    footprint: int | None, limit: int | None, figures: dict[str, float | None]
) -> None:
    trace = cast(Any, SimpleNamespace(memory_limit=limit))
    assert summarise._of_limit(footprint, trace) == figures
