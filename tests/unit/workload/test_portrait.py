"""What is said of a trace in words: each sentence has its figure, and none says more than the figure does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from memtool.workload.description.inspection import inspect_source
from memtool.workload.description.portrait import Sentence, portrait
from memtool.workload.sources.generated import generated
from tests.events import workload_of


def said(content: Mapping[str, Any]) -> dict[str, Sentence]:
    """Return the sentences by what they say."""
    info, _, characteristics = inspect_source(generated(workload_of(content), 7), "w.yaml")
    return {sentence.says: sentence for sentence in portrait(info, characteristics)}


def test_a_pool_used_as_a_stack() -> None:
    sentences = said({"allocations": 30, "pattern": {"lifo": {"batch": 3, "size": 100}}})
    assert list(sentences) == [
        "Nearly all small objects: 100% of its allocations ask for less than 256 B.",
        "Few sizes: one size covers 100% of allocations.",
        "Most objects die young: 100% of those that are freed live for less than 64 allocations.",
        "Its heap is steady: mean live bytes are 150 B, 50% of the peak of 300 B.",
        "It could use a stack: every object is freed before any that is older than it.",
        "It could keep 33% of its objects on the stack or reuse one buffer: its threads free them before they ask for "
        "anything else. A cache of the last freed blocks helps too.",
        "It could use a pool: one size covers 100% of allocations.",
    ]
    assert sentences["It could use a pool: one size covers 100% of allocations."].allocators == ("pool",)


@pytest.mark.parametrize(
    ("content", "says", "allocators"),
    [
        (
            {"allocations": 30, "pattern": {"fifo": {"live": 3, "size": 100}}},
            "It could use a ring: objects are freed in the order of their birth.",
            ("ring",),
        ),
        (
            {"allocations": 200, "pattern": {"ramp": {"size": 64}}},
            "It could use arenas that are given back as a whole: 100% of its frees come 64 or more in a row.",
            ("arena", "frame-arena"),
        ),
        (
            {"allocations": 50, "objects": [{"size": {"uniform": [1, 9000]}, "lifetime": "forever"}]},
            "It could do without frees (bump, arena): 100% of its objects are never freed.",
            ("bump", "arena"),
        ),
        (
            {"allocations": 400, "objects": [{"size": {"uniform": [300, 90000]}, "lifetime": {"uniform": [1, 200]}}]},
            "It could use what serves any size in any order: its 400 allocations of 587 B to 87.1 KiB fit none of the "
            "special cases.",
            ("tlsf", "segregated-fit", "best-fit"),
        ),
        (
            {
                "threads": 2,
                "allocations": 600,
                "pattern": {"producer-consumer": {"batch": 10, "depth": 2, "size": 64}},
            },
            "It needs frees from other threads to be cheap: 100% of frees cross threads.",
            ("thread-cache", "mimalloc"),
        ),
    ],
)
def test_what_it_could_use(content: Mapping[str, Any], says: str, allocators: tuple[str, ...]) -> None:
    sentences = said(content)
    assert says in sentences, list(sentences)
    assert sentences[says].allocators == allocators
