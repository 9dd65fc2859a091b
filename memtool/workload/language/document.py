"""A YAML file as plain data in which the position of every key and value is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from memtool import files
from memtool.errors import InputError

Keys = tuple[str | int, ...]
"""The location of a value: the keys and indices that lead to it."""
Position = tuple[int, int]
"""Line and column, both counted from 1."""

_LARGEST_FILE = 1 << 20
_MOST_NODES = 50_000
"""More than any hand-written workload needs; aliases count as often as they are used."""
_MOST_ALIASES = 1_000
_DEEPEST = 50
_LONGEST_NUMBER = 40
_LONGEST_KEY = 64
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHOLE = re.compile(r"[-+]?[0-9]+")
_PREFIX = "tag:yaml.org,2002:"
_KINDS = ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value")
_TAGS = {_PREFIX + kind for kind in _KINDS}
"""The tags that PyYAML assigns to values without a tag."""
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")


class Document:
    """The data of a YAML file, and the positions that error messages name."""

    def __init__(self, file: str, data: bytes) -> None:
        """Parse the text of ``file``. Raises InputError for text that is not YAML or that no workload can contain."""
        self.file = file
        self._positions: dict[Keys, Position] = {}
        self._keys: dict[Keys, Position] = {}
        self._nodes = 0
        root = self._compose(self._decode(data))
        if root is None:
            raise InputError(f"{file}:1:1: is empty")
        self.data = self._build(root, ())

    def __contains__(self, keys: Keys) -> bool:
        return keys in self._positions

    def position(self, keys: Keys) -> Position:
        """Return the position of a value, or of the nearest known value around it."""
        while keys not in self._positions:
            keys = keys[:-1]
        return self._positions[keys]

    def key_position(self, keys: Keys) -> Position:
        """Return the position of a value's key."""
        return self._keys[keys]

    def error(self, position: Position, keys: Keys, words: str) -> InputError:
        """Return an InputError with ``words`` about the value at ``keys``."""
        subject = f"{written(keys)}: " if keys else ""
        return InputError(f"{self.file}:{position[0]}:{position[1]}: {subject}{words}")

    def _decode(self, data: bytes) -> str:
        if len(data) > _LARGEST_FILE:
            raise InputError(f"{self.file}:1:1: is larger than 1 MiB, and no workload is that large")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            before = data[: problem.start]
            line, column = before.count(b"\n") + 1, problem.start - before.rfind(b"\n")
            raise InputError(
                f"{self.file}:{line}:{column}: is not UTF-8 text (byte 0x{data[problem.start]:02x})"
            ) from None

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            self._refuse_bombs(text)
            root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as problem:
            mark = problem.problem_mark or problem.context_mark
            position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise self.error(position, (), f"is not YAML: {problem.problem or problem.context}") from None
        except yaml.reader.ReaderError as problem:
            before = text[: problem.position]
            position = (before.count("\n") + 1, problem.position - before.rfind("\n"))
            raise self.error(position, (), "is not YAML: a character that text cannot have") from None
        return root

    def _refuse_bombs(self, text: str) -> None:
        """Refuse nesting, aliases and numbers of nodes that no workload needs, before any data is built from them."""
        depth = aliases = nodes = 0
        for event in yaml.parse(text, Loader=_Loader):
            nodes += isinstance(event, yaml.NodeEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth <= _DEEPEST and aliases <= _MOST_ALIASES and nodes <= _MOST_NODES:
                continue
            limit = f"{_MOST_NODES:,} values"
            if depth > _DEEPEST:
                limit = f"{_DEEPEST} levels of nesting"
            elif aliases > _MOST_ALIASES:
                limit = f"{_MOST_ALIASES:,} aliases"
            mark = event.start_mark
            position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise self.error(position, (), f"has more than {limit}, which no workload needs")

    def _build(self, node: yaml.Node, keys: Keys) -> Any:  # noqa: ANN401  # plain data
        position = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._positions[keys] = position
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(keys) > _DEEPEST:
            raise self.error(position, keys[:3], "grows without end through its aliases")
        if node.tag not in _TAGS:
            tag = node.tag.replace(_PREFIX, "!!")[:_LONGEST_KEY]
            raise self.error(position, keys, f"has the tag {tag}, which means nothing here")
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*keys, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[Any, Any]:
        built: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            position = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(position, keys, "has a key that is not a word or a number")
            key = _key(key_node)
            entry_keys = (*keys, key)
            if key in built:
                raise self.error(position, entry_keys, "is there twice")
            self._keys[entry_keys] = position
            built[key] = self._build(value_node, entry_keys)
        return built


def _key(node: yaml.ScalarNode) -> str | int:
    """Return a key; numbers that errors of the schema could not name become text."""
    key = _scalar(node)
    is_number = isinstance(key, int) and not isinstance(key, bool) and abs(key) < 1 << 63
    return key if is_number else str(node.value)


def _scalar(node: yaml.Node) -> Any:  # noqa: ANN401  # a scalar
    """Return a scalar by the rules of YAML 1.2: `yes` is not true, 010 is not 8, 1:30 is not 90, and no dates."""
    text = str(node.value)
    if getattr(node, "style", None):
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if len(text) > _LONGEST_NUMBER:
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def written(keys: Sequence[str | int]) -> str:
    """Return keys in the form that messages use: ``objects[1].size.median``."""
    text = ""
    for key in keys:
        word = str(key)
        if len(word) > _LONGEST_KEY or not word.isprintable():
            word = repr(word[:_LONGEST_KEY])
        text += f"[{key}]" if isinstance(key, int) else f".{word}" if text else word
    return text


def mentions(path: Path, words: Iterable[str]) -> bool:
    """Return whether a file contains any of these words or cannot be read; parsing a large file would take long."""
    try:
        with files.open_input(path) as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError:
        return True
    return any(word.encode() in text for word in words)


def read_document(path: Path) -> Document:
    """Return the YAML document in a file. Raises InputError with one line for every kind of fault."""
    try:
        with files.open_input(path) as file:
            return Document(str(path), file.read(_LARGEST_FILE + 1))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory, not a workload") from None
    except OSError as problem:
        raise InputError(f"{path}: cannot be read: {problem.strerror}") from None
