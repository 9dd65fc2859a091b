"""What `make verify` reproduces exactly is reproduced here too; and nothing is reproduced by the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from types import SimpleNamespace

import pytest

from memtool.engine.abi.binding import Heap
from memtool.host import counters
from memtool.host.counters import choose
from verification import (
    arenas,
    blowup,
    calls,
    constant_time,
    consumption,
    containers,
    faults,
    fifty_percent,
    free_space,
    glibc,
    malloc_lab,
    mapping,
    real_programs,
    report,
    robson,
    rounding,
    saturation,
)
from verification.__main__ import DOCUMENT
from verification.outcome import Line, Result, Verdict, nothing
from verification.results import RESULTS

EXACT = [result for result in RESULTS if result.exact is not nothing]


@cache
def exact_lines(result: Result) -> tuple[Line, ...]:
    return tuple(result.exact())


@pytest.mark.parametrize("result", EXACT, ids=lambda result: f"row {result.number}")
def test_it_is_reproduced(result: Result) -> None:
    lines = exact_lines(result)
    assert lines
    run = [line for line in lines if line.verdict is not Verdict.NOT_RUN]
    if not run:
        pytest.skip(lines[0].ours)
    for line in run:
        assert line.verdict in {Verdict.REPRODUCED, Verdict.NEEDS_TRACES}, line


def test_the_document_shows_what_is_found() -> None:
    """docs/verification.md; `python -m verification --write` brings it up to date."""
    text = DOCUMENT.read_text(encoding="utf-8")
    exact = text[text.index("## The same") : text.index("## Sampled")]
    written = [tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in exact.splitlines() if row[:1] == "|"]
    entries = [(result, line) for result in EXACT for line in exact_lines(result)]
    outcome = [report.cells(entry) for entry in entries if entry[1].verdict is not Verdict.NOT_RUN]
    not_run = {report.cells(entry)[:2] for entry in entries if entry[1].verdict is Verdict.NOT_RUN}
    assert [row for row in written[2:] if row[:2] not in not_run] == outcome


def test_every_row_is_in_the_document() -> None:
    assert [result.number for result in RESULTS] == sorted({result.number for result in RESULTS})
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    assert [result.number for result in RESULTS if result.reference not in text] == []


def test_seven_programs_near_zero_are_not_eight_and_all_must_be_worse_with_next_fit() -> None:
    good = {f"good{number}": (0.01, 0.02, 0.1) for number in range(8)}
    verdicts = [line.verdict for line in real_programs.together(good)]
    assert verdicts == [Verdict.REPRODUCED] * 3
    bad = good | {"good0": (0.06, 0.07, 0.065)}
    best, first, following = real_programs.together(bad)
    assert [line.verdict for line in (best, first, following)] == [Verdict.NOT_REPRODUCED] * 3
    assert (best.ours, following.ours) == ("mean 1.6%; 7 at most 5 %; good0 6.0%", "mean 9.6%; worse on 7")


SHORT = saturation.Effort(sequences=6, requests=4000)


def test_shore_and_bays_at_less_length() -> None:
    """The same draws on every machine, so that what `make verify` samples for longer cannot come out otherwise."""
    for line in (*saturation.shore_lines(effort=SHORT), *saturation.bays_lines(effort=SHORT)):
        assert line.verdict is Verdict.REPRODUCED, line


WRONG: dict[str, Callable[[], Iterable[Line]]] = {
    "1: a heap that grows by what is missing": lambda: malloc_lab.lines("extend=gap", "grow=1"),
    "2: first fit with headers": lambda: robson.lines(
        lambda _: Heap("first-fit", "grow=16", capacity=1 << 20), robson.CASES[:1]
    ),
    "3: a segregated pool for a buddy": lambda: rounding.buddy_lines("segregated-pool"),
    "4: a fit that never splits holes alike": lambda: fifty_percent.lines("buddy"),
    "5: best and first fit exchanged": lambda: saturation.shore_lines("first-fit", "best-fit", SHORT),
    "6: first fit for next fit": lambda: saturation.bays_lines("first-fit", effort=SHORT, large=()),
    "8: neighbours merged at once": lambda: free_space.lines("coalescing=immediate"),
    "9: two classes a doubling": lambda: rounding.jemalloc_lines("spacing=2"),
    "9: sixteen lists a doubling": lambda: rounding.tlsf_lines("subdivisions=16"),
    "10: a header of two words": lambda: glibc.lines(lambda size: max(24, ((size + 31) & ~15) - 8)),
    "11: pages of 8 KiB": lambda: faults.lines({"anonymous": 32_768}),
    "12: an arena that takes chunks": lambda: [arenas.footprint_line("arena")],
    "16: an arena that frees nothing": lambda: consumption.lines(
        "victims", {"victims": consumption.saturation(1000)}, {"bump": 1}
    ),
    "19: calls, which have no faults": lambda: mapping.fault_lines(mapped="pread"),
    "17: next fit for best fit": lambda: real_programs.exact(("next-fit", "first-fit", "best-fit"), ("git",)),
}


@pytest.mark.parametrize("experiment", WRONG.values(), ids=WRONG.keys())
def test_the_wrong_thing_does_not_reproduce_it(experiment: Callable[[], Iterable[Line]]) -> None:
    assert Verdict.NOT_REPRODUCED in {line.verdict for line in experiment()}


@pytest.mark.skipif(counters.why_not(counters.Counter.CALLGRIND) is not None, reason="valgrind counts")
def test_a_preloaded_strategy_takes_what_it_takes_as_a_malloc() -> None:
    (line,) = calls.lines(("segregated-pool",))
    assert line.verdict is Verdict.REPRODUCED, line


def test_glibc_is_asked_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these would change what it grants, or who does."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1024")
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so.2")
    (line,) = glibc.lines()
    assert line.verdict in {Verdict.REPRODUCED, Verdict.NOT_RUN}


def test_page_faults() -> None:
    """Measured, but the kernel counts the same everywhere."""
    for line in faults.lines():
        assert line.verdict in {Verdict.REPRODUCED, Verdict.NOT_RUN}, line


@pytest.mark.parametrize(
    ("monotonic", "pool", "new_delete", "verdict"),
    [
        (1.0, 2.0, 4.0, Verdict.REPRODUCED),
        (2.0, 2.0, 2.1, Verdict.REPRODUCED),
        (2.1, 2.0, 4.0, Verdict.NOT_REPRODUCED),
        (1.0, 2.0, 2.0, Verdict.NOT_REPRODUCED),
    ],
)
def test_the_order_of_times_is_judged(monotonic: float, pool: float, new_delete: float, verdict: Verdict) -> None:
    """Monotonic <= pool < new/delete. The times are given: none that is taken here is asserted."""
    times = {"bump": (monotonic,) * 3, "segregated-pool": (pool,) * 3, "new-delete": (new_delete,) * 3}
    pmr = {"pmr-monotonic-buffer": (2.0,) * 3, "pmr-unsynchronized-pool": (3.0,) * 3}
    first, _ = arenas.order_lines(times | pmr)
    assert first.verdict is verdict


@pytest.mark.parametrize(
    ("large", "tiny", "verdicts"),
    [
        ((2.0, 40.0), (0.7, 0.9), (Verdict.REPRODUCED, Verdict.REPRODUCED)),
        ((2.0, 40.0), (1.0, 3.0), (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED)),
        ((36.0, 40.0), (0.7, 0.8), (Verdict.NOT_REPRODUCED, Verdict.REPRODUCED)),
    ],
)
def test_gains_of_large_and_tiny_subsystems_are_judged(
    large: tuple[float, float],
    tiny: tuple[float, float],
    verdicts: tuple[Verdict, Verdict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an element, with a heap each and with one heap; the times are given, none that is taken here is asserted."""
    given = iter((large, tiny))

    def measure(*_: object) -> dict[str, SimpleNamespace]:
        times = zip((containers.OWN, containers.SHARED), next(given), strict=True)
        return {
            row: SimpleNamespace(metrics={"traverse_churned_ns": SimpleNamespace(samples=(ns,) * 3)})
            for row, ns in times
        }

    monkeypatch.setattr(containers, "measure", measure)
    assert tuple(line.verdict for line in containers.locality_lines()) == verdicts


