"""The values that appear in workload files: sizes, counts, numbers, shares; and their form in error messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from memtool.units import COUNT_PATTERN, SIZE_PATTERN, format_size, parse_count, parse_size

LARGEST_SIZE = 1 << 47
"""The address space of a process on both supported architectures."""
LARGEST_COUNT = 1 << 31
LARGEST_CAPACITY = 1 << 46
"""Half of that address space: the process needs the rest, and a reservation must be contiguous."""
MOST_LIVE = 1 << 28
"""Objects alive at once: an event image (engine/events/events.hpp) has as many slots."""
_LARGEST_ALIGNMENT = 2 << 20
_LONGEST_NUMBER = 40
_MOST_A_SECOND = 10**9
_RATE = re.compile(r"(.*?)\s*/\s*s\s*")
_RATE_PATTERN = COUNT_PATTERN.removesuffix("$") + r"/\s*s\s*$"
_LONGEST_PERIOD = 5 * 10**12
_PERIOD = re.compile(r"\s*(\d{1,9}(?:\.\d{1,12})?)\s*(ns|us|µs|ms|s)\s*", re.ASCII)
_PICOSECONDS = {"ns": 10**3, "us": 10**6, "µs": 10**6, "ms": 10**9, "s": 10**12}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,12})?)\s*%")
_MOMENT = "share such as 20% or a count such as 1000 or 2M"


def abbreviated(value: object) -> str:
    """Return a value in the form for error messages: in YAML's notation, on one line, and short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    text = text if len(text) <= _LONGEST_NUMBER else text[: _LONGEST_NUMBER - 3] + "..."
    if not isinstance(value, str):
        return text
    return f"'{text}'" if text.isprintable() else repr(text)


def misfit(words: str, *path: str | int) -> PydanticCustomError:
    """Return an error about the value at ``path`` below the one that is being validated."""
    return PydanticCustomError("misfit", "{words}", {"words": words, "path": path})


def raise_all(misfits: Iterable[PydanticCustomError]) -> None:
    """Raise one error that carries all of these: the first, and the others attached to it (see loader.py)."""
    errors = list(misfits)
    if errors:
        first, *further = (error.context or {} for error in errors)
        raise PydanticCustomError("misfit", "{words}", {**first, "further": further})


def _whole(value: object, parse: Callable[[str | int], int], noun: str, least: int, most: int) -> int:
    wrong = ValueError(f"must be a {noun}, is {abbreviated(value)}")
    if parse is parse_count and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e6
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong
    if len(str(value)) > _LONGEST_NUMBER or not str(value).isprintable():
        raise wrong
    number = parse(value)
    if number < least:
        bound = f"> {least - 1}" if least else ">= 0"
        raise ValueError(f"must be {bound}, is {abbreviated(value)}")
    if number > most:
        limit = format_size(most) if parse is parse_size else f"{most:,}"
        raise ValueError(f"must be at most {limit}, is {abbreviated(value)}")
    return number


def _size(value: object, *, least: int = 1, most: int = LARGEST_SIZE) -> int:
    return _whole(value, parse_size, "size such as 64 or 4KiB", least, most)


def _count(value: object, *, least: int = 1) -> int:
    return _whole(value, parse_count, "count such as 1000 or 2M", least, LARGEST_COUNT)


def _alignment(value: object) -> int:
    number = _size(value)
    if number & (number - 1):
        raise ValueError(f"must be a power of two, is {abbreviated(value)}")
    if number > _LARGEST_ALIGNMENT:
        raise ValueError(f"must be at most {format_size(_LARGEST_ALIGNMENT)}, is {abbreviated(value)}")
    return number


def _number(value: object, least: str, most: str) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, is {abbreviated(value)}")
    try:
        number = Fraction(str(value))  # the number as it is written: 0.1 is a tenth
    except ValueError:
        raise ValueError(f"must be a number, is {abbreviated(value)}") from None
    if number <= 0:
        raise ValueError(f"must be > 0, is {abbreviated(value)}")
    if not Fraction(least) <= number <= Fraction(most):
        raise ValueError(f"must be between {least} and {most}, is {abbreviated(value)}")
    return number


