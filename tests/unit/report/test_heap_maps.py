"""Shares of a heap map, by columns of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from memtool.report.plots.heap_maps import (
    DEAD,
    DEAD_KEPT,
    HELD,
    LEGEND,
    METADATA,
    MORE,
    NEW,
    ONCE,
    OTHER,
    OWN,
    UNTOUCHED,
    USED,
    Shares,
    draw,
    shares,
)

PAGE = 4096


def heap_map(
    extents: Sequence[int] = (2 * PAGE,), *, walked: bool = True, **buckets: Sequence[int]
) -> Mapping[str, Any]:
    count = sum(-(-extent // PAGE) for extent in extents)
    figures = {name: [0] * count for name in ("used", "free", "metadata", "resident", "before")} | buckets
    first = 0
    laid = []
    for extent in extents:
        laid.append({"address": 0, "bytes": extent, "first_bucket": first})
        first += -(-extent // PAGE)
    return {"walked": walked, "bucket_bytes": PAGE, "extents": laid, "buckets": figures}


def there(result: Shares, column: int) -> dict[int, float]:
    """Return the classes that are there in a column, with their shares."""
    return {at: share for at, share in enumerate(result[:, column].tolist()) if share}


def test_a_walked_heap_is_used_metadata_free_and_what_is_neither() -> None:
    result = shares(heap_map(used=[1024, 0], metadata=[1024, 0], free=[1024, 4096], resident=[4096, 4096]), columns=2)
    assert there(result, 0) == {USED: 0.25, METADATA: 0.25, HELD: 0.25, OTHER: 0.25}
    assert there(result, 1) == {HELD: 1}


def test_what_a_collector_has_is_parted_by_what_it_has_outlived_and_what_is_dead() -> None:
    collected = heap_map(
        used=[2048, 1024], used_once=[512, 1024], used_more=[1024, 0], dead=[1024, 0], dead_kept=[0, 2048],
        free=[1024, 1024], resident=[4096, 4096],
    )  # fmt: skip
    result = shares(collected, columns=2)
    assert there(result, 0) == {NEW: 0.125, ONCE: 0.125, MORE: 0.25, DEAD: 0.25, HELD: 0.25}
    assert there(result, 1) == {ONCE: 0.25, DEAD_KEPT: 0.5, HELD: 0.25}


def test_free_memory_that_is_not_resident_is_untouched() -> None:
    result = shares(heap_map(used=[1024, 0], free=[3072, 4096], resident=[4096, 0]), columns=2)
    assert (result[HELD].tolist(), result[UNTOUCHED].tolist()) == ([0.75, 0], [0, 1])
    assert len(LEGEND) == UNTOUCHED + 1


def test_of_a_malloc_the_worker_had_some_before_and_the_rest_is_held() -> None:
    result = shares(heap_map(walked=False, used=[1024, 4096], resident=[4096, 4096], before=[1024, 4096]), columns=2)
    assert there(result, 0) == {USED: 0.25, HELD: 0.5, OWN: 0.25}
    assert there(result, 1) == {USED: 1}


def test_the_last_bucket_of_an_extent_may_be_cut_short() -> None:
    result = shares(heap_map((PAGE, PAGE // 2), used=[0, 2048], free=[4096, 0], resident=[4096, 2048]), columns=3)
    assert result[USED].tolist() == [0, 0, 1]
    assert result[HELD].tolist() == [1, 1, 0]


@pytest.mark.parametrize("columns", [1, 3, 7, 100])
def test_every_column_is_whole(columns: int) -> None:
    result = shares(heap_map((5 * PAGE,), used=[4096, 0, 100, 0, 7], resident=[4096] * 5), columns=columns)
    assert result.sum(axis=0) == pytest.approx([1.0] * columns)


@pytest.mark.parametrize(("pages", "unit"), [(3, "KiB"), (300, "MiB")])
def test_addresses_are_in_the_unit_that_suits_the_heap(pages: int, unit: str) -> None:
    length = pages * PAGE
    figure = draw([("stack", heap_map((length,), used=[PAGE] * pages, resident=[PAGE] * pages))], "Heaps")
    assert figure.axes[0].get_xlabel() == f"address, in {unit} from the base of the region"
    assert figure.axes[0].get_xlim()[1] == (12 if unit == "KiB" else 300 / 256)


def test_an_empty_heap_has_no_columns() -> None:
    assert shares(heap_map((0,)), columns=5).shape == (len(LEGEND), 0)


def test_a_strip_that_is_cut_says_how_much_of_the_used_it_shows() -> None:
    # 20 pages beside one of four: cut after four, before the first of its used pages but one of five.
    spread = heap_map((20 * PAGE,), used=[PAGE, *[0] * 15, *[PAGE] * 4], resident=[PAGE] * 20)
    short = heap_map((4 * PAGE,), used=[PAGE] * 4, resident=[PAGE] * 4)
    figure = draw([("spread", spread), ("short", short), ("short too", short)], "Heaps")
    assert figure.axes[0].get_ylabel() == "spread\n(first 16 of 80 KiB,\n20% of what is used)"
    assert figure.axes[1].get_ylabel() == "short"