@pytest.mark.parametrize(
    ("monotonic", "pool", "verdict"),
    [
        (3.0, 9.0, Verdict.REPRODUCED),
        (3.0, 2.9, Verdict.NOT_REPRODUCED),
        (4.0, 9.0, Verdict.NOT_REPRODUCED),
    ],
)
def test_the_order_of_pmr_is_judged(monotonic: float, pool: float, verdict: Verdict) -> None:
    times = {"bump": (1.0,), "segregated-pool": (1.0,), "new-delete": (4.0,)}
    pmr = {"pmr-monotonic-buffer": (monotonic,), "pmr-unsynchronized-pool": (pool,)}
    _, second = arenas.order_lines(times | pmr)
    assert second.verdict is verdict


def test_a_count_that_grows_with_what_is_free_is_not_constant_and_one_that_does_not_is_not_in_proportion() -> None:
    assert constant_time.flat("tlsf", {10: 155.0, 100_000: 156.0}).verdict is Verdict.REPRODUCED
    assert constant_time.flat("tlsf", {10: 155.0, 100_000: 170.0}).verdict is Verdict.NOT_REPRODUCED
    assert constant_time.flat("tlsf", {10: 301.0, 100_000: 301.0}).verdict is Verdict.NOT_REPRODUCED
    assert constant_time.proportional("list", {1000: 5_100.0, 10_000: 50_100.0}).verdict is Verdict.REPRODUCED
    assert constant_time.proportional("list", {1000: 462.0, 10_000: 1_452.0}).verdict is Verdict.NOT_REPRODUCED


def test_instructions_tell_a_list_from_tlsf() -> None:
    counter, reason = choose("auto")
    if reason is not None:
        pytest.skip(reason)
    listed = constant_time.LISTS[0]
    counts = constant_time.count(("tlsf", listed), (100, 1000), counter)
    assert constant_time.flat("tlsf", counts["tlsf"]).verdict is Verdict.REPRODUCED
    assert counts[listed][1000] > 5 * counts[listed][100]


def test_heaps_that_keep_what_they_free_blow_up_and_those_that_return_it_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blowup, "LENGTHS", (20_000, 40_000))
    assert [line.verdict for line in blowup.lines()] == [Verdict.REPRODUCED] * 4
    swapped = blowup.lines(keeps="thread-heaps", give_back=[blowup.KEEPS])
    assert [line.verdict for line in swapped] == [Verdict.NOT_REPRODUCED, Verdict.NOT_REPRODUCED]


@pytest.mark.parametrize(
    ("counted", "verdict"), [((109.9, 100.0), Verdict.REPRODUCED), ((88.0, 100.0), Verdict.NOT_REPRODUCED)]
)
def test_the_footing_of_a_malloc_is_judged(
    monkeypatch: pytest.MonkeyPatch, counted: tuple[float, float], verdict: Verdict
) -> None:
    monkeypatch.setattr(counters, "why_not", lambda counter: None)
    monkeypatch.setattr(calls, "library", lambda name, folder: folder / name)
    monkeypatch.setattr(calls, "_counted", lambda *_: counted)
    assert [line.verdict for line in calls.lines()] == [verdict] * 4
