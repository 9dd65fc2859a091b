"""The metrics of whole programs: of one and all its descendants, but for the wall time."""

from __future__ import annotations

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

_COUNTS = {
    "tree_minor_faults": "page faults served without reading",
    "tree_major_faults": "page faults that had to read",
    "tree_voluntary_switches": "times that a thread gave up its processor",
    "tree_involuntary_switches": "times that a thread was taken off its processor",
    "tree_processes": "most processes seen alive at once",
}
METRICS = (
    MetricInfo(
        "wall_time_ns",
        "ns",
        "from its exec to the end of the program; of a server: time of its load",
        measured_by=Pass.PROGRAM,
        in_milliseconds=True,
        headline=True,
    ),
    MetricInfo(
        "cpu_time_ns",
        "ns",
        "processor time of the program and all its descendants, user and system",
        measured_by=Pass.PROGRAM,
        in_milliseconds=True,
        headline=True,
    ),
    MetricInfo(
        "user_time_ns",
        "ns",
        "of the processor time, in programs themselves",
        measured_by=Pass.PROGRAM,
        in_milliseconds=True,
    ),
    MetricInfo(
        "system_time_ns", "ns", "of the processor time, in the kernel", measured_by=Pass.PROGRAM, in_milliseconds=True
    ),
    MetricInfo(
        "tree_peak_resident_bytes",
        "B",
        "most resident memory of the program and its descendants at once, each page once: exact for one process, "
        "else the most that looks every 2 ms or more saw (proportional set sizes)",
        measured_by=Pass.PROGRAM,
        headline=True,
    ),
    MetricInfo(
        "largest_process_resident_bytes",
        "B",
        "the kernel's high-water mark of the one process that held most",
        measured_by=Pass.PROGRAM,
    ),
    *(
        MetricInfo(name, "1", f"{meaning}, program and descendants", by_difference=True, measured_by=Pass.PROGRAM)
        for name, meaning in _COUNTS.items()
    ),
    MetricInfo(
        "exit_status",
        "1",
        "that the program ended with",
        "neither",
        by_difference=True,
        gated=False,
        may_be_negative=True,
        measured_by=Pass.PROGRAM,
    ),
    MetricInfo(
        "ready_time_ns",
        "ns",
        "from the start of a server until it was ready",
        measured_by=Pass.PROGRAM,
        in_milliseconds=True,
    ),
)
