"""``memtool import``: what it makes and says, and what it refuses, in one line."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from memtool.cli import run
from memtool.workload.trace import load_trace

pq: Any = pytest.importorskip("pyarrow.parquet")
CALLS = "1: malloc 0x10 100\n1: malloc 0x20 8\n2: free 0x10\n1: free 0x99\nnonsense\n"


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("my app.txt")
    path.write_text(CALLS)
    return path


def test_a_recording_becomes_a_trace_file(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(recording), "-o", "app.parquet"]) == 0
    said = capsys.readouterr().out
    assert "app.parquet (android)" in said
    assert "2 malloc, 2 free" in said
    assert "1 free of what was not live dropped" in said
    assert "the first damage is at byte 62 of the unpacked content" in said
    with load_trace("app.parquet") as trace:
        assert (trace.info.name, trace.info.threads, trace.info.operations) == ("my-app", 2, 3)
    metadata = json.loads(pq.read_metadata("app.parquet").metadata[b"memtool.trace"])
    assert (metadata["source"], metadata["file"], metadata["threads"]) == ("android", "my app.txt", 2)
    assert metadata["counts"]["peak_live_bytes"] == 108
    assert metadata["repairs"] == {
        "implicit_frees": 0,
        "unmatched_frees": 1,
        "unmatched_reallocations": 0,
        "reordered": 0,
        "oversized": 0,
        "misaligned": 0,
        "dropped": 1,
        "first_damage": 62,
    }
    assert len(metadata["notes"]) == 3


def test_a_link_to_the_output_stays_one(recording: Path) -> None:
    Path("elsewhere").mkdir()
    Path("app.parquet").symlink_to("elsewhere/there.parquet")
    assert run(["import", str(recording), "-o", "app.parquet"]) == 0
    assert Path("app.parquet").is_symlink()
    assert pq.read_metadata("elsewhere/there.parquet").num_rows == 3


def test_it_is_called_as_the_recording_unless_told(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(recording), "--format", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["path"], made["format"], made["events"]) == ("my-app.parquet", "android", 3)
    assert (made["report"]["dropped"], made["report"]["first_damage"]) == (1, 62)


def test_a_stretch_of_a_trace_file_keeps_what_is_known_of_the_program(recording: Path) -> None:
    assert run(["import", str(recording), "-o", "app.parquet"]) == 0
    assert run(["import", "app.parquet", "-o", "some.parquet", "--skip", "1", "--take", "1", "--anonymous"]) == 0
    metadata = json.loads(pq.read_metadata("some.parquet").metadata[b"memtool.trace"])
    assert (metadata["name"], metadata["source"], metadata["threads"]) == ("my-app", "android", 1)
    # The object that lives, the mark, and one allocation.
    assert (metadata["stretch"], metadata["marks"], metadata["counts"]) == (
        {"skipped": 1, "taken": 1},
        ["start"],
        None,
    )
    assert "host" not in metadata
    with load_trace("some.parquet") as trace:
        assert (trace.info.operations, trace.info.peak_live_bytes, trace.info.marks[0].live_bytes) == (2, 108, 100)


def test_times_and_call_sites_can_be_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("kind,object,size,time,caller\nmalloc,0,64,5,0x10\nfree,0,,6,0x20\n")
    for words, more in ((), ["time", "caller"]), (("--no-time",), ["caller"]), (("--no-callers",), ["time"]):
        assert run(["import", str(log), "-o", str(tmp_path / "log.parquet"), *words]) == 0
        assert pq.read_schema(tmp_path / "log.parquet").names[5:] == more


def test_times_that_go_back_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.csv"
    log.write_text("kind,object,size,time\nmalloc,0,64,5\nmalloc,1,64,3\nmalloc,2,64,2\nfree,0,,6\n")
    assert run(["import", str(log), "-o", str(tmp_path / "log.parquet"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [
        "2 events with a time before the last one's: kept in the order of the file"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--skip", "9"), "--skip: my app.txt: ends before event 9"),
        (("--skip", "-1"), "--skip"),
        (("--take", "some"), "--take"),
        (("--take", "0"), "--take"),
    ],
)
def test_a_stretch_that_is_none(
    recording: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(recording), "-o", "some.parquet", *words]) == 2
    assert said in capsys.readouterr().err
    assert not Path("some.parquet").exists()


def test_standard_input_is_read(
    recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.BufferedReader(io.BytesIO(recording.read_bytes()))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=piped))
    assert run(["import", "-", "-o", "app.parquet"]) == 0
    assert "app.parquet (android)" in capsys.readouterr().out
    assert pq.read_table("app.parquet").num_rows == 3


def test_a_workload_becomes_a_trace_file(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.yaml").write_text("name: w\nallocations: 50\npattern: {fifo: {live: 5, size: 8}}\n")
    assert run(["import", "w.yaml"]) == 0
    assert "w.parquet (workload)" in capsys.readouterr().out
    with load_trace("w.parquet") as trace, load_trace("w.yaml") as made:
        assert trace.info.event_hash == made.info.event_hash


WRONG = {
    "a format nobody knows": (
        ["my app.txt", "--from", "androd"],
        "--from: unknown format 'androd' (known: memtool, plain, ",
    ),
    "no output for standard input": (["-"], "-o: must be given for what comes from standard input\n"),
    "no recording": (["nonsense"], "nonsense: is in no known format (memtool, plain, "),
    "no such file": (["none.zip"], "none.zip: no such file"),
    "no such folder": (["my app.txt", "-o", "none/app.parquet"], "none/app.parquet: cannot be written: No such file"),
    "a pipe to write": (["my app.txt", "-o", "pipe"], "pipe: is a pipe, not a file\n"),
    "a folder to write": (["my app.txt", "-o", "."], ".: is a folder, not a file\n"),
    "an empty name": (["my app.txt", "-o", ""], "Invalid value for '-o': is empty (memtool import --help)\n"),
    "itself": (["my app.txt", "-o", "my app.txt"], "-o: my app.txt: would be overwritten while it is read\n"),
    "a trace under a workload's name": (
        ["my app.txt", "-o", "app.yaml"],
        "-o: app.yaml: a trace file under the name of a workload would be read as one\n",
    ),
    "a workload under a trace's name": (
        ["app.heap", "-o", "app.parquet"],
        "-o: app.parquet: a heap profile becomes a workload, which is found by its name: NAME.yaml\n",
    ),
    "another writes": (
        ["my app.txt", "-o", "busy.parquet"],
        "busy.parquet: is being written already, ",
    ),
    "nothing in it": (["my app.txt", "--from", "mtrace"], "my app.txt: holds no allocation that can be read\n"),
    "an archive in a pipe": (["-", "-o", "app.parquet"], "standard input: a zip archive cannot be read from a pipe"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_a_line_and_leaves_nothing(
    recording: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("nonsense").write_text("nonsense\n")
    Path("app.heap").write_text("heap profile: 2: 200 [8: 800] @ heapprofile\n2: 200 [8: 800] @ 0x1\n")
    Path("busy.parquet.parts").mkdir()
    os.mkfifo("pipe")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("recording", CALLS)
    piped = io.BufferedReader(_Pipe(archive.getvalue()))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=piped))
    before = sorted(path.name for path in Path.cwd().iterdir())
    assert run(["import", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"memtool: {words}")
    assert (said.err.count("\n"), said.out) == (1, "")
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    assert recording.read_text() == CALLS


class _Pipe(io.RawIOBase):
    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


def test_a_pipe_needs_the_name_of_its_format(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    assert run(["import", "pipe", "-o", "app.parquet"]) == 2
    assert capsys.readouterr().err == "memtool: --from: must be given for pipe, which can be read only once\n"


@pytest.mark.parametrize("option", ["--speed", "--time-limit"])
def test_what_is_no_number_is_refused(recording: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert run(["bench", str(recording), option, "nan"]) == 2
    assert f"Invalid value for '{option}': 'nan' is not a number" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--skip", "--take"])
def test_no_stretch_is_cut_out_of_a_profile(recording: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    Path("app.heap").write_text("heap profile: 2: 200 [8: 800] @ heapprofile\n2: 200 [8: 800] @ 0x1\n")
    assert run(["import", "app.heap", option, "5"]) == 2
    said = f"memtool: {option}: app.heap: is a heap profile, which has no events to be cut\n"
    assert capsys.readouterr().err == said
    assert not Path("app.yaml").exists()
