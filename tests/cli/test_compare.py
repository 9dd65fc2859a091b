"""``memtool compare`` from the shell: its forms, and one clear line and the right exit code for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtool.cli import run as memtool
from memtool.model import Run
from memtool.store import compare_file, run_file
from tests.runs import cell, excluded, figure, run

TIME = "time_per_op_ns"
FOOTPRINT = "peak_footprint_bytes"
Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Return what writes a run, changed as JSON, into a folder of its own."""

    def save(name: str, content: Run, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        data = run_file.to_json(content)
        change(data)
        (folder / "run.json").write_text(json.dumps(data))
        return folder

    return save


def timed(value: float, footprint: float = 4096, allocator: str = "tlsf") -> Run:
    return run(figures(allocator, value, footprint))


def figures(allocator: str, value: float, footprint: float = 4096) -> Any:  # a cell
    times = [value * wobble for wobble in (1, 1.001, 0.999, 1.002, 0.998, 1.0, 1.001, 0.999, 1.0)]
    return cell(allocator, {TIME: figure(TIME, *times), FOOTPRINT: figure(FOOTPRINT, footprint, footprint)})


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    assert memtool([str(argument) for argument in arguments]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.strip().removeprefix("memtool: ")


def test_allocators_inside_a_run(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved("a", run(figures("glibc", 20), figures("tlsf", 10), figures("buddy", 30)))
    assert memtool(["compare", str(path)]) == 0
    text = capsys.readouterr().out
    assert "web: against glibc" in text
    assert "slower: web · buddy against glibc · time_per_op_ns: 20.00 -> 30.00 (+50.0 %" in text
    assert memtool(["compare", str(path), "--fail-on", "regression"]) == 3
    assert memtool(["compare", str(path), "--fail-on", "regression", "--limit", "time_per_op_ns=60%"]) == 0


def test_the_reference_is_the_run_s_own_or_the_one_named(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved("a", run(figures("glibc", 20), figures("tlsf", 10), reference="tlsf"))
    assert memtool(["compare", str(path)]) == 0
    assert "web: against tlsf" in capsys.readouterr().out
    assert memtool(["compare", str(path), "--reference", "glibc"]) == 0
    assert "web: against glibc" in capsys.readouterr().out
    assert "has no 'gilbc'; did you mean 'glibc'?" in refused(capsys, 2, "compare", path, "--reference", "gilbc")


def test_two_runs(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = saved("before", timed(10)), saved("after", timed(20, 4112))
    assert memtool(["compare", str(before), str(after), "--fail-on", "regression"]) == 3
    text = capsys.readouterr().out
    assert "advice: looks worse; two runs cannot prove it" in text
    assert "regression: web · tlsf · peak_footprint_bytes: 4,096 -> 4,112 (+16 B, +0.39 %, limit 0); next: " in text
    assert memtool(["compare", str(before), str(after)]) == 0
    assert memtool(["compare", str(before), str(before), "--fail-on", "inconclusive"]) == 0


def test_json_is_nothing_but_json(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved("a", run(figures("glibc", 20), figures("tlsf", 10)))
    assert memtool(["compare", str(path), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, compare_file.json_schema())
    assert result["verdict"] == "pass"
    assert [place["allocator"] for place in result["ranking"] if place["pareto"]] == []


def test_history(saved: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = saved("before", timed(10)), saved("after", timed(20, 4112))
    arguments = ["compare", str(before), str(after), "--metric", FOOTPRINT, "--history", str(tmp_path)]
    assert memtool(arguments) == 0
    table = capsys.readouterr().out.split("History")[1].split("\n\n")[0]
    assert table.count("web · tlsf") == 2
    assert "+0.39 %" in table
    (tmp_path / "empty").mkdir()
    said = refused(capsys, 2, "compare", before, after, "--history", tmp_path / "empty")
    assert said.endswith("empty: no run in it")


def test_a_plot(saved: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved("a", run(figures("glibc", 20), figures("tlsf", 10)))
    assert memtool(["compare", str(path), "--plot", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").stat().st_size > 10_000
    capsys.readouterr()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none/p.png", "there is no folder "),
        ("p.txt", "must end in .png, .svg or .pdf"),
        ("folder.png", "is a folder"),
    ],
)
def test_a_plot_that_cannot_be_written_is_said_before_anything_else(
    saved: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, words: str
) -> None:
    path = saved("a", run(figures("glibc", 20), figures("tlsf", 10)))
    (tmp_path / "folder.png").mkdir()
    said = refused(capsys, 2, "compare", path, "--plot", tmp_path / file)
    assert said.startswith(f"Invalid value for '--plot': {tmp_path / file}: {words}")
    assert not (tmp_path / "none").exists()


def test_a_run_that_measured_none_of_the_metrics_says_so(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 5, "compare", saved("a", run(cell("glibc"), cell("tlsf"))), "--metric", TIME)
    assert said.endswith("nothing to compare with glibc: no two allocators of one workload have a figure of " + TIME)


def test_runs_without_common_cells(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = saved("a", timed(10)), saved("b", timed(10, allocator="buddy"))
    assert refused(capsys, 5, "compare", first, second).endswith("have no cell in common: web/tlsf; web/buddy")


def test_runs_of_other_machines_say_which_field(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    first = saved("a", timed(10))
    second = saved("b", timed(10), lambda data: data["machine"].update(cpu="Another"))
    assert memtool(["compare", str(first), str(second), "--metric", TIME]) == 5
    assert "cpu differs: Example Processor 9000 and Another" in capsys.readouterr().out
    assert memtool(["compare", str(first), str(second)]) == 0


def test_a_run_with_one_allocator_has_nothing_to_compare(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 5, "compare", saved("a", timed(10)))
    assert said.endswith("nothing to compare with tlsf: no other allocator shares a workload with it")


def test_a_run_of_nothing_but_exclusions(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 2, "compare", saved("a", run(excluded("pool", "too small"))))
    assert said.endswith("no cell was measured")


def test_truncated_foreign_and_future_files(tmp_path: Path, saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    whole = saved("a", timed(10))
    truncated, foreign, future = tmp_path / "t.json", tmp_path / "f.json", tmp_path / "v2.json"
    text = (whole / "run.json").read_text()
    truncated.write_text(text[: len(text) // 2])
    foreign.write_text('{"benchmarks": []}')
    future.write_text(text.replace("memtool.run.v1", "memtool.run.v2"))
    for path, words in (
        (truncated, "is not JSON, or not all of it"),
        (foreign, "is not a result of memtool bench"),
        (future, "is of schema memtool.run.v2, which needs a later memtool"),
        (tmp_path / "none", "no such file"),
    ):
        assert f"{path}: {words}" in refused(capsys, 2, "compare", whole, path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 100_000, "is nested too deeply for a result of memtool bench"),
        ('{"schema": ' + "9" * 6_000 + "}", "has a number with too many digits"),
    ],
)
def test_what_no_reader_of_json_takes_is_one_line(
    tmp_path: Path, saved: Saved, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(content)
    assert refused(capsys, 2, "compare", saved("a", timed(10)), path) == f"{path}: {words}"
    assert refused(capsys, 2, "compare", path) == f"{path}: {words}"


def test_a_run_without_a_cell_says_so(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 5, "compare", saved("a", timed(10)), saved("b", run()))
    assert said.endswith("have no cell in common: web/tlsf; no cell at all")


def test_runs_of_other_events_are_incomparable_also_where_no_verdict_is_asked_for(
    saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    net = figure("net_time_per_op_ns", 1.0, 1.5, 2.0)
    base = run(cell("tlsf", {TIME: figure(TIME, 10, 11, 12), "net_time_per_op_ns": net}))
    head = replace(base, workloads=tuple(replace(workload, event_hash="f" * 32) for workload in base.workloads))
    assert memtool(["compare", str(saved("a", base)), str(saved("b", head))]) == 5
    assert "INCOMPARABLE: 1 incomparable" in capsys.readouterr().out


def _metric(data: dict[str, Any]) -> dict[str, Any]:
    return data["cells"][0]["metrics"][TIME]  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda data: _metric(data)["samples"].__setitem__(3, float("nan")),
            "samples.3: input should be a finite number",
        ),
        (lambda data: _metric(data).update(value=float("inf")), "value: input should be a finite number"),
        (
            lambda data: _metric(data)["samples"].pop(),
            "web/tlsf/anonymous/serial: time_per_op_ns: 8 samples in 9 blocks",
        ),
        (lambda data: _metric(data)["blocks"].__setitem__(1, 0), "time_per_op_ns: more than one sample in a block"),
        (lambda data: data["cells"].append(data["cells"][0]), "web/tlsf/anonymous/serial: is there twice"),
        (lambda data: _metric(data).update(samples=[], blocks=[]), "time_per_op_ns: a value without samples"),
        (lambda data: _metric(data).update(value=None), "time_per_op_ns: samples without a value"),
        (
            lambda data: _metric(data)["samples"].__setitem__(3, -1.5),
            "time_per_op_ns: is -1.5 ns, and cannot be negative",
        ),
        (lambda data: _metric(data)["samples"].__setitem__(3, "10"), "samples.3: input should be a valid number"),
        (lambda data: _metric(data)["blocks"].__setitem__(3, "3"), "blocks.3: input should be a valid integer"),
        (
            lambda data: _metric(data)["samples"].__setitem__(3, 1e308),
            "samples.3: input should be less than or equal to 1000000000000000000",
        ),
        (
            lambda data: _metric(data).update(value=16.33),
            "time_per_op_ns: the value is 16.33, the median of its samples 10",
        ),
    ],
)
def test_damaged_figures_are_named(
    saved: Saved, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    assert words in refused(capsys, 2, "compare", saved("a", timed(10)), saved("b", timed(10), change))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--margin", "2"), "--margin: must be a percentage such as 2%, from 0% up, is '2'"),
        (("--limit", "time_per_op=1%"), "--limit: unknown metric 'time_per_op'; did you mean"),
        (("--metric", "speed"), "--metric: unknown metric 'speed'"),
        (("--metric", ","), "--metric: names no metric"),
    ],
)
def test_wrong_options_are_named(
    saved: Saved, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, 2, "compare", saved("a", timed(10)), *options)


def test_few_blocks_and_a_hole_in_a_block(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    short = cell("glibc", {TIME: figure(TIME, 1, 1, 1, 1, 1, 1)})
    holed = cell("tlsf", {TIME: figure(TIME, 2, 2, 2, 2, 2, blocks=(0, 1, 3, 4, 5))})
    assert memtool(["compare", str(saved("a", run(short, holed))), "--fail-on", "inconclusive"]) == 4
    assert "inconclusive: 5 blocks; an interval needs 6" in capsys.readouterr().out


def test_a_hundred_thousand_samples(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    many: Mapping[str, Any] = {
        name: cell(name, {TIME: figure(TIME, *(value + index % 7 for index in range(100_000)))})
        for name, value in (("glibc", 20), ("tlsf", 10))
    }
    path = saved("a", run(*many.values()))
    assert memtool(["compare", str(path), "--fail-on", "inconclusive", "--format", "github"]) == 0
    assert capsys.readouterr().out == "PASS: 1 pass\n"
