"""Whole programs under supervision: all that they start is measured and ended, and a failure costs one cell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.model import Status
from memtool.passes import Pass, Sample
from memtool.passes.program import ProgramRun
from memtool.programs import planning
from memtool.programs.executor import ProgramExecutor
from memtool.programs.program import Program
from memtool.programs.supervised import Ended, Refused, Supervised
from memtool.worker.parent import Job, RegionRequest
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture

MIB = 1 << 20
ENVIRONMENT = {"PATH": os.environ["PATH"]}
KNOWN = Registry()
SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
kept = bytearray(30 << 20)
http.server.HTTPServer(("localhost", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def end_of(path: Path | str, *arguments: str, seconds: float = 60.0, **variables: str) -> Ended:
    with Supervised(Path(path), (str(path), *arguments), ENVIRONMENT | variables, wanted="libc.so") as running:
        ended = running.wait(seconds)
    assert ended is not None
    return ended


def sampled(program: Program, folder: Path, *allocators: str, blocks: int = 1) -> list[Sample]:
    """Return a sample of each allocator in each block; the first allocator is the reference."""
    specs = [parse_allocators(name, KNOWN.groups)[0] for name in allocators or ("glibc",)]
    ready, _ = planning.measurable(program, KNOWN, specs, KNOWN.resolve(specs[0]))
    executor = ProgramExecutor({program.name: program}, {program.name: next(iter(ready.cells.values()))}, folder, 1)
    samples = [
        executor.execute(
            Job(cell, block, Pass.PROGRAM, plan, -1, 0, RegionRequest(0, 0), 0, 1, 0, True, program.time_limit)
        )
        for block in range(blocks)
        for cell, plan in ready.cells.items()
    ]
    executor.close()
    return samples


def by_shell(line: str, **settings: Any) -> Program:
    return replace(Program(name="p", command=line, time_limit=60.0, shell="default"), **settings)


def run_of(sample: Sample) -> ProgramRun:
    assert sample.status is Status.OK, sample.reason
    return sample.of(ProgramRun)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def soon(seconds: float = 300.0) -> Iterator[list[bool]]:
    """Give what is to come true so long."""
    done = [False]
    deadline = time.monotonic() + seconds
    while not done[0] and time.monotonic() < deadline:
        yield done
        time.sleep(0.01)


def test_the_peak_is_that_of_all_processes_together_each_page_once(programs: Path) -> None:  # noqa: F811
    ended = end_of(programs / "holds_memory", "20", "50")
    # The child has the parent's 20 MiB, which are the same pages, and 50 MiB of its own.
    assert 70 * MIB <= ended.figures["tree_peak_bytes"] < 80 * MIB
    assert 70 * MIB <= ended.figures["largest_process_bytes"] < 80 * MIB
    ended = end_of(programs / "holds_memory", "1", "40", "40", "40")
    assert 120 * MIB <= ended.figures["tree_peak_bytes"] < 130 * MIB
    assert ended.figures["largest_process_bytes"] < 50 * MIB
    assert ended.figures["most_processes"] == 4
    assert ended.figures["minor_faults"] >= 121 * 256


def test_what_leaves_its_parent_and_session_is_measured_and_ended(programs: Path) -> None:  # noqa: F811
    ended = end_of(programs / "holds_memory", "1", "30", "30", MEMTOOL_TEST_DETACHED="1", MEMTOOL_TEST_STATUS="7")
    assert ended.status == 7
    assert ended.figures["left_processes"] == 2
    assert ended.figures["minor_faults"] >= 61 * 256


@pytest.mark.parametrize(
    ("command", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -SEGV $$", -11), ("kill -TERM $$", -15)]
)
def test_how_a_program_ends_is_reported(command: str, status: int) -> None:
    assert end_of("/bin/sh", "-c", command).status == status


def test_processor_time_is_of_all_processes_and_wall_time_is_not() -> None:
    burn = f"{sys.executable} -S -c 'import time\nwhile time.process_time() < 0.3: pass'"
    ended = end_of("/bin/sh", "-c", f"{burn} & {burn} & wait")
    assert ended.figures["user_ns"] + ended.figures["system_ns"] >= 0.6e9
    slept = end_of("/bin/sh", "-c", "sleep 0.5")
    assert slept.figures["wall_ns"] >= 0.5e9
    assert slept.figures["user_ns"] + slept.figures["system_ns"] < slept.figures["wall_ns"]


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such file or directory"):
        end_of(tmp_path / "absent")
    with pytest.raises(Refused, match="permission denied"):
        end_of(tmp_path)


def test_which_processes_run_without_what_they_were_to_load() -> None:
    with Supervised(Path("/bin/sh"), ("sh", "-c", "sleep 0.3"), ENVIRONMENT, wanted="libnothing.so") as running:
        ended = running.wait(300)
    assert ended is not None
    assert ended.figures["is_bare"] == 1
    assert [Path(name).name for name in ended.bare][-1] == "sleep"
    assert end_of("/bin/sh", "-c", "sleep 0.3").figures["is_served"] == 1


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_nothing_is_left_when_memtool_goes(how: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from memtool.programs.supervised import Supervised\n"
        f"with Supervised(Path('/bin/sh'), ('sh', '-c', 'setsid sleep 600 & echo $! > {tmp_path}/pid; wait'),"
        " {'PATH': '/usr/bin:/bin'}) as running:\n"
        "    print('begun', flush=True)\n    sys.stdin.readline()\n"
    )
    memtool = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert memtool.stdout is not None
    assert memtool.stdin is not None
    assert memtool.stdout.readline() == b"begun\n"
    for done in soon():
        done[0] = (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    if how == "closed":
        memtool.stdin.write(b"\n")
        memtool.stdin.close()
    else:
        memtool.kill()
    memtool.wait(300)
    memtool.stdout.close()
    for done in soon():
        done[0] = not is_alive(pid)
    assert not is_alive(pid)


def test_a_program_is_run_under_each_allocator_and_proves_it(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    program = Program(name="p", command=f"{programs / 'holds_memory'} 5")
    glibc, tlsf = sampled(program, tmp_path, "glibc", "tlsf")
    assert run_of(glibc).exit_status == 0
    assert run_of(tlsf).tree_peak_bytes >= 5 * MIB
    assert glibc.proof["malloc_owner"].startswith("libc")
    assert tlsf.proof["malloc_owner"] == "libmemtool-malloc.so"
    (sort,) = sampled(Program(name="sort", command="sort /etc/passwd"), tmp_path, "tlsf")
    assert sort.proof["served"].endswith("1 reported")
    assert set(glibc.proof["code"]) == {str(programs / "holds_memory")}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"command": "echo out of luck >&2; exit 3"}, "ended with status 3: out of luck"),
        ({"command": "exit 3", "ignored_statuses": (3,)}, None),
        ({"command": "exit 3", "ignored_statuses": (4,)}, "ended with status 3"),
        ({"command": "exit 3", "ignored_statuses": None}, None),
        ({"command": "kill -SEGV $$", "ignored_statuses": None}, "was killed by SIGSEGV"),
        (
            {"command": "sleep 60", "time_limit": 0.2},
            "had not ended after 0 s: killed (--time-limit SECONDS allows more)",
        ),
        (
            {"command": "true", "prepare": "echo no >&2; false"},
            "prepare ended with status 1 (no): echo no >&2; false",
        ),
        ({"command": "true", "conclude": "exit 2"}, "conclude ended with status 2: exit 2"),
        ({"command": "true", "setup": "exit 2"}, "setup ended with status 2: exit 2"),
        ({"command": "true", "output": "/none/output"}, "/none/output: No such file or directory"),
    ],
)
def test_a_failure_costs_its_sample_and_says_why(settings: dict[str, Any], reason: str | None, tmp_path: Path) -> None:
    (sample,) = sampled(by_shell("", **settings), tmp_path)
    assert sample.reason == reason
    assert (sample.status is Status.OK) == (reason is None)
    # What fails beside the program says nothing of an allocator.
    beside = ("prepare", "conclude", "setup", "/none/output")
    assert sample.of_harness == (reason is not None and reason.startswith(beside))


def test_nothing_is_measured_without_its_setup(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = by_shell(f"echo run >> {log}", setup=f"echo setup >> {log}; exit 2", cleanup=f"echo cleanup >> {log}")
    samples = sampled(program, tmp_path, "glibc", "jemalloc", blocks=2)
    said = f"setup ended with status 2: {program.setup}"
    assert [(sample.reason, sample.of_harness) for sample in samples] == [(said, True)] * 4
    assert log.read_text(encoding="utf-8") == "setup\ncleanup\n"


def test_what_is_run_around_a_program_and_how_often(tmp_path: Path) -> None:
    log = tmp_path / "log"
    note = f'echo "%s $MEMTOOL_ALLOCATOR $MEMTOOL_BLOCK" >> {log}'
    program = by_shell(
        f"cat >> {log}; " + note % "run",
        input=str(tmp_path / "input"),
        setup=note % "setup",
        prepare=note % "prepare",
        conclude=note % "conclude",
        cleanup=note % "cleanup",
        warmup=1,
    )
    (tmp_path / "input").write_text("read\n", encoding="utf-8")
    assert [sample.status for sample in sampled(program, tmp_path, "glibc", blocks=2)] == [Status.OK] * 2
    one_run = ["prepare glibc {0}", "read", "run glibc {0}", "conclude glibc {0}"]
    expected = ["setup  ", *(line.format(block) for block in (0, 0, 1) for line in one_run), "cleanup  "]
    assert log.read_text(encoding="utf-8").splitlines() == expected


def test_an_output_that_differs_under_one_allocator_fails_that_allocator(tmp_path: Path) -> None:
    program = by_shell('echo first; case "$LD_PRELOAD" in *memtool*) echo broken;; *) echo sound;; esac')
    same = replace(program, expects_same_output=True)
    glibc, tlsf = sampled(same, tmp_path, "glibc", "tlsf")
    assert glibc.status is Status.OK
    assert tlsf.reason == "its output differs from that under glibc at byte 6 (line 2): 'broken' in place of 'sound'"
    assert [sample.status for sample in sampled(program, tmp_path, "glibc", "tlsf")] == [Status.OK] * 2
    # A run that is resumed holds the outputs that it kept.
    (again,) = sampled(replace(same, command="echo other"), tmp_path, "glibc")
    assert again.reason == "its output differs from its own before at byte 0 (line 1): 'other' in place of 'first'"


@pytest.mark.parametrize("output", ["null", "pipe", "file"])
def test_where_an_output_goes(output: str, tmp_path: Path) -> None:
    where = str(tmp_path / "out") if output == "file" else output
    (sample,) = sampled(by_shell("seq 100000; test ! -t 1", output=where), tmp_path)
    assert run_of(sample).exit_status == 0
    assert output != "file" or (tmp_path / "out").read_text(encoding="utf-8").splitlines()[-1] == "100000"


def test_a_server_is_started_loaded_and_ended(tmp_path: Path, unused_port: int) -> None:
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    server = Program(
        name="server",
        command=f"{sys.executable} {tmp_path}/server.py {unused_port}",
        ready=str(unused_port),
        load="sleep 0.3; echo answered",
        expects_same_output=True,
        time_limit=60.0,
    )
    (sample,) = sampled(server, tmp_path)
    run = run_of(sample)
    assert run.wall_ns >= 0.3e9
    assert run.ready_ns is not None
    assert run.tree_peak_bytes >= 30 * MIB
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "outputs").iterdir()] == ["answered\n"]
    by_command = replace(server, ready="exit 0", expects_same_output=False)
    assert run_of(sampled(by_command, tmp_path)[0]).exit_status in (0, -15)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"command": "exit 4", "ready": "exit 1"}, "ended with status 4"),
        ({"command": "exit 0", "ready": "exit 1"}, "ended before its load did"),
        (
            {"command": "sleep 60", "ready": "exit 1", "time_limit": 0.3},
            "the server was not ready after 0 s (--time-limit SECONDS allows more): exit 1",
        ),
        ({"command": "sleep 60", "load": "exit 5"}, "load ended with status 5: exit 5"),
        ({"command": "sleep 60 & kill -SEGV $$", "load": "sleep 0.2; exit 5"}, "was killed by SIGSEGV"),
    ],
)
def test_a_server_that_fails_says_how(settings: dict[str, Any], reason: str, tmp_path: Path) -> None:
    (sample,) = sampled(by_shell("", **{"load": "true", **settings}), tmp_path)
    assert sample.reason == reason
    assert sample.of_harness == reason.startswith(("the server was not ready", "load ended"))


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
