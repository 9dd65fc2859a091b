"""memtool record: a trace of a real program, which `inspect` and `bench` take like any workload."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import signal
import time
from pathlib import Path

import pytest

from memtool.recorder import traces
from memtool.workload.sources import trace_file, trace_writer
from memtool.workload.sources.source import Ending, Rows
from tests.integration.test_recorder import killed_memtool, programs  # noqa: F401  # a fixture
from tests.started import run_memtool


def test_a_program_is_recorded_inspected_and_replayed(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    done = run_memtool("record", "--", str(programs / "every_function"), folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("memtool: the program ended with status 0 after ")
    # 10 allocations, 10 frees, a reallocation and a request that was refused.
    assert lines[3].split()[:8] == ["1", "every_function", "22", "1", "105", "KiB", "1.00", "MiB"]
    assert "process 1: 1 request refused by the allocator" in done.stderr
    said = json.loads(run_memtool("inspect", "every_function.parquet", "--format", "json", folder=tmp_path).stdout)
    assert said["trace"]["operations"] == 21
    assert said["trace"]["allocations"] == 10
    assert said["trace"]["reallocations"] == 1
    # 101 + 201 + 100003 + 405 + 506 + 640 + 707 + 808 + 4096 + 0
    assert said["trace"]["peak_live_bytes"] == 107467
    assert said["trace"]["largest_alignment"] == 4096
    run = ("bench", "every_function.parquet", "-a", "glibc,tlsf", "--blocks", "1", "--passes", "check,footprint")
    assert run_memtool(*run, "--no-plots", "-o", "run", folder=tmp_path).returncode == 0


def test_each_process_has_a_trace_of_its_own(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    command = [str(programs / "counts_calls"), str(tmp_path / "counts"), "4", "3000"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet"))
    assert recording.recorded.status == 7
    assert [file and file.name for file in recording.files] == ["app.parquet", "app.2-counts_calls.parquet"]
    own, child = (trace_file.load(tmp_path / name) for name in ("app.parquet", "app.2-counts_calls.parquet"))
    assert own.threads == 4
    assert own.metadata["arguments"] == command
    assert own.metadata["forked_from"] is None
    assert child.metadata["forked_from"] == own.metadata["process"]
    rows = list(child.portions(Ending()))
    # Behind what it has from its parent, and the mark.
    begin = child.metadata["inherited"]["objects"] + 1
    times = [int(at) for portion in rows if portion.nanoseconds is not None for at in portion.nanoseconds][begin:]
    assert len(times) == 3000
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < 60e9
    assert not [at for at in times if at % 256]
    assert not list(tmp_path.glob("*.parts"))
    assert not list(tmp_path.glob("*.recording"))


def test_a_script_that_ends_as_another_program_is_recorded_as_that(
    programs: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    command = ["sh", "-c", f"ls > /dev/null; exec {programs / 'every_function'}"]
    recording = traces.record(command, {"PATH": os.environ["PATH"]}, traces.Options(tmp_path / "app.parquet"))
    names = [file.name for file in recording.files if file is not None]
    assert names[0].startswith("app.1-")  # whatever sh is here
    assert names[-1] == "app.parquet"
    assert trace_file.load(tmp_path / "app.parquet").metadata["arguments"] == [str(programs / "every_function")]
    assert [list(process.missing()) for process in recording.recorded.processes if process.executed] == [[]]


def test_columns_that_are_not_wanted_are_not_there(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    options = traces.Options(tmp_path / "app.parquet", has_times=False, has_callers=False, is_strict=True)
    traces.record([str(programs / "every_function")], os.environ, options)
    (rows,) = trace_file.load(tmp_path / "app.parquet").portions(Ending())
    assert (rows.nanoseconds, rows.callers) == (None, None)
    assert rows.resident is not None


def test_an_anonymous_trace_says_nothing_of_the_machine(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    program = programs / "every_function"
    run_memtool("record", "-q", "--anonymous", "-o", "app.parquet", "--", str(program), "secret", folder=tmp_path)
    metadata = trace_file.load(tmp_path / "app.parquet").metadata
    assert (metadata["name"], metadata["program"]) == ("every_function", "every_function")
    written = json.dumps(metadata)
    assert not [word for word in ("secret", str(tmp_path), str(programs), platform.node()) if word in written]


def test_a_program_goes_by_the_name_that_it_was_started_as(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "other").symlink_to(programs / "every_function")
    assert run_memtool("record", "-q", "--", str(tmp_path / "other"), folder=tmp_path).returncode == 0
    trace = trace_file.load(tmp_path / "other.parquet")
    assert (trace.name, trace.metadata["program"]) == ("other", str((programs / "every_function").resolve()))


def test_a_disk_without_room_for_one_file_leaves_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: trace_writer.TraceWriter, encoded: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(traces, "_PART_SECONDS", 0.0)
    monkeypatch.setattr(trace_writer.TraceWriter, "_join", full)
    command = ["sh", "-c", "a=1; exit 7"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet", follows=False))
    (own,) = recording.recorded.processes
    assert recording.files == (tmp_path / "app.parquet.parts",)
    why = "its trace is whole, but in parts, as one file of them could not be written: No space left on device"
    assert list(own.missing()) == [why]
    kept = trace_file.load(tmp_path / "app.parquet.parts")
    assert (kept.name, kept.expected_events, kept.notes) == ("sh", own.events, ())


def test_a_link_to_the_trace_stays_one(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "app.parquet").symlink_to("elsewhere/there.parquet")
    done = run_memtool("record", "-q", "-o", "app.parquet", "--", str(programs / "every_function"), folder=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "app.parquet").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["there.parquet"]
    assert trace_file.load(tmp_path / "elsewhere/there.parquet").name == "every_function"


def test_the_summary_as_json(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    done = run_memtool("record", "--format", "json", "--", str(programs / "every_function"), folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    said = json.loads(done.stderr)
    (process,) = said["processes"]
    assert (said["status"], process["program"], process["file"]) == (
        0,
        str(programs / "every_function"),
        "every_function.parquet",
    )
    assert (process["counts"]["allocations"], process["counts"]["refused"]) == (10, 1)
    assert str(programs / "every_function") in {module["path"] for module in process["modules"]}


def test_the_end_of_the_program_is_memtools_own(tmp_path: Path) -> None:
    assert run_memtool("record", "-q", "--", "sh", "-c", "exit 42", folder=tmp_path).returncode == 42
    done = run_memtool("record", "--", "sh", "-c", "kill -9 $$", folder=tmp_path)
    assert done.returncode == 128 + 9
    assert done.stderr.startswith("memtool: the program ended with signal 9 after ")


def test_what_a_killed_memtool_had_written_can_be_read(
    programs: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with killed_memtool(programs, tmp_path):
        while not list(tmp_path.glob("app.parquet.recording/*")):
            time.sleep(0.01)
        second = run_memtool("record", "-o", "app.parquet", "--", "true", folder=tmp_path)
        assert (second.returncode, second.stderr) == (
            2,
            "memtool: app.parquet: another memtool is recording into it\n",
        )
    # What one that was killed has left is in nobody's way.
    assert run_memtool("record", "-q", "-o", "app.parquet", "--", "ls", folder=tmp_path).returncode == 0
    assert trace_file.load(tmp_path / "app.parquet").metadata["program"].endswith("/ls")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", "no-such-program"), "no-such-program: no such program"),
        (("-o", "none/app.parquet", "--", "true"), "none/app.parquet: cannot be written: No such file or directory"),
        (("-o", "pipe", "--", "true"), "pipe: is a pipe, not a file"),
        (("-o", "folder", "--", "true"), "folder: is a folder, not a file"),
        (("-o", ".", "--", "true"), ".: is a folder, not a file"),
        (
            ("--signal", "kill", "--", "true"),
            "Invalid value for '--signal': no program can catch SIGKILL: 'kill' (USR2 is one that it can) "
            "(memtool record --help)",
        ),
        (
            ("--signal", "32", "--", "true"),
            "Invalid value for '--signal': is not a signal: '32' (USR2, or a number) (memtool record --help)",
        ),
        (("--start-off", "--", "true"), "--start-off: needs --signal, or nothing would ever be recorded"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    done = run_memtool("record", *words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"memtool: {said}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_names_need_not_be_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"of \xff.parquet")
    program = tmp_path / os.fsdecode(b"true\xfe")
    shutil.copy("/bin/true", program)
    done = run_memtool("record", "-o", name, "--", "sh", "-c", 'test "$0" = x', "x", folder=tmp_path)
    assert (done.returncode, "Error" in done.stderr) == (0, False)
    assert sum(len(rows.events) for rows in trace_file.load(tmp_path / name).portions(Ending())) > 0
    assert run_memtool("import", name, "-o", "again.parquet", folder=tmp_path).returncode == 0
    done = run_memtool("record", "-o", "program.parquet", "--", "sh", "-c", str(program), folder=tmp_path)
    assert done.returncode == 0
    assert run_memtool("inspect", "program.parquet", folder=tmp_path).returncode == 0


def test_a_program_outlives_a_trace_that_cannot_be_written(
    programs: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: trace_writer.TraceWriter, rows: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trace_writer.TraceWriter, "append", full)
    command = [str(programs / "counts_calls"), str(tmp_path / "counts"), "2", "1000"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet"))
    assert recording.recorded.status == 7
    assert recording.files == (None, None)
    assert [next(process.missing()) for process in recording.recorded.processes] == [
        "its trace could not be written: No space left on device"
    ] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts"]


def test_what_the_allocator_ends_is_recorded_up_to_then(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    options = traces.Options(tmp_path / "app.parquet")
    recording = traces.record([str(programs / "aborts")], os.environ, options)
    (own,) = recording.recorded.processes
    assert recording.recorded.status == -signal.SIGABRT
    assert (own.counts["allocations"], own.counts["frees"], own.counts["unmatched_frees"]) == (1011, 1011, 1)
    assert list(own.missing()) == [
        "it was killed; every call before that is there",
        "1 call for blocks that nobody was seen to allocate",
    ]
    assert recording.files == (tmp_path / "app.parquet",)


def test_a_disk_that_fills_leaves_what_was_written_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = trace_writer.TraceWriter.append
    sizes: list[int] = []

    def fills(self: trace_writer.TraceWriter, rows: Rows) -> None:
        if sizes:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, rows)
        sizes.append(self.events)

    monkeypatch.setattr(traces, "_PART_SECONDS", 0.0)
    monkeypatch.setattr(trace_writer.TraceWriter, "append", fills)
    (tmp_path / "app.parquet.parts").mkdir()
    (tmp_path / "app.parquet.parts/000009.parquet").touch()  # of a memtool that was killed
    # Each variable is a few requests; the first ones are written while the shell waits.
    command = ["sh", "-c", "sleep 1.5; a=1; b=2; c=3; exit 7"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet", follows=False))
    (own,) = recording.recorded.processes
    assert recording.recorded.status == 7
    assert recording.files == (tmp_path / "app.parquet.parts",)
    assert list(own.missing()) == ["its trace has its beginning only, in parts: No space left on device"]
    kept = trace_file.load(tmp_path / "app.parquet.parts")
    assert [len(kept.paths), kept.expected_events] == [1, *sizes]
    assert sizes[0] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["app.parquet.parts"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        # The environment of true has no recorder in it.
        ("exec env -i true", "it ended past the C library, or went on as a program that was not recorded"),
        ("kill -9 $$", "it was killed"),
        ("sleep 3 & sleep 0.5; exit", "it was still running when the program, and the recording with it, ended"),
    ],
)
def test_how_a_program_ended_without_its_destructors(command: str, said: str, tmp_path: Path) -> None:
    done = run_memtool("record", "--", "sh", "-c", command, folder=tmp_path)
    (line,) = [line for line in done.stderr.splitlines() if line.endswith("every call before that is there")]
    assert line in (f"process {number}: {said}; every call before that is there" for number in range(1, 6))


def test_a_child_that_ends_by_exit_is_at_its_end(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    command = [str(programs / "counts_calls"), str(tmp_path / "counts"), "2", "1000"]
    recording = traces.record(command, os.environ, traces.Options(tmp_path / "app.parquet"))
    assert [process.came_to_its_end for process in recording.recorded.processes] == [True, True]
    assert [list(process.missing()) for process in recording.recorded.processes] == [[], []]
