"""How a document that anyone may have written is read: by its schema, and never further than it can be believed."""

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
"""Later versions of memtool may add keys; what is named keeps its meaning, and has no other type."""
_DESCRIBED = ConfigDict(**_STORED, use_attribute_docstrings=True)
"""Docstrings come from the sources, which takes longer than to read a document."""
_Record = TypeVar("_Record")


def form(record: type[_Record]) -> TypeAdapter[_Record]:
    """Return what reads and writes a dataclass, whose fields are keys; built when it is used for the first time."""
    return TypeAdapter(with_config(_STORED)(record))


def json_schema(record: type[Any], mode: Literal["validation", "serialization"] = "validation") -> dict[str, Any]:
    """Return the JSON Schema of a dataclass: what its fields' docstrings say of them is in it."""
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
    """Return the record of a file that says that it is of a schema.

    ``written`` says which fields have another key in the file; ``""``: their parts stand beside the others.

    Raises InputError with one line: the file is not ``noun``, or names the first key that is not as the schema says.
    """
    data = _load(file, schema, noun)
    record = None
    try:
        record = validate(_printable(data))
    except ValidationError as problems:
        first = problems.errors()[0]
        if first["type"] != "json_invalid":  # half of a character, which has a place below
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
    except ValueError:  # of Python, for an integer of some thousand digits
        raise InputError(f"{file}: has a number with too many digits") from None
    name = data.get("schema") if isinstance(data, dict) else None
    if name != schema:
        is_later = isinstance(name, str) and name.startswith(schema.rpartition("v")[0])
        words = f"is of schema {name}, which needs a later memtool" if is_later else f"is not {noun}"
        raise InputError(f"{file}: {words}")
    assert isinstance(data, dict)
    return data


def _printable(value: Any) -> Any:  # noqa: ANN401  # of JSON
    """Return a document all of whose texts are printable: terminals and logs obey what is written to them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _why_unwritable(value: object) -> str | None:
    """Return where a value has what Python's JSON reader takes and nothing can write again; None: nowhere."""
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
