"""What a workload file says of objects (docs/placement-new.md)."""

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
    """Objects of one type: in each round all are made, then used, then ended."""

    type: Annotated[StrictStr, Field(min_length=1)] = Field(
        description=f"One of {', '.join(TYPES)}; or a library that brings one (memtool.h).",
        examples=["particle", "./libthing.so"],
    )
    objects: Count = Field(10_000, validate_default=True, description="Alive at once.", examples=[10_000])
    rounds: Count = Field(10, validate_default=True, description="How often all are made and ended.", examples=[10])
    array: Count = Field(
        16, validate_default=True, description="Objects in each array, in the ways that have arrays.", examples=[16]
    )
    order: Order = Field("reverse", description="In which they end, by that in which they were made.")
    ways: Annotated[list[StrictStr], Field(min_length=1)] | None = Field(
        None,
        description=f"In which they are made and ended: {', '.join(SUMMARIES)}. Without it: in all.",
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
    """A workload file of objects."""

    name: Name = Field(description="What tables and files call it.", examples=["particles"])
    description: StrictStr = Field("", description="One sentence for the reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(42, description="Of a random order.")
    memory_limit: Capacity | None = Field(None, description="Length of the region.", examples=["64MiB"])
    asked: Construct = Field(alias="construct", description="What is made, and how.")
