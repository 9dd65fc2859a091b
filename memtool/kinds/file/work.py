"""Turns a workload file with the key ``file`` into the input of a worker."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from memtool.kinds.file.names import (
    MEMORY,
    WRITES,
    Cache,
    Mapped,
    Pattern,
    Reading,
    Sync,
    Writing,
    is_direct,
    is_mapped,
)
from memtool.kinds.ways import Way
from memtool.kinds.work import Inspection, Work, in_memory, refuse_options, schema_of
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_count, format_size

if TYPE_CHECKING:
    from memtool.kinds.file.keys import File, Workload
    from memtool.workload.trace import Trace

_MAGIC = 0x31656C6966
_IMAGE = struct.Struct("<13Q512s512s256s")
_KINDS = ("file", "device", "memory")
_DIRECT = 512
"""Bytes: block sizes of direct access must be a multiple of this; many disks require 4,096."""
_MARGIN = 64 << 20
"""Bytes of a file system that are left to others."""
_SLOW_DISK = 10e6
_SLOW_ACCESS = 0.02
_SLOW_FAULT = 0.1
"""A slow or busy hard disk: bytes a second, and seconds of a random access, and of an access for which the kernel reads
ahead. A worker is killed only when it takes longer than on such a disk."""
_LONGEST_DIRECT = 600.0
"""Seconds of a round of direct access, which not all ways of a workload use."""
_REPLAYS = 6


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Facts about the workload that are known without running it."""

    file_bytes: int
    round_bytes: int
    """Bytes that are read or written in a round."""
    folder: str | None
    no_file: str | None
    """Reason why the file cannot be created in the folder."""
    free_bytes: int | None
    """Free space in the folder; None: no file can be created, or the file system does not report its free space."""


def _read(path: Path) -> Workload:
    from memtool.kinds.file.keys import Workload
    from memtool.workload.language.loader import load

    return load(path, Workload)


def _folder(path: Path, file: File) -> str | None:
    """Return the folder of the file, relative to that of the workload file; None: there is none."""
    from memtool.kinds.file import place

    if file.device is not None:
        return None
    return place.default_folder() if file.folder is None else str(path.parent / file.folder)


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the kernel's input, and open the file, which is still empty. Raises InputError."""
    from memtool.kinds.file import place
    from memtool.workload.trace import Trace

    refuse_options(path, threads, rate, "files have none")
    workload = _read(path)
    file, drawn = workload.file, workload.seed if seed is None else seed
    folder, held = _folder(path, file), []
    if file.device not in (None, MEMORY):
        place.why_no_device(str(file.device), file.block)  # raises for a path that is no device
    if folder is not None and place.ground(folder).no_file is None:
        held.append(place.nameless(folder))
    try:
        image = _image(file, drawn, held)
        descriptor = in_memory("memtool-file", image)
    except BaseException:
        for number in held:
            os.close(number)
        raise
    info = TraceInfo(
        name=workload.name,
        kind="file",
        source=str(path),
        seed=drawn,
        event_hash=_hash(file, drawn),
        operations=file.rounds,
        threads=1,
        peak_live_bytes=0,
        total_bytes=file.rounds * file.block,
        touch="none",
        facts={
            "ways": list(file.chosen),
            **file.model_dump(exclude={"ways", "accesses", "folder"}),
            "cache": file.cache or "warm",
            "folder": folder,
        },
    )
    return Trace(info, descriptor, len(image), 0.0, held=tuple(held))


