"""The journal: what was finished is never lost, and never mixed with another run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool.errors import InputError, MemtoolError
from memtool.kinds import KINDS, results
from memtool.model import Cell, Status
from memtool.passes import Noise, Pass, Sample
from memtool.store.journal import newest, open_journal
from tests.payloads import figures, figures_of

FINGERPRINT = {"workload": "0" * 32, "seed": 42, "passes": ("check", "latency")}
STARTED = "2026-01-02T03:04:05+00:00"
CELL = Cell("churn", "pool:block=64", "hugepages", "serial")


def sample(block: int, status: Status = Status.OK) -> Sample:
    reason = None if status is Status.OK else "killed by SIGSEGV"
    payload = figures(Pass.THROUGHPUT) if status is Status.OK else None
    return Sample(CELL, block, Pass.THROUGHPUT, status, reason, payload, {"version": "5"}, Noise(elapsed_ns=7))


def begin(directory: Path, *samples: Sample) -> Path:
    with open_journal(directory, FINGERPRINT, started=STARTED, resume=False) as journal:
        for item in samples:
            journal.append(item)
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
            assert json.loads(lines[-1])["sample"]["block"] == block


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


def test_what_the_harness_failed_is_taken_again(tmp_path: Path) -> None:
    begin(tmp_path, sample(0), sample(1, Status.FAILED), replace(sample(2, Status.FAILED), of_harness=True))
    assert [block for _, block, _ in resumed(tmp_path)] == [0, 1]


def test_another_fingerprint_names_what_differs(tmp_path: Path) -> None:
    begin(tmp_path, sample(0))
    other = refusal(tmp_path, resume=True, fingerprint={**FINGERPRINT, "seed": 43})
    assert other == f"{tmp_path}: cannot be resumed: it was begun with other seed"
    assert "other blocks" in refusal(tmp_path, resume=True, fingerprint={**FINGERPRINT, "blocks": 3})
    assert len(resumed(tmp_path)) == 1


def test_a_run_is_given_more_blocks_and_never_fewer_than_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun = {"blocks": 2, "first_block": 0, "seed": 42}
    with open_journal(folder, begun, started=STARTED, resume=False) as journal:
        journal.append(sample(0))
        journal.append(sample(1))
    more = {**begun, "blocks": 4}
    with open_journal(folder, more, started="later", resume=True, adds_blocks=True) as journal:
        assert [block for _, block, _ in journal.finished] == [0, 1]
        journal.append(sample(2))
        journal.append(sample(3))
    for wanted, has in ((3, 4), (1, 4)):
        fewer = {**begun, "blocks": wanted}
        with pytest.raises(InputError) as caught:
            open_journal(folder, fewer, started="later", resume=True, adds_blocks=True).__enter__()
        assert str(caught.value) == (
            f"{folder}: has {has} blocks already; blocks {wanted} would leave some of them out"
        )
    with pytest.raises(InputError, match="begun with other seed"):
        open_journal(folder, {**more, "seed": 1}, started="later", resume=True, adds_blocks=True).__enter__()
    with pytest.raises(InputError, match="begun with other blocks"):
        open_journal(folder, more, started="later", resume=True).__enter__()
    assert newest(tmp_path, more, adds_blocks=True) == folder


def test_a_run_that_is_resumed_without_a_number_of_blocks_keeps_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun = {"blocks": 3, "first_block": 0, "seed": 42}
    with open_journal(folder, begun, started=STARTED, resume=False) as journal:
        assert journal.blocks is None
        journal.append(sample(0))
    own = {**begun, "blocks": None}
    assert newest(tmp_path, own, adds_blocks=True) == folder
    with open_journal(folder, own, started="later", resume=True, adds_blocks=True) as journal:
        assert journal.blocks == 3
    with open_journal(folder, {**begun, "blocks": 5}, started="later", resume=True, adds_blocks=True) as journal:
        assert journal.blocks == 5
        journal.append(sample(4))
    with open_journal(folder, own, started="later", resume=True, adds_blocks=True) as journal:
        assert journal.blocks == 5  # as its samples show


def test_tuples_in_a_fingerprint_are_the_lists_that_json_makes_of_them(tmp_path: Path) -> None:
    begin(tmp_path)
    assert resumed(tmp_path, {**FINGERPRINT, "passes": ["check", "latency"]}) == {}


def test_what_differs_in_a_part_of_the_fingerprint_is_named_with_both_values(tmp_path: Path) -> None:
    begin_with = {**FINGERPRINT, "workloads": {"churn": {"touch": "none", "seed": 42}}}
    with open_journal(tmp_path, begin_with, started=STARTED, resume=False):
        pass
    other = {**FINGERPRINT, "workloads": {"churn": {"touch": "all", "seed": 42}}}
    assert refusal(tmp_path, resume=True, fingerprint=other) == (
        f"{tmp_path}: cannot be resumed: it was begun with other workloads (churn, touch): none, and now all"
    )


def test_a_refused_resume_leaves_a_run_that_is_being_written_as_it_is(tmp_path: Path) -> None:
    # It once cut off the line that was being written at that moment, before it looked at the lock.
    with open_journal(tmp_path, FINGERPRINT, started=STARTED, resume=False) as journal:
        journal.append(sample(0))
        path = tmp_path / "journal.jsonl"
        with path.open("ab") as half:
            half.write(b'{"check":"0123')
        before = path.read_bytes()
        assert refusal(tmp_path, resume=True) == f"{tmp_path}: another memtool is writing this run"
        assert path.read_bytes() == before


def test_the_run_that_is_being_written_is_not_the_one_to_go_on_with(tmp_path: Path) -> None:
    os.utime(begin(tmp_path / "old", sample(0)), (300, 300))
    with open_journal(tmp_path / "running", FINGERPRINT, started=STARTED, resume=False):
        assert newest(tmp_path, FINGERPRINT) == tmp_path / "old"
        shutil.rmtree(tmp_path / "old")
        with pytest.raises(InputError, match="running: another memtool is writing this run"):
            newest(tmp_path, FINGERPRINT)
    assert newest(tmp_path, FINGERPRINT) == tmp_path / "running"


def test_a_full_disk_names_the_file_and_the_way_on_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, [30]

    def filling(descriptor: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    with open_journal(tmp_path, FINGERPRINT, started=STARTED, resume=False) as journal:
        journal.append(sample(0))
        monkeypatch.setattr(os, "write", filling)
        with pytest.raises(MemtoolError) as caught:
            journal.append(sample(1))
        assert str(caught.value) == (
            f"{tmp_path}/journal.jsonl: cannot be written: No space left on device; it holds 1 finished sample, "
            "and the same command with resume goes on"
        )
        assert caught.value.exit_code == 1
        left[0] = 10_000
        journal.append(sample(2))
    assert [block for _, block, _ in resumed(tmp_path)] == [0, 2]


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    assert refusal(tmp_path, resume=True) == f"{tmp_path}/journal.jsonl: is a pipe, not a file"
    assert "holds a run already" in refusal(tmp_path, resume=False)


def test_a_journal_that_cannot_be_written_is_invalid_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, sample(0))

    def denied(path: Path, flags: int, mode: int = 0) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", denied)  # a superuser may write to anything
    assert refusal(tmp_path, resume=True) == f"{tmp_path}/journal.jsonl: cannot be written: Permission denied"


@pytest.mark.parametrize("name", ["journal.jsonl", "run.json"])
def test_a_folder_that_holds_a_run_is_not_written_into(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    assert refusal(tmp_path, resume=False) == (
        f"{tmp_path}: holds a run already; resume goes on with it, another output keeps it"
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
    assert refusal(tmp_path, resume=True).endswith("line 1 is damaged; start anew with another output")


@pytest.mark.parametrize("line", ["{}", "[]", "1", '{"cell": {"workload": "w"}}'])
def test_a_damaged_line_in_the_middle(line: str, tmp_path: Path) -> None:
    path = begin(tmp_path, sample(0))
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    assert refusal(tmp_path, resume=True).endswith("line 3 is damaged; start anew with another output")


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("v4", '{"check":"00000000","head":{"schema":"memtool.journal.v4"}}'),
        # Samples of v2 are mappings of anything; v1 has no checksums.
        ("v2", '{"check":"00000000","head":{"schema":"memtool.journal.v2"}}'),
        ("v1", '{"schema": "memtool.journal.v1", "started": "", "fingerprint": {}}'),
    ],
)
def test_a_journal_of_another_memtool(version: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{line}\n", encoding="utf-8")
    assert refusal(tmp_path, resume=True) == f"{path}: is of schema memtool.journal.{version}, not memtool.journal.v3"


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload.pop("body_ticks"),
        lambda payload: payload.update(other=1),
        lambda payload: payload.update(body_ticks=["many"]),
    ],
    ids=["absent", "left over", "mistyped"],
)
def test_a_sample_whose_figures_are_no_record_of_its_pass(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    path = begin(tmp_path, sample(0))
    head, line = path.read_bytes().splitlines()
    record = json.loads(line)["sample"]
    change(record["payload"])
    body = json.dumps(record, separators=(",", ":")).encode()
    path.write_bytes(head + b'\n{"check":"%08x","sample":%s}\n' % (zlib.crc32(body), body))
    assert "line 2 is damaged; " in refusal(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("kind", "run_pass"), [(kind, measure) for kind in KINDS for measure in results(kind).measures]
)
def test_the_figures_of_every_kind_are_read_as_they_were_written(kind: str, run_pass: Pass, tmp_path: Path) -> None:
    figures = figures_of(kind, run_pass)
    wrote = Sample(CELL, 3, run_pass, Status.OK, None, figures, {"version": "5"}, Noise(steal_ticks=1))
    died = Sample(CELL, 4, run_pass, Status.FAILED, "killed", died=True, under="valgrind")
    fingerprint: dict[str, object] = {"workloads": {CELL.workload: {"kind": kind}}}
    with open_journal(tmp_path, fingerprint, started=STARTED, resume=False) as journal:
        journal.append(wrote)
        journal.append(died)
    assert list(resumed(tmp_path, fingerprint).values()) == [wrote, died]


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
