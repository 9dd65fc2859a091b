"""Reads stored documents from any origin: they are validated against their schema and not trusted beyond it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from memtool import files
from memtool.errors import InputError
from memtool.units import printable

_HALF = re.compile("[\ud800-\udfff]")
_STORED = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, defer_build=True)
"""Later versions of memtool may add keys; the keys declared here keep their meaning and their type."""
_DESCRIBED = ConfigDict(**_STORED, use_attribute_docstrings=True)
"""Docstrings are read from the sources, which takes longer than reading a document; only schemas need them."""
_Record = TypeVar("_Record")


def form(record: type[_Record]) -> TypeAdapter[_Record]:
    """Return the adapter that reads and writes a dataclass, whose fields are keys; it is built at its first use."""
    return TypeAdapter(with_config(_STORED)(record))


def json_schema(record: type[Any], mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
    """Return the JSON Schema of a dataclass, with the docstrings of its fields as descriptions."""
    try:
        return TypeAdapter(with_config(_DESCRIBED)(record)).json_schema(mode=mode)
    finally:
        with_config(_STORED)(record)


def read(
    file: Path,
    validate: Callable[[dict[str, Any]], _Record],
    schema: str,
    noun: str,
    written: Mapping[str, str] = MappingProxyType({}),
) -> _Record:
    """Return the record in a file that declares a given schema.

    ``written`` maps fields to the keys that the file uses for them; ``""`` means that the field's own parts stand at
    the level of its siblings.

    Raises InputError with one line where the file is not ``noun``; the line names the first key that is not valid.
    """
    data = _load(file, schema, noun)
    record = None
    try:
        record = validate(_printable(data))
    except ValidationError as problems:
        first = problems.errors()[0]
        if first["type"] != "json_invalid":  # a lone surrogate; _why_unwritable() finds its place below
            keys = (written.get(str(part), str(part)) for part in first["loc"])
            where = ".".join(filter(None, keys))
            raise InputError(f"{file}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    why = _why_unwritable(data)
    if why is not None or record is None:
        raise InputError(f"{file}: {why.lstrip('.') if why else 'is not JSON'}")
    return record


def _load(file: Path, schema: str, noun: str) -> dict[str, Any]:
    try:
        data = json.loads(files.read_text(file))
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: is not JSON, or not all of it: {problem}") from None
    except RecursionError:
        raise InputError(f"{file}: is nested too deeply for {noun}") from None
    except ValueError:  # raised by Python for an integer of some thousand digits
        raise InputError(f"{file}: has a number with too many digits") from None
    name = data.get("schema") if isinstance(data, dict) else None
    if name != schema:
        is_later = isinstance(name, str) and name.startswith(schema.rpartition("v")[0])
        words = f"is of schema {name}, which needs a later memtool" if is_later else f"is not {noun}"
        raise InputError(f"{file}: {words}")
    assert isinstance(data, dict)
    return data


def _printable(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a document in which all text is printable: terminals and logs obey control characters."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _why_unwritable(value: object) -> str | None:
    """Return where a value contains something that Python's JSON reader accepts and no writer can write; or None."""
    if isinstance(value, float) and not math.isfinite(value):
        return f": is {value}, and no number"
    if isinstance(value, str):
        return ": has half of a character (a lone surrogate)" if _HALF.search(value) else None
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        why = _why_unwritable(name) or _why_unwritable(part)
        if why is not None:
            return f".{name!r}{why}" if _HALF.search(str(name)) else f".{name}{why}"
    return None
