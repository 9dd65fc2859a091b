"""How a document that anyone may have written is read: by its schema, and never further than it can be believed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from memtool import files
from memtool.errors import InputError

_HALF = re.compile("[\ud800-\udfff]")
_Record = TypeVar("_Record", bound=BaseModel)


def read(file: Path, kind: type[_Record], schema: str, what: str) -> _Record:
    """Return the record of a file that says that it is of a schema.

    Raises InputError with one line: the file is not ``what``, or names the first key that is not as the schema says.
    """
    data = _load(file, schema, what)
    try:
        record = kind.model_validate(data)
    except ValidationError as problems:
        first = problems.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    why = _why_unwritable(data)
    if why is not None:
        raise InputError(f"{file}: {why.lstrip('.')}")
    return record


def _load(file: Path, schema: str, what: str) -> object:
    try:
        data = json.loads(files.read_text(file))
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: is not JSON, or not all of it: {problem}") from None
    except RecursionError:
        raise InputError(f"{file}: is nested too deeply for {what}") from None
    except ValueError:  # of Python, for an integer of some thousand digits
        raise InputError(f"{file}: has a number with too many digits") from None
    name = data.get("schema") if isinstance(data, dict) else None
    if name != schema:
        is_later = isinstance(name, str) and name.startswith(schema.rpartition("v")[0])
        words = f"is of schema {name}, which needs a later memtool" if is_later else f"is not {what}"
        raise InputError(f"{file}: {words}")
    return data


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
