"""Heap profiles in pprof's protobuf, as written by Google's TCMalloc, Go and jemalloc_pprof.

The few fields that state how much is live are declared here for protobuf; all others are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from memtool.errors import InputError, MemtoolError
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.importer import Importer
from memtool.workload.importers.profiles import LARGEST_DOCUMENT, Profile, loaded, noted

_MESSAGES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "Kind": {"type": ("INT64", 1), "unit": ("INT64", 2)},
    "Label": {"key": ("INT64", 1), "num": ("INT64", 3)},
    "Sample": {"value": ("INT64", 2, "repeated"), "label": ("Label", 3, "repeated")},
    "Profile": {
        "sample_type": ("Kind", 1, "repeated"),
        "sample": ("Sample", 2, "repeated"),
        "string_table": ("BYTES", 6, "repeated"),
        "period": ("INT64", 12),
    },
}
"""Fields of https://github.com/google/pprof/blob/main/proto/profile.proto that are read: field -> (type, number)."""
_LIVE = (("inuse_objects", "inuse_space"), ("objects", "space"))
_ALLOCATED = (("alloc_objects", "alloc_space"),)
_SIZE_LABEL = b"bytes"
"""The label of a sample whose number is the size of its objects."""


def _parsed(content: bytes) -> Any:  # noqa: ANN401  # its class is made here
    """Return a Profile. Raises MemtoolError without protobuf, InputError for content that is not a profile."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MemtoolError(
            "profiles of pprof need protobuf, which is not installed: pip install 'memtool-bench[pprof]'"
        ) from None
    file = descriptor_pb2.FileDescriptorProto(name="memtool_pprof.proto", package="memtool.pprof", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (kind, number, *rest) in fields.items():
            label = kinds.LABEL_REPEATED if rest else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".memtool.pprof.{kind}"
            else:
                added.type = kinds.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message_class = message_factory.GetMessageClass(pool.FindMessageTypeByName("memtool.pprof.Profile"))
    try:
        return message_class.FromString(content)
    except DecodeError as problem:
        raise InputError(f"is damaged, or not a profile of pprof: {problem}") from None


def _read_pprof(portions: Portions, report: Report) -> Profile:
    """Read how many objects of each size each stack has live and, where the profile records it, has allocated."""
    content = bytearray()
    for portion in portions:
        content += portion
        if len(content) > LARGEST_DOCUMENT:
            raise InputError(f"is larger than {LARGEST_DOCUMENT >> 20} MiB, and no profile is that large")
    message = _parsed(bytes(content))
    texts = list(message.string_table)
    try:
        columns = {texts[kind.type].decode("utf-8", "replace"): place for place, kind in enumerate(message.sample_type)}
        size_label = texts.index(_SIZE_LABEL) if _SIZE_LABEL in texts else -1
    except IndexError:
        raise InputError("is damaged: it names texts that are not there") from None
    live = next((pair for pair in _LIVE if set(pair) <= set(columns)), None)
    allocated = next((pair for pair in _ALLOCATED if set(pair) <= set(columns)), None)
    if live is None:
        raise InputError(f"is a profile of {', '.join(columns) or 'nothing'}, not of live objects and their space")
    profile = Profile()
    for sample in message.sample:
        labels = {label.key: label.num for label in sample.label}
        if len(sample.value) != len(columns) or not _take(
            profile, sample, columns, (live, allocated), labels.get(size_label)
        ):
            report.dropped += 1
    sizes = "of objects where a sample says them, else means of what each call site asks for"
    return noted(profile, int(message.period), sizes)


def _take(
    profile: Profile,
    sample: Any,  # noqa: ANN401
    columns: Mapping[str, int],
    pairs: tuple[tuple[str, str], tuple[str, str] | None],
    size: int | None,
) -> bool:
    live, allocated = (
        [0, 0] if pair is None else [int(sample.value[columns[name]]) for name in pair] for pair in pairs
    )
    count, size_sum = live if live[0] else allocated
    if not count:
        return live[1] == allocated[1] == 0
    return profile.add(size if size else size_sum / count, allocated[0], live[0])


IMPORTER = Importer(
    name="pprof",
    summary="Heap profiles in pprof's protobuf (Google's TCMalloc, jemalloc_pprof); a workload is made of one.",
    source="https://github.com/google/pprof/blob/main/proto/profile.proto",
    begins="a sample type, as protobuf",
    suffix=".pb",
    recognises=lambda head: re.match(rb"\x0a[\x02-\x0c]\x08[\x01-\xff]", head, re.DOTALL) is not None,
    load=loaded(_read_pprof),
    profile=_read_pprof,
)
