"""What a workload file with the key ``graph`` says (docs/collection.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from memtool.kinds.graph.script import GraphStep, misfits
from memtool.workload.language.schema import Name
from memtool.workload.language.values import (
    Capacity,
    Chance,
    Count,
    Request,
    Strict,
    misfit,
    raise_all,
    require_one_key,
)

_MOST_FIELDS = (1 << 20) - 1
_MOST_OPERATIONS = 1 << 27
_LARGEST = 1 << 30
_OPERATIONS_A_STEP = 4
SHAPES = ("binary-trees", "gcbench", "lists", "mutating", "cache", "young", "script", "events")
"""In the order of program/shapes.cpp, which knows nothing of the last one."""

Depth = Annotated[StrictInt, Field(ge=0, le=21)]
Payload = Annotated[Request, Field(le=_LARGEST)]
Fields = Annotated[Count, Field(le=_MOST_FIELDS)]


def _both(value: Any) -> Any:  # noqa: ANN401  # raw YAML
    return value if isinstance(value, (list, tuple)) else (value, value)


Sizes = Annotated[tuple[Payload, Payload], BeforeValidator(_both)]
"""A size, or the least and the most of sizes that are drawn evenly."""


class BinaryTrees(Strict):
    """Of the Computer Language Benchmarks Game."""

    depth: Depth = Field(description="Of the tree that lives long; the first one is a level deeper.", examples=[14])
    payload: Payload = Field(8, description="Bytes of a node besides its two references.")
    iterations: Annotated[StrictInt, Field(ge=0)] = Field(
        0, description="Trees of the full depth; twice as many a level less. 0: 16, as in the game.", examples=[1]
    )


class GCBench(Strict):
    """The benchmark of Ellis, Kovac and Boehm."""

    depth: Annotated[StrictInt, Field(ge=0, le=19)] = Field(
        16, description="Of the tree that lives long; the first one is two levels deeper.", examples=[16]
    )
    payload: Payload = Field(8, description="Bytes of a node besides its two references.")
    array: Payload = Field(4_000_000, description="Bytes of an object without references that lives long.")


class LinkedLists(Strict):
    """Linked lists, one after the other, each made and read."""

    length: Count = Field(description="Nodes of a list.", examples=[100_000])
    payload: Payload = Field(8, description="Bytes of a node besides its reference.")
    rounds: Count = Field(1, description="Lists.")


class MutatingGraph(Strict):
    """Nodes in a table that link to each other, also in cycles, are unlinked and replaced, all at random."""

    nodes: Fields = Field(description="Places in the table.", examples=[10_000])
    references: Fields = Field(2, description="Of a node.")
    operations: Count = Field(description="Nodes replaced, linked, unlinked or read.", examples=["1M"])
    payload: Sizes = Field((8, 8), description="Bytes of a node besides its references.", examples=[[16, 200]])


class EntryCache(Strict):
    """Requests that each make an object, and read an entry of a cache or put a new one in another's place."""

    entries: Fields = Field(description="Of the cache.", examples=[10_000])
    requests: Count = Field(description="How many come.", examples=["500k"])
    misses: Chance = Field(description="Of the requests: each makes an entry.", examples=["20%"])
    payload: Sizes = Field((256, 256), description="Bytes of an entry.", examples=[[64, 2000]])
    request: Payload = Field(64, description="Bytes of a request's object, which dies with it.")


class YoungObjects(Strict):
    """Objects most of which die at once."""

    objects: Count = Field(description="How many are made.", examples=["2M"])
    survivors: Chance = Field(description="Of the objects: they stay until as many more have come.", examples=["2%"])
    live: Fields = Field(description="Survivors that live at a time.", examples=[20_000])
    payload: Sizes = Field((24, 24), description="Bytes of an object besides its reference.")


class Graph(Strict):
    """Objects that refer to each other, and when an explicit allocator gets them back."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    binary_trees: BinaryTrees | None = Field(None, alias="binary-trees", description="Trees made and dropped.")
    gcbench: GCBench | None = Field(None, description="Trees from the top and from the bottom, and an array.")
    lists: LinkedLists | None = Field(None, description="Linked lists.")
    mutating: MutatingGraph | None = Field(None, description="A graph with cycles that changes at random.")
    cache: EntryCache | None = Field(None, description="A cache with eviction, and requests.")
    young: YoungObjects | None = Field(None, description="Objects that die young, and a few that stay.")
    script: Annotated[list[GraphStep], Field(min_length=1, max_length=100_000)] | None = Field(
        None, description="Operations, one by one."
    )
    events: StrictStr | None = Field(
        None,
        description="Heap events in place of a shape: a file, or the name of a shipped workload or recording.",
        examples=["recorded/sqlite3"],
    )
    frees: Literal["death", "scope-end"] = Field(
        "death",
        description="When an explicit allocator gets an object: when nothing leads to it, or at the next safe point.",
        examples=["scope-end"],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Graph:
        require_one_key(self, "shape", among=[shape.replace("-", "_") for shape in SHAPES])
        raise_all(self._misfits())
        return self

    def _misfits(self) -> Iterator[PydanticCustomError]:
        name, shape = self.shape
        if self.script is not None:
            yield from misfits(self.script)
            return
        if self.events is not None:
            return
        sizes = shape.payload
        if isinstance(sizes, tuple) and sizes[0] > sizes[1]:
            yield misfit(f"must begin with the least, is {sizes[0]} to {sizes[1]}", name, "payload")
        written = self._written_operations()
        if written > _MOST_OPERATIONS:
            yield misfit(f"comes to {written:,} operations, which are at most {_MOST_OPERATIONS:,}", name)

    def _written_operations(self) -> int:
        """Return about how many operations are written down; what is repeated counts once."""
        _, shape = self.shape
        match shape:
            case LinkedLists():
                return shape.length * 5
            case MutatingGraph():
                return shape.nodes * 2 + shape.operations * 3
            case EntryCache():
                return shape.entries * 2 + shape.requests * 8
            case YoungObjects():
                return shape.live * 2 + shape.objects * 3
            case _:
                return 0  # depths are bounded

    @property
    def shape(self) -> tuple[str, Any]:
        """Return the shape's name, and what it says."""
        return next((shape, value) for shape in SHAPES if (value := getattr(self, shape.replace("-", "_"))) is not None)


class Workload(Strict):
    """A workload file of a graph."""

    name: Name = Field(description="What tables and files call it.", examples=["trees"])
    description: StrictStr = Field("", description="One sentence for the reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(42, description="Seeds every random choice.")
    memory_limit: Capacity | None = Field(
        None, description="Bytes that a row may take from its region.", examples=["64MiB"]
    )
    graph: Graph = Field(description="The objects, and what becomes of them.")
