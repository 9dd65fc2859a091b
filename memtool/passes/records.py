"""Converts records to plain data and back, for workers' answers and for the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    from memtool.passes import Pass  # noqa: F401  # Sample names it and cannot import it

    return TypeAdapter(kind)


def record_from(kind: type[T], data: Mapping[str, Any]) -> T:
    """Return a record made by name. Raises ValueError in one line for a missing, unknown or mistyped field."""
    from pydantic import ValidationError

    try:
        record: T = _adapter(kind).validate_python(data)  # type: ignore[arg-type]  # types are hashable
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    return record


def plain(record: object) -> dict[str, Any]:
    """Return a record's fields by name, for json.dumps(default=plain). Raises TypeError for other objects."""
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"{type(record).__name__} is no record")
    return {field.name: getattr(record, field.name) for field in fields(record)}
