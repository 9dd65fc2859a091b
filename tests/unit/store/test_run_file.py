"""run.json: what scripts rely on, and what is not one."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtool.errors import InputError
from memtool.model import Cell, CellResult, Determinism, Mark, Metric, Run, Status, TraceInfo
from memtool.store import run_file
from tests.unit.report.fake_run import fake_run


def metric(value: float | None, low: float | None = None, samples: tuple[float, ...] = ()) -> Metric:
    return Metric("ns", Determinism.SAMPLED, samples, tuple(range(len(samples))), value, low, low)


def with_metric(result: Metric) -> Run:
    name = fake_run().workloads[0].name
    cell = CellResult(Cell(name, "a"), Status.OK, None, {}, {"time_per_op_ns": result}, {})
    return replace(fake_run(), cells=(cell,))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        run_file.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def saved(path: Path, content: object) -> Path:
    file = path / "run.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_what_was_written_is_read_from_the_file_and_from_its_folder(tmp_path: Path) -> None:
    run = fake_run("glibc")
    path = run_file.write(tmp_path, run)
    assert path == tmp_path / "run.json"
    assert run_file.read(path) == run
    assert run_file.read(tmp_path) == run


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    run_file.write(tmp_path, fake_run())
    run_file.write(tmp_path, fake_run())
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_file_is_as_its_schema_says() -> None:
    content = json.loads(json.dumps(run_file.to_json(fake_run())))
    validator = jsonschema.Draft202012Validator(run_file.json_schema())
    validator.check_schema(run_file.json_schema())
    validator.validate(content)
    broken = copy.deepcopy(content)
    broken["cells"][0]["status"] = "fine"
    assert not validator.is_valid(broken)


def test_marks_are_kept(tmp_path: Path) -> None:
    run = fake_run()
    marks = (Mark("warm", 80_000, 1 << 20, 0.2), Mark("late", 300_000, 2 << 20, 0.75))
    marked = replace(run, workloads=(replace(run.workloads[0], marks=marks),))
    run_file.write(tmp_path, marked)
    assert run_file.read(tmp_path).workloads[0].marks == marks


def test_the_keys_of_the_contract() -> None:
    content = run_file.to_json(fake_run())
    assert content["schema"] == "memtool.run.v1"
    workload = {"name", "seed", "events", "event_hash", "threads", "peak_live_bytes"}
    assert workload <= set(content["workloads"][0])
    assert content["workloads"][0]["events"] == 400_000
    cell = content["cells"][0]
    assert list(cell)[:8] == ["workload", "allocator", "region", "mode", "status", "reason", "proof", "metrics"]
    assert cell["metrics"]["time_per_op_ns"] == {
        "unit": "ns",
        "determinism": "sampled",
        "samples": [21.5, 21.0, 21.75, 21.25, 22.0, 21.5, 20.75, 22.25, 22.5, 20.5],
        "blocks": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        "value": 21.5,
        "low": 20.75,
        "high": 22.25,
        "at_floor": False,
    }
    assert [item["status"] for item in content["cells"]] == ["ok"] * 8 + ["failed", "excluded"]


def test_a_file_with_no_more_than_the_contract_is_read(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "schema": "memtool.run.v1",
        "memtool": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        "command": [],
        "machine": {},
        "workloads": [
            {"name": "w", "seed": 1, "events": 9, "event_hash": "a" * 32, "threads": 1, "peak_live_bytes": 64}
        ],
        "cells": [
            {
                "workload": "w",
                "allocator": "a",
                "region": "anonymous",
                "mode": "serial",
                "status": "ok",
                "reason": None,
                "proof": {},
                "metrics": {
                    "time_per_op_ns": {
                        "unit": "ns",
                        "determinism": "sampled",
                        "samples": [1],
                        "blocks": [0],
                        "value": 1,
                        "low": None,
                        "high": None,
                    }
                },
            }
        ],
    }
    run = run_file.read(saved(tmp_path, content))
    assert (run.workloads[0].operations, run.workloads[0].threads, run.blocks) == (9, 1, 0)
    assert run.cells[0].metrics["time_per_op_ns"].samples == (1.0,)


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    content["colour"] = "green"
    content["workloads"][0]["weather"] = "fair"
    content["cells"][0]["metrics"]["time_per_op_ns"]["mood"] = 1
    assert run_file.read(saved(tmp_path, content)) == fake_run()


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_is_written_as_null(figure: float, tmp_path: Path) -> None:
    path = run_file.write(tmp_path, with_metric(metric(figure, figure)))
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    result = run_file.read(path).cells[0].metrics["time_per_op_ns"]
    assert (result.value, result.low, result.high) == (None, None, None)


def test_a_sample_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_file.write(tmp_path, with_metric(metric(1.0, samples=(1.0, math.nan))))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "run.json") == "no such file"
    with pytest.raises(InputError, match=r"run\.json: no such file"):
        run_file.read(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file(share: float, tmp_path: Path) -> None:
    path = run_file.write(tmp_path, fake_run())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refusal(path).startswith("is not JSON, or not all of it: ")


def test_a_file_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert refusal(path).startswith("is not JSON")


@pytest.mark.parametrize("content", [{}, [], 1, "text", None, {"schema": "other.v1"}, {"schema": 1}, {"schema": None}])
def test_json_of_somebody_else(content: object, tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, content)) == "is not a result of memtool bench"


def test_a_file_of_a_later_memtool(tmp_path: Path) -> None:
    path = saved(tmp_path, {**run_file.to_json(fake_run()), "schema": "memtool.run.v2"})
    assert refusal(path) == "is of schema memtool.run.v2, which needs a later memtool"


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    del content["machine"]
    assert refusal(saved(tmp_path, content)) == "machine: field required"
    content = run_file.to_json(fake_run())
    content["cells"][2]["metrics"]["time_per_op_ns"]["value"] = "fast"
    assert refusal(saved(tmp_path, content)).startswith("cells.2.metrics.time_per_op_ns.value: input should be")
    content = run_file.to_json(fake_run())
    content["workloads"][0]["event_hash"] = "short"
    assert refusal(saved(tmp_path, content)).startswith("workloads.0.event_hash: string should match")


def forged(path: Path, **changed: object) -> str:
    """Return why a run is refused, one metric of which was changed by hand."""
    content = run_file.to_json(fake_run())
    cell = next(item for item in content["cells"] if item["allocator"] == "slab")
    name = str(changed.pop("name", "peak_footprint_bytes"))
    cell["metrics"][name] |= changed
    return refusal(saved(path, content)).rpartition(f"{name}: ")[2]


def test_a_figure_that_memtool_cannot_have_written_is_refused(tmp_path: Path) -> None:
    assert forged(tmp_path, unit="parsec") == "is in 'parsec', must be in 'B'"
    assert forged(tmp_path, samples=[-8.0, -8.0], value=-8.0) == "is -8 B, and cannot be negative"
    assert forged(tmp_path, samples=[4096.0, 8192.0], value=6144.0) == (
        "is exact, and its samples differ: 4096 and 8192"
    )
    assert forged(tmp_path, name="external_fragmentation", samples=[1.5, 1.5], value=1.5) == (
        "is 1.5, and is a part of a whole"
    )
    assert forged(tmp_path, low=1.0, high=2.0) == "an interval of 2 samples; it takes 6"
    assert forged(tmp_path, name="time_per_op_ns", low=40.0, high=50.0) == (
        "the value is 12.5, and its interval from 40 to 50"
    )
    assert "blocks.1: input should be greater" in forged(tmp_path, blocks=[0, -1])


def test_whose_fault_a_failure_is_agrees_with_its_proof(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    failed = next(cell for cell in content["cells"] if cell["status"] == "failed")
    assert failed["fault"] == "allocator"
    failed["fault"] = "harness"
    assert refusal(saved(tmp_path, content)).endswith("fault: says harness, and status and proof do not")
    failed["proof"] = {**failed["proof"], "harness_fault": True}
    assert [cell.fault for cell in run_file.read(saved(tmp_path, content)).cells if cell.fault] == ["harness"]
    content["cells"][0]["fault"] = "allocator"  # of one that is ok
    assert refusal(saved(tmp_path, content)).endswith("fault: says allocator, and status and proof do not")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("call", {"speed": 1}, "call.speed: is not known"),
        ("call", "inlined", "call: input should be an object"),
        ("harness_ns", "x", "harness_ns: input should be a valid number"),
        ("harness_instructions", {"a": 1}, "harness_instructions: input should be a valid number"),
        ("harness_fault", "no", "harness_fault: input should be a valid boolean"),
        ("invariants_checked", [1], "invariants_checked: input should be a valid integer"),
        ("noise_floor_ns", {"p50": 1.0}, "noise_floor_ns.p90: field required"),
        ("open_loop", {"null_ns": 5}, "open_loop.null_ns: input should be an object"),
        ("own_statistics", {"peak": {"a": "b"}}, "own_statistics.peak.a: input should be a valid number"),
        ("timer_resolution_ns", True, "timer_resolution_ns: input should be a valid number"),
    ],
)
def test_a_proof_that_memtool_cannot_have_written_is_refused(
    tmp_path: Path, key: str, value: object, words: str
) -> None:
    content = run_file.to_json(fake_run())
    content["cells"][0]["proof"] = {**content["cells"][0]["proof"], key: value}
    assert f"proof: {words}" in refusal(saved(tmp_path, content))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"arrivals": {"law": "poisson", "rate_per_s": 5}}, "arrivals: burst: field required"),
        (
            {"arrivals": {"law": "frames", "rate_per_s": 5, "burst": 1}},
            "arrivals: every_ns: field required",
        ),
        ({"pace": {"seconds": 5}}, "pace: speed: field required"),
        ({"pace": {"speed": "2", "seconds": 5}}, "pace: speed: input should be a valid number"),
        ({"begins": {"operation": 5}}, "begins: at: field required"),
        ({"kind": "construct", "facts": {}}, "facts: are not those of work of the kind construct"),
        ({"kind": "access", "facts": {"ways": 5}}, "facts: are not those of work of the kind access"),
        ({"kind": "container", "facts": {"type": "map"}}, "facts: are not those of work of the kind container"),
    ],
)
def test_a_workload_that_memtool_cannot_have_written_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    content = run_file.to_json(fake_run())
    content["workloads"][0] |= changed
    assert refusal(saved(tmp_path, content)).endswith(words)


def test_a_text_in_a_file_commands_neither_a_terminal_nor_a_log(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    content["cells"][0] |= {"allocator": "a\n::error::b\x1b[31m", "reason": "c\u202ed"}
    result = run_file.read(saved(tmp_path, content)).cells[0]
    assert (result.cell.allocator, result.reason) == ("a\\n::error::b\\x1b[31m", "c\\u202ed")


def test_net_time_may_be_negative(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    content["cells"][0]["metrics"]["net_time_per_op_ns"] |= {"samples": [-0.5], "blocks": [0], "value": -0.5}
    content["cells"][0]["metrics"]["net_time_per_op_ns"] |= {"low": None, "high": None}
    run_file.read(saved(tmp_path, content))


def test_a_cell_of_a_workload_that_the_run_does_not_have_is_refused(tmp_path: Path) -> None:
    content = run_file.to_json(fake_run())
    content["workloads"] = []
    assert refusal(saved(tmp_path, content)).endswith("so nothing says what was replayed")
    content = run_file.to_json(fake_run())
    content["workloads"] *= 2
    assert refusal(saved(tmp_path, content)).endswith("is there twice")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "machine.cpu: is nan, and no number"),
        ("1e999", "machine.cpu: is inf, and no number"),
        ('"\\ud800"', "machine.cpu: has half of a character (a lone surrogate)"),
    ],
)
def test_what_json_cannot_write_again_is_refused(tmp_path: Path, text: str, words: str) -> None:
    content = run_file.to_json(fake_run())
    content["machine"] = {"cpu": "REPLACED"}
    file = saved(tmp_path, content)
    file.write_text(file.read_text(encoding="utf-8").replace('"REPLACED"', text), encoding="utf-8")
    assert refusal(file) == words


def test_the_schema_has_every_field_of_the_records_and_their_meaning() -> None:
    """The records, their schema and their reader are one definition: what is added to one is in all."""
    schema = run_file.json_schema()
    for record, name in ((TraceInfo, "TraceInfo"), (Metric, "Metric"), (CellResult, "CellResult")):
        stored = set(schema["$defs"][name]["properties"])
        assert {part.name for part in fields(record)} - {"cell"} <= stored
    assert {"workload", "allocator", "region", "mode", "fault"} <= set(schema["$defs"]["CellResult"]["properties"])
    assert schema["$defs"]["TraceInfo"]["required"] == [
        "name",
        "seed",
        "event_hash",
        "events",
        "threads",
        "peak_live_bytes",
    ]
    assert schema["$defs"]["Metric"]["properties"]["samples"]["items"] == {
        "maximum": 1e18,
        "minimum": -1e18,
        "type": "number",
    }
    assert schema["$defs"]["Metric"]["properties"]["value"]["description"] == (
        "Median of the samples; None: not applicable."
    )
