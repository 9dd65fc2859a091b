"""Measuring from Python, live: the same run as the command's, a recording, and tests that fail as a check does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memtool
from memtool.cli import run
from memtool.errors import MemtoolError
from memtool.passes import Pass
from memtool.pytest_plugin import memtool_check as memtool_check  # noqa: PLC0414  # also where the plugin is not installed yet
from tests.conftest import ROOT

TINY = "name: tiny\nallocations: 2000\nobjects:\n  - {size: {choice: {16: 2, 512: 1}}, lifetime: 40}\n"
FOOTPRINTS: dict[str, Any] = {"passes": (Pass.FOOTPRINT,), "blocks": 3}
Check = Callable[..., Any]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY, encoding="utf-8")
    return file


def test_python_and_the_command_line_store_the_same_run(tiny: Path, tmp_path: Path) -> None:
    memtool.bench(tiny, ["tlsf", "first-fit"], output=tmp_path / "python", **FOOTPRINTS)
    command = ["bench", str(tiny), "-a", "tlsf,first-fit", "--blocks", "3", "--passes", "footprint", "--no-plots"]
    assert run([*command, "-o", str(tmp_path / "command")]) == 0
    first, second = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("python", "command"))
    assert [*first] == [*second]
    for part in ("schema", "memtool", "workloads", "blocks", "reference", "notes"):
        assert first[part] == second[part]
    for ours, theirs in zip(first["cells"], second["cells"], strict=True):
        assert [*ours] == [*theirs]
        assert (ours["allocator"], ours["status"]) == (theirs["allocator"], theirs["status"])
        assert [*ours["metrics"]] == [*theirs["metrics"]]
        # What a strategy's own books say is the same to the byte; what the kernel counts is not.
        assert ours["metrics"]["peak_footprint_bytes"] == theirs["metrics"]["peak_footprint_bytes"]


def test_a_recording_is_replayed(tmp_path: Path) -> None:
    trace = memtool.record(["/bin/ls", "/"], tmp_path / "ls.parquet")
    stored = memtool.bench(trace, "tlsf", output=tmp_path / "run", **FOOTPRINTS)
    assert stored.run.workloads[0].operations > 10
    with pytest.raises(MemtoolError, match="ended with status 2"):
        memtool.record(["/bin/ls", "/nowhere-at-all"], tmp_path / "nothing.parquet")


def test_a_test_passes_where_nothing_got_worse(memtool_check: Check, tiny: Path) -> None:
    checked = memtool_check(tiny, against="tlsf", candidate="tlsf", metrics=["peak_footprint_bytes"], blocks=3)
    assert [str(judged.verdict) for judged in checked.report.judgements] == ["pass"]


def test_a_test_fails_with_the_verdict(memtool_check: Check, tiny: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="REGRESSION: 1 regression"):
        memtool_check(tiny, against="tlsf", candidate="bump", metrics=["peak_footprint_bytes"], blocks=3)


def test_sides_and_a_baseline_do_not_go_together(memtool_check: Check, tiny: Path) -> None:
    with pytest.raises(ValueError, match="takes a baseline, or against and candidate"):
        memtool_check(tiny, against="tlsf")


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], memtool_check: Check
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    session, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(session, names)
    assert capsys.readouterr().out.strip() in ("pass", "regression", "inconclusive")
    assert set(names["times"].index) == {"glibc", "tlsf", "first-fit"}
    assert len(names["samples"]) > len(names["frame"])
    assert names["page"].is_file()
    assert names["again"] == memtool.load("results/first")
    exec(test.replace("metrics=", "blocks=3, metrics="), names)
    names["test_my_allocator_takes_no_more_memory"](memtool_check)
