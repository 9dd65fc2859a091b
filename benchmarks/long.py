"""Long traces: what each stage takes of an event, and of memory, at 10^7, 10^8 and 10^9 events.

    python -m benchmarks.long [--lengths 1e7,1e8,1e9] [--stages import,log,inspect,bench,compare,report]
                              [--folder DIR] [--keep FILE]

Stages are memtool's own commands, one after the other: `import` generates a workload and writes a trace file, `log`
reads as many events in heaptrack's text from standard input, `inspect` and `bench` read the trace file, and `compare`
and `report` take two runs of it. Processor time is of memtool and its workers. The time of an event is without what the
command takes of a trace of 100,000 events, the median of three. Memory is read from the kernel every tenth of a second:
anonymous memory of memtool's own process, what of the image lies in memory, and anonymous memory of the largest worker,
which holds what is measured. 10^9 events need 15 GiB of disk, and some 40 minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.importers import calls, heaptrack

SHORT, SHORT_TURNS = 100_000, 3
STAGES = ("import", "log", "inspect", "bench", "compare", "report")
COMMANDS = {
    "import": ("w.yaml", "-o", "t.parquet"),
    "inspect": ("t.parquet",),
    "compare": ("a", "b"),
    "report": ("a", "b"),
}
"""The stages that are one command -> its words."""
ALLOCATORS = "tlsf,glibc"
MOST_OWN = 1 << 30
MOST_SPREAD = 1.10
_EVERY = 0.1
_MEMTOOL = ("-m", "memtool")
_WITHOUT_PACKING = (
    "-c",
    "from memtool.engine.packing import binding\n"
    "binding.MOST_BLOCKS = 1\n"
    "binding.pack_image.__defaults__ = (*binding.pack_image.__defaults__[:-1], 1)\n"
    "from memtool.cli import main\n"
    "main()",
)
"""The same without a search for the best packing, which traces beyond four million events do not have."""
_PORTION = 1_000_000
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_WITHOUT_EVENTS = ("compare", "report")
WORKLOAD = """
name: long
seed: 1
allocations: {allocations}
objects:
  - {{name: brief, weight: 90, size: {{uniform: [16, 512]}}, lifetime: {{exponential: {{mean: 1000}}}}}}
  - {{name: lasting, weight: 10, size: {{uniform: [16, 4000]}}, lifetime: {{exponential: {{mean: 100000}}}}}}
