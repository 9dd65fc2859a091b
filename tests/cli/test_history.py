"""``memtool history``: runs that were never measured, with changes that are known."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtool import api
from memtool.cli import run
from memtool.stats.history import sampled_changes
from memtool.store import run_file
from tests import runs

# As bencher.dev/docs/reference/bencher-metric-format publishes it.
BENCHER = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "number"},
                        "lower_value": {"type": "number"},
                        "upper_value": {"type": "number"},
                    },
                    "required": ["value"],
                }
            },
        }
    },
}
FASTER_AT, LARGER_AT, KERNEL_AT = 14, 9, 21


def store(folder: Path, place: int, **changed: Any) -> None:
    """Store the run of a day: tlsf gets 10 % slower on one, takes more memory from another on; glibc stays."""
    noise = random.Random(place)

    def times(middle: float) -> list[float]:
        middle *= 1 + noise.gauss(0, 0.01)
        return [middle * (1 + noise.gauss(0, 0.01)) for _ in range(6)]

    cells = [
        runs.cell(
            "tlsf",
            {
                "time_per_op_ns": runs.figure("time_per_op_ns", *times(15 if place < FASTER_AT else 16.5)),
                "peak_footprint_bytes": runs.figure(
                    "peak_footprint_bytes", *[6_536_832.0 if place < LARGER_AT else 7_000_064.0] * 6
                ),
            },
        ),
        runs.cell("glibc", {"time_per_op_ns": runs.figure("time_per_op_ns", *times(23))}),
    ]
    day = datetime.date(2026, 1, 1) + datetime.timedelta(days=place)
    given = {"machine": {"kernel": "6.8.0" if place < KERNEL_AT else "6.9.0"}, "started": f"{day}T03:00:00+00:00"}
    run_file.write_file(folder / f"{place:02}.json", runs.run(*cells, **{**given, **changed}))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    for place in range(24):
        store(folder, place)
    return folder


@pytest.fixture
def history(stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(stored)

    def show(*options: str) -> str:
        assert run(["history", ".", *options]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.rstrip("\n")

    return show


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_it_says_what_has_changed_and_when(
    style: str, history: Callable[..., str], golden: Callable[[str, str], None]
) -> None:
    golden(f"history-{style}.{'txt' if style == 'table' else 'md'}", history("--format", style))


def test_changes_are_where_they_were_made(stored: Path) -> None:
    places = {
        (series.cell.allocator, series.metric, series.conditions.get("kernel")): [
            (change.at, change.runs_before, change.runs_after, change.word) for change in series.changes
        ]
        for series in api.history(stored).series
    }
    assert places == {
        ("tlsf", "time_per_op_ns", "6.8.0"): [(14, 14, 7, "worse")],
        ("tlsf", "peak_footprint_bytes", None): [(9, 9, 15, "worse")],
        ("glibc", "time_per_op_ns", "6.8.0"): [],
        ("tlsf", "time_per_op_ns", "6.9.0"): [],
        ("glibc", "time_per_op_ns", "6.9.0"): [],
    }


def test_the_size_of_a_change_is_that_of_its_medians(stored: Path) -> None:
    series = next(of for of in api.history(stored, metrics=["peak_footprint_bytes"]).series)
    (change,) = series.changes
    assert (series.is_exact, change.before, change.after) == (True, 6_536_832, 7_000_064)
    assert change.change == pytest.approx(463_232 / 6_536_832)


def test_runs_of_other_events_are_a_series_of_their_own(tmp_path: Path) -> None:
    for place in range(3):
        store(tmp_path, place)
    store(tmp_path, 3, traces=[runs.trace("web", event_hash="f" * 32)])
    series = api.history(tmp_path, metrics=["peak_footprint_bytes"]).series
    assert [(len(of.points), of.conditions["event_hash"], of.changes) for of in series] == [
        (3, "0123456789ab", ()),
        (1, "ffffffffffff", ()),
    ]


def test_a_run_that_is_stored_twice_counts_once(tmp_path: Path) -> None:
    for place in range(3):
        store(tmp_path, place)
    (tmp_path / "copy.json").write_bytes((tmp_path / "02.json").read_bytes())
    history = api.history(tmp_path)
    assert len(history.runs) == 3
    twins = {str(tmp_path / name) for name in ("02.json", "copy.json")}
    (note,) = history.notes
    first, _, second = note.partition(": is the same run as ")
    assert {first, second.removesuffix(", and counts once")} == twins


def test_what_else_is_new_where_a_figure_changes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in range(LARGER_AT - 1, LARGER_AT + 1):
        store(tmp_path, place, machine={"compiler": f"GCC 12.{place}.0 -O2"})
    assert run(["history", str(tmp_path)]) == 0
    assert "New at the same time:\n  2026-01-10 03:00: compiler GCC 12.8.0 -O2 -> GCC 12.9.0 -O2\n" in (
        capsys.readouterr().out
    )


def test_noise_is_rarely_a_change_and_a_run_that_was_disturbed_never() -> None:
    """200 series of 30 runs, half of them with tails as a busy machine has them: one in a hundred is expected."""
    noise = random.Random(7)
    series = [
        [noise.gauss(0, 1) if half else noise.gauss(0, 1) / noise.random() for _ in range(30)]
        for half in (True, False)
        for _ in range(100)
    ]
    assert sum(bool(sampled_changes(values)) for values in series) <= 4
    disturbed = [15 + 0.01 * (7 * place % 10) for place in range(30)]
    disturbed[17] = 80.0
    assert sampled_changes(disturbed) == []


def test_changes_that_are_plain_are_found_and_fewer_than_ten_runs_say_nothing() -> None:
    noise = random.Random(8)
    levels = [10.0] * 12 + [13.0] * 10 + [11.0] * 15
    series = [sampled_changes([level + noise.gauss(0, 0.2) for level in levels]) for _ in range(50)]
    assert sum(places == [12, 22] for places in series) >= 45
    assert sampled_changes([1.0] * 5 + [2.0] * 5) == [5]
    assert sampled_changes([1.0] * 4 + [2.0] * 5) == []
    assert sampled_changes([3.0] * 12) == []


def test_bencher_reads_the_newest_figures(history: Callable[..., str]) -> None:
    metrics = json.loads(history("--format", "bencher"))
    jsonschema.validate(metrics, BENCHER)
    assert {name: sorted(measures) for name, measures in metrics.items()} == {
        "web · glibc": ["time_per_op_ns"],
        "web · tlsf": ["peak_footprint_bytes", "time_per_op_ns"],
    }
    footprint = metrics["web · tlsf"]["peak_footprint_bytes"]
    assert footprint == {"value": 7_000_064, "lower_value": 7_000_064, "upper_value": 7_000_064}
    time = metrics["web · tlsf"]["time_per_op_ns"]
    assert 15.5 < time["lower_value"] < time["value"] < time["upper_value"] < 17.5


def test_github_action_benchmark_reads_the_newest_figures(history: Callable[..., str]) -> None:
    smaller = json.loads(history("--format", "customSmallerIsBetter", "-a", "tlsf"))
    assert [(item["name"], item["unit"]) for item in smaller] == [
        ("web · tlsf · peak_footprint_bytes", "B"),
        ("web · tlsf · time_per_op_ns", "ns"),
    ]
    assert smaller[0] == {
        "name": "web · tlsf · peak_footprint_bytes",
        "unit": "B",
        "value": 7_000_064,
        "extra": "memtool 0.1.0\n2026-01-24T03:00:00+00:00",
    }
    assert json.loads(history("--format", "customBiggerIsBetter")) == []


def test_the_json_keeps_to_its_schema(history: Callable[..., str]) -> None:
    jsonschema.validate(json.loads(history("--format", "json")), api.json_schema("history"))


def test_it_is_drawn(history: Callable[..., str], tmp_path: Path) -> None:
    history("--plot", str(tmp_path / "history.png"))
    assert (tmp_path / "history.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "content", "options", "line"),
    [
        (None, None, [], "FOLDER: no run in it"),
        ("a.json", "{", [], "FOLDER/a.json: is not JSON, or not all of it: "),
        ("a.json", '{"schema": "memtool.compare.v1"}', [], "FOLDER/a.json: is not a result of memtool bench"),
        (None, "run", ["--metric", "time"], "--metric: unknown metric 'time'"),
        (None, "run", ["--metric", "holes_ratio"], "--metric: FOLDER: no run in it has holes_ratio"),
        (None, "run", ["-a", "tlfs"], "-a: the run has no 'tlfs'; did you mean 'tlsf'?"),
        (None, "run", ["--plot", "a.gif"], "Invalid value for '--plot': a.gif: must end in .png, .svg or .pdf"),
        ("b.json", "when", [], "FOLDER/b.json: started: is not an ISO 8601 time: yesterday"),
    ],
)
def test_bad_input_is_one_line(
    name: str | None,
    content: str | None,
    options: list[str],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content == "run":
        store(tmp_path, 0)
    elif content == "when":
        store(tmp_path, 0, started="yesterday")
        (tmp_path / "00.json").rename(tmp_path / str(name))
    elif name is not None:
        (tmp_path / name).write_text(str(content), encoding="utf-8")
    assert run(["history", str(tmp_path), *options]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert complaint.startswith(f"memtool: {line.replace('FOLDER', str(tmp_path))}")