def _hash(file: File, seed: int) -> str:
    """Return the content that identifies the work, without the path and this machine's name for it."""
    said = file.model_dump_json(exclude={"folder"}) + f"{seed}{file.chosen}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _image(file: File, seed: int, held: list[int]) -> bytes:
    from memtool.kinds.file import place

    groups = place.groups() if file.cache == "limited" else place.Groups()
    kind = _KINDS.index("file" if file.device is None else "memory" if file.device == MEMORY else "device")
    return _IMAGE.pack(
        _MAGIC,
        seed,
        held[0] if held else 0,
        kind,
        file.size,
        file.block,
        file.rounds,
        get_args(Pattern).index(file.pattern),
        get_args(Cache).index(file.cache or "warm"),
        file.limit or 0,
        get_args(Sync).index(file.sync),
        file.every,
        file.depth,
        os.fsencode(groups.folder),
        os.fsencode(groups.home),
        os.fsencode(file.device or ""),
    )


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why a row cannot be measured on this machine, and the remedy; None where it can."""
    from memtool.engine.instruments.binding import ring_refusal

    way, facts = plan.spec.way, trace.facts
    reason = _why_no_file(facts) or _why_no_cache(facts) or _why_not_durable(way, facts)
    if reason is not None:
        return reason
    if way.startswith("uring") and (refusal := ring_refusal()) is not None:
        return (
            f"the kernel gives no io_uring ({refusal}): see /proc/sys/kernel/io_uring_disabled, and what the "
            "container's seccomp profile allows"
        )
    if is_direct(way):
        return _why_not_direct(facts)
    if way == "mmap-huge":
        return _why_not_huge(facts)
    if facts["pattern"] == "append" and is_mapped(way):
        from memtool.kinds.file import place

        return place.ground(facts["folder"]).no_holes
    return None


def _why_no_file(facts: Any) -> str | None:  # noqa: ANN401  # as load() has them
    from memtool.kinds.file import place

    if facts["device"] is not None:
        return None if facts["device"] == MEMORY else place.why_no_device(facts["device"], facts["size"])
    ground, needed = place.ground(facts["folder"]), facts["size"] + _MARGIN
    if ground.no_file is not None or ground.free_bytes is None or ground.free_bytes >= needed:
        return ground.no_file and f"{ground.no_file}; choose another folder (folder)"
    return (
        f"needs {format_size(needed)} in {facts['folder']}, where {format_size(ground.free_bytes)} are free: choose "
        "another folder, or a smaller size"
    )


def _why_no_cache(facts: Any) -> str | None:  # noqa: ANN401  # as load() has them
    """Return why the page cache cannot have the state that the workload requires."""
    from memtool.host import machine
    from memtool.kinds.file import place

    if facts["device"] is not None:
        return None
    if facts["cache"] == "limited":
        return place.groups().refusal or place.ground(facts["folder"]).no_dropping
    if facts["cache"] == "cold":
        return place.ground(facts["folder"]).no_dropping
    available = machine.available_memory()
    if facts["pattern"] == "append" or facts["size"] <= available:
        return None
    return (
        f"a warm page cache of {format_size(facts['size'])} needs more memory than is available "
        f"({format_size(available)}): a smaller size, or cache: cold"
    )


def _why_not_durable(way: str, facts: Any) -> str | None:  # noqa: ANN401  # as load() has them
    if facts["sync"] == "none":
        return None
    if way == "mmap-private":
        return "what is written to a private mapping never reaches the file"
    if facts["sync"] == "msync" and not is_mapped(way):
        return "msync is of mappings: fsync and fdatasync are of both"
    return "is durable by itself (RWF_DSYNC)" if way == "pwritev2-dsync" else None


def _why_not_direct(facts: Any) -> str | None:  # noqa: ANN401  # as load() has them
    from memtool.kinds.file import place

    if facts["block"] % _DIRECT:
        return f"O_DIRECT needs a block of whole sectors (a multiple of {_DIRECT} bytes), is {facts['block']}"
    return place.ground(facts["folder"]).no_direct


def _why_not_huge(facts: Any) -> str | None:  # noqa: ANN401  # as load() has them
    in_memory = facts["device"] is not None
    path = Path("/sys/kernel/mm/transparent_hugepage", "shmem_enabled" if in_memory else "enabled")
    try:
        chosen = path.read_text(encoding="ascii").partition("[")[2].partition("]")[0]
    except OSError:
        return "this kernel has no transparent huge pages"
    if chosen not in ("never", "deny"):
        return None
    return f"transparent huge pages are off ({path} says {chosen}): as root, echo advise > {path}"


def seconds(trace: TraceInfo) -> float:
    """Return the seconds of a first sample on a slow disk, which includes creating its file."""
    facts = trace.facts
    seconds_to_make = float(facts["size"] / _SLOW_DISK)
    syncs = trace.operations // facts["every"] if facts["sync"] != "none" else 0
    if facts["cache"] != "warm" and facts["pattern"] != "scan":
        return seconds_to_make + _REPLAYS * (trace.operations * _SLOW_FAULT + syncs * _SLOW_ACCESS)
    past_cache = facts["device"] is None and any(map(is_direct, facts["ways"]))
    direct = min(trace.operations * _SLOW_ACCESS, _LONGEST_DIRECT) if past_cache else 0.0
    scanned = seconds_to_make if facts["cache"] != "warm" else 0.0
    return seconds_to_make + _REPLAYS * (scanned + direct + syncs * _SLOW_ACCESS)


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the inspection of a file: the accesses, and the free space for them."""
    from memtool.kinds.file import place

    workload = _read(path)
    folder = _folder(path, workload.file)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        ground = None if folder is None else place.ground(folder)
        no_file = None if ground is None else ground.no_file
        free = None if ground is None or no_file is not None else ground.free_bytes
        known = Characteristics(workload.file.size, trace.info.total_bytes, folder, no_file, free)
        return Inspection(trace.info, trace.image_bytes, known, workload.model_dump(mode="json"))


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    info, facts, known = inspection.trace, inspection.trace.facts, inspection.characteristics
    medium = facts["device"] or f"a file of {format_size(facts['size'])}"
    room = (
        "how much room it has is not known" if known.free_bytes is None else f"{format_size(known.free_bytes)} are free"
    )
    free = "no file can be made there" if known.no_file is not None else room
    does = "writes" if facts["pattern"] in WRITES else "reads"
    durable = f", {facts['sync']} after every {format_count(facts['every'])}" if facts["sync"] != "none" else ""
    cached = f"{facts['cache']} page cache" + (f" of {format_size(facts['limit'])}" if facts["limit"] else "")
    return "\n".join(
        [
            f"{info.name}: {facts['pattern']} on {medium}, {format_size(facts['block'])} an access",
            f"{format_count(info.operations)} accesses a round, which {does} {format_size(known.round_bytes)}{durable}",
            *([] if known.folder is None else [f"made in {known.folder} ({free}); {cached}"]),
            f"ways: {', '.join(facts['ways'])}",
        ]
    )


WORK = Work(
    key="file",
    json_schema=partial(schema_of, "file", "memtool files"),
    load=load,
    ways=tuple(
        Way(name, needs_allocator=False, uses_region=False)
        for name in (*get_args(Reading), *get_args(Writing), *get_args(Mapped))
    ),
    why_not=why_not,
    alone=True,
    seconds=seconds,
    listed=lambda path: ("file", _read(path).description),
    inspect=inspect,
    summary=summary,
)
