"""The key ``container`` of a workload file (docs/containers.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from memtool.kinds.container.image import EACH, MOST_CONTAINERS, NESTED
from memtool.workload.language.laws import CountLaw, NaturalLaw
from memtool.workload.language.schema import Name
from memtool.workload.language.values import Capacity, Count, OneOf, Strict, misfit, raise_all

_MOST_STEPS = 64
_MOST_OPERATIONS = 1 << 26
"""Operations: they take half a gigabyte."""

Order = Literal["each", "round", "random"]
TypeName = Literal[
    "vector",
    "string",
    "deque",
    "list",
    "map",
    "unordered_map",
    "flat_map",
    "vector_of_strings",
    "map_of_vectors",
]
WayName = Literal[
    "std", "scoped", "propagated", "pmr", "std-each", "scoped-each", "propagated-each", "pmr-each", "control"
]


class Times(Strict):
    """The number of operations on each container, and the order of the containers."""

    count: Count = Field(description="Number of operations on each container.", examples=[1000])
    order: Order = Field(
        "each",
        description="each: one container after the other; round: in turn; random: a random container each time.",
        examples=["round"],
    )


class Keyed(Times):
    """Operations with keys."""

    keys: NaturalLaw | None = Field(
        None,
        description="The law of keys, below 2^32; containers without keys use them as positions, modulo the length.",
        examples=[{"uniform": [0, 1000]}],
    )


class Churn(Keyed):
    """Each time an element is popped from one container, and one is pushed to the container that lost one before."""

    order: Order = Field(
        "random", description="Order of the containers that lose their oldest element.", examples=["random"]
    )


def _from_short(value: Any) -> Any:  # noqa: ANN401  # raw YAML
    """Return the long form: ``1000`` means ``{count: 1000}``."""
    return value if isinstance(value, (dict, Times)) or value is None else {"count": value}


def _or_short(schema: dict[str, Any]) -> None:
    """Add the short form to the JSON Schema of a step."""
    count = TypeAdapter(Count).json_schema()["anyOf"]
    schema["anyOf"] = [*count, *(form for form in schema["anyOf"] if form != {"type": "null"})]
    schema.pop("default", None)


def _step(words: str) -> Any:  # noqa: ANN401  # as Field has it
    return Field(None, description=words, examples=[1000], json_schema_extra=_or_short)


_Times = Annotated[Times, BeforeValidator(_from_short)]
_Keyed = Annotated[Keyed, BeforeValidator(_from_short)]
_Churn = Annotated[Churn, BeforeValidator(_from_short)]


class Step(OneOf):
    """One step of a script: exactly one of these keys."""

    noun = "operation"

    push: _Keyed | None = _step("Appends elements; keys count from 0.")
    pop: _Times | None = _step("Erases the first element; of a vector or string the last, of a map the oldest key.")
    insert: _Keyed | None = _step("Inserts elements, with keys from all keys.")
    find: _Keyed | None = _step("Finds and reads elements, with keys that were pushed.")
    erase: _Keyed | None = _step("Finds and erases elements, with keys that were pushed.")
    churn: _Churn | None = _step(
        "Pops an element from one container, and pushes one to the container that lost one before."
    )
    traverse: _Times | None = _step("Reads all elements, from the first to the last.")
    copy_: _Times | None = Field(
        None,
        alias="copy",
        description="Assigns a copy to a new container on the heap of the next one, and destroys it.",
        examples=[1],
        json_schema_extra=_or_short,
    )
    clear: _Times | None = _step("Destroys all elements.")

    @property
    def action(self) -> tuple[str, Times]:
        """Return the operation and its number."""
        return next(
            (field.alias or name, value)
            for name, field in type(self).model_fields.items()
            if (value := getattr(self, name)) is not None
        )


class Container(Strict):
    """Containers of one type, and the operations on them."""

    type: TypeName = Field(description="Type of the standard library.", examples=["list"])
    containers: Annotated[Count, Field(le=MOST_CONTAINERS)] = Field(
        1, description="Number of containers, which represent subsystems of a program.", examples=[16]
    )
    length: CountLaw | None = Field(
        None,
        description="Length of each string or vector inside another container.",
        examples=[{"uniform": [4, 40]}],
    )
    ways: Annotated[list[WayName], Field(min_length=1, max_length=9)] = Field(
        ["std", "control"],
        description="Sources of the containers' memory, one row each; -each: every container has its own heap.",
        examples=[["std", "pmr-each"]],
    )
    script: Annotated[list[Step], Field(min_length=1, max_length=_MOST_STEPS)] = Field(
        description="The operations, in this order."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Container:
        raise_all(self._misfits())
        return self

    def _misfits(self) -> Iterator[PydanticCustomError]:
        if self.length is not None and self.type not in NESTED:
            yield misfit(f"must go: {_article(self.type)} has no strings or vectors in it", "length")
        for index, way in enumerate(self.ways):
            if way in self.ways[:index]:
                yield misfit(f"is '{way}', which is there already", "ways", index)
            elif way.endswith(EACH) and self.containers == 1:
                yield misfit(f"is '{way}', which needs several containers", "ways", index)
        operations = sum(map(self.operations_of, self.script))
        if operations > _MOST_OPERATIONS:
            yield misfit(f"must have at most {_MOST_OPERATIONS:,} operations, has {operations:,}", "script")

    def operations_of(self, step: Step) -> int:
        """Return the number of operations of a step."""
        action, times = step.action
        if action == "traverse" and times.order == "each":
            return self.containers
        return times.count * self.containers * (2 if action == "churn" else 1)


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


class Workload(Strict):
    """A workload file about containers."""

    name: Name = Field(description="Name in tables and files.", examples=["orders"])
    description: StrictStr = Field("", description="One sentence that describes the workload to a reader.")
    seed: Annotated[StrictInt, Field(ge=0, lt=1 << 63)] = Field(42, description="Seeds every random choice.")
    memory_limit: Capacity | None = Field(
        None, description="Bytes that an allocator may take from its region.", examples=["64MiB"]
    )
    container: Container = Field(description="The containers, and the operations on them.")
