"""Converts any source of events to a trace file, and a heap profile to a workload."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from memtool import __version__, files
from memtool.errors import InputError, refuse_unknown
from memtool.workload.importers.content import DAMAGE, Portions, head_from, opened, refuse_unreadable, unpacked
from memtool.workload.importers.decoded import Decoded
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer, name_of
from memtool.workload.importers.known import IMPORTERS, by_content, importer_of
from memtool.workload.importers.profiles import workload_of
from memtool.workload.language.written import write_workload
from memtool.workload.reading import Reading
from memtool.workload.sources.source import Ending, Rows, Source
from memtool.workload.sources.stretch import stretch_of
from memtool.workload.sources.trace_file import anonymous
from memtool.workload.sources.trace_writer import TraceWriter
from memtool.workload.trace import find_workload, open_source

STANDARD_INPUT = "-"
_OWN = ("schema", "kinds", "threads", "marks", "notes", "memtool", "written")
"""Metadata that is written anew when a trace file is made from another one."""
_UNKNOWN = f"is in no known format ({', '.join(importer.name for importer in IMPORTERS)})"


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import."""

    path: Path
    format: str
    """Name of the importer; ``workload`` for generated events."""
    events: int
    file_bytes: int
    threads: int
    notes: tuple[str, ...]
    """What was repaired and dropped."""
    report: Report | None
    """None where the format has no addresses to match."""


@dataclass(frozen=True, slots=True)
class ImportedProfile:
    """The workload made from a heap profile."""

    path: Path
    format: str
    sizes: int
    live_objects: int
    live_bytes: int
    notes: tuple[str, ...]
    """What the profile cannot tell, and what was dropped."""
    dropped: int
    first_damage: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of a recording that goes into the trace file; by default all of it."""

    skip: int = 0
    """Number of events before the chosen stretch."""
    take: int | None = None
    """Number of events in the stretch; None: all that follow."""
    has_times: bool = True
    has_callers: bool = True
    is_anonymous: bool = False
    """Whether facts about the machine, its folders and the program's arguments are left out."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """Additional metadata."""


_ALL = Choice()
_WORKLOADS = (".yaml", ".yml")


def import_profile(
    file: str, output: Path | None = None, name: str | None = None, choice: Choice = _ALL
) -> ImportedProfile | None:
    """Make a workload from a heap profile; None: the file is not one. Arguments and errors as those of import_trace."""
    importer = _importer(file, name)
    if importer is None or importer.profile is None or file == STANDARD_INPUT:
        return None
    cut = "skip" if choice.skip else "take" if choice.take is not None else None
    if cut is not None:
        raise InputError(f"{file}: is a heap profile, which has no events to be cut", field=cut)
    path = output or Path(f"{name_of(Path(file), 'profile')}.yaml")
    if path.suffix not in _WORKLOADS and not path.is_char_device():
        raise InputError(
            f"{path}: a heap profile becomes a workload, which is found by its name: NAME.yaml", field="output"
        )
    _refuse_same(file, path)
    with opened(Path(file)) as content:
        workload = workload_of(importer.profile, Portions(content), name_of(Path(file), "profile"), file)
    head = f"Made by memtool of {Path(file).name} ({importer.name})."
    write_workload(path, workload.definition, [head, *(f"note: {note}" for note in workload.notes)])
    sizes, report = len(workload.definition["profile"]["rows"]), workload.report
    live = workload.live_objects, workload.live_bytes
    return ImportedProfile(path, importer.name, sizes, *live, workload.notes, report.dropped, report.first_damage)


def import_trace(
    file: str,
    output: Path | None = None,
    name: str | None = None,
    choice: Choice = _ALL,
    progress: Callable[[int], None] = lambda events: None,
) -> Imported:
    """Convert another tool's file, or a workload, to a trace file.

    Args:
        file: its path, or ``-`` for standard input; it may be compressed.
        output: the trace file; by default one of the same name in the working directory.
        name: name of the importer; by default chosen by content.
        choice: the part to convert.
        progress: called from time to time with the number of events written.

    Raises:
        InputError: nothing can be made of it, or the trace file cannot be written.
        MemtoolError: pyarrow is missing.
    """
    if output is None and file == STANDARD_INPUT:
        raise InputError("must be given for what comes from standard input", field="output")
    path = files.behind_links(output or Path(f"{name_of(Path(file), 'trace')}.parquet"))
    if path.suffix in _WORKLOADS:
        raise InputError(f"{path}: a trace file under the name of a workload would be read as one", field="output")
    _refuse_same(file, path)
    whole, kind = _source(file, _importer(file, name))
    source = stretch_of(whole, choice.skip, choice.take) if choice.skip or choice.take is not None else whole
    ending, reading = Ending(), Reading(file, source.expected_events)
    with _refusing(path), TraceWriter(path) as writer:
        for rows in source.portions(ending):
            writer.append(_chosen(rows, choice))
            reading.add(writer.events - reading.events)
            progress(writer.events)
        threads = source.threads if ending.threads is None else ending.threads
        notes = (*source.notes, *ending.notes)
        if source is not whole and not writer.events:
            raise InputError(f"{file}: ends before event {choice.skip:,}", field="skip")
        metadata = _metadata(source, file, kind, threads, notes, ending.report)
        metadata |= {key: value for key, value in whole.metadata.items() if key not in _OWN}
        if source is not whole:
            metadata |= {"stretch": {"skipped": choice.skip, "taken": choice.take}, "counts": None}
        writer.close({**(anonymous(metadata) if choice.is_anonymous else metadata), **choice.said})
    report = ending.report if source is whole else None
    return Imported(path, kind, writer.events, path.stat().st_size, threads, notes, report)


