"""The key ``construct`` of a workload file (docs/placement-new.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr, model_validator

from memtool.kinds.construct.types import TYPES
from memtool.kinds.construct.ways import SUMMARIES
from memtool.workload.language.schema import Name
from memtool.workload.language.values import Capacity, Count, Strict, abbreviated, misfit

MOST_OBJECTS = 1 << 24
_MOST_MADE = 1 << 31

Order = Literal["reverse", "same", "random"]


class Construct(Strict):
    """Objects of one type: in each round all are constructed, then used, then destroyed."""

    type: Annotated[StrictStr, Field(min_length=1)] = Field(
        description=f"Type of the objects: one of {', '.join(TYPES)}, or a library that brings one (memtool.h).",
        examples=["particle", "./libthing.so"],
    )
    objects: Count = Field(
        10_000, validate_default=True, description="Number of objects alive at once.", examples=[10_000]
    )
    rounds: Count = Field(10, validate_default=True, description="Number of rounds of all objects.", examples=[10])
    array: Count = Field(
        16, validate_default=True, description="Objects in each array, in the ways that have arrays.", examples=[16]
    )
    order: Order = Field("reverse", description="Order of destruction, relative to that of construction.")
    ways: Annotated[list[StrictStr], Field(min_length=1)] | None = Field(
        None,
        description=f"Ways to construct and destroy objects: {', '.join(SUMMARIES)}. Default: all.",
        examples=[["in-place", "placement", "new"]],
    )

    @model_validator(mode="after")
    def _together(self) -> Construct:
        if self.type not in TYPES and "/" not in self.type and not self.type.endswith(".so"):
            raise misfit(f"must be one of {', '.join(TYPES)}, or a library, is {abbreviated(self.type)}", "type")
        if self.objects > MOST_OBJECTS:
            raise misfit(f"must be at most {MOST_OBJECTS:,}, is {self.objects:,}", "objects")
        if (objects_made := self.objects * self.rounds) > _MOST_MADE:
            raise misfit(f"must make at most {_MOST_MADE:,} objects in all, makes {objects_made:,}", "rounds")
        if self.objects % self.array:
            raise misfit(f"must divide the number of objects, {self.objects:,}, is {self.array:,}", "array")
        for index, way in enumerate(self.ways or ()):
            if way not in SUMMARIES:
                raise misfit(f"must be one of {', '.join(SUMMARIES)}, is {abbreviated(way)}", "ways", index)
        return self


class Workload(Strict):
    """A workload file about objects."""

    name: Name = Field(description="Name in tables and files.", examples=["particles"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(42, description="Seed of a random order.")
    memory_limit: Capacity | None = Field(None, description="Capacity of the region in bytes.", examples=["64MiB"])
    asked: Construct = Field(alias="construct", description="The objects, and the ways to construct them.")
