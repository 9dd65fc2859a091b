"""Reads a workload file. Whatever is wrong with it becomes one line: FILE:LINE:COLUMN: key: what must be, what is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from memtool.errors import InputError, did_you_mean
from memtool.workload.schema import Workload, shown

_LARGEST_FILE = 4 << 20
_MOST_NODES = 200_000
"""A workload of that many YAML nodes was not written for a person, and aliases multiply nodes."""
_DEEPEST = 50
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    line: int
    column: int


class _Document:
    """A YAML document as plain data, with the position of every value and key."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.positions: dict[Path_, _Position] = {}
        self.keys: dict[Path_, _Position] = {}
        self._left = _MOST_NODES
        root = _compose(file, text)
        if root is None:
            raise InputError(f"{file}: is empty; a workload needs at least a name")
        self.data = self._build(root, ())

    def error(self, path: Path_, words: str, *, at: Path_ | None = None) -> InputError:
        """Return the error that `words` makes at the position of `at`, or of the nearest value above it."""
        where = path if at is None else at
        while where and where not in self.positions:
            where = where[:-1]
        position = self.positions.get(where, _Position(1, 1))
        return self._at(position, path, words)

    def key_error(self, path: Path_, words: str) -> InputError:
        """Return the error that `words` makes at the key of `path` rather than at its value."""
        return self._at(self.keys[path], path, words)

    def _at(self, position: _Position, path: Path_, words: str) -> InputError:
        key = written(path)
        return InputError(f"{self.file}:{position.line}:{position.column}: {key + ': ' if key else ''}{words}")

    def _build(self, node: yaml.Node, path: Path_) -> Any:  # noqa: ANN401  # YAML
        self.positions.setdefault(path, _Position(node.start_mark.line + 1, node.start_mark.column + 1))
        self._left -= 1
        if self._left < 0 or len(path) > _DEEPEST:
            raise self.error(path, "is too large or too deep (aliases that multiply?)")
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[Any, Any]:
        built: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(path, "has a key that is not a word or a number")
            key = _scalar(key_node)
            here = (*path, key if isinstance(key, int) else str(key_node.value))
            self.keys[here] = _Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in built:
                raise self.key_error(here, "is there twice")
            built[key] = self._build(value_node, here)
        return built


def _compose(file: str, text: str) -> yaml.Node | None:
    try:
        _refuse_bombs(file, text)
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InputError(f"{file}{where}: is not YAML: {problem.problem or problem.context}") from None
    except yaml.YAMLError as problem:
        raise InputError(f"{file}: is not YAML: {str(problem).splitlines()[0]}") from None
    return root


def _refuse_bombs(file: str, text: str) -> None:
    """Stop at nesting or aliases that no workload needs, before anything is built of them."""
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _DEEPEST or aliases > 1000:
            mark = event.start_mark
            assert mark is not None
            what = "nested deeper than 50 levels" if depth > _DEEPEST else "more than 1,000 aliases"
            raise InputError(f"{file}:{mark.line + 1}:{mark.column + 1}: is {what}; not a workload")


def _scalar(node: yaml.Node) -> Any:  # noqa: ANN401  # a scalar
    """Return a scalar as YAML 1.2 reads it: no `yes` for true, no 010 for 8, no 1:30 for 90."""
    text = str(node.value)
    if node.tag == "tag:yaml.org,2002:str" and getattr(node, "style", None):
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) and len(text) < 40 else text


def written(path: Sequence[str | int]) -> str:
    """Return a path as error messages name it: ``objects[1].size.median``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def load_workload(file: str | Path) -> Workload:
    """Return the workload of a file. Raises InputError with one line for anything that is wrong with it."""
    name = str(file)
    document = _Document(name, _read(Path(file)))
    if not isinstance(document.data, dict):
        raise document.error((), f"a workload is a mapping of keys, this is {shown(document.data)}")
    try:
        return Workload.model_validate(document.data)
    except ValidationError as problems:
        raise _first(document, problems) from None


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path}: is larger than 4 MiB; not a workload")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory, not a workload") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: is not UTF-8 text (byte {problem.start})") from None
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from None


def _first(document: _Document, problems: ValidationError) -> InputError:
    """Return the problem that stands first in the file."""

    def order(problem: InputError) -> tuple[int, int]:
        line, column = str(problem)[len(document.file) + 1 :].split(":")[:2]
        return int(line), int(column)

    found = [dict(problem) for problem in problems.errors()]
    # A misspelt key is also a missing one: the misspelling is what to mend.
    unknown = [problem for problem in found if problem["type"] == "extra_forbidden"]
    return min((_explain(document, problem) for problem in unknown or found), key=order)


def _explain(document: _Document, problem: dict[str, Any]) -> InputError:
    path = _existing(document, problem["loc"])
    kind = problem["type"]
    context = problem.get("ctx", {})
    given = shown(problem["input"])
    if kind == "missing":
        return document.error((*path, str(problem["loc"][-1])), "is missing", at=path)
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        known = sorted(_keys_beside(problem["loc"]))
        return document.key_error(path, f"unknown key{did_you_mean(key, known)}")
    if kind == "value_error":
        return document.error(path, str(context["error"]))
    words = {
        "too_short": f"needs at least {context.get('min_length')} entries, has {context.get('actual_length')}",
        "too_long": f"takes at most {context.get('max_length')} entries, has {context.get('actual_length')}",
        "literal_error": f"must be one of {context.get('expected')}, is {given}",
        "greater_than": f"must be > {context.get('gt')}, is {given}",
        "greater_than_equal": f"must be >= {context.get('ge')}, is {given}",
        "less_than": f"must be < {context.get('lt')}, is {given}",
        "string_pattern_mismatch": f"must be letters, digits, '.', '_' and '-', is {given}",
        "string_type": f"must be text, is {given}",
        "list_type": f"must be a list, is {given}",
        "dict_type": f"must be a mapping, is {given}",
        "model_type": f"must be a mapping, is {given}",
        "bool_type": f"must be true or false, is {given}",
        "bool_parsing": f"must be true or false, is {given}",
    }.get(kind)
    if words is None and kind.startswith("int"):
        words = f"must be a whole number, is {given}"
    return document.error(path, words or f"{problem['msg'][0].lower()}{problem['msg'][1:]}")


def _existing(document: _Document, location: Sequence[str | int]) -> Path_:
    """Return the part of a location that the file has: pydantic adds steps for short forms and keys of choices."""
    path: Path_ = ()
    for part in location:
        if (*path, part) not in document.positions:
            break
        path = (*path, part)
    return path


def _keys_beside(location: Sequence[str | int]) -> Iterator[str]:
    """Yield the keys that are known where an unknown one was found."""
    model: Any = Workload
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = next((each for name, each in model.model_fields.items() if part in (name, each.alias)), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return
        model = inner
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_in(annotation: Any) -> Any:  # noqa: ANN401  # a type expression
    """Return the model within Optional, list and Annotated; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
