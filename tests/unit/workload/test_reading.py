"""How far events have been read is shown now and then, with an estimate wherever one can be made."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from memtool import api
from memtool.commands.progress import words_of_reading
from memtool.options import BenchOptions
from memtool.workload import reading
from memtool.workload.reading import Reading

Shown = list[tuple[str, int, int | None, float | None]]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def calls() -> Shown:
    return []


def test_an_estimate_comes_after_two_seconds_and_then_twice_a_second(calls: Shown) -> None:
    clock = Clock()
    with reading.showing_progress(lambda *words: calls.append(words)):
        one = Reading("t.parquet", 1000, clock)
        for _ in range(20):
            clock.now += 0.25
            one.add(10)
    assert [events for _, events, _, _ in calls] == [80, 100, 120, 140, 160, 180, 200]
    assert calls[0] == ("t.parquet", 80, 1000, 2.0 / 80 * 920)
    assert calls[-1] == ("t.parquet", 200, 1000, 5.0 / 200 * 800)


def test_where_nobody_looks_nothing_is_shown_and_more_events_than_expected_leave_nothing(calls: Shown) -> None:
    clock = Clock()
    Reading("t.parquet", 1000, clock).add(500)
    with reading.showing_progress(lambda *words: calls.append(words)):
        one = Reading("t.parquet", 1000, clock)
        clock.now += 3
        one.add(1200)
    assert calls == [("t.parquet", 1200, 1000, 0.0)]


def test_of_a_file_the_share_that_is_read_says_how_much_is_left(calls: Shown, tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "log"
    path.write_bytes(bytes(1000))
    with path.open("rb", buffering=0) as file, reading.showing_progress(lambda *words: calls.append(words)):
        one = Reading("log", None, clock)
        clock.now += 3
        one.add(7)  # of what nobody knows the end
        with reading.from_file(file):
            file.read(250)
            clock.now += 3
            one.add(93)
    assert calls == [("log", 7, None, None), ("log", 100, 400, 18.0)]


def test_words() -> None:
    assert words_of_reading("t.parquet", 412_000_000, 10**9, 200.0) == (
        "412 of 1,000 million events, about 3 min left · reads t.parquet"
    )
    assert words_of_reading("-", 3_000_000, None, None) == "3 million events · reads -"


@pytest.mark.parametrize("stage", ["inspect", "plan", "import", "import of a packed log"])
def test_each_stage_that_reads_events_says_how_far_it_is(
    stage: str, calls: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(reading, "_EVERY_SECONDS", 0.0)
    workload = tmp_path / "w.yaml"
    workload.write_text("name: w\nallocations: 2000\nobjects: [{size: 64, lifetime: 40}]\n", encoding="utf-8")
    log = tmp_path / "log.gz"
    lines = "".join(f"+ 40 1 {16 * number:x}\n- {16 * number:x}\n" for number in range(1, 1001))
    log.write_bytes(gzip.compress(f"v 10550 3\nx 3 app\n{lines}".encode()))
    with reading.showing_progress(lambda *words: calls.append(words)):
        if stage == "inspect":
            api.inspect(str(workload))
        elif stage == "plan":
            api.plan(BenchOptions(workloads=(str(workload),), allocators="tlsf")).close()
        else:
            pytest.importorskip("pyarrow")
            api.import_trace(str(workload if stage == "import" else log), tmp_path / "t.parquet")
    what, events, total, left = calls[-1]
    own = log if "log" in stage else workload
    assert (what, total) == (str(own), 2000 if "log" in stage else 4000)
    assert events == pytest.approx(total, abs=40)  # what is left live is freed at the end, which no recording has
    assert left == pytest.approx(0.0, abs=0.2)
