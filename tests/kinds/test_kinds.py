"""A second kind of work, from its YAML to the gate: a folder and an entry of the list, and nothing else of memtool.

All figures are known by hand: a region of 64 KiB holds 512 blocks of 128 B, and 256 where each takes 256 B.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest

from memtool import __version__
from memtool.engine.loading import engine_path
from tests.started import run_memtool

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WORKLOAD = "name: fills\nmemory_limit: 64KiB\ncount:\n  size: 128\n"
HASH = "6b2e1c0945af96ca50d8e67c1f53b8f5"
"""BLAKE2b with 16 bytes of the image, which is the number 128 in eight bytes."""
BENCH = ("bench", "w.yaml", "-a", "bump,pool:block=256,glibc", "--counters", "none", "--no-plots")
GATE = ("check", "w.yaml", "--metric", "served_blocks", "--blocks", "2", "--no-plots")


class Outcome(NamedTuple):
    """What became of a command line."""

    code: int
    out: str
    errors: str


Drive = Callable[..., list[Outcome]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the workload, and with the kernel built by the commands of docs/kinds.md."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "memtool").symlink_to(ROOT / "memtool")  # a checkout
    (folder / "kernel.cpp").symlink_to(HERE / "count/kernel.cpp")
    (commands,) = re.findall(r"```console\n(.*?)```", (ROOT / "docs/kinds.md").read_text(encoding="utf-8"), re.DOTALL)
    script = "set -e\n" + commands.replace("$ ", "", 1).replace("\n$ ", "\n") + 'printf %s "$COUNT_KERNEL"'
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, str(folder / "libcount.so"), "")
    (folder / "w.yaml").write_text(WORKLOAD, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def drive(folder: Path, memtool_environment: dict[str, str]) -> Iterator[Drive]:
    """Yield what runs command lines one after the other, as memtool with one kind more."""
    own = {"PYTHONPATH": str(ROOT), "COUNT_KERNEL": str(folder / "libcount.so"), "MEMTOOL_ENGINE": engine_path()}
    with subprocess.Popen(
        [sys.executable, str(HERE / "drive.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**memtool_environment, **own},
    ) as started:
        questions, answers = started.stdin, started.stdout
        assert questions is not None
        assert answers is not None

        def run(*commands: tuple[str, ...]) -> list[Outcome]:
            outcomes = []
            for command in commands:
                print(json.dumps(command), file=questions, flush=True)
                outcomes.append(Outcome(*json.loads(answers.readline())))
            return outcomes

        yield run
    assert started.returncode == 0


@pytest.fixture(scope="module")
def stored(drive: Drive, folder: Path) -> Path:
    """Return a run of two blocks, and of a third that was added to its journal."""
    first, again = drive((*BENCH, "--blocks", "2", "-o", "run"), (*BENCH, "--blocks", "3", "-o", "run", "--resume"))
    assert (first.code, again.code) == (0, 0), first.errors + again.errors
    return folder / "run"


def test_a_workload_is_measured_and_stored(stored: Path) -> None:
    run = json.loads((stored / "run.json").read_text(encoding="utf-8"))
    (info,) = run["workloads"]
    assert (info["kind"], info["facts"], info["event_hash"], info["events"]) == ("count", {"size": 128}, HASH, 512)
    cells = {cell["allocator"]: cell for cell in run["cells"]}
    assert cells["glibc"]["reason"] == "takes memory from the system, which is never full"
    for name, blocks in (("bump", 512), ("pool:block=256", 256)):
        metrics = cells[name]["metrics"]
        assert sorted(metrics) == ["net_time_per_op_ns", "served_blocks", "time_per_op_ns"]
        assert metrics["served_blocks"]["samples"] == [blocks] * 3
        assert metrics["served_blocks"]["determinism"] == "exact"
        assert metrics["served_blocks"]["blocks"] == [0, 1, 2]
        assert cells[name]["proof"]["order"]["passes"] == ["throughput", "footprint"]


def test_samples_are_read_back_from_the_journal(stored: Path) -> None:
    lines = [json.loads(line) for line in (stored / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    samples = [line["sample"] for line in lines if "sample" in line]
    of_pass = [sample for sample in samples if sample["run_pass"] == "footprint"]
    # Of two cells in three blocks, each taken once: the second bench had the first two from here.
    taken = [(sample["cell"]["allocator"], sample["block"], sample["payload"]["blocks"]) for sample in of_pass]
    assert sorted(taken) == [
        ("bump", 0, 512), ("bump", 1, 512), ("bump", 2, 512),
        ("pool:block=256", 0, 256), ("pool:block=256", 1, 256), ("pool:block=256", 2, 256),
    ]  # fmt: skip


def test_a_run_is_shown_in_the_sheets_of_its_kind(stored: Path, drive: Drive) -> None:
    table, figures = drive(("show", str(stored)), ("show", str(stored), "--format", "csv"))
    lines = table.out.splitlines()
    assert lines[:2] == ["fills: blocks of 128 B until 64.0 KiB are full", f"event hash {HASH}"]
    sheet = lines.index("Blocks in a full region")
    assert lines[sheet + 1] == "allocator       blocks  ns/op"
    assert "  glibc: takes memory from the system, which is never full" in lines
    rows = [row for row in csv.DictReader(figures.out.splitlines()) if row["metric"] == "served_blocks"]
    assert [(row["allocator"], row["value"]) for row in rows] == [("bump", "512.0"), ("pool:block=256", "256.0")]


def test_runs_are_compared(stored: Path, drive: Drive) -> None:
    same, within = drive(
        ("compare", str(stored), str(stored), "--metric", "served_blocks"),
        ("compare", str(stored), "--reference", "bump", "--metric", "served_blocks", "--format", "json"),
    )
    assert same.code == 0
    assert "2 exact figures unchanged." in same.out
    (judged,) = [row for row in json.loads(within.out)["comparisons"] if row["head"] == "pool:block=256"]
    assert (judged["metric"], judged["base_value"], judged["head_value"], judged["change"]) == (
        "served_blocks", 512.0, 256.0, -0.5
    )  # fmt: skip


def test_a_gate_fails_what_holds_fewer_blocks(drive: Drive) -> None:
    worse, equal, baseline, held = drive(
        (*GATE, "--against", "bump", "--candidate", "pool:block=256"),
        (*GATE, "--against", "bump", "--candidate", "pool:block=128"),
        (*GATE, "-a", "bump", "--baseline", "b.json", "--update"),
        (*GATE, "--baseline", "b.json"),
    )
    assert (worse.code, equal.code, baseline.code, held.code) == (3, 0, 0, 0)
    assert "regression" in worse.out


def test_its_files_have_a_schema_and_other_files_theirs(drive: Drive) -> None:
    (schema,) = drive(("schema", "workload"))
    validator = jsonschema.Draft202012Validator(json.loads(schema.out))
    count = {"name": "fills", "memory_limit": "64KiB", "count": {"size": 128}}
    heap = {"name": "queue", "allocations": 10, "pattern": {"fifo": {"live": 2, "size": 64}}}
    assert validator.is_valid(count)
    assert validator.is_valid(heap)
    assert not validator.is_valid({**count, "count": {}})
    assert not validator.is_valid({**heap, "count": {"size": 128}})
    assert not validator.is_valid({**heap, "pattern": {"fifo": {"live": 2}}})


def test_it_is_inspected(drive: Drive) -> None:
    text, facts, picture = drive(
        ("inspect", "w.yaml"),
        ("inspect", "w.yaml", "--format", "json"),
        ("inspect", "w.yaml", "--plot", "a.png"),
    )
    assert text.out.splitlines()[0] == "fills: at most 512 blocks of 128 B"
    assert "count: {size: 128}" in text.out
    content = json.loads(facts.out)
    assert (content["most_blocks"], content["image_bytes"], content["trace"]["event_hash"]) == (512, 8, HASH)
    assert (picture.code, picture.errors) == (
        2, "memtool: --plot: w.yaml: work of the kind count has no picture\n"
    )  # fmt: skip


HEAD = "name: a\nmemory_limit: 1MiB\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("count:\n  sise: 8\n", "bad.yaml:4:3: count.sise: unknown key; did you mean 'size'?"),
        ("count: {}\n", "bad.yaml:3:8: count.size: is missing"),
        ("count:\n  size: 8\npattern: {}\n", "bad.yaml:5:1: pattern: unknown key"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(folder: Path, drive: Drive, text: str, words: str) -> None:
    (folder / "bad.yaml").write_text(HEAD + text, encoding="utf-8")
    (refused,) = drive(("bench", "bad.yaml"))
    assert (refused.code, refused.errors) == (2, f"memtool: {words}\n")


def test_what_it_does_not_have_is_refused(drive: Drive) -> None:
    threads, limit = drive(
        ("bench", "w.yaml", "--threads", "2", "-a", "bump"), ("bench", "w.yaml", "--find-limit", "-a", "bump")
    )
    assert (threads.code, threads.errors) == (2, "memtool: w.yaml: with --threads 2: a count has none\n")
    assert (limit.code, limit.errors) == (
        2, "memtool: w.yaml: is work of the kind count, which has no footprint to limit\n"
    )  # fmt: skip


def test_a_memtool_without_the_kind_does_not_read_its_runs(stored: Path, memtool_environment: dict[str, str]) -> None:
    refused = run_memtool("show", stored, environment=memtool_environment)
    assert refused.returncode == 2
    assert refused.stderr.endswith(f"run.json: fills: kind: memtool {__version__} knows no 'count'\n")
