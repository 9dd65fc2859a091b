"""The journal of a run. Every finished sample is written to it before the next begins, so that none is ever lost.

Each line is a JSON object: ``{"check": "0123abcd", "head": {...}}`` once, and then ``{"check": ..., "sample": {...}}``.
``check`` is the CRC-32 of the rest of the line and detects every kind of damage to it. In a run on other machines,
lines with ``"group"`` in place of ``"sample"`` hold the facts about each group of machines.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtool import files, groups
from memtool.errors import InputError, MemtoolError, option
from memtool.kinds import FIRST, results
from memtool.model import Cell
from memtool.passes import Pass, Sample
from memtool.passes.records import plain, record_from

FILE_NAME = "journal.jsonl"
SECOND_LOOK = "second-look"
"""Folder of the fresh blocks of a check, inside the folder of its run."""
_SCHEMA = "memtool.journal.v3"
_LOCK_SECONDS = 1.0
"""How long to wait for the lock: another memtool may hold it briefly to find out whether a run is in progress."""
_LONGEST_LINE = 64 << 20

Key = tuple[Cell, int, Pass]


@dataclass(slots=True)
class Journal:
    """An open journal: its content, and where to append."""

    started: str
    finished: Mapping[Key, Sample]
    _path: Path = field(repr=False)
    _descriptor: int = field(repr=False)
    samples: int = 0
    """Number of samples in the journal, including those that it held when it was opened."""
    blocks: int | None = None
    """Number of blocks of the run, where it is resumed and may be given more."""
    groups: dict[str, Any] = field(default_factory=dict)
    """Name of each group of machines -> the facts recorded about it last."""

    def add_group(self, name: str, known: Mapping[str, Any]) -> None:
        """Add the facts about a group of machines. Raises MemtoolError as ``append`` does."""
        self._add(_line("group", {"name": name, "known": known}))
        self.groups[name] = known

    def append(self, sample: Sample) -> None:
        """Add a sample. It is in the kernel's hands when this returns, so a killed memtool does not lose it.

        Raises MemtoolError where there is no room for it; the earlier content of the journal stays intact.
        """
        self._add(line_of(sample))
        self.samples += 1

    def _add(self, line: bytes) -> None:
        try:
            write(self._descriptor, line)
        except OSError as problem:
            kept = f"{self.samples:,} finished sample{'' if self.samples == 1 else 's'}"
            raise MemtoolError(
                f"{files.refusal(problem, self._path)}; it holds {kept}, "
                f"and the same command with {option('resume')} goes on"
            ) from None


def line_of(sample: Sample) -> bytes:
    """Return the line of a sample."""
    return _line("sample", plain(sample))


def sample_of(line: bytes, kinds: Mapping[str, str]) -> Sample:
    """Return the sample of a line; ``kinds`` maps each workload to its kind of work.

    Raises ValueError, KeyError or TypeError for a line that holds no sample or was damaged.
    """
    return _sample(_checked("sample", line), kinds)


def _line(kind: str, record: Mapping[str, Any]) -> bytes:
    return _framed(kind, json.dumps(record, separators=(",", ":"), default=plain).encode())


def write(descriptor: int, line: bytes) -> None:
    """Append a line completely or not at all. Raises OSError."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


@contextmanager
def open_journal(
    directory: Path, fingerprint: Mapping[str, object], *, started: str, resume: bool, adds_blocks: bool = False
) -> Iterator[Journal]:
    """Open the journal of a run in a folder.

    Args:
        directory: the run's folder; created where it does not exist.
        fingerprint: everything that must be unchanged for a run to be resumed.
        started: when this run began; a resumed run keeps its original start.
        resume: continue with the samples in the journal instead of refusing to.
        adds_blocks: a resumed run may be given more blocks than it was begun with, but never fewer than it has already;
            where the fingerprint has None for the blocks, the run keeps its number.

    Raises:
        InputError: the folder holds another run, or no run to resume, or a run that measured something else, or
            another memtool is writing it. A run that is refused is not changed.
    """
    path = directory / FILE_NAME
    descriptor = _opened(path, new=not resume)
    try:
        # Nothing is read or cut off before it is certain that no other memtool is writing.
        _lock(descriptor, directory)
        if resume:
            head, finished, known, whole = _read(path, descriptor)
            before, blocks = head["fingerprint"], None
            if adds_blocks:
                before, blocks = _grown(path, before, finished, fingerprint)
            _same(path, before, fingerprint)
            os.ftruncate(descriptor, whole)
            yield Journal(str(head["started"]), finished, path, descriptor, len(finished), blocks, known)
        else:
            try:
                head = {"schema": _SCHEMA, "started": started, "fingerprint": fingerprint}
                write(descriptor, _line("head", head))
            except OSError as problem:
                raise MemtoolError(files.refusal(problem, path)) from None
            yield Journal(started, {}, path, descriptor)
    finally:
        os.close(descriptor)


