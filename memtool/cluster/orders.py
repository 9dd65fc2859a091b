"""The messages to a host: options, workloads as text or as a trace's path and hash, and blocks; never events."""

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
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.passes.records import plain, record_from
from memtool.workload.importers.known import importer_of
from memtool.workload.trace import find_workload, shipped_recordings

_DEFAULT = ("quickstart",)
_FOLDER = ("file", "folder")
_NAMES_FILE = (("graph", "events"), ("construct", "type"), _FOLDER)
"""Keys of workloads that name a file or folder relative to the workload; no workload has two of them."""
Key = tuple[Cell, int, Pass]


class Part(StrEnum):
    """The parts of the work, in the order in which they are sent."""

    PROOF = "proof"
    """Every cell of a workload, checked once, because an allocator that corrupts memory is not timed."""
    BLOCK = "block"
    """The timed passes of every cell in one block, and one repeat of each repeated pass."""
    REST = "rest"
    """Counts, passes that wait, and further repeats of figures that differ."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The work that one host does without a break: one workload with all of its allocators on the same machine."""

    workload: str
    part: Part
    block: int = 0

    @property
    def name(self) -> str:
        """Return a name that is unique in the run, on one machine."""
        digest = hashlib.blake2b(self.workload.encode(), digest_size=6).hexdigest()
        return f"{digest}-{self.part}-{self.block}"

    @property
    def words(self) -> str:
        """Return the current work in words."""
        return f"{self.workload} block {self.block}" if self.part is Part.BLOCK else f"{self.workload} {self.part}"


def order_of(options: BenchOptions, run: str) -> str:
    """Return the message to a host, as JSON. ``run``: the unique name of the run.

    Raises InputError for a workload that cannot be sent: one that can be read only once, or not at all.
    """
    sent = replace(options, workloads=(), output=None, cluster=None, command=(), programs=())
    workloads = [_packed(find_workload(name)) for name in options.workloads or _DEFAULT]
    return json.dumps({"run": run, "options": asdict(sent), "workloads": workloads}, default=str)


def _packed(path: Path) -> dict[str, str]:
    """Return a workload in the form for sending: the text of a YAML file, or the path and digest of a trace file."""
    if not path.is_file():
        raise InputError(f"{path}: is not a file, and cannot be measured on other machines")
    if importer_of(path) is None:
        return {"file": path.name, "text": _with_whole_paths(path.read_text(encoding="utf-8"), path.absolute().parent)}
    name = next((name for name, file in shipped_recordings().items() if file == path), "")
    return {"file": str(path.absolute()), "shipped": name, "digest": digest_of(path)}


def _with_whole_paths(text: str, folder: Path) -> str:
    """Return a workload's text with absolute paths to the files that it names, which must exist on each host."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for section, key in _NAMES_FILE:
        named = _node(_node(root, section), key)
        if not isinstance(named, yaml.ScalarNode):
            continue
        beside = folder / named.value
        # A name without such a file is one of memtool's own.
        if beside.is_file() or (section, key) == _FOLDER:
            text = text[: named.start_mark.index] + json.dumps(str(beside)) + text[named.end_mark.index :]
    return text


def _node(parent: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key in a mapping; None: it has none, or is not a mapping."""
    pairs = parent.value if isinstance(parent, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def digest_of(path: Path) -> str:
    """Return a digest of a file, which may be larger than memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def options_in(order: Mapping[str, Any], folder: Path) -> BenchOptions:
    """Return the content of a message, with its workloads as files: texts are written into ``folder``.

    Raises MemtoolError for a trace that is missing or has another digest.
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
    """Return a sample's key in the form for JSON."""
    cell, block, run_pass = key
    return [plain(cell), block, str(run_pass)]


def key_from(data: list[Any]) -> Key:
    """Return a sample's key from its form in JSON. Raises ValueError."""
    cell, block, run_pass = data
    return Cell(**cell), int(block), Pass(run_pass)
