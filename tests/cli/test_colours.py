"""Colours on a terminal: only where they are wanted, and never the only sign."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memtool.cli import run
from memtool.store import run_file
from tests.unit.report.fake_run import fake_run_with_series

_CODES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    run_file.write(tmp_path, fake_run_with_series(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def output_of(stored: Path, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert run([command[0], str(stored), *command[1:]]) == 0
    return capsys.readouterr().out


def test_there_are_none_in_a_pipe(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in output_of(stored, capsys, "show")


def test_they_are_forced_and_change_no_letter(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [output_of(stored, capsys, *command) for command in (("show",), ("compare", "--reference", "glibc"))]
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = [output_of(stored, capsys, *command) for command in (("show",), ("compare", "--reference", "glibc"))]
    assert [_CODES.sub("", text) for text in coloured] == plain
    assert "\x1b[1mSpeed, in ns\x1b[0m" in coloured[0]
    assert "\x1b[32m faster\x1b[0m" in coloured[1]
    assert "\x1b[1;31m slower\x1b[0m" in coloured[1]


@pytest.mark.parametrize("forced", ["0", "", "1"])
def test_no_color_wins_and_a_forced_zero_is_none(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, forced: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", forced)
    if forced == "1":
        monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in output_of(stored, capsys, "show")


@pytest.mark.parametrize("style", ["json", "markdown", "csv"])
def test_other_forms_have_none(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in output_of(stored, capsys, "show", "--format", style)
