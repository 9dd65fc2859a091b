"""Graphs that are scripted operation by operation, and the errors in such a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, StrictInt
from pydantic_core import PydanticCustomError

from memtool.workload.language.schema import Name
from memtool.workload.language.values import OneOf, Request, Strict, misfit

_MOST_FIELDS = (1 << 20) - 1
MOST_NAMES = 1 << 19
Index = Annotated[StrictInt, Field(ge=0, le=_MOST_FIELDS - 1)]
OPERATIONS = ("end", "allocate", "load", "store", "copy", "clear", "access", "free", "control", "repeat", "again")
"""In the order of program/image.hpp."""
CONTROLS = ("safe-point", "collect", "disable", "enable")
"""In the order of program/image.hpp."""
NULL = (1 << 20) - 1


class MadeObject(Strict):
    """A new object in a root."""

    name: Name = Field(description="Name of the root that holds it.", examples=["a"])
    references: Annotated[StrictInt, Field(ge=0, le=_MOST_FIELDS)] = Field(0, description="Fields for references.")
    payload: Annotated[Request, Field(le=1 << 30)] = Field(8, description="Bytes besides the references.")


class LinkedField(Strict):
    """Makes a field of one object refer to another."""

    from_: Name = Field(alias="from", description="Root of the object that refers.", examples=["a"])
    field: Index = Field(0, description="Number of its field.")
    to: Name = Field(description="Root of the object that is referred to.", examples=["b"])


class UnlinkedField(Strict):
    """Sets a field to null."""

    from_: Name = Field(alias="from", description="Root of the object.", examples=["a"])
    field: Index = Field(0, description="Number of its field.")


class LoadedField(Strict):
    """Makes a root refer to the object that a field refers to."""

    name: Name = Field(description="The root.", examples=["c"])
    from_: Name = Field(alias="from", description="Root of the object that refers.", examples=["a"])
    field: Index = Field(0, description="Number of its field.")


class GraphStep(OneOf):
    """One operation: exactly one of these keys."""

    noun = "operation"

    make: MadeObject | None = Field(None, description="A new object in a root.")
    link: LinkedField | None = Field(None, description="A field refers to another object.")
    unlink: UnlinkedField | None = Field(None, description="A field refers to nothing.")
    load: LoadedField | None = Field(None, description="A root holds what a field refers to.")
    drop: Name | None = Field(None, description="A root holds nothing any more.", examples=["a"])
    read: Name | None = Field(None, description="The object of a root is read.", examples=["a"])
    control: Literal["safe-point", "collect", "disable", "enable"] | None = Field(
        None, description="A safe point; or collect now; or let no collection begin from here on, and again."
    )


class _Names:
    """The contents of the roots while a script is followed."""

    def __init__(self) -> None:
        self.held: dict[str, int | None] = {}
        self.fields: list[list[int | None]] = []
        self.problem: str | None = None

    def object(self, name: str) -> int | None:
        """Return the object of a root; where there is none, record the error and return None."""
        if name not in self.held:
            self.problem = f"names '{name}', which holds no object: it was never made"
        elif self.held[name] is None:
            self.problem = f"names '{name}', which holds no object any more"
        return self.held.get(name)

    def place(self, name: str, field: int) -> tuple[int, int] | None:
        number = self.object(name)
        if number is not None and field >= len(self.fields[number]):
            count = len(self.fields[number])
            self.problem = f"names field {field} of '{name}', which has {count}, counted from 0"
            return None
        return None if number is None else (number, field)

    def follow(self, step: GraphStep) -> None:
        """Perform a step, or record why it is impossible."""
        if step.make is not None:
            self.held[step.make.name] = len(self.fields)
            self.fields.append([None] * step.make.references)
        elif step.link is not None:
            place, target = self.place(step.link.from_, step.link.field), self.object(step.link.to)
            if place is not None and target is not None:
                self.fields[place[0]][place[1]] = target
        elif step.unlink is not None:
            if (place := self.place(step.unlink.from_, step.unlink.field)) is not None:
                self.fields[place[0]][place[1]] = None
        elif step.load is not None:
            if (place := self.place(step.load.from_, step.load.field)) is not None:
                self.held[step.load.name] = self.fields[place[0]][place[1]]
        elif step.drop is not None:
            self.object(step.drop)
            self.held[step.drop] = None
        elif step.read is not None:
            self.object(step.read)


def misfits(steps: Sequence[GraphStep]) -> Iterator[PydanticCustomError]:
    """Yield the error of the first step that names an object that does not exist."""
    names = _Names()
    for index, step in enumerate(steps):
        names.follow(step)
        if names.problem is not None:
            yield misfit(names.problem, "script", index)
            return


def words(steps: Sequence[GraphStep]) -> list[int]:
    """Return the operations for program/shapes.cpp, four words each, after their number."""
    roots: dict[str, int] = {}

    def root(name: str) -> int:
        return roots.setdefault(name, len(roots))

    coded: list[int] = [len(steps)]
    for step in steps:
        match step:
            case GraphStep(make=MadeObject() as make):
                coded += [OPERATIONS.index("allocate"), root(make.name), make.references, make.payload]
            case GraphStep(link=LinkedField() as link):
                coded += [OPERATIONS.index("store"), root(link.from_), root(link.to), link.field]
            case GraphStep(unlink=UnlinkedField() as unlink):
                coded += [OPERATIONS.index("store"), root(unlink.from_), NULL, unlink.field]
            case GraphStep(load=LoadedField() as load):
                coded += [OPERATIONS.index("load"), root(load.name), root(load.from_), load.field]
            case GraphStep(drop=str() as name):
                coded += [OPERATIONS.index("clear"), root(name), 0, 0]
            case GraphStep(read=str() as name):
                coded += [OPERATIONS.index("access"), root(name), 0, 0]
            case GraphStep(control=str() as control):
                coded += [OPERATIONS.index("control"), CONTROLS.index(control), 0, 0]
    return coded
