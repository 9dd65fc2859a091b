"""bench and check of whole programs: planned, stored, resumed, compared, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from memtool import api, cli
from memtool.check import CheckOptions
from memtool.errors import InputError
from memtool.host.programs import refuse_what_takes_no_preload
from memtool.model import Run, Status, Verdict
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.programs.program import Program
from memtool.worker.parent import Job
from tests.payloads import figures

EVENTS = "name: events\nallocations: 200\nobjects: [{size: 64, lifetime: 5}]\n"


def options(folder: Path, *programs: Program, **settings: object) -> BenchOptions:
    given = {"allocators": "glibc,tlsf", "blocks": 1, "output": folder / "run", "draw_plots": False, **settings}
    return BenchOptions(programs=programs, **given)  # type: ignore[arg-type]


def statuses(run: Run) -> dict[tuple[str, str], str]:
    return {(cell.cell.workload, cell.cell.allocator): str(cell.status) for cell in run.cells}


class Fake:
    """Takes samples of programs that were never run: each allocator's wall and processor time in ms."""

    def __init__(self, **times: float) -> None:
        self._times = times
        self.blocks: list[int] = []

    def execute(self, job: Job) -> Sample:
        assert job.run_pass is Pass.PROGRAM
        self.blocks.append(job.block)
        ms = self._times[job.cell.allocator] * 1e6 * (1 + job.block % 7 / 1000)
        run = figures(Pass.PROGRAM, wall_ns=int(2 * ms), user_ns=int(ms), system_ns=0)
        return Sample(job.cell, job.block, job.run_pass, Status.OK, None, run)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        assert not jobs
        assert not waiting
        yield from ()


def test_a_run_of_programs_and_events_is_stored_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "events.yaml").write_text(EVENTS, encoding="utf-8")
    true, false = Program(name="true", command="true"), Program(name="false", command="false")
    outcome = api.bench(
        options(
            tmp_path,
            true,
            false,
            allocators="glibc,pool",
            workloads=(str(tmp_path / "events.yaml"),),
            passes=(Pass.FOOTPRINT,),
        )
    )
    stored = api.show(tmp_path / "run")
    assert stored == outcome.run
    assert statuses(stored) == {
        ("events", "glibc"): "ok",
        ("events", "pool"): "ok",
        ("true", "glibc"): "ok",
        ("true", "pool"): "excluded",
        ("false", "glibc"): "failed",
        ("false", "pool"): "excluded",
    }
    reasons = {(cell.cell.workload, cell.cell.allocator): cell.reason for cell in stored.cells}
    assert reasons["false", "glibc"] == "program pass, block 0: ended with status 1"
    assert reasons["true", "pool"] == "serves requests of up to 64 bytes, and programs ask for any"
    metrics = {cell.cell.workload: set(cell.metrics) for cell in stored.cells if cell.cell.allocator == "glibc"}
    assert {"wall_time_ns", "cpu_time_ns", "tree_peak_resident_bytes", "exit_status"} <= metrics["true"]
    assert not metrics["true"] & metrics["events"]
    said = [info.program for info in stored.workloads]
    assert said == [None, {"name": "true", "command": "true"}, {"name": "false", "command": "false"}]
    assert outcome.failed


def test_a_resumed_run_takes_no_sample_twice(tmp_path: Path) -> None:
    program = Program(name="p", command=f"echo $MEMTOOL_BLOCK >> {tmp_path}/log", shell="default")
    first = api.bench(options(tmp_path, program)).run
    second = api.bench(options(tmp_path, program, blocks=2, resume=True, adds_blocks=True)).run
    assert (tmp_path / "log").read_text(encoding="utf-8").split() == ["0", "0", "1", "1"]
    assert second.cells[0].metrics["wall_time_ns"].samples[0] == first.cells[0].metrics["wall_time_ns"].samples[0]
    with pytest.raises(InputError, match="cannot be resumed: it was begun with other workloads"):
        api.bench(options(tmp_path, Program(name="p", command="true"), blocks=2, resume=True, adds_blocks=True))


def test_a_cleanup_that_fails_costs_nothing_and_is_noted(tmp_path: Path) -> None:
    program = Program(name="p", command="true", cleanup="echo it is gone >&2; exit 2")
    outcome = api.bench(options(tmp_path, program))
    assert set(statuses(outcome.run).values()) == {"ok"}
    assert outcome.run.notes[-1] == "p: cleanup ended with status 2 (it is gone): echo it is gone >&2; exit 2"


def test_programs_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [Program(name="p", command=command) for command in ("true", "false")]
    with pytest.raises(InputError, match="'false': name: 'p' is also the name of 'true'"):
        api.bench(options(tmp_path, *twice))


