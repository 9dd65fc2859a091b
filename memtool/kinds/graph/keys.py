"""The key ``graph`` of a workload file (docs/collection.md)."""

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
    both,
    misfit,
    raise_all,
    require_one_key,
)

_MOST_FIELDS = (1 << 20) - 1
_MOST_OPERATIONS = 1 << 27
_LARGEST = 1 << 30
_OPERATIONS_A_STEP = 4
SHAPES = ("binary-trees", "gcbench", "lists", "mutating", "cache", "young", "script", "events")
"""In the order of program/shapes.cpp, which does not have the last one."""

Depth = Annotated[StrictInt, Field(ge=0, le=21)]
Payload = Annotated[Request, Field(le=_LARGEST)]
Fields = Annotated[Count, Field(le=_MOST_FIELDS)]


Sizes = Annotated[tuple[Payload, Payload], BeforeValidator(both)]
"""A size, or the smallest and the largest of uniformly distributed sizes."""


class BinaryTrees(Strict):
    """The binary trees of the Computer Language Benchmarks Game."""

    depth: Depth = Field(description="Depth of the long-lived tree; the first tree is one level deeper.", examples=[14])
    payload: Payload = Field(8, description="Bytes of a node besides its two references.")
    iterations: Annotated[StrictInt, Field(ge=0)] = Field(
        0,
        description="Trees of the full depth; each level less doubles the number. 0: 16, as in the game.",
        examples=[1],
    )


class GCBench(Strict):
    """GCBench, the benchmark of Ellis, Kovac and Boehm."""

    depth: Annotated[StrictInt, Field(ge=0, le=19)] = Field(
        16, description="Depth of the long-lived tree; the first tree is two levels deeper.", examples=[16]
    )
    payload: Payload = Field(8, description="Bytes of a node besides its two references.")
    array: Payload = Field(4_000_000, description="Bytes of a long-lived object without references.")


class LinkedLists(Strict):
    """Linked lists that are built and read one after the other."""

    length: Count = Field(description="Number of nodes in a list.", examples=[100_000])
    payload: Payload = Field(8, description="Bytes of a node besides its reference.")
    rounds: Count = Field(1, description="Number of lists.")


class MutatingGraph(Strict):
    """Nodes in a table that are linked, unlinked, replaced and read at random; their links can form cycles."""

    nodes: Fields = Field(description="Number of nodes in the table.", examples=[10_000])
    references: Fields = Field(2, description="Number of references in a node.")
    operations: Count = Field(
        description="Number of operations: replacing, linking, unlinking or reading a node.", examples=["1M"]
    )
    payload: Sizes = Field((8, 8), description="Bytes of a node besides its references.", examples=[[16, 200]])


class EntryCache(Strict):
    """Requests that each make an object, and read an entry of a cache or replace one with a new entry."""

    entries: Fields = Field(description="Number of entries in the cache.", examples=[10_000])
    requests: Count = Field(description="Number of requests.", examples=["500k"])
    misses: Chance = Field(description="Share of the requests that miss the cache and make an entry.", examples=["20%"])
    payload: Sizes = Field((256, 256), description="Bytes of an entry.", examples=[[64, 2000]])
    request: Payload = Field(64, description="Bytes of a request's object, which dies at the end of the request.")


class YoungObjects(Strict):
    """Objects most of which die at once."""

    objects: Count = Field(description="Number of objects made.", examples=["2M"])
    survivors: Chance = Field(
        description="Share of the objects that survive until this many further survivors have come.", examples=["2%"]
    )
    live: Fields = Field(description="Number of survivors live at a time.", examples=[20_000])
    payload: Sizes = Field((24, 24), description="Bytes of an object besides its reference.")


class Graph(Strict):
    """Objects that refer to each other, and the time at which an explicit allocator gets them back."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    binary_trees: BinaryTrees | None = Field(
        None, alias="binary-trees", description="Trees that are built and dropped."
    )
    gcbench: GCBench | None = Field(None, description="Trees built from the top and from the bottom, and an array.")
    lists: LinkedLists | None = Field(None, description="Linked lists.")
    mutating: MutatingGraph | None = Field(None, description="A graph with cycles that changes at random.")
    cache: EntryCache | None = Field(None, description="A cache with eviction, and requests.")
    young: YoungObjects | None = Field(None, description="Objects that die young, and a few that stay.")
    script: Annotated[list[GraphStep], Field(min_length=1, max_length=100_000)] | None = Field(
        None, description="Operations, one by one."
    )
    events: StrictStr | None = Field(
        None,
        description="Heap events instead of a shape: a file, or the name of a shipped workload or recording.",
        examples=["recorded/sqlite3"],
    )
    frees: Literal["death", "scope-end"] = Field(
        "death",
        description="When an explicit allocator gets an object back: when it is unreachable, or at a safe point.",
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
        """Return the approximate number of operations that are stored; repeated ones count once."""
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
        """Return the shape's name and its parameters."""
        return next((shape, value) for shape in SHAPES if (value := getattr(self, shape.replace("-", "_"))) is not None)


class Workload(Strict):
    """A workload file about a graph."""

    name: Name = Field(description="Name in tables and files.", examples=["trees"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(42, description="Seeds every random choice.")
    memory_limit: Capacity | None = Field(
        None, description="Bytes that a row may take from its region.", examples=["64MiB"]
    )
    graph: Graph = Field(description="The objects, and their references.")