"""


@dataclass(slots=True)
class Peaks:
    """The most that was seen of a command, in bytes."""

    own: int = 0
    image_in_memory: int = 0
    worker: int = 0
    image_on_disk: int = 0

    def look(self, pid: int) -> None:
        """Read what the kernel says of a process and its children now."""
        own = _status(pid)
        self.own = max(self.own, own.get("RssAnon", 0))
        in_memory, on_disk = _nameless(pid)
        self.image_in_memory = max(self.image_in_memory, in_memory)
        self.image_on_disk = max(self.image_on_disk, on_disk)
        for child in _children(pid):
            self.worker = max(self.worker, _status(child).get("RssAnon", 0))


@dataclass(frozen=True, slots=True)
class Figure:
    """What a stage took."""

    stage: str
    events: int
    seconds: float
    """Of processor time."""
    elapsed: float
    peaks: Peaks
    replays: dict[str, float] = field(default_factory=dict)
    """Of a bench: nanoseconds of an operation, by allocator."""


@dataclass(slots=True)
class Long:
    """A folder in which the stages of one length follow each other."""

    folder: Path
    events: int
    keep: Path | None = None
    figures: list[Figure] = field(default_factory=list)

    def run(self, stages: Sequence[str]) -> Sequence[Figure]:
        """Take the stages, and return what they took."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "w.yaml").write_text(WORKLOAD.format(allocations=self.events // 2), encoding="utf-8")
        for stage in stages:
            count = len(self.figures)
            if stage in COMMANDS:
                self._take(stage, stage, *COMMANDS[stage])
            else:
                self._bench() if stage == "bench" else self._log()
            if self.keep is not None:
                with self.keep.open("a", encoding="utf-8") as file:
                    file.writelines(f"{json.dumps(asdict(figure))}\n" for figure in self.figures[count:])
        return self.figures

    def _log(self) -> None:
        self._take("log", "import", "-", "-o", "log.parquet", events=_heaptrack(self.events))
        (self.folder / "log.parquet").unlink()

    def _bench(self) -> None:
        for run in ("a", "b"):
            chosen = f"-a {ALLOCATORS} --passes throughput,footprint --cold --blocks 2 --no-plots --time-limit 900"
            self._take("bench", "bench", "t.parquet", *chosen.split(), "-o", run)
            content = json.loads((self.folder / run / "run.json").read_text(encoding="utf-8"))
            for cell in content["cells"]:
                name, times = cell["allocator"], cell["metrics"]["time_per_op_ns"]["samples"]
                self.figures[-1].replays[name] = median(times)

    def _take(self, stage: str, *words: str, events: Iterator[bytes] | None = None) -> None:
        with (self.folder / f"{stage}.txt").open("w+b") as output:
            process = subprocess.Popen(
                [sys.executable, *(_MEMTOOL if self.events > SHORT else _WITHOUT_PACKING), *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL if events is None else subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
            begun, peaks = time.monotonic(), Peaks()
            feeding = None if events is None else os.fork()
            if feeding == 0:
                _feed(process, events or iter(()))
            if process.stdin is not None:
                process.stdin.close()
            while True:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                peaks.look(process.pid)
                time.sleep(_EVERY)
            process.returncode = os.waitstatus_to_exitcode(status)
        if feeding is not None:
            os.waitpid(feeding, 0)
        if process.returncode not in (0, 3, 4):  # which a comparison ends with where it tells something apart, or not
            sys.exit(f"memtool {' '.join(words)}: {Path(output.name).read_text(encoding='utf-8')}")
        seconds = used.ru_utime + used.ru_stime
        self.figures.append(Figure(stage, self.events, seconds, time.monotonic() - begun, peaks))
        print(f"{self.events:,} events, {stage}: {seconds:.1f} s, {peaks}", file=sys.stderr, flush=True)


def _feed(process: subprocess.Popen[bytes], events: Iterator[bytes]) -> None:
    """Write what a command reads, in a process of its own, which ends here."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        for portion in events:
            process.stdin.write(portion)
        process.stdin.close()
    os._exit(0)


def _heaptrack(count: int) -> Iterator[bytes]:
    """Yield a recording in heaptrack's text: one portion as often as is needed, at the end of which all is freed.

    A reallocation is a free and an allocation.
    """
    live: set[int] = set()
    portion: list[str] = []
    for call in calls(min(count, _PORTION)):
        portion += heaptrack(*call).splitlines()
        kind, _, address, old, _ = call
        live.discard(address if kind == "free" else old)
        live |= set() if kind == "free" else {address}
        if len(portion) + len(live) >= min(count, _PORTION):
            break
    portion += [f"- {address:x}" for address in random.Random(1).sample(sorted(live), len(live))]
    text = "\n".join([*portion, ""]).encode()
    yield b"v 10550 3\nx 3 app\n"
    for _ in range(round(count / len(portion))):
        yield text


def _status(pid: int) -> Mapping[str, int]:
    """Return the sizes of memory that the kernel states of a process, in bytes; nothing once it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        split = (line.split() for line in lines if line.endswith(" kB"))
        return {name.rstrip(":"): 1024 * int(number) for name, number, _ in split}
    return {}


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield int(child)
                yield from _children(int(child))


def _nameless(pid: int) -> tuple[int, int]:
    """Return how many bytes a process's nameless files take in memory, and on a disk."""
    in_memory = on_disk = 0
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                name = str(descriptor.readlink())
                if name.startswith("/memfd:"):
                    in_memory += descriptor.stat().st_blocks * 512
                elif name.endswith(" (deleted)") and name.startswith("/"):
                    on_disk += descriptor.stat().st_blocks * 512
    return in_memory, on_disk


def _rows(long: Sequence[Figure], short: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    for figure in long:
        nanoseconds = 1e9 * (figure.seconds - short[figure.stage]) / (figure.events - SHORT)
        peaks = figure.peaks
        yield (
            f"`{figure.stage}`",
            _length(figure.events),
            f"{figure.seconds:,.1f} s",
            "" if figure.stage in _WITHOUT_EVENTS else f"{nanoseconds:.0f}",
            *(_size(size) for size in (peaks.own, peaks.image_in_memory, peaks.worker, peaks.image_on_disk)),
        )


def _length(events: int) -> str:
    """Return a number of events as a power of ten where it is one."""
    power = round(math.log10(events))
    return f"10{str(power).translate(_RAISED)}" if events == 10**power else f"{events:,}"


def _size(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB" if size else ""


HEADS = ("stage", "events", "processor time", "ns an event", "memtool", "image in memory", "worker", "image on disk")


def _spread(long: Sequence[Figure], short: Mapping[str, float]) -> Iterator[str]:
    """Yield how far the time of an event at the longest is from that at the others, by stage."""
    by_stage: dict[str, dict[int, list[float]]] = {}
    for figure in long:
        an_event = 1e9 * (figure.seconds - short[figure.stage]) / (figure.events - SHORT)
        by_stage.setdefault(figure.stage, {}).setdefault(figure.events, []).append(an_event)
    for stage, lengths in by_stage.items():
        if stage not in _WITHOUT_EVENTS:
            times = [median(own) for own in lengths.values()]
            yield f"{stage}: {max(times) / min(times):.3f} between lengths (goal: at most {MOST_SPREAD})"
    for name in sorted({name for figure in long for name in figure.replays}):
        own = {figure.events: figure.replays[name] for figure in long if name in figure.replays}
        words = ", ".join(f"{time:.1f} ns at {_length(events)}" for events, time in own.items())
        yield f"replay on {name}: {words}; {max(own.values()) / min(own.values()):.3f} between lengths"


def _kept(file: Path | None) -> list[Figure]:
    """Return the figures that a file has."""
    if file is None or not file.exists():
        return []
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [Figure(**{**record, "peaks": Peaks(**record["peaks"])}) for record in records]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default=f"{SHORT},1e7,1e8,1e9")
    parser.add_argument(
        "--stages", default=",".join(STAGES), help="in this order; each takes what those before it left"
    )
    parser.add_argument("--folder", type=Path, help="where the files go; one that is deleted unless given")
    parser.add_argument("--keep", type=Path, help="append figures to this file of JSON lines, and show all of them")
    chosen = parser.parse_args()
    stages = [stage for stage in chosen.stages.split(",") if stage]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        sys.exit(f"no stage {unknown[0]}: {', '.join(STAGES)}")
    figures = _kept(chosen.keep)
    for length in (float(words) for words in chosen.lengths.split(",") if stages):
        with ExitStack() as stack:
            folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
            for turn in range(SHORT_TURNS if length <= SHORT else 1):
                figures += Long(folder / f"{int(length)}-{turn}", int(length), chosen.keep).run(stages)
    return _show(figures)


def _show(figures: Sequence[Figure]) -> int:
    short: dict[str, list[float]] = {}
    for figure in figures:
        if figure.events <= SHORT:
            short.setdefault(figure.stage, []).append(figure.seconds)
    fixed = {stage: median(seconds) for stage, seconds in short.items()}
    long = [figure for figure in figures if figure.events > SHORT and figure.stage in fixed]
    if not long:
        return 0
    print(tabulate(list(_rows(long, fixed)), HEADS, tablefmt="pipe", disable_numparse=True))
    print("\n".join(["", *_spread(long, fixed)]))
    most = max(figure.peaks.own + figure.peaks.image_in_memory for figure in long)
    print(f"most of memtool's own: {most / (1 << 20):,.0f} MiB (goal: at most {MOST_OWN >> 20:,})")
    return 0 if most <= MOST_OWN else 1


if __name__ == "__main__":
    sys.exit(main())
