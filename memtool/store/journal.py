"""The journal of a run: every finished sample is in it before the next is begun, so nothing finished is ever lost."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from memtool.errors import InputError
from memtool.model import Cell, Pass, Sample, Status

FILE_NAME = "journal.jsonl"
_SCHEMA = "memtool.journal.v1"


@dataclass(slots=True)
class Journal:
    """An open journal: what is in it, and where to add."""

    started: str
    finished: Mapping[tuple[Cell, int, Pass], Sample]
    _file: IO[str] = field(repr=False)
    samples: int = 0
    """In it, those that it was opened with included."""

    def append(self, sample: Sample) -> None:
        """Add a sample; it is in the kernel's hands when this returns, so that killing memtool does not lose it."""
        self._file.write(json.dumps(asdict(sample), separators=(",", ":")) + "\n")
        self._file.flush()
        self.samples += 1


@contextmanager
def open_journal(
    directory: Path, fingerprint: Mapping[str, object], *, started: str, resume: bool
) -> Iterator[Journal]:
    """Open the journal of a run in a folder.

    Args:
        directory: the run's folder; made where it is not there.
        fingerprint: what must be the same for a run to be resumed.
        started: when this run began; a resumed one keeps the time of its beginning.
        resume: go on with the samples that are there, rather than refuse to.

    Raises:
        InputError: there is another run in the folder, or none to resume, or it measured something else.
    """
    path = directory / FILE_NAME
    finished: dict[tuple[Cell, int, Pass], Sample] = {}
    if resume:
        head, finished, whole = _read(path)
        _same(path, head["fingerprint"], fingerprint)
        started = str(head["started"])
        with path.open("r+b") as cut_short:
            cut_short.truncate(whole)
    elif path.exists() or (directory / "run.json").exists():
        raise InputError(f"{directory}: holds a run already; --resume goes on with it, another -o keeps it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as problem:
        raise InputError(f"{directory}: cannot be written: {problem.strerror}") from None
    with file:
        _lock(file, directory)
        if not resume:
            file.write(json.dumps({"schema": _SCHEMA, "started": started, "fingerprint": fingerprint}) + "\n")
            file.flush()
        yield Journal(started, finished, file, len(finished))


def _lock(file: IO[str], directory: Path) -> None:
    """Keep a second memtool from writing into the same run; the lock ends with the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(f"{directory}: another memtool is writing this run") from None


def newest(root: Path, fingerprint: Mapping[str, object]) -> Path:
    """Return the newest run under a folder that was interrupted and measured the same.

    Interrupted is what has no run.json, or a second look of a check without its report. Raises InputError when there
    is none; where one was interrupted that measured something else, it says what.
    """
    journals = sorted(root.glob(f"*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime, reverse=True)
    interrupted = [path for path in journals if not _is_finished(path.parent)]
    others: list[str] = []
    for path in interrupted:
        try:
            head, _, _ = _read(path)
            _same(path, head["fingerprint"], fingerprint)
        except InputError as problem:
            others.append(str(problem))
        else:
            return path.parent
    if others:
        raise InputError(f"{root}: no interrupted run with these arguments; {others[0]}")
    raise InputError(f"{root}: no interrupted run to resume{': all are finished' if journals else ''}")


def _is_finished(directory: Path) -> bool:
    looks_again = (directory / "second-look").exists() and not (directory / "compare.json").exists()
    return (directory / "run.json").exists() and not looks_again


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[Cell, int, Pass], Sample], int]:
    """Return (head, samples, bytes of whole lines): a line cut short by a kill does not count."""
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"{path.parent}: no run to resume") from None
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].decode(errors="replace").splitlines()
    try:
        records = [json.loads(line) for line in lines]
        head = records[0]
        if head["schema"] != _SCHEMA:
            raise InputError(f"{path}: is of schema {head['schema']}, not {_SCHEMA}")
        head = {name: head[name] for name in ("fingerprint", "started")}
        samples = [_sample(record) for record in records[1:]]
    except (ValueError, KeyError, IndexError, TypeError):
        raise InputError(f"{path}: is damaged; start anew with another -o") from None
    return head, {(sample.cell, sample.block, sample.run_pass): sample for sample in samples}, whole


def _sample(record: Mapping[str, Any]) -> Sample:
    return Sample(
        Cell(**record["cell"]),
        record["block"],
        Pass(record["run_pass"]),
        Status(record["status"]),
        record["reason"],
        record["payload"],
    )


def _same(path: Path, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    for name in {**before, **now}:
        if before.get(name) != json.loads(json.dumps(now.get(name))):
            raise InputError(f"{path.parent}: cannot be resumed: it was begun with other {name}")
