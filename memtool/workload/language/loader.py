"""Loads a workload file. Each error is one line: FILE:LINE:COLUMN: key: what it must be, what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from memtool.errors import InputErrors, did_you_mean
from memtool.workload.language.document import Document, Keys, Position, read_document
from memtool.workload.language.schema import Workload
from memtool.workload.language.values import abbreviated

_MOST_ERRORS = 20
M = TypeVar("M", bound=BaseModel)


def load_workload(file: str | Path) -> Workload:
    """Return the workload in a file. Raises InputErrors with one line for each error in it."""
    return load(file, Workload)


def load(file: str | Path, model: type[M]) -> M:
    """Return the content of a file of this model. Raises InputErrors with one line for each error in it."""
    document = read_document(Path(file))
    if not isinstance(document.data, dict):
        words = f"must be a mapping of keys, is {abbreviated(document.data)}"
        raise document.error(document.position(()), (), words)
    try:
        return model.model_validate(document.data)
    except ValidationError as problems:
        raise _all(document, problems, model) from None


def _all(document: Document, problems: ValidationError, model: type[BaseModel]) -> InputErrors:
    """Return the errors in the order of their positions in the file, one line each."""
    misfits = [part for problem in problems.errors(include_url=False) for part in _apart({**problem})]
    # A misspelt key also counts as a missing one; the misspelling is the error to report.
    misspelt = {problem["loc"][:-1] for problem in misfits if problem["type"] == "extra_forbidden"}
    explained = [
        _explain(document, problem, model)
        for problem in misfits
        if problem["type"] != "missing" or problem["loc"][:-1] not in misspelt
    ]
    explained.sort(key=lambda error: error[0])
    lines = list(dict.fromkeys(str(document.error(*error)) for error in explained))
    if len(lines) > _MOST_ERRORS:
        lines[_MOST_ERRORS:] = [f"{document.file}: and {len(lines) - _MOST_ERRORS} more errors"]
    return InputErrors(lines)


def _apart(problem: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each of the errors that one validator found together (values.raise_all)."""
    context = problem.get("ctx", {})
    return [problem, *({**problem, "ctx": further} for further in context.get("further", ()))]


def _explain(document: Document, problem: dict[str, Any], model: type[BaseModel]) -> tuple[Position, Keys, str]:
    """Return the position of a pydantic error in the file, the key it is about, and its message."""
    kind, context = problem["type"], problem.get("ctx", {})
    location = (*problem["loc"], *context.get("path", ()))
    keys = _present(document, location)
    position = document.position(keys)
    if kind == "missing":
        return position, location, "is missing"
    if kind == "misfit":
        return position, location, str(context["words"])
    if kind in ("extra_forbidden", "invalid_key"):
        key = str(location[-1])
        return document.key_position(keys), keys, f"unknown key{did_you_mean(key, _keys_beside(location, model))}"
    if kind == "too_long":
        context = {**context, "actual_length": len(problem["input"])}  # pydantic does not count mappings
    if location[-1:] == ("[key]",):
        position = document.key_position(keys)
    return position, keys, _words(kind, context, abbreviated(problem["input"]))


def _words(kind: str, context: dict[str, Any], value: str) -> str:
    """Return the message for an error for which the schema has no message of its own."""
    if kind == "value_error":
        return str(context["error"])
    must = {
        "too_short": "must not be empty",
        "string_too_short": "must not be empty",
        "too_long": f"must have at most {context.get('max_length')} entries, has {context.get('actual_length')}",
        "literal_error": f"must be {context.get('expected')}, is {value}",
        "greater_than_equal": f"must be >= {context.get('ge')}, is {value}",
        "less_than": f"must be < {context.get('lt')}, is {value}",
        "less_than_equal": f"must be <= {context.get('le')}, is {value}",
        "string_pattern_mismatch": f"must be letters, digits, '.', '_' and '-', at most 64, is {value}",
    }
    if kind in must:
        return must[kind]
    # The remaining errors are about types: int_type, int_from_float, list_type, model_type and so on.
    types = {"int": "a whole number", "string": "text", "list": "a list", "tuple": "a list", "bool": "true or false"}
    return f"must be {types.get(kind.partition('_')[0], 'a mapping')}, is {value}"


def _present(document: Document, location: Keys) -> Keys:
    """Return the part of a location that exists in the file: short forms and unions add steps of their own."""
    length = 0
    while length < len(location) and location[: length + 1] in document:
        length += 1
    return location[:length]


def _keys_beside(location: Keys, root: type[BaseModel]) -> Iterator[str]:
    """Yield the keys that are allowed where an unknown key was found."""
    model: type[BaseModel] | None = root
    for step in location[:-1]:
        if model is not None and isinstance(step, str):
            fields = model.model_fields.items()
            model = next((_model_in(field.annotation) for name, field in fields if step in (name, field.alias)), None)
    if model is not None:
        yield from (field.alias or name for name, field in model.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  # a type expression
    """Return the model within a type expression such as ``list[Objects] | None``; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
