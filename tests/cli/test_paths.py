"""Paths and numbers that are none: one line, exit code 2, and nothing is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memtool.cli import run

LONG = "n" * 300


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    os.mkfifo("run.json")  # what an empty path was taken for


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", ""], "Invalid value for 'RUN [RUN]': is empty (memtool compare --help)"),
        (["compare", "."], "run.json: is a pipe, not a file"),
        (["compare", "pipe"], "pipe: is a pipe, not a file"),
        (["compare", "/dev/zero"], "/dev/zero: is a device, not a file"),
        (["compare", "loop"], "loop: cannot be read: Too many levels of symbolic links (memtool compare --help)"),
        (["compare", LONG], f"{LONG}: cannot be read: File name too long (memtool compare --help)"),
        (["show", ""], "is empty (memtool show --help)"),
        (["plot", ""], "is empty (memtool plot --help)"),
        (["bench", ""], "WORKLOAD: is empty; memtool list workloads names those that are shipped"),
        (["bench", LONG], f"{LONG}: cannot be read: File name too long"),
        (["bench", "loop"], "loop: cannot be read: Too many levels of symbolic links"),
        (["bench", "-o", "", "--dry-run"], "Invalid value for '-o' / '--output': is empty (memtool bench --help)"),
        (
            ["import", "x", "-o", "-"],
            "is -: a file of this name is ./- (memtool import --help)",
        ),
        (
            ["record", "-o", "-", "true"],
            "is -: a file of this name is ./- (memtool record --help)",
        ),
        (["bench", "-o", "loop"], "loop: cannot be read: Too many levels of symbolic links (memtool bench --help)"),
        (["bench", "-a", f"./{LONG}.so"], f"-a: {LONG}.so: cannot be read: File name too long"),
        (["bench", "-a", "./loop"], "-a: loop: cannot be read: Too many levels of symbolic links"),
        (["bench", "-a", "./pipe"], "-a: ./pipe: no such file"),
        (["bench", "-a", "loop/mine.py:Heap"], "Too many levels of symbolic links"),
        (["bench", "--threads", "²"], "must be whole numbers from 1 to 1024, is '²' (memtool bench --help)"),
        (["bench", "--threads", "٣"], "must be whole numbers from 1 to 1024, is '٣' (memtool bench --help)"),
        (["check", "quickstart", "--baseline", ""], "is empty (memtool check --help)"),
        (["check", "quickstart", "--baseline", "pipe"], "pipe: is a pipe, not a file"),
        (["check", "quickstart", "--baseline", "loop"], "Too many levels of symbolic links (memtool check --help)"),
        (["check", "quickstart", "--baseline", LONG, "--update"], "File name too long (memtool check --help)"),
    ],
)
def test_what_is_no_path_or_number_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert complaint.strip().endswith(words)


def test_a_baseline_that_cannot_be_read_is_not_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("main.json").write_text("{}", encoding="utf-8")
    opened = os.open

    def denied(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if str(path) == "main.json":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", denied)  # a superuser may read anything
    assert run(["check", "quickstart", "--baseline", "main.json"]) == 2
    assert capsys.readouterr().err == "memtool: main.json: cannot be read: Permission denied\n"


def test_a_foreign_file_in_the_history_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("past").mkdir()
    Path("past/foreign.json").write_text("[]", encoding="utf-8")
    sides = ("--against", "tlsf", "--candidate", "buddy", "--history", "past")
    assert run(["check", "quickstart", *sides, "-o", "out"]) == 2
    assert capsys.readouterr().err == "memtool: past/foreign.json: is not a result of memtool bench\n"
    assert not Path("out").exists()
