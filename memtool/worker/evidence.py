"""Checks that all samples measured the same code: the proof of each is compared with those of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memtool.allocators.own.code_files import REPLACED, Identity
from memtool.model import Cell, Status
from memtool.passes import Sample

_OF_A_CELL = ("malloc_owner", "malloc_build_id", "version", "library", "library_build_id", "python", "class")
"""Entries of a proof that are equal in all samples of a cell."""


@dataclass(slots=True)
class Contents:
    """Digests of the files from which code is loaded; each is read again only if it has changed."""

    _known: dict[tuple[str, Identity], str] = field(default_factory=dict)

    def digest(self, path: str, identity: Identity) -> str:
        """Return a digest of a file that a worker has loaded, or a statement about its replacement."""
        key = (path, identity)
        if key not in self._known:
            self._known[key] = digest_of(Path(path)) if self._is_still(path, identity) else "replaced"
        return self._known[key]

    @staticmethod
    def _is_still(path: str, identity: Identity) -> bool:
        if identity == REPLACED:
            return False
        try:
            known = Path(path).stat()
        except OSError:
            return False
        return (known.st_ino, known.st_size, known.st_mtime_ns) == tuple(identity)


def digest_of(path: Path) -> str:
    """Return a digest of a file's content, or the reason why it cannot be read."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as problem:
        return str(problem.strerror)


@dataclass(slots=True)
class Evidence:
    """The proofs of a run's samples so far."""

    _cells: dict[Cell, Mapping[str, Any]] = field(default_factory=dict)
    _code: dict[str, str] = field(default_factory=dict)

    def hold(self, sample: Sample) -> Sample:
        """Return a sample unchanged, or failed if it measured other code than those before it."""
        proof = sample.proof
        if sample.status is not Status.OK or not proof:
            return sample
        for path, digest in proof.get("code", {}).items():
            if self._code.setdefault(path, digest) != digest:
                return _failed(sample, f"{path} was replaced during the run: its samples would be of two builds")
        own = {name: proof[name] for name in _OF_A_CELL if name in proof}
        before = self._cells.setdefault(sample.cell, own)
        for name in _OF_A_CELL:
            if before.get(name) != own.get(name):
                return _failed(sample, f"{name} is {own.get(name)}, and was {before.get(name)} in the samples before")
        return sample


def _failed(sample: Sample, reason: str) -> Sample:
    return replace(sample, status=Status.FAILED, reason=reason, payload=None, of_harness=True)
