"""How fast recordings of other tools are read: each format, of the same events, from a file that is in memory.

python -m benchmarks.importers [EVENTS]      a million of events unless told
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tabulate import tabulate

from memtool.workload.sources.source import Ending
from memtool.workload.trace import open_source

LIVE = 10_000
TURNS = 3
Call = tuple[str, int, int, int, int]
"""malloc, realloc or free; the block's number, its address, the one before, the size."""


def calls(count: int) -> Iterator[Call]:
    """Yield calls: a mix of sizes, a random block of 10,000 freed, one of twenty resized to another place."""
    draw = random.Random(1)
    live: list[tuple[int, int]] = []
    spare, number = list(range(4 * LIVE)), 0
    for _ in range(count):
        if len(live) < LIVE or (draw.random() < 0.475 and len(live) < 2 * LIVE):
            address = 0x55D0_0000_1000 + 64 * spare.pop(draw.randrange(len(spare)))
            live.append((number, address))
            yield "malloc", number, address, 0, draw.randrange(1, 2000)
            number += 1
        elif draw.random() < 0.1:
            place = draw.randrange(len(live))
            block, old = live[place]
            address = 0x55D0_0000_1000 + 64 * spare.pop()
            spare.append((old - 0x55D0_0000_1000) // 64)
            live[place] = block, address
            yield "realloc", block, address, old, draw.randrange(1, 4000)
        else:
            place = draw.randrange(len(live))
            live[place], live[-1] = live[-1], live[place]
            block, address = live.pop()
            spare.append((address - 0x55D0_0000_1000) // 64)
            yield "free", block, address, 0, 0


def android(kind: str, _: int, address: int, old: int, size: int) -> str:
    return f"187: {kind} 0x{address:x}" + (f" 0x{old:x} {size}" if old else f" {size}" if size else "")


def heaptrack(kind: str, _: int, address: int, old: int, size: int) -> str:
    line = f"+ {size:x} 1 {address:x}"
    return f"- {address:x}" if kind == "free" else f"- {old:x}\n{line}" if old else line


def mtrace(kind: str, _: int, address: int, old: int, size: int) -> str:
    site = "@ ./app:(make_table+0x1d)[0x40115d] "
    line = f"{site}{'>' if old else '+'} 0x{address:x} 0x{size:x}"
    return f"{site}- 0x{address:x}" if kind == "free" else f"{site}< 0x{old:x}\n{line}" if old else line


def call(kind: str, address: int, old: int, size: int, upper: bool = False) -> tuple[str, str]:
    new, previous = (f"0x{number:X}" if upper else f"0x{number:x}" for number in (address, old))
    return (f"free({new})", "") if kind == "free" else (f"{kind}({previous},{size})" if old else f"{kind}({size})", new)


def valgrind(kind: str, _: int, address: int, old: int, size: int) -> str:
    said, new = call(kind, address, old, size, upper=True)
    return f"--4211-- {said}" + (f" = {new}" if new else "")


def logalloc(kind: str, _: int, address: int, old: int, size: int) -> str:
    said, new = call(kind, address, old, size)
    return f"18545 18546 {said}" + (f"={new}" if new else "")


def ltrace(kind: str, _: int, address: int, old: int, size: int) -> str:
    said, new = call(kind, address, old, size)
    return f"[pid 7] app->{said.replace(',', ', ')} = {new or '<void>'}"


def bpftrace(kind: str, _: int, address: int, old: int, size: int) -> str:
    said, new = call(kind, address, old, size)
    return f"711 {said}" + (f" = {new}" if new else "")


def malloc_lab(kind: str, number: int, _: int, __: int, size: int) -> str:
    return f"f {number}" if kind == "free" else f"{'r' if kind == 'realloc' else 'a'} {number} {size}"


def wee_alloc(kind: str, number: int, _: int, __: int, size: int) -> str:
    return f"Free({number})," if kind == "free" else f"Alloc({size})," if kind == "malloc" else "\n"


def separated(kind: str, _: int, address: int, old: int, size: int) -> str:
    return f"{kind},0x{address:x},{size or ''},{f'0x{old:x}' if old else ''},7"


def json_lines(kind: str, _: int, address: int, old: int, size: int) -> str:
    rest = (f', "size": {size}' if size else "") + (f', "old": "0x{old:x}"' if old else "")
    return f'{{"kind": "{kind}", "address": "0x{address:x}"{rest}, "thread": 7}}'


def delorie(kind: str, _: int, address: int, old: int, size: int) -> bytes:
    number = {"malloc": 1, "free": 3, "realloc": 4}[kind]
    freed, new = (address, 0) if kind == "free" else (old, address)
    return struct.pack("<iBBxxQQQQQ16x", 7, number, 0, freed, new, size, 0, 0)


TEXTS: dict[str, tuple[str, Callable[[str, int, int, int, int], str]]] = {
    "heaptrack": ("v 10550 3\nx 3 app\n", heaptrack),
    "android": ("", android),
    "mtrace": ("= Start\n", mtrace),
    "logalloc": ("", logalloc),
    "valgrind": ("", valgrind),
    "calls, ltrace": ("", ltrace),
    "calls, bpftrace": ("", bpftrace),
    "malloc-lab": ("20000\n1\n1\n1\n", malloc_lab),
    "wee-alloc": ("", wee_alloc),
    "plain, CSV": ("kind,address,size,old,thread\n", separated),
    "plain, JSON lines": ("", json_lines),
}


def files(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """Yield the name of each format and a file of it."""
    events = list(calls(count))
    for name, (head, line) in TEXTS.items():
        path = folder / name.replace(", ", "-").replace(" ", "-")
        path.write_text(head + "\n".join(line(*event) for event in events) + "\n")
        yield name, path
    path = folder / "malloc-trace-utils"
    path.write_bytes(struct.pack("<iBBxxQQ40x", 0, 255, 0, 0x1234, 0) + b"".join(delorie(*event) for event in events))
    yield "malloc-trace-utils", path


def read(path: Path) -> tuple[int, float]:
    """Return how many events a file has, and the processor time in seconds that reading them takes."""
    begun, events = time.process_time(), 0
    for rows in open_source(path).portions(Ending()):
        events += len(rows.events) // 16
    return events, time.process_time() - begun


def main(count: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files(Path(folder), count):
            taken = [read(path) for _ in range(TURNS)]
            events, seconds = taken[0][0], min(seconds for _, seconds in taken)
            rows.append([name, path.stat().st_size / count, seconds * 1e9 / events, events / seconds / 1e6])
            path.unlink()
    heads = ["format", "bytes an event", "ns an event", "million events a second"]
    print(tabulate(rows, heads, tablefmt="pipe", floatfmt=(".0f", ".0f", ".0f", ".1f")))


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000)
