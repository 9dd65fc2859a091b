"""The names of the fields of an image, in the order of image.hpp."""

from __future__ import annotations

TYPES = (
    "vector",
    "string",
    "deque",
    "list",
    "map",
    "unordered_map",
    "flat_map",
    "vector_of_strings",
    "map_of_vectors",
)
KEYED = frozenset({"map", "unordered_map", "flat_map", "map_of_vectors"})
NESTED = frozenset({"vector_of_strings", "map_of_vectors"})
ACTIONS = ("push", "pop", "insert", "find", "erase", "traverse", "copy", "clear", "churn")
ORDERS = ("each", "round", "random")
GROUPS = (*ACTIONS, "churned", "open", "close")
"""The groups to which the time of a step belongs."""
THROUGH = ("std", "scoped", "propagated", "pmr")
EACH = "-each"
CONTROL = "control"
WAYS = (*THROUGH, *(f"{through}{EACH}" for through in THROUGH), CONTROL)
MOST_CONTAINERS = 1 << 16
LARGEST_KEY = (1 << 32) - 1
LARGEST_LENGTH = (1 << 12) - 1
MAGIC = 0x6D74636F6E743031
