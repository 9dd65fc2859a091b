"""The journal: what was finished is never lost, and never mixed with another run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.model import Cell, Pass, Sample, Status
from memtool.store.journal import newest, open_journal

FINGERPRINT = {"workload": "0" * 32, "seed": 42, "passes": ("check", "latency")}
STARTED = "2026-01-02T03:04:05+00:00"
CELL = Cell("churn", "pool:block=64", "hugepages", "serial")


def sample(block: int, status: Status = Status.OK) -> Sample:
    reason = None if status is Status.OK else "killed by SIGSEGV"
    return Sample(CELL, block, Pass.THROUGHPUT, status, reason, {"body_ticks": [1, 2, 3], "proof": {"version": "5"}})


def begin(directory: Path, *samples: Sample) -> Path:
    with open_journal(directory, FINGERPRINT, started=STARTED, resume=False) as journal:
        for each in samples:
            journal.append(each)
    return directory / "journal.jsonl"


def resumed(directory: Path, fingerprint: dict[str, object] | None = None) -> dict[tuple[Cell, int, Pass], Sample]:
    with open_journal(directory, fingerprint or {**FINGERPRINT}, started="later", resume=True) as journal:
        assert journal.started == STARTED
        return dict(journal.finished)


def refusal(directory: Path, *, resume: bool, fingerprint: dict[str, object] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_journal(directory, fingerprint or {**FINGERPRINT}, started=STARTED, resume=resume).__enter__()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_new_journal_has_nothing_finished_and_makes_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "first"
    with open_journal(folder, FINGERPRINT, started=STARTED, resume=False) as journal:
        assert (journal.finished, journal.started) == ({}, STARTED)
        assert (folder / "journal.jsonl").is_file()


def test_what_was_appended_is_there_when_the_run_is_resumed(tmp_path: Path) -> None:
    begin(tmp_path, sample(0), sample(1, Status.FAILED))
    assert resumed(tmp_path) == {
        (CELL, 0, Pass.THROUGHPUT): sample(0),
        (CELL, 1, Pass.THROUGHPUT): sample(1, Status.FAILED),
    }


def test_a_sample_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    with open_journal(tmp_path, FINGERPRINT, started=STARTED, resume=False) as journal:
        for block in range(3):
            journal.append(sample(block))
            lines = (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines()
            assert len(lines) == block + 2
            assert json.loads(lines[-1])["block"] == block


def test_a_resumed_run_adds_to_the_same_journal(tmp_path: Path) -> None:
    begin(tmp_path, sample(0))
    with open_journal(tmp_path, FINGERPRINT, started="later", resume=True) as journal:
        journal.append(sample(1))
    assert [block for _, block, _ in resumed(tmp_path)] == [0, 1]


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_last_line_cut_short_does_not_count_and_does_not_spoil_the_next(cut: int, tmp_path: Path) -> None:
    path = begin(tmp_path, sample(0), sample(1))
    os.truncate(path, path.stat().st_size - cut)
    with open_journal(tmp_path, FINGERPRINT, started="later", resume=True) as journal:
        assert [block for _, block, _ in journal.finished] == [0]
        journal.append(sample(7))
    assert [block for _, block, _ in resumed(tmp_path)] == [0, 7]


def test_another_fingerprint_names_what_differs(tmp_path: Path) -> None:
    begin(tmp_path, sample(0))
    other = refusal(tmp_path, resume=True, fingerprint={**FINGERPRINT, "seed": 43})
    assert other == f"{tmp_path}: cannot be resumed: it was begun with other seed"
    assert "other blocks" in refusal(tmp_path, resume=True, fingerprint={**FINGERPRINT, "blocks": 3})
    assert len(resumed(tmp_path)) == 1


def test_tuples_in_a_fingerprint_are_the_lists_that_json_makes_of_them(tmp_path: Path) -> None:
    begin(tmp_path)
    assert resumed(tmp_path, {**FINGERPRINT, "passes": ["check", "latency"]}) == {}


@pytest.mark.parametrize("name", ["journal.jsonl", "run.json"])
def test_a_folder_that_holds_a_run_is_not_written_into(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    assert refusal(tmp_path, resume=False) == (
        f"{tmp_path}: holds a run already; --resume goes on with it, another -o keeps it"
    )
    assert (tmp_path / name).read_text(encoding="utf-8") == "precious"


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert refusal(tmp_path, resume=True) == f"{tmp_path}: no run to resume"
    assert refusal(tmp_path / "gone", resume=True) == f"{tmp_path}/gone: no run to resume"
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "cannot be written" in refusal(tmp_path / "file" / "folder", resume=False)


@pytest.mark.parametrize("content", ["", "no json\n", "[]\n", "{}\n", "null\n", '{"schema": "memtool.journal.v1"'])
def test_a_damaged_journal(content: str, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text(content, encoding="utf-8")
    assert "is damaged; start anew with another -o" in refusal(tmp_path, resume=True)


@pytest.mark.parametrize("line", ["{}", "[]", "1", '{"cell": {"workload": "w"}}'])
def test_a_damaged_line_in_the_middle(line: str, tmp_path: Path) -> None:
    path = begin(tmp_path, sample(0))
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    assert "is damaged" in refusal(tmp_path, resume=True)


def test_a_journal_of_a_later_memtool(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"schema": "memtool.journal.v2"}\n', encoding="utf-8")
    assert "is of schema memtool.journal.v2, not memtool.journal.v1" in refusal(tmp_path, resume=True)


def test_what_is_gone_on_with_is_the_newest_that_was_interrupted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no interrupted run to resume$"):
        newest(tmp_path, FINGERPRINT)
    for name, time in (("a", 300), ("b", 500), ("c", 400), ("finished", 600)):
        os.utime(begin(tmp_path / name), (time, time))
    (tmp_path / "finished" / "run.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    assert newest(tmp_path, FINGERPRINT) == tmp_path / "b"


def test_of_finished_runs_none_is_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text("{}")
    with pytest.raises(InputError, match="no interrupted run to resume: all are finished"):
        newest(tmp_path, FINGERPRINT)


def test_an_interrupted_run_of_something_else_is_named_and_passed_over(tmp_path: Path) -> None:
    os.utime(begin(tmp_path / "mine"), (300, 300))
    with pytest.raises(InputError, match=r"no interrupted run with these arguments; .*mine: cannot be .* other blocks"):
        newest(tmp_path, {**FINGERPRINT, "blocks": 99})
    damaged = begin(tmp_path / "damaged")
    damaged.write_text("no json\n")
    assert newest(tmp_path, FINGERPRINT) == tmp_path / "mine"


def test_a_second_look_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text("{}")
    (tmp_path / "a" / "second-look").mkdir()
    assert newest(tmp_path, FINGERPRINT) == tmp_path / "a"
    (tmp_path / "a" / "compare.json").write_text("{}")
    with pytest.raises(InputError, match="all are finished"):
        newest(tmp_path, FINGERPRINT)