def test_variables_that_tune_allocators_are_kept_from_programs_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("LANG", "C")
    command = f"echo $MALLOC_ARENA_MAX$MALLOC_TOP_PAD_$LANG > {tmp_path}/seen"
    run = api.bench(options(tmp_path, Program(name="p", command=command), allocators="glibc:env.MALLOC_TOP_PAD_=7")).run
    assert (tmp_path / "seen").read_text(encoding="utf-8") == "7C\n"
    assert "Not passed on to the allocators, though set in the environment: MALLOC_ARENA_MAX (" in "".join(run.notes)


SOURCES = {
    "static": ("int main(void) { return 0; }", ["-static"], "is linked statically: nothing can be preloaded into it"),
    "own": (
        "#include <stddef.h>\nvoid *malloc(size_t n) { return n ? NULL : NULL; }\nint main(void) { return 0; }",
        ["-rdynamic", "-fno-builtin"],
        "has a malloc of its own, which comes before any that is preloaded",
    ),
    "calls": ("#include <stdlib.h>\nint main(void) { free(malloc(1)); return 0; }", ["-fno-builtin"], None),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_no_malloc_can_be_preloaded_into_is_left_out_with_the_reason(name: str, tmp_path: Path) -> None:
    source, flags, reason = SOURCES[name]
    (tmp_path / "a.c").write_text(source, encoding="utf-8")
    binary = tmp_path / name
    subprocess.run(["cc", *flags, "-o", binary, tmp_path / "a.c"], check=True, capture_output=True)
    if reason is None:
        refuse_what_takes_no_preload(binary)
        return
    for command in (str(binary), f"{binary} || true"):
        with closing(api.plan(options(tmp_path, Program(name="p", command=command)))) as plan:
            assert {cell.reason for cell in plan.excluded} == {f"{binary}: {reason}"}
            assert not plan.plans


@pytest.mark.parametrize(("head", "verdict"), [(100.0, Verdict.PASS), (120.0, Verdict.REGRESSION)])
def test_a_check_judges_programs_and_looks_twice_at_what_is_slower(
    head: float, verdict: Verdict, tmp_path: Path
) -> None:
    fake = Fake(glibc=100.0, jemalloc=head)
    bench = options(tmp_path, Program(name="p", command="true"), Program(name="q", command="true x"), blocks=31)
    checked = api.check(
        CheckOptions(bench, api.policy(["cpu_time_ns"]), against="glibc", candidate="jemalloc"), executor=fake
    )
    assert {judged.verdict for judged in checked.report.judgements} == {verdict}
    assert {judged.comparison.workload for judged in checked.report.judgements} == {"p", "q"}
    assert max(fake.blocks) == (30 if verdict is Verdict.PASS else 61)


def test_the_command_line_and_its_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    def memtool(*arguments: str) -> tuple[int, str]:
        status = cli.run(["bench", *arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    status, said = memtool("--program", "p{n}=seq {n}", "-L", "n", "1,2", "-a", "glibc", "--dry-run")
    assert (status, "p1: seq 1\n" in said, "p2: seq 2\n" in said) == (0, True, True)
    for arguments, complaint in (
        (("--prepare", "true"), "--prepare: goes with --program only"),
        (("--program", "no-such-thing"), "no-such-thing: no such program"),
        (("--program", "true", "-L", "n", "1"), "-L: no command has {n}"),
        (("--program", "seq {n}", "-P", "n", "2", "1"), "-P: n: must go up from 2 to 1 by more than 0"),
        (("--program", "true", "-i=x"), "-i: must be exit statuses from 1 to 255, is 'x'"),
        (("--program", "true", "--threads", "2"), "true: with --threads: a whole program runs as it does"),
        (("--program", "true", "--rate", "5/s"), "true: with --rate: a whole program runs as it does"),
        (("--program", "true", "--speed", "2"), "true: with --speed: a whole program runs as it does"),
        (("--program", "true", "--paced"), "true: with --paced: a whole program runs as it does"),
        (("--program", "true", "--from", "50%"), "true: with --from: a whole program runs as it does"),
        (("--program", "true", "--mode", "parallel"), "true: with --mode: a whole program runs as it does"),
        (("--program", "true", "--region", "populate"), "true: with --region: a whole program runs as it does"),
        (("--program", "true", "--find-limit"), "--program: does not go with --find-limit"),
    ):
        status, said = memtool(*arguments)
        assert (status, complaint in said) == (2, True), said


def test_an_interrupted_run_leaves_no_process_and_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memtool", "bench", "-a", "glibc", "-o", "run", "--no-plots", "--blocks", "2"]
    program = f"setsid sleep 600 & echo $! > {tmp_path}/pid; wait"
    cleanup = f"touch {tmp_path}/clean; exit 3"
    running = subprocess.Popen(
        [*command, "--program", f"p={program}", "--cleanup", cleanup], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    pid = int((tmp_path / "pid").read_text())
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 130
    assert f"no sample was finished; p: cleanup ended with status 3: {cleanup}" in said
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (tmp_path / "clean").exists()
