"""The metrics of whole programs. Except for the wall time, they cover the program with all its descendants."""

from __future__ import annotations

from functools import partial

from memtool.kinds.metric import MetricInfo
from memtool.passes import Pass

_COUNTS = {
    "tree_minor_faults": "page faults served without reading",
    "tree_major_faults": "page faults that had to read",
    "tree_voluntary_switches": "times that a thread gave up its processor",
    "tree_involuntary_switches": "times that a thread was taken off its processor",
    "tree_processes": "most processes seen alive at once",
}
_of_program = partial(MetricInfo, measured_by=Pass.PROGRAM)
_time = partial(MetricInfo, measured_by=Pass.PROGRAM, in_milliseconds=True)

METRICS = (
    _time(
        "wall_time_ns",
        "ns",
        "time from exec to the end of the program; for a server the time of its load",
        headline=True,
    ),
    _time("cpu_time_ns", "ns", "processor time of the program and all its descendants, user and system", headline=True),
    _time("user_time_ns", "ns", "part of the processor time spent in the programs themselves"),
    _time("system_time_ns", "ns", "part of the processor time spent in the kernel"),
    _of_program(
        "tree_peak_resident_bytes",
        "B",
        "most resident memory of the program and its descendants at once, each page once: exact for one process, "
        "otherwise the most seen by samples every 2 ms or more (proportional set sizes)",
        headline=True,
    ),
    _of_program(
        "largest_process_resident_bytes", "B", "the kernel's high-water mark of the one process that held most"
    ),
    *(
        _of_program(name, "1", f"{meaning}, program and descendants", by_difference=True)
        for name, meaning in _COUNTS.items()
    ),
    _of_program(
        "exit_status",
        "1",
        "exit status of the program",
        "neither",
        by_difference=True,
        gated=False,
        may_be_negative=True,
    ),
    _time("ready_time_ns", "ns", "from the start of a server until it was ready"),
)