def _chosen(rows: Rows, choice: Choice) -> Rows:
    """Return rows without the unwanted columns."""
    chosen = rows if choice.has_times else replace(rows, nanoseconds=None)
    return chosen if choice.has_callers else replace(chosen, callers=None, stacks=None)


def _metadata(
    source: Source, file: str, kind: str, threads: int, notes: tuple[str, ...], report: Report | None
) -> dict[str, Any]:
    return {
        "name": source.name,
        "source": kind,
        "file": file if file == STANDARD_INPUT else Path(file).name,
        "program": None,
        "arguments": None,
        "host": None,
        "clock": None,
        "word_bits": None,
        "threads": threads,
        "marks": list(source.marks),
        "repairs": {} if report is None else _repairs(report),
        "notes": list(notes),
        "counts": None if report is None else report.matched,
        "memtool": __version__,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _repairs(report: Report) -> dict[str, int | None]:
    """Return what was repaired and dropped, and the place of the first damage."""
    names = ("implicit_frees", "unmatched_frees", "unmatched_reallocations", "reordered", "oversized")
    counts = {name: report.matched[name] for name in names}
    return {**counts, "misaligned": report.misaligned, "dropped": report.dropped, "first_damage": report.first_damage}


def _refuse_same(file: str, path: Path) -> None:
    if file != STANDARD_INPUT and path.exists() and path.samefile(find_workload(file)):
        raise InputError(f"{path}: would be overwritten while it is read", field="output")


def _importer(file: str, name: str | None) -> Importer | None:
    """Return the importer of this name, or by the file's content; None for a workload, and for an unread stream."""
    if name is not None:
        return _named(name)
    return None if file == STANDARD_INPUT else importer_of(find_workload(file))


def _source(file: str, importer: Importer | None) -> tuple[Source, str]:
    """Return the source, and the name of its importer."""
    if file == STANDARD_INPUT:
        return _from_standard_input(importer)
    path = find_workload(file)
    if importer is not None:
        return importer.load(path), importer.name
    if path.suffix not in _WORKLOADS:
        refuse_unreadable(path)
        if path.is_file() and not path.stat().st_size:
            raise InputError(f"{file}: is empty")
        if path.is_fifo():
            raise InputError(f"must be given for {file}, which can be read only once", field="format")
        raise InputError(f"{file}: {_UNKNOWN}")
    return open_source(path), "workload"


def _from_standard_input(chosen: Importer | None) -> tuple[Source, str]:
    try:
        portions = Portions(unpacked(sys.stdin.buffer))
    except DAMAGE as problem:
        raise InputError(f"standard input: cannot be read: {problem}") from None
    head = head_from(portions)  # all of it, however slowly it comes: a pipe may give a line at a time
    importer = chosen or by_content(head)
    if importer is None:
        why = _UNKNOWN if portions.damage is None else f"nothing of it can be read: {portions.damage}"
        raise InputError(f"standard input: {'is empty' if not head and portions.damage is None else why}")
    if importer.decoder is None:
        raise InputError(f"standard input: {importer.name} is only read from a file: name it")

    @contextmanager
    def reopened() -> Iterator[IO[bytes]]:
        yield cast("IO[bytes]", _Continued(head, portions))

    source = Decoded(name="trace", path="standard input", open=reopened, decoder=importer.decoder, has_threads=True)
    return source, importer.name


class _Continued:
    """A stream whose beginning has been read already; damage in it comes again after the beginning."""

    def __init__(self, head: bytes, portions: Portions) -> None:
        self._head, self._portions = head, portions
        self._rest = iter(portions)

    def read(self, size: int = -1) -> bytes:
        """Return what has been read already, and then one portion after the other; ``size`` is a wish."""
        if self._head:
            head, self._head = self._head, b""
            return head
        portion = b"" if self._portions.damage is not None else next(self._rest, b"")
        if self._portions.damage is not None:
            raise EOFError(self._portions.damage)
        return portion


def _named(name: str) -> Importer:
    known = {importer.name: importer for importer in IMPORTERS}
    refuse_unknown(name, known, "format", "format")
    return known[name]


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Return one line that explains why a file cannot be written."""
    try:
        yield
    except FileExistsError:
        raise InputError(f"{path}: is being written already, or was cut short: its parts lie in {path}.parts") from None
    except OSError as problem:
        raise InputError(f"{path}: cannot be written: {files.reason(problem)}") from None
