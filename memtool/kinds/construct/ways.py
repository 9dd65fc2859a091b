"""The ways to construct and destroy objects."""

from __future__ import annotations

from collections.abc import Mapping

from memtool.kinds.ways import Way

PLACE = ("in-place", "stack-buffer")
DROPPED = ("dropped", "forgotten")
ARRAYS = ("array-new", "uninitialized")
COUNTED = ("shared-ptr", "make-shared", "intrusive-count")
"""The ways with a reference count for each object."""
INLINED = ("placement", *DROPPED)
"""Compiled into each strategy (loops.hpp)."""
OF_THE_LANGUAGE = ("new", "unique-ptr", *COUNTED, *ARRAYS)
"""The ways that need the type itself, and not only its size and its functions."""

SUMMARIES: Mapping[str, str] = {
    "in-place": "constructed over each other's remains in memory that is there already, with no allocator",
    "stack-buffer": "the same in a buffer on the stack",
    "memory": "the memory alone: allocated and freed, and no object in it",
    "placement": "allocated, constructed in place; destroyed, freed",
    "new": "new and delete, with an operator new of the type's own",
    "dropped": "placed into an arena; destroyed, then the arena is dropped whole",
    "forgotten": "placed into an arena, which is dropped whole without destructors",
    "reset": "constructed once; each is taken from a pool, reset, used and put back",
    "unique-ptr": "new, held by a unique_ptr",
    "shared-ptr": "new, held by a shared_ptr with its count in a block of its own; whoever uses one holds it meanwhile",
    "make-shared": "a shared_ptr with object and count in one block",
    "intrusive-count": "new, with the count in the object",
    "array-new": "in arrays by new[] and delete[], which keeps their length in the block",
    "uninitialized": "in arrays by uninitialized_value_construct_n and destroy_n",
}
"""Way -> its description; in the order of rows."""
WAYS = tuple(Way(name, needs_allocator=name not in PLACE, uses_region=name == "in-place") for name in SUMMARIES)