def _weight(value: object) -> Fraction:
    """Return a weight that may be 0."""
    is_zero = isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0
    return Fraction(0) if is_zero else _number(value, "1e-15", "1e15")


def parse_rate(value: object) -> int:
    """Return a rate in operations per second. Raises ValueError with one line."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and (match := _RATE.fullmatch(value)):
        try:
            rate = parse_count(match[1])
        except ValueError:
            rate = 0
        if rate > _MOST_A_SECOND:
            raise ValueError(f"must be at most {_MOST_A_SECOND:,} a second, is {abbreviated(value)}")
        if rate:
            return rate
    raise ValueError(f"must be a rate such as 500k/s or 2M/s, is {abbreviated(value)}")


def _period(value: object) -> int:
    """Return a time in picoseconds. Raises ValueError with one line."""
    match = _PERIOD.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be a time such as 2666us, 16.7ms or 1s, is {abbreviated(value)}")
    period = Fraction(match[1]) * _PICOSECONDS[match[2]]
    if not 1000 <= period <= _LONGEST_PERIOD:
        raise ValueError(f"must be from 1ns to 5s, is {abbreviated(value)}")
    return round(period)


def _written_period(picoseconds: int) -> str:
    unit = next(unit for unit in ("s", "ms", "us", "ns") if picoseconds >= _PICOSECONDS[unit])
    whole, rest = divmod(picoseconds, _PICOSECONDS[unit])
    digits = len(str(_PICOSECONDS[unit])) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") + unit


def _percentage(value: object) -> Fraction | None:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None else Fraction(match[1]) / 100


def _share(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    share = _percentage(value)
    if share is None:
        raise ValueError(f"must be a share such as 20%, is {abbreviated(value)}")
    if not 0 < share <= 1:
        raise ValueError(f"must be above 0% and at most 100%, is {abbreviated(value)}")
    return share


def _chance(value: object) -> Fraction:
    if not isinstance(value, Fraction) and _percentage(value) == 0:
        return Fraction(0)
    return _share(value)


def _moment(value: object) -> Fraction | int:
    if isinstance(value, Fraction):
        return value
    if (share := _percentage(value)) is not None:
        if not 0 < share < 1:
            raise ValueError(f"must be above 0% and below 100%, is {abbreviated(value)}")
        return share
    if isinstance(value, str) and not re.match(COUNT_PATTERN, value):
        raise ValueError(f"must be a {_MOMENT}, is {abbreviated(value)}")
    return _whole(value, parse_count, _MOMENT, 1, LARGEST_COUNT)


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _percent(value: Fraction) -> str:
    # The shortest form of a small float has an exponent, which a share must not have.
    return f"{float(value * 100):.12f}".rstrip("0").rstrip(".") + "%"


def both(value: object) -> object:
    """Return a pair; a single value becomes a pair of equal values."""
    return value if isinstance(value, (list, tuple)) else (value, value)


def _one_or_both(pair: tuple[Fraction, Fraction]) -> str | list[str]:
    low, high = map(_percent, pair)
    return low if low == high else [low, high]


def _number_or_text(pattern: str, least: int) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least}, {"type": "string", "pattern": pattern}]})


_POSITIVE = WithJsonSchema({"type": "number", "exclusiveMinimum": 0})

Size = Annotated[int, BeforeValidator(_size), _number_or_text(SIZE_PATTERN, 1)]
"""Bytes: ``64``, ``4KiB``."""
Request = Annotated[int, BeforeValidator(partial(_size, least=0)), _number_or_text(SIZE_PATTERN, 0)]
"""Bytes of a request; 0 is allowed, as in ``malloc(0)``."""
Capacity = Annotated[int, BeforeValidator(partial(_size, most=LARGEST_CAPACITY)), _number_or_text(SIZE_PATTERN, 1)]
"""Bytes of a region."""
Count = Annotated[int, BeforeValidator(_count), _number_or_text(COUNT_PATTERN, 1)]
"""``1000``, ``2M``; at least 1."""
Natural = Annotated[int, BeforeValidator(partial(_count, least=0)), _number_or_text(COUNT_PATTERN, 0)]
"""A count that may be 0."""
Alignment = Annotated[int, BeforeValidator(_alignment), _number_or_text(SIZE_PATTERN, 1)]
"""A power of two, at most 2 MiB."""
Positive = Annotated[
    Fraction, BeforeValidator(lambda value: _number(value, "1e-15", "1e15")), PlainSerializer(_plain), _POSITIVE
]
Weight = Annotated[
    Fraction, BeforeValidator(_weight), PlainSerializer(_plain), WithJsonSchema({"type": "number", "minimum": 0})
]
"""A number that may be 0."""
Spread = Annotated[
    Fraction, BeforeValidator(lambda value: _number(value, "0.001", "20")), PlainSerializer(_plain), _POSITIVE
]
"""Standard deviation of a logarithm, or the exponent of a power law."""
Factor = Annotated[
    Fraction,
    BeforeValidator(lambda value: _number(value, "0.001", "1000").limit_denominator(10**6)),
    PlainSerializer(_plain),
    _POSITIVE,
]
"""Factor by which a size is multiplied."""
_SHARE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": rf"^\s*{_SHARE.pattern}\s*$"}
Share = Annotated[
    Fraction,
    BeforeValidator(_share),
    PlainSerializer(_percent),
    WithJsonSchema(_SHARE_SCHEMA),
]
"""A percentage above 0: ``20%``."""
Until = Annotated[
    tuple[Share, Share],
    BeforeValidator(both),
    PlainSerializer(_one_or_both),
    WithJsonSchema({"anyOf": [_SHARE_SCHEMA, {"type": "array", "items": _SHARE_SCHEMA, "minItems": 2, "maxItems": 2}]}),
]
"""A moment of the run, ``60%``, or a range of moments, ``[58%, 60%]``."""
Chance = Annotated[
    Fraction,
    BeforeValidator(_chance),
    PlainSerializer(_percent),
    WithJsonSchema(_SHARE_SCHEMA),
]
"""A percentage that may be 0: ``0%``."""
Moment = Annotated[
    Fraction | int,
    BeforeValidator(_moment),
    PlainSerializer(lambda value: _percent(value) if isinstance(value, Fraction) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": COUNT_PATTERN},
                _SHARE_SCHEMA,
            ]
        }
    ),
]
"""A share of a run, above 0 and below 1, or a count: ``20%``, ``5000``."""

Rate = Annotated[
    int,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda value: f"{value}/s"),
    WithJsonSchema({"type": "string", "pattern": _RATE_PATTERN}),
]
"""A rate: ``2M/s``."""


Period = Annotated[
    int,
    BeforeValidator(_period),
    PlainSerializer(_written_period),
    WithJsonSchema({"type": "string", "pattern": rf"^{_PERIOD.pattern}$"}),
]
"""A time, in picoseconds: ``2666us``."""


class Strict(BaseModel):
    """A mapping with exactly the declared keys."""

    # Models are built with their parent when a file is read: building each by itself would outlast most commands.
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class OneOf(Strict):
    """A mapping with exactly one of the declared keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    noun: ClassVar[str]
    """What a key stands for, in error messages."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        require_one_key(self, self.noun)
        return self


def require_one_key(model: BaseModel, noun: str, among: Collection[str] = ()) -> None:
    """Raise unless exactly one field of ``model``, or of ``among``, is given."""
    fields = {name: field for name, field in type(model).model_fields.items() if name in (among or (name,))}
    keys = [field.alias or name for name, field in fields.items() if getattr(model, name) is not None]
    if len(keys) == 1:
        return
    known = ", ".join(field.alias or name for name, field in fields.items())
    if not keys:
        raise misfit(f"must have one {noun} of {known}")
    raise misfit(f"must have only one {noun}, has {' and '.join(keys)}")
