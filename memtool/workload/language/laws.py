"""Distributions of sizes, lifetimes and counts, under the names that workload files use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    WrapValidator,
    model_validator,
)

from memtool.units import COUNT_PATTERN, SIZE_PATTERN
from memtool.workload.language.values import (
    Count,
    Natural,
    OneOf,
    Positive,
    Request,
    Size,
    Spread,
    Strict,
    Until,
    misfit,
)

_MOST_ENTRIES = 4096
N = TypeVar("N", bound=int)


class Bounded(Strict, Generic[N]):
    """A law whose draws can be clamped: draws below `min` or above `max` become that bound."""

    min: N | None = None
    max: N | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Bounded[N]:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise misfit(f"must not be above max ({self.max}), is {self.min}", "min")
        return self


class Exponential(Bounded[N], Generic[N]):
    """Exponential (memoryless) distribution with this mean."""

    mean: N


class Lognormal(Bounded[N], Generic[N]):
    """Log-normal distribution with this median and this standard deviation of the logarithm."""

    median: N
    sigma: Spread


class Normal(Bounded[N], Generic[N]):
    """Normal distribution with this mean and standard deviation."""

    mean: N
    deviation: Positive


class Pareto(Strict, Generic[N]):
    """Pareto distribution, heavy-tailed: P(X > x) = (minimum / x)^alpha; draws above `max` become `max`."""

    minimum: N
    alpha: Spread
    max: N | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Pareto[N]:
        if self.max is not None and self.minimum > self.max:
            raise misfit(f"must not be above max ({self.max}), is {self.minimum}", "minimum")
        return self


def _each_value_once(choice: Any, validate: Callable[[Any], dict[int, Any]]) -> dict[int, Any]:  # noqa: ANN401
    values = validate(choice)
    if len(values) < len(choice):
        raise ValueError("names a value twice")
    return values


class Law(OneOf, Generic[N]):
    """A distribution of whole numbers: exactly one of these keys."""

    noun = "law"

    constant: N | None = None
    uniform: Annotated[tuple[N, N] | None, Field(description="[low, high], both included")] = None
    choice: Annotated[
        Annotated[dict[N, Positive], WrapValidator(_each_value_once)] | None,
        Field(min_length=1, max_length=_MOST_ENTRIES, description="value: weight"),
    ] = None
    histogram: Annotated[
        list[tuple[N, N, Positive]] | None,
        Field(min_length=1, max_length=_MOST_ENTRIES, description="[low, high, weight]: uniform within a range"),
    ] = None
    cycle: Annotated[
        list[tuple[Count, N]] | None,
        Field(
            min_length=1,
            max_length=_MOST_ENTRIES,
            description="[count, value]: not drawn, but so many of the first value, then of the next, round and round",
        ),
    ] = None
    exponential: Exponential[N] | None = None
    lognormal: Lognormal[N] | None = None
    normal: Normal[N] | None = None
    pareto: Pareto[N] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Law[N]:
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise misfit(f"must be [low, high], is [{self.uniform[0]}, {self.uniform[1]}]", "uniform")
        for index, (low, high, _) in enumerate(self.histogram or ()):
            if low > high:
                raise misfit(f"must be [low, high, weight], is [{low}, {high}, ...]", "histogram", index)
        return self


class RequestLaw(Law[Request]):
    """Size of a request in bytes. It can be 0 where a file says so; draws of a continuous law are at least 1."""

    exponential: Exponential[Size] | None = None
    lognormal: Lognormal[Size] | None = None
    normal: Normal[Size] | None = None
    pareto: Pareto[Size] | None = None


class LifetimeLaw(Law[Count]):
    """Lifetime of an object in allocations, or `until` a moment of the run, or `forever` (until the epilogue)."""

    forever: Literal[True] | None = None
    until: Until | None = None

    @model_validator(mode="after")
    def _in_order(self) -> LifetimeLaw:
        if self.until is not None and self.until[0] > self.until[1]:
            raise misfit("must be one moment, or [from, to]", "until")
        return self


def _from_short(value: Any) -> Any:  # noqa: ANN401  # raw YAML
    """Return the long form: ``64`` means ``{constant: 64}``."""
    return value if isinstance(value, (dict, Law)) else {"constant": value}


def _lifetime_from_short(value: Any) -> Any:  # noqa: ANN401  # raw YAML
    """Return the long form: the word ``forever`` means ``{forever: true}``."""
    return {"forever": True} if value == "forever" else _from_short(value)


def _to_short(law: Law[Any]) -> Any:  # noqa: ANN401  # plain data
    """Return a law in the form that a file would use."""
    plain = law.model_dump(mode="json", exclude_none=True)
    if "forever" in plain:
        return "forever"
    return plain.get("constant", plain)


@dataclass(frozen=True, slots=True)
class _Forms:
    """The JSON Schema of a law with its short forms; it is built on first use and not when the module is imported."""

    law: type[Law[Any]]
    least: int
    pattern: str
    words: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, _core: object, _handler: object) -> dict[str, Any]:
        numbers = ({"type": "integer", "minimum": self.least}, {"type": "string", "pattern": self.pattern})
        return {"anyOf": [*numbers, *({"const": word} for word in self.words), _inlined(self.law)]}


@cache
def _published(law: type[Law[Any]]) -> dict[str, Any]:
    return TypeAdapter(law).json_schema(by_alias=True)


def _inlined(law: type[Law[Any]]) -> dict[str, Any]:
    """Return the JSON Schema of a law without $defs, so that it is self-contained in each of its many places."""
    schema = dict(_published(law))
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:  # noqa: ANN401  # JSON
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rsplit("/", 1)[1]])
            # The titles that pydantic gives generic classes help nobody.
            return {key: resolve(value) for key, value in node.items() if key != "title"}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


_SHORT = BeforeValidator(_from_short)
_WRITTEN = PlainSerializer(_to_short)

SizeLaw = Annotated[RequestLaw, _SHORT, _WRITTEN, _Forms(RequestLaw, 0, SIZE_PATTERN)]
CountLaw = Annotated[Law[Count], _SHORT, _WRITTEN, _Forms(Law[Count], 1, COUNT_PATTERN)]
NaturalLaw = Annotated[Law[Natural], _SHORT, _WRITTEN, _Forms(Law[Natural], 0, COUNT_PATTERN)]
Lifetime = Annotated[
    LifetimeLaw, BeforeValidator(_lifetime_from_short), _WRITTEN, _Forms(LifetimeLaw, 1, COUNT_PATTERN, ("forever",))
]