def own_blocks(directory: Path, fingerprint: Mapping[str, object]) -> int:
    """Return how many blocks a resumable run has, without changing it. Raises InputError as ``open_journal`` does."""
    path = directory / FILE_NAME
    descriptor = _opened(path, new=False)
    try:
        head, finished, _, _ = _read(path, descriptor)
    finally:
        os.close(descriptor)
    before, blocks = _grown(path, head["fingerprint"], finished, fingerprint)
    _same(path, before, fingerprint)
    return blocks


def _opened(path: Path, *, new: bool) -> int:
    directory = path.parent
    try:
        if not new:
            return files.open_file(path, os.O_RDWR)
        if (directory / "run.json").exists():
            raise FileExistsError
        directory.mkdir(parents=True, exist_ok=True)
        return files.open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{directory}: is a file, not a folder") from None
        ways = f"{option('resume')} goes on with it, another {option('output')} keeps it"
        raise InputError(f"{directory}: holds a run already; {ways}") from None
    except OSError as problem:
        if not new and problem.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InputError(f"{directory}: no run to resume") from None
        raise InputError(files.refusal(problem, path)) from None


def _lock(descriptor: int, directory: Path) -> None:
    """Prevent a second memtool from writing to the same run; the lock ends with the process."""
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise InputError(f"{directory}: another memtool is writing this run") from None
        except OSError as problem:
            raise InputError(f"{directory}: cannot be locked: {problem.strerror}") from None
        time.sleep(0.02)


