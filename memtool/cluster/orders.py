"""What travels to a host: options, workloads as text or as a trace's place and hash, and blocks; never events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from memtool.errors import InputError, MemtoolError
from memtool.model import Cell
from memtool.passes import Pass
from memtool.passes.records import plain, record_from
from memtool.plan import BenchOptions
from memtool.workload.importers.known import importer_of
from memtool.workload.trace import find_workload, shipped_recordings

_DEFAULT = ("quickstart",)
_FOLDER = ("file", "folder")
_NAMES_FILE = (("graph", "events"), ("construct", "type"), _FOLDER)
"""Keys of workloads that name a file or folder from where they lie; no workload has two of them."""
Key = tuple[Cell, int, Pass]


class Part(StrEnum):
    """What is sent out together, in the order in which it is."""

    PROOF = "proof"
    """Every cell of a workload, checked once: what corrupts memory is not timed."""
    BLOCK = "block"
    """What is timed of every cell in one block, and one repeat of what is repeated."""
    REST = "rest"
    """Counts, what waits, and further repeats of figures that differ."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one host does without a break: one workload, all of its allocators."""

    workload: str
    part: Part
    block: int = 0

    @property
    def name(self) -> str:
        """Return a name that no other unit of the run has, on one machine."""
        digest = hashlib.blake2b(self.workload.encode(), digest_size=6).hexdigest()
        return f"{digest}-{self.part}-{self.block}"

    @property
    def words(self) -> str:
        """Return what is being done, in words."""
        return f"{self.workload} block {self.block}" if self.part is Part.BLOCK else f"{self.workload} {self.part}"


def order_of(options: BenchOptions, run: str) -> str:
    """Return what a host is asked for, as JSON. ``run``: a name that no other run has.

    Raises InputError for a workload that cannot travel: what can be read but once, or not at all.
    """
    sent = replace(options, workloads=(), output=None, cluster=None, command=(), programs=())
    workloads = [_packed(find_workload(name)) for name in options.workloads or _DEFAULT]
    return json.dumps({"run": run, "options": asdict(sent), "workloads": workloads}, default=str)


def _packed(path: Path) -> dict[str, str]:
    """Return a workload as it travels: the text of a YAML file, the place and digest of a trace file."""
    if not path.is_file():
        raise InputError(f"{path}: is not a file, and cannot be measured on other machines")
    if importer_of(path) is None:
        return {"file": path.name, "text": _with_whole_paths(path.read_text(encoding="utf-8"), path.absolute().parent)}
    name = next((name for name, file in shipped_recordings().items() if file == path), "")
    return {"file": str(path.absolute()), "shipped": name, "digest": digest_of(path)}


def _with_whole_paths(text: str, folder: Path) -> str:
    """Return a workload's text with what it names beside itself named by whole paths: it lies there on each host."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for section, key in _NAMES_FILE:
        named = _node(_node(root, section), key)
        if not isinstance(named, yaml.ScalarNode):
            continue
        beside = folder / named.value
        # A name that no file beside it has is one of memtool's own.
        if beside.is_file() or (section, key) == _FOLDER:
            text = text[: named.start_mark.index] + json.dumps(str(beside)) + text[named.end_mark.index :]
    return text


def _node(parent: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return what a mapping has under a key; None: it has none, or is no mapping."""
    pairs = parent.value if isinstance(parent, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def digest_of(path: Path) -> str:
    """Return a digest of a file, which may be larger than memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def options_in(order: Mapping[str, Any], folder: Path) -> BenchOptions:
    """Return what a host is asked for, its workloads as files: texts are written into ``folder``.

    Raises MemtoolError for a trace that is not there, or is another one.
    """
    options = record_from(BenchOptions, order["options"])
    return replace(
        options, workloads=tuple(_file(packed, folder / str(n)) for n, packed in enumerate(order["workloads"]))
    )


def _file(packed: Mapping[str, str], folder: Path) -> str:
    if "text" in packed:
        folder.mkdir()
        file = folder / packed["file"]
        file.write_text(packed["text"], encoding="utf-8")
        return str(file)
    path = shipped_recordings().get(packed["shipped"], Path(packed["file"]))
    try:
        digest = digest_of(path)
    except OSError as problem:
        raise MemtoolError(f"{path}: the trace cannot be read there: {problem.strerror}") from None
    if digest != packed["digest"]:
        raise MemtoolError(
            f"{path}: is another trace there (its content has the digest {digest[:12]}, here {packed['digest'][:12]})"
        )
    return str(path)


def key_to_plain(key: Key) -> list[Any]:
    """Return a sample's key as JSON takes it."""
    cell, block, run_pass = key
    return [plain(cell), block, str(run_pass)]


def key_from(data: list[Any]) -> Key:
    """Return a sample's key. Raises ValueError."""
    cell, block, run_pass = data
    return Cell(**cell), int(block), Pass(run_pass)
