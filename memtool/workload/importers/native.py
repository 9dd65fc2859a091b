"""Formats of text that the engine reads, because Python would be too slow (engine/recorded/log_reader.hpp)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from memtool.engine.recorded.binding import LogReader
from memtool.errors import InputError
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Decoder, Report
from memtool.workload.importers.importer import Importer, decoded, recognised_by_line

_CALL_NAMES = (
    rb"malloc|calloc|realloc|reallocarray|free|memalign|aligned_alloc|posix_memalign|p?valloc|_Zn[wa]\w+|_Zd[la]\w+"
)
"""A regular expression that recognises lines of calls."""
_NEVER = 2**64 - 1
_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class NativeDecoder(Decoder):
    """Decodes the format of this name."""

    name: str
    why_interpreted: str = ""
    """Message for a file that holds aggregates."""

    def decode(self, portions: Portions, report: Report) -> Iterator[memoryview]:
        """Yield the calls of all lines. Raises InputError for aggregates."""
        with LogReader(self.name) as reader:
            held = bytearray()
            for portion in portions:
                held += portion
                if len(held) >= _TEXT_BYTES:
                    yield self._append(reader, held)
                    held.clear()
            yield self._append(reader, held)
            yield reader.append(b"")
            _fill(report, reader)

    def _append(self, reader: LogReader, text: bytearray) -> memoryview:
        seen = reader.append(bytes(text)) if text else memoryview(b"")
        if reader.summary().is_interpreted:
            raise InputError(self.why_interpreted)
        return seen


def _fill(report: Report, reader: LogReader) -> None:
    summary = reader.summary()
    odd = {
        "refused by the allocator": summary.refused,
        "frees of nothing": summary.frees_of_null,
        "calls of threads beyond 65,535, told as one": summary.crowded,
    }
    report.calls = {name: int(count) for name, count in {**reader.calls(), **odd}.items() if count}
    report.misaligned = int(summary.misaligned)
    report.dropped, report.threads = summary.dropped, max(summary.threads, 1)
    report.first_damage = None if summary.first_damage == _NEVER else int(summary.first_damage)


def _importer(
    name: str,
    summary: str,
    source: str,
    begins: str,
    suffix: str,
    recognises: Callable[[bytes], bool],
    why_interpreted: str = "",
) -> Importer:
    decoder = partial(NativeDecoder, name, why_interpreted)
    return Importer(name, summary, source, begins, suffix, recognises, load=decoded(decoder), decoder=decoder)


def _begins(pattern: bytes) -> Callable[[bytes], bool]:
    return lambda head: re.match(pattern, head) is not None


def _has_line(pattern: bytes) -> Callable[[bytes], bool]:
    line = re.compile(pattern, re.MULTILINE)
    return lambda head: line.search(head) is not None


FORMATS = (
    # Versions 2 and 3. heaptrack's other files are interpreted: allocations are counted by call site and size, and it
    # is lost which object a free refers to. Neither records threads.
    _importer(
        "heaptrack",
        "Raw recordings of heaptrack (heaptrack --raw), also compressed; text.",
        "https://github.com/KDE/heaptrack",
        "v 10550 3",
        ".raw",
        _begins(rb"v [0-9a-f]+ [0-9a-f]+\n"),
        "is interpreted by heaptrack, which has lost what a free is of: record it with `heaptrack --raw`",
    ),
    # TID: malloc 0xADDRESS SIZE [BEGIN_NS END_NS]
    _importer(
        "android",
        "Every call of all threads, of Android's malloc_debug and memory_replay; text, also zipped.",
        "https://android.googlesource.com/platform/system/extras/+/refs/heads/main/memory_replay/",
        "186: malloc 0xb6027400 1024",
        ".txt",
        recognised_by_line(rb"\d+: (malloc|calloc|realloc|memalign|free|thread_done) 0x[0-9a-f]+"),
    ),
    # @ MODULE:[CALLER] + 0xADDRESS 0xSIZE; -; < and > for a reallocation, ! refused. glibc does not record threads and
    # does not order their lines, so concurrent reallocations can be interleaved.
    _importer(
        "mtrace",
        "What glibc writes where MALLOC_TRACE says (LD_PRELOAD=libc_malloc_debug.so); text.",
        "https://man7.org/linux/man-pages/man3/mtrace.3.html",
        "= Start",
        ".mtrace",
        _begins(rb"= Start|@ \S.*\[0x[0-9a-f]+\] [-+<>!] 0x"),
    ),
    # --PID-- malloc(10) = 0x4A33040, among valgrind's other output.
    _importer(
        "valgrind",
        "What valgrind --trace-malloc=yes writes to standard error; text. It says nothing of threads.",
        "https://valgrind.org/docs/manual/manual-core.html",
        "--4211-- malloc(8) = 0x4A33040",
        ".valgrind",
        _has_line(rb"^--\d+-- (" + _CALL_NAMES + rb")\("),
    ),
    # PID TID malloc(32)=0x7f00; older versions omit the thread.
    _importer(
        "logalloc",
        "What Firefox writes where MALLOC_LOG says; text.",
        "https://searchfox.org/mozilla-central/source/memory/replace/logalloc",
        "185 185 malloc(32)=0x7f9049",
        ".log",
        recognised_by_line(rb"\d+( \d+)? (" + _CALL_NAMES + rb"|jemalloc_\w+)\([^()]*\)(=\S+)?\s*$"),
    ),
    # Four numbers, and then a ID SIZE, r ID SIZE, f ID.
    _importer(
        "malloc-lab",
        "Traces of the malloc lab that goes with a textbook; .rep.",
        "Bryant and O'Hallaron, \"Computer Systems: A Programmer's Perspective\", Malloc Lab",
        "20000 / 1 / 2 / 1 / a 0 512",
        ".rep",
        _begins(rb"\s*(\d+\s+){4}[arf] \d+"),
    ),
    # Alloc(SIZE), and Free(INDEX), where the index counts allocations from 0.
    _importer(
        "wee-alloc",
        "Traces of the tests of wee_alloc, an allocator for WebAssembly; Rust's words for a list.",
        "https://github.com/rustwasm/wee_alloc",
        "Alloc(552),",
        ".trace",
        recognised_by_line(rb"\s*(Alloc|Free)\(\d+\),?\s*$"),
    ),
)
CALLS = _importer(
    "calls",
    "Calls in the lines of ltrace and of one-line scripts of bpftrace: malloc(32) = 0x55d0; text.",
    "https://man7.org/linux/man-pages/man1/ltrace.1.html",
    "[pid 7] app->malloc(32) = 0x55d0",
    ".ltrace",
    _has_line(
        rb"^(\[pid \d+\]\s*|\d+\s*[:,]?\s+)?(\d+\.\d+\s*[:,]?\s+)?(\S*->)?"
        rb"(" + _CALL_NAMES + rb")(@[\w.]+)?\(.*\)?\s*(=\s*(0x[0-9a-f]+|<void>|nil|0)|<unfinished|\)$)"
    ),
)
"""The thread (``[pid 7]``, or a whole number) and the time in seconds (a number with a decimal point) may come before
the call."""