def _is_written(path: Path) -> bool:
    """Return whether another memtool is writing a journal at present."""
    descriptor = files.open_file(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def newest(root: Path, fingerprint: Mapping[str, object], *, adds_blocks: bool = False) -> Path:
    """Return the newest run under a folder that was interrupted and measured the same, as in ``open_journal``.

    A run counts as interrupted if nobody is writing it and it has neither run.json nor limits.json, or it is a check
    whose second look has no report yet.
    Raises InputError when there is none; where an interrupted run measured something else, the error says in what.
    """
    others: list[str] = []
    journals = sorted(root.glob(f"*/{FILE_NAME}"), key=_changed, reverse=True)
    for path in journals:
        if _is_finished(path.parent):
            continue
        try:
            again = path.parent / SECOND_LOOK / FILE_NAME
            if _is_written(path) or (again.exists() and _is_written(again)):
                raise InputError(f"{path.parent}: another memtool is writing this run")
            descriptor = files.open_file(path)
            try:
                head, samples, _, _ = _read(path, descriptor)
            finally:
                os.close(descriptor)
            before = head["fingerprint"]
            _same(path, _grown(path, before, samples, fingerprint)[0] if adds_blocks else before, fingerprint)
        except (InputError, OSError) as problem:
            others.append(files.refusal(problem, path) if isinstance(problem, OSError) else str(problem))
        else:
            return path.parent
    if others:
        raise InputError(f"{root}: no interrupted run with these arguments; {others[0]}")
    raise InputError(f"{root}: no interrupted run to resume{': all are finished' if journals else ''}")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_finished(directory: Path) -> bool:
    looks_again = (directory / SECOND_LOOK).exists() and not (directory / "compare.json").exists()
    if (directory / "limits.json").exists():
        return True
    return (directory / "run.json").exists() and not looks_again


def _read(path: Path, descriptor: int) -> tuple[dict[str, Any], dict[Key, Sample], dict[str, Any], int]:
    """Return (head, samples, groups, bytes of whole lines); a line cut short by a kill is not counted."""
    head: dict[str, Any] | None = None
    known: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    samples: dict[Key, Sample] = {}
    whole = 0
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        for number in range(1, 1 << 62):
            line = file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                if len(line) == _LONGEST_LINE:
                    raise _damaged(path, number)
                break
            try:
                if head is None:
                    head = _head(path, line)
                    kinds = _kinds(head["fingerprint"])
                elif line.startswith(b'"group":', len(b'{"check":"01234567",')):
                    group = _checked("group", line)
                    known[str(group["name"])] = group["known"]
                else:
                    sample = _sample(_checked("sample", line), kinds)
                    if not sample.of_harness:  # it says nothing about the allocator, and is taken again
                        samples[sample.cell, sample.block, sample.run_pass] = sample
            except (ValueError, KeyError, TypeError, RecursionError):
                raise _damaged(path, number) from None
            whole += len(line)
    if head is None:
        raise _damaged(path, 1)
    return head, samples, known, whole


def _damaged(path: Path, number: int) -> InputError:
    return InputError(f"{path}: line {number} is damaged; start anew with another {option('output')}")


def _head(path: Path, line: bytes) -> dict[str, Any]:
    record = json.loads(line)
    schema = record["schema"] if "schema" in record else record["head"]["schema"]
    if schema != _SCHEMA:
        raise InputError(f"{path}: is of schema {schema}, not {_SCHEMA}")
    head = _checked("head", line)
    if not isinstance(head["fingerprint"], dict):
        raise TypeError
    return {name: head[name] for name in ("fingerprint", "started")}


def _checked(kind: str, line: bytes) -> dict[str, Any]:
    """Return the content of a line. Raises ValueError where it is not as it was written."""
    before = b'{"check":"%08x","%s":'
    body = line[len(before % (0, kind.encode())) : -len(b"}\n")]
    if _framed(kind, body) != line:
        raise ValueError("not what was written")
    record: dict[str, Any] = json.loads(body)
    return record


def _framed(kind: str, body: bytes) -> bytes:
    return b'{"check":"%08x","%s":%s}\n' % (zlib.crc32(body), kind.encode(), body)


def _kinds(fingerprint: Mapping[str, Any]) -> dict[str, str]:
    """Return workload -> kind of work. A journal that predates kinds is refused because its fingerprint differs."""
    return {name: known.get("kind", FIRST) for name, known in fingerprint.get("workloads", {}).items()}


def _sample(record: Mapping[str, Any], kinds: Mapping[str, str]) -> Sample:
    """Return a sample from its stored form. Raises ValueError, KeyError or TypeError where there is none."""
    kind = kinds.get(groups.split(record["cell"]["workload"])[0], FIRST)
    measure = results(kind).measures[Pass(record["run_pass"])]
    payload = None if record["payload"] is None else record_from(measure.figures, record["payload"])
    return record_from(Sample, {**record, "payload": payload})


def _same(path: Path, before: Mapping[str, Any], now: Mapping[str, object]) -> None:
    """Raise InputError that names what has changed since the run was begun."""
    current = json.loads(json.dumps(now))
    for name in {**before, **current}:
        first, second = before.get(name), current.get(name)
        if first == second:
            continue
        keys = []
        while isinstance(first, dict) and isinstance(second, dict):
            key = next(part for part in {**first, **second} if first.get(part) != second.get(part))
            first, second = first.get(key), second.get(key)
            keys.append(key)
        values = f" ({', '.join(keys)}): {_abbreviated(first)}, and now {_abbreviated(second)}" if keys else ""
        raise InputError(f"{path.parent}: cannot be resumed: it was begun with other {name}{values}")


def _grown(
    path: Path, before: Mapping[str, Any], samples: Mapping[Key, Sample], now: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Return (a run's fingerprint, with the number of blocks wanted in place of its own; its new number of blocks).

    Raises InputError where the run already has more blocks, because a smaller number would leave samples out. A run may
    have been given more blocks since it was begun, so its samples are counted too.
    """
    begun, blocks = before.get("blocks"), now["blocks"]
    if not isinstance(begun, int):
        raise _damaged(path, 1)
    has = max((begun, *(block + 1 - now["first_block"] for _, block, _ in samples)))
    if blocks is None:
        return {**before, "blocks": None}, has
    if blocks < has:
        raise InputError(
            f"{path.parent}: has {has} blocks already; {option('blocks')} {blocks} would leave some of them out"
        )
    return {**before, "blocks": blocks}, blocks


def _abbreviated(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
