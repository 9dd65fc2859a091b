"""``memtool bench`` from the shell: what it leaves on disk, its exit codes, and that nothing finished is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtool.store import run_file
from tests.started import run_memtool

SMALL = """\
name: small
allocations: 2k
objects:
  - {weight: 80, size: {lognormal: {median: 64, sigma: 0.8, max: 4KiB}}, lifetime: {exponential: {mean: 100}}}
  - {weight: 20, size: {uniform: [100, 2000]}, lifetime: {exponential: {mean: 2000}}}
touch: first
"""
WAITS = """\
import os, time
from memtool.allocators.reference.first_fit import FirstFit


class Heap(FirstFit):
    def __init__(self, region, **values):
        super().__init__(region, **values)
        journal = {journal!r}
        while os.path.exists(journal) and len(open(journal).readlines()) >= 3 and not os.path.exists({go!r}):
            time.sleep(0.01)
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def memtool(*arguments: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run_memtool(*arguments, environment=environment)


def cells(directory: Path) -> dict[str, Any]:
    content = json.loads((directory / "run.json").read_text())
    return {cell["allocator"]: cell for cell in content["cells"]}


def test_a_run_leaves_what_the_contract_names(small: Path, tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    out = tmp_path / "out"
    ended = memtool(
        "bench", small, "-a", "glibc,tlsf,pool", "--blocks", "6", "-o", out, environment=memtool_environment
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "pool: serves requests of up to 64 B; the workload asks for up to " in ended.stdout
    content = json.loads((out / "run.json").read_text())
    jsonschema.validate(content, run_file.json_schema())
    result = cells(out)
    assert {name: cell["status"] for name, cell in result.items()} == {
        "glibc": "ok",
        "tlsf": "ok",
        "pool": "excluded",
    }
    time_per_op = result["tlsf"]["metrics"]["time_per_op_ns"]
    assert time_per_op["blocks"] == [0, 1, 2, 3, 4, 5]
    assert time_per_op["low"] <= time_per_op["value"] <= time_per_op["high"]
    assert result["tlsf"]["metrics"]["peak_footprint_bytes"]["determinism"] == "exact"
    assert result["glibc"]["metrics"]["peak_footprint_bytes"]["value"] is None
    assert "libc.so" in result["glibc"]["proof"]["malloc_owner"]
    assert result["glibc"]["proof"]["version"]
    proof = result["tlsf"]["proof"]
    assert proof["event_hash"] == content["workloads"][0]["event_hash"]
    assert (proof["seed"], proof["tuning"]) == (42, {})
    assert proof["machine"] == content["machine"]["fingerprint"]
    assert proof["order"]["passes"][:4] == ["check", "throughput", "latency", "footprint"]
    # Of each block of null, glibc and tlsf.
    assert sorted(set(proof["order"]["places"]) | set(result["glibc"]["proof"]["order"]["places"])) == [1, 2, 3]
    assert len(proof["order"]["places"]) == 6
    for name in result["tlsf"]["series"].values():
        assert (out / name).is_file()
    assert sorted(path.name for path in (out / "plots").iterdir()) == [
        "small-footprint.png",
        "small-fragmentation-over-time.png",
        "small-heap-end.png",
        "small-heap-peak.png",
        "small-latency-by-size.png",
        "small-latency-over-time.png",
        "small-latency.png",
        "small-speed-memory.png",
        "small-throughput.png",
        "small-waterfall.png",
    ]


def test_footprints_and_hash_are_the_same_on_every_run(
    small: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    own = "segregated-pool,slab,first-fit,next-fit,best-fit,buddy,tlsf,arena"
    runs = []
    for name, seed in (("a", "1"), ("b", "2")):  # with each a set has another order
        arguments = (
            "bench",
            small,
            "-a",
            own,
            "--blocks",
            "2",
            "--passes",
            "footprint",
            "--no-plots",
            "-o",
            tmp_path / name,
        )
        assert memtool(*arguments, environment={**memtool_environment, "PYTHONHASHSEED": seed}).returncode == 0
        runs.append(json.loads((tmp_path / name / "run.json").read_text()))
    assert runs[0]["workloads"][0]["event_hash"] == runs[1]["workloads"][0]["event_hash"]
    exact = (
        "peak_footprint_bytes",
        "peak_granted_bytes",
        "internal_fragmentation",
        "footprint_mean_ratio",
        "metadata_bytes",
    )
    for first, second in zip(runs[0]["cells"], runs[1]["cells"], strict=True):
        for metric in exact:
            assert first["metrics"][metric]["determinism"] == "exact", (first["allocator"], metric)
            assert first["metrics"][metric]["samples"] == second["metrics"][metric]["samples"]


def test_resident_memory_is_compared_after_a_run_of_nine_blocks(
    small: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    """What the kernel counts is never exact, so it takes a pair in every block to say anything of it."""
    arguments = ("-a", "glibc,arena", "--blocks", "9", "--passes", "footprint", "--no-plots", "-o", tmp_path / "out")
    memtool("bench", small, *arguments, environment=memtool_environment)
    for cell in cells(tmp_path / "out").values():
        assert cell["metrics"]["peak_resident_bytes"]["blocks"] == list(range(9))
    ended = memtool("compare", tmp_path / "out", "--format", "json", environment=memtool_environment)
    result = {comparison["metric"]: comparison for comparison in json.loads(ended.stdout)["comparisons"]}
    assert result["peak_resident_bytes"]["samples"] == 9
    # An arena gives nothing back: it holds every block that was ever asked for.
    assert result["peak_resident_bytes"]["verdict"] == "regression"


def test_a_run_in_which_everything_is_left_out_says_why(
    small: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    ended = memtool("bench", small, "-a", "pool,stack", "-o", tmp_path / "out", environment=memtool_environment)
    assert ended.returncode == 1  # nothing was measured
    assert "pool: serves requests of up to 64 B" in ended.stdout
    assert {cell["status"] for cell in cells(tmp_path / "out").values()} == {"excluded"}


def test_json_prints_nothing_else(small: Path, tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    ended = memtool(
        "bench",
        small,
        "-a",
        "tlsf",
        "--blocks",
        "1",
        "--passes",
        "check,throughput,latency,footprint",
        "--format",
        "json",
        "--no-plots",
        "-o",
        tmp_path / "out",
        environment=memtool_environment,
    )
    assert json.loads(ended.stdout)["schema"] == "memtool.run.v1"


def test_a_dry_run_measures_nothing(small: Path, tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    ended = memtool(
        "bench",
        small,
        "-a",
        "tlsf,stack",
        "--passes",
        "check,throughput,latency,footprint",
        "--dry-run",
        "-o",
        tmp_path / "out",
        environment=memtool_environment,
    )
    assert ended.returncode == 0
    # 1 check, 10 blocks x 2 passes x (tlsf and null), 10 footprints.
    assert (
        "51 samples, each a process of its own: 10 blocks; passes check, throughput, latency, footprint\n"
        in ended.stdout
    )
    assert "left out: stack on anonymous: takes back only the youngest block" in ended.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-a", "tslf"), "unknown allocator 'tslf'; did you mean 'tlsf'?"),
        (("-a", "pool:block=0"), "block"),
        (("-a", "pool:blok=64"), "did you mean 'block'?"),
        (("-a", "@system,nope"), "unknown allocator 'nope'"),
        (("--region", "hugepage"), "did you mean 'hugepages'?"),
        (("--passes", "latncy"), "did you mean 'latency'?"),
        (("--reference", "nope"), "unknown allocator 'nope'"),
    ],
)
def test_wrong_arguments_exit_2_with_one_line(
    small: Path, tmp_path: Path, memtool_environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    ended = memtool("bench", small, *arguments, "-o", tmp_path / "out", environment=memtool_environment)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_workload_exits_2_with_one_line(tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SMALL.replace("median: 64", "median: -3"))
    ended = memtool("bench", path, environment=memtool_environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"memtool: {path}:4:45: objects[0].size.lognormal.median: must be > 0, is -3\n"


def test_a_workload_beyond_memory_is_refused_before_it_starts(
    tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text("name: huge\nallocations: 64\npattern:\n  ramp: {size: 64GiB}\n")
    ended = memtool("bench", path, "-a", "glibc", "-o", tmp_path / "out", environment=memtool_environment)
    assert ended.returncode == 1
    assert "needs at least 4.00 TiB (its peak of live bytes)" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_fault_costs_its_cell_only(
    small: Path, tmp_path: Path, memtool_environment: dict[str, str], faulty_engine: Path
) -> None:
    environment = {**memtool_environment, "MEMTOOL_ENGINE": str(faulty_engine)}
    ended = memtool(
        "bench",
        small,
        "-a",
        "sound,crashes,overlaps,runs-out,glibc",
        "--passes",
        "check,throughput,latency,footprint",
        "--blocks",
        "2",
        "--no-plots",
        "-o",
        tmp_path / "out",
        environment=environment,
    )
    assert ended.returncode == 1
    result = {name: (cell["status"], cell["reason"]) for name, cell in cells(tmp_path / "out").items()}
    assert result["sound"] == ("ok", None)
    assert result["glibc"] == ("ok", None)
    assert result["crashes"] == ("failed", "check pass, block 0: the worker was killed by SIGSEGV")
    assert result["runs-out"][0] == "failed"
    assert result["runs-out"][1].startswith("check pass, block 0: out of memory at event ")
    assert "overlapping blocks" in result["overlaps"][1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_what_is_finished_survives_and_is_not_measured_again(
    tmp_path: Path, memtool_environment: dict[str, str], how: signal.Signals
) -> None:
    # Whatever the machine does, the run goes on until it is ended: one of its allocators waits.
    workload, out, go = tmp_path / "small.yaml", tmp_path / "out", tmp_path / "go"
    journal = out / "journal.jsonl"
    workload.write_text(SMALL.replace("2k", "200"))
    (tmp_path / "mine.py").write_text(WAITS.format(journal=str(journal), go=str(go)))
    allocators = f"glibc,tlsf,{tmp_path}/mine.py:Heap"
    options = ["--blocks", "2", "--passes", "throughput,footprint", "--no-plots", "--time-limit", "600"]
    arguments = ["bench", str(workload), "-a", allocators, *options, "-o", str(out)]
    running = subprocess.Popen(
        [sys.executable, "-m", "memtool", *arguments],
        env=memtool_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: journal.exists() and len(journal.read_text().splitlines()) >= 3)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    running.send_signal(how)
    _, complaint = running.communicate(timeout=300)
    wait_until(lambda: all(ended(int(child)) for child in children))
    finished = len(journal.read_text().splitlines()) - 1
    too_few = (
        "memtool: for a later `memtool compare`, 2 blocks cannot decide: a verdict on 4 figures together needs "
        "at least --blocks 7, however clear the figures are (--resume adds blocks)"
    )
    if how is signal.SIGINT:
        assert running.returncode == 130
        assert complaint.decode().split("\n") == [
            too_few,
            "",
            f"memtool: interrupted: {finished} finished {'sample is' if finished == 1 else 'samples are'} in {out}; "
            "the same command with --resume goes on",
            "",
        ]
    before = journal.read_text().splitlines()
    assert not (out / "run.json").exists()

    go.touch()
    resumed = memtool(*arguments, "--resume", environment=memtool_environment)
    assert (resumed.returncode, resumed.stderr) == (0, f"{too_few}\n")
    after = journal.read_text().splitlines()
    whole = [line for line in before if is_json(line)]
    assert after[: len(whole)] == whole
    samples = [json.loads(line)["sample"] for line in after[1:]]
    keys = [(sample["cell"]["allocator"], sample["block"], sample["run_pass"]) for sample in samples]
    assert len(keys) == len(set(keys))
    assert {cell["status"] for cell in cells(out).values()} == {"ok"}


def test_a_finished_run_is_given_more_blocks(small: Path, tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    out = tmp_path / "run"
    arguments = ["bench", str(small), "-a", "bump,glibc", "--passes", "throughput,footprint", "-o", str(out)]
    arguments += ["--no-plots"]
    assert memtool(*arguments, "--blocks", "2", environment=memtool_environment).returncode == 0
    journal = out / "journal.jsonl"
    before = journal.read_text().splitlines()

    more = memtool(*arguments, "--resume", "--blocks", "4", environment=memtool_environment)
    assert more.returncode == 0
    after = journal.read_text().splitlines()
    assert after[: len(before)] == before
    samples = [json.loads(line)["sample"] for line in after[1:]]
    keys = [(sample["cell"]["allocator"], sample["block"], sample["run_pass"]) for sample in samples]
    assert len(keys) == len(set(keys))
    run = json.loads((out / "run.json").read_text())
    assert run["blocks"] == 4
    for cell in cells(out).values():
        assert cell["metrics"]["time_per_op_ns"]["blocks"] == [0, 1, 2, 3]

    kept = memtool(*arguments, "--resume", environment=memtool_environment)
    assert kept.returncode == 0
    assert f"memtool: {out}: goes on with its own number of blocks, 4; --blocks adds more\n" in kept.stderr
    assert json.loads((out / "run.json").read_text())["blocks"] == 4
    assert journal.read_text().splitlines() == after

    fewer = memtool(*arguments, "--resume", "--blocks", "3", environment=memtool_environment)
    assert (fewer.returncode, fewer.stderr.count("\n")) == (2, 1)
    assert "has 4 blocks already; --blocks 3 would leave some of them out" in fewer.stderr
    assert journal.read_text().splitlines() == after


def test_another_run_is_not_resumed(small: Path, tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    arguments = (
        "bench",
        small,
        "-a",
        "tlsf",
        "--passes",
        "footprint",
        "--blocks",
        "1",
        "--no-plots",
        "-o",
        tmp_path / "out",
    )
    assert memtool(*arguments, environment=memtool_environment).returncode == 0
    again = memtool(*arguments, environment=memtool_environment)
    assert again.returncode == 2
    assert "holds a run already" in again.stderr
    small.write_text(SMALL.replace("mean: 100", "mean: 101"))
    other = memtool(*arguments, "--resume", environment=memtool_environment)
    assert other.returncode == 2
    assert "cannot be resumed: it was begun with other workloads (small, event_hash): " in other.stderr
    small.write_text(SMALL.replace("touch: first", "touch: all"))
    other = memtool(*arguments, "--resume", environment=memtool_environment)
    assert (other.returncode, "(small, touch): first, and now all" in other.stderr) == (2, True)


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within five minutes"
        time.sleep(0.02)


def test_the_worker_imports_nothing_large(tmp_path: Path) -> None:
    """What the worker imports is in every measured process."""
    script = tmp_path / "imports.py"
    root = Path(__file__).parent.parent.parent
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\n"
        "import memtool.engine.replay.binding, memtool.engine.instruments.binding, memtool.host.noise\n"
        "print(*sys.modules)\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.defpath},
    ).stdout.split()
    for name in (
        "click",
        "matplotlib",
        "tabulate",
        "numpy",
        "scipy",
        "pydantic",
        "typing",
        "dataclasses",
        "re",
        "json",
    ):
        assert name not in loaded
