"""Row 17: fragmentation of real programs, for the shipped recordings and those of others.

Johnstone and Wilson leave headers and rounding aside: what is left is what the placement of blocks costs. Here a byte
of the program stands for a granule of 16 bytes, of which the header is a part: every block takes as many granules as
the program asked for bytes (two at least). Fragmentation is their measure 4: the most memory that the heap took, over
the most that was live, less 1. The heap grows by what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np

from memtool.engine.abi.binding import Heap
from memtool.engine.generate.binding import DEALLOCATE, EVENT_BYTES, OBJECT_SHIFT, REALLOCATE, SIZE_BITS
from memtool.workload.sources.source import Ending
from memtool.workload.trace import open_source, shipped_recordings
from verification.outcome import Line, Result, Verdict

DATA = Path(os.environ.get("MEMTOOL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
OF_OTHERS = ("android/systemui.zip", "wee_alloc/dogfood.trace", "wee_alloc/gcc-hello.trace", "wee_alloc/ffmpeg.trace")
GRANULE, HEADER, SMALLEST = 16, 8, 2
MOST = 0.05
ENOUGH = 8
"""Programs; as many as the paper's."""
SHORT = ("dot", "gawk", "git", "glpsol", "minisat", "pdftotext", "perl", "rsvg-convert")
"""Recordings that take seconds."""
FITS = ("best-fit", "first-fit", "next-fit")
_NAMES = {"best-fit": "best fit", "first-fit": "address-ordered first fit", "next-fit": "next fit"}


@cache
def fragmentation(path: Path, fits: tuple[str, ...] = FITS) -> tuple[float, ...]:
    """Return what each fit takes beyond what lives, as a share of it, on a recording."""
    portions = open_source(path).portions(Ending())
    words = np.concatenate(
        [np.frombuffer(rows.events, "<u8").reshape(-1, EVENT_BYTES // 8).copy() for rows in portions]
    )
    kinds = words[:, 0] & np.uint64(0xFF)
    words = words[kinds <= REALLOCATE]
    sizes = np.maximum(words[:, 1] & np.uint64((1 << SIZE_BITS) - 1), np.uint64(SMALLEST))
    events = list(
        zip(
            kinds[kinds <= REALLOCATE].tolist(),
            (words[:, 0] >> np.uint64(OBJECT_SHIFT)).tolist(),
            (sizes * np.uint64(GRANULE) - np.uint64(HEADER)).tolist(),
            strict=True,
        )
    )
    return tuple(_beyond(events, fit) for fit in fits)


def _beyond(events: list[tuple[int, int, int]], fit: str) -> float:
    live: dict[int, tuple[int, int]] = {}
    total = most = 0
    with Heap(fit, f"grow={GRANULE}", capacity=1 << 40) as heap:
        for kind, thing, size in events:
            offset, old = live.pop(thing, (0, -HEADER))
            total -= old + HEADER
            if kind == DEALLOCATE:
                heap.deallocate(offset, old, GRANULE)
                continue
            place = heap.reallocate(offset, old, size, GRANULE) if kind == REALLOCATE else heap.allocate(size, GRANULE)
            assert place is not None
            live[thing] = (place, size)
            total += size + HEADER
            most = max(most, total)
        return heap.footprint / most - 1


def program_line(name: str, shares: tuple[float, ...]) -> Line:
    """Return the line of one program."""
    best, first, following = shares
    return Line(
        f"fragmentation of {name}, headers aside",
        "best and first fit near zero (at most 5 %), next fit worse",
        f"best {best:.2%}, first {first:.2%}, next {following:.2%}",
        Verdict.of(max(best, first) <= MOST and following > max(best, first)),
    )


def exact(fits: tuple[str, ...] = FITS, names: tuple[str, ...] = SHORT) -> Iterator[Line]:
    """Yield a line for each of the short recordings."""
    for name in names:
        yield program_line(name, fragmentation(shipped_recordings()[f"recorded/{name}"], fits))


def together(shares: Mapping[str, tuple[float, ...]]) -> Iterator[Line]:
    """Yield what all programs together show, a line for each fit."""
    for at, fit in enumerate(FITS[:2]):
        beyond = {name: figures[at] for name, figures in shares.items() if figures[at] > MOST}
        within = len(shares) - len(beyond)
        but = "".join(f"; {name} {share:.1%}" for name, share in beyond.items())
        yield Line(
            f"{_NAMES[fit]} on {len(shares)} programs",
            f"near zero: mean and at least {ENOUGH} programs at most 5 %",
            f"mean {fmean(figures[at] for figures in shares.values()):.1%}; {within} at most 5 %{but}",
            Verdict.of(within >= ENOUGH and fmean(figures[at] for figures in shares.values()) <= MOST),
        )
    worse = [name for name, figures in shares.items() if figures[2] > max(figures[:2])]
    yield Line(
        f"next fit on {len(shares)} programs",
        "worse than both",
        f"mean {fmean(figures[2] for figures in shares.values()):.1%}; worse on {len(worse)}",
        Verdict.of(len(worse) == len(shares)),
    )


def measured() -> Iterator[Line]:
    """Yield what all shipped recordings show together, and a line for each of those of others."""
    yield from together({name.partition("/")[2]: fragmentation(path) for name, path in shipped_recordings().items()})
    for name in OF_OTHERS:
        path = DATA / name
        if path.is_file():
            yield program_line(path.stem, fragmentation(path))


REAL_PROGRAMS = Result(
    17,
    "Fragmentation of real programs",
    "Johnstone, Wilson 1998",
    "Johnstone and Wilson: The memory fragmentation problem: solved?, ISMM 1998",
    exact=exact,
    measured=measured,
)
