"""``memtool check`` from the shell, on real processes: exit codes, files, baselines. No time is ever asserted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import jsonschema
import pytest

from memtool.cli import run as memtool
from memtool.commands import bench, compare
from memtool.commands import check as check_command
from memtool.commands.spelling import _workloads
from memtool.store import compare_file, run_file
from tests.unit.report.fake_run import fake_run

SMALL = """\
name: small
allocations: 2k
objects:
  - {weight: 80, size: {lognormal: {median: 64, sigma: 0.8, max: 4KiB}}, lifetime: {exponential: {mean: 100}}}
  - {weight: 20, size: {uniform: [100, 2000]}, lifetime: {exponential: {mean: 2000}}}
touch: first
"""
SIDES = ("--against", "glibc", "--candidate", "tlsf")
PICTURES = ["small-footprint.png", "small-fragmentation-over-time.png", "small-waterfall.png"]
EXACT = "peak_footprint_bytes,internal_fragmentation,external_fragmentation"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return Path("small.yaml")


def test_a_check_at_several_rates(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (small, *SIDES, "--rate", "1M/s,700/s", "--metric", "allocate_p99_ns", "--dry-run", "--blocks", "1")
    assert check(*arguments) == 0
    output = capsys.readouterr().out
    assert "small:rate=1M:" in output
    assert "small:rate=700:" in output
    assert "a rate such as 500k/s or 2M/s, is 'fast'" in refused(capsys, 2, *arguments[:3], "--rate", "fast")


def test_what_to_run_next_has_the_rate() -> None:
    base = fake_run()
    infos = tuple(replace(base.workloads[0], name=name) for name in ("w:rate=2M", "w:rate=2M:threads=2", "w"))
    named = _workloads(replace(base, workloads=infos))
    assert [item.removeprefix("web-requests.yaml") for item in named.values()] == [" --rate 2M/s"] * 2 + [""]


def check(*arguments: object, draws: bool = False) -> int:
    return memtool(["check", *map(str, arguments), *([] if draws else ["--no-plots"])])


def pictures(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder, "plots").iterdir())


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    capsys.readouterr()
    assert check(*arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.strip().removeprefix("memtool: ")


def test_a_strategy_against_itself_passes_and_leaves_every_form(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--metric", EXACT, "--blocks", "2", "-o", "out")
    assert check(small, "--against", "tlsf", "--candidate", "tlsf", *options, draws=True) == 0
    assert pictures("out") == ["compare.png", *PICTURES]
    assert "3 exact figures unchanged.\n\nPASS: 3 pass" in capsys.readouterr().out
    result = json.loads(Path("out/compare.json").read_text())
    jsonschema.validate(result, compare_file.json_schema())
    assert {(comparison["base"], comparison["head"], comparison["basis"]) for comparison in result["comparisons"]} == {
        ("tlsf", "tlsf (again)", "exact")
    }
    assert ElementTree.parse("out/compare.xml").getroot().attrib["tests"] == "3"
    assert Path("out/compare.md").read_text().startswith("## small: against tlsf")
    # An even number of blocks is made odd.
    assert run_file.read(Path("out")).blocks == 3


def test_a_strategy_that_needs_more_memory_is_a_regression(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--metric", "peak_footprint_bytes", "--blocks", "1")
    # Buddies round to powers of two.
    assert check(small, "--against", "tlsf", "--candidate", "buddy", *options, "-o", "one") == 0
    assert "1 block; an interval needs 6" in capsys.readouterr().out
    options = ("--metric", "peak_footprint_bytes", "--blocks", "3")
    assert check(small, "--against", "tlsf", "--candidate", "buddy", *options, "-o", "three") == 3
    assert "regression: small · buddy against tlsf · peak_footprint_bytes: " in capsys.readouterr().out


def store(small: Path) -> int:
    return check(small, "--baseline", "b/main.json", "-a", "tlsf,slab", "--metric", EXACT, "--update", "-o", "made")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def stored(small: Path, kept: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the content of b/main.json, a baseline that is measured once for all tests, and its run, made."""
    if not (kept / "b").is_dir():
        assert store(small) == 0
        shutil.copytree(".", kept, dirs_exist_ok=True)
    else:
        shutil.copytree(kept, ".", dirs_exist_ok=True)
    capsys.readouterr()
    return json.loads(Path("b/main.json").read_text())  # type: ignore[no-any-return]  # JSON


def test_a_baseline_is_written_and_passed(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert store(small) == 0
    assert capsys.readouterr().out == "b/main.json: 2 cells\n"
    content = json.loads(Path("b/main.json").read_text())
    jsonschema.validate(content, run_file.json_schema())
    assert content["command"] == []
    assert content["workloads"][0]["source"] == "small.yaml"
    assert str(Path.cwd()) not in json.dumps(content)
    assert check(small, "--baseline", "b/main.json", "-o", "again", "--metric", EXACT, draws=True) == 0
    assert pictures("again") == PICTURES
    assert "PASS: 6 pass" in capsys.readouterr().out
    # The check and the footprint pass are all that exact metrics need.
    assert "time_per_op_ns" not in json.loads(Path("again/run.json").read_text())["cells"][0]["metrics"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"cpu": "Another", "kernel": "1.0"}, 0, "PASS: 6 pass"),
        ({"page_bytes": 16384}, 5, "page_bytes differs: 16384 and "),
        ({"architecture": "pdp11"}, 5, "architecture differs: pdp11 and "),
    ],
)
def test_a_baseline_of_another_machine(
    small: Path,
    stored: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    code: int,
    words: str,
) -> None:
    stored["machine"].update(change)
    Path("b/main.json").write_text(json.dumps(stored))
    assert check(small, "--baseline", "b/main.json", "-o", "again", "--metric", EXACT) == code
    assert words in capsys.readouterr().out


def test_a_footprint_that_grew_by_a_granule_fails_with_what_to_do(
    small: Path, stored: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for metric in (cell["metrics"]["peak_footprint_bytes"] for cell in stored["cells"]):
        metric.update(
            {name: metric[name] - 16 for name in ("value",)}, samples=[sample - 16 for sample in metric["samples"]]
        )
    Path("b/main.json").write_text(json.dumps(stored))
    assert check(small, "--baseline", "b/main.json", "-a", "tlsf", "-o", "again", "--format", "github") == 3
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "::error title=memtool%3A regression in small%2C peak_footprint_bytes::small · tlsf · peak_footprint_bytes: "
    )
    assert "(+16 B, +" in first
    assert first.endswith("if it is meant: memtool check small.yaml --baseline b/main.json --update -a tlsf")


def test_no_baseline(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, 5, small, "--baseline", "none.json")
    assert said == "none.json: no baseline; the same command with --update writes one"


def test_a_damaged_baseline(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.json").write_text('{"schema": "memtool.run.v1"')
    assert refused(capsys, 2, small, "--baseline", "bad.json").startswith("bad.json: is not JSON, or not all of it")


@pytest.mark.usefixtures("stored")
def test_a_baseline_of_another_workload(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text(SMALL.replace("name: small", "name: other"))
    said = refused(capsys, 5, "other.yaml", "--baseline", "b/main.json", "--passes", "footprint", "-o", "again")
    assert said == "b/main.json and again have no cell in common: small/tlsf, small/slab; other/tlsf, other/slab"


def test_both_sides_left_out(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small, "--against", "pool", "--candidate", "pool", "--blocks", "1", "-o", "out") == 5
    assert "incomparable: the base was left out: serves requests of up to 64 B" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "takes --baseline FILE, or --against ALLOCATOR with --candidate ALLOCATOR"),
        (("--against", "glibc"), "takes --baseline FILE, or --against"),
        (("--baseline", "b", "--against", "glibc"), "--baseline goes without --against and --candidate"),
        (("--against", "glibc", "--candidate", "tlsf", "-a", "glibc"), "-a goes with --baseline"),
        (("--against", "glibc", "--candidate", "tlsf", "--update"), "--update needs --baseline FILE"),
        (("--against", "glibc,tlsf", "--candidate", "tlsf"), "--against: must name one allocator, is 'glibc,tlsf'"),
        (("--against", "glibc", "--candidate", "tslf"), "unknown allocator 'tslf'; did you mean 'tlsf'"),
        (("--against", "glibc", "--candidate", "tlsf", "--passes", "speed"), "unknown pass 'speed'"),
        (
            (*SIDES, "--metric", "instructions_per_op", "--counters", "none"),
            "--counters none: instructions_per_op, which is to be compared, has to be counted",
        ),
        (
            (*SIDES, "--counters", "callgrind"),
            "--counters callgrind: nothing that is compared is counted; --metric instructions_per_op is",
        ),
        ((*SIDES, "--threads", "0"), "must be whole numbers from 1 to 1024, is '0'"),
        ((*SIDES, "--history", "."), "--history: .: no run in it"),
        ((*SIDES, "--resume", "-o", "nothing"), "nothing: no run to resume"),
    ],
)
def test_options_that_do_not_go_together(
    small: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, 2, small, *options)


def test_a_check_takes_what_bench_and_compare_take() -> None:
    def options(command: click.Command) -> set[str]:
        return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}

    own = options(check_command.command)
    # --against names the reference; the picture of the intervals lies beside the run; a verdict needs no standings.
    assert options(bench.command) - own == {
        "--reference", "--find-limit", "--seeds", "--metrics", "--report", "--watch",
    }  # fmt: skip
    assert options(compare.command) - own == {"--reference", "--plot", "--by"}


def test_both_sides_on_threads(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = ("--against", "glibc", "--candidate", "glibc", "--metric", "time_per_op_ns", "--blocks", "1")
    assert check(small, *sides, "--mode", "parallel", "--threads", "1,2", "-o", "out") == 0
    text = capsys.readouterr().out
    result = json.loads(Path("out/compare.json").read_text())["comparisons"]
    assert [(item["workload"], item["mode"], item["head"]) for item in result] == [
        ("small:threads=1", "parallel", "glibc (again)"),
        ("small:threads=2", "parallel", "glibc (again)"),
    ]
    # What is to be run next measures the same.
    assert "next: memtool check small.yaml --threads 2 --against glibc --candidate glibc --mode parallel\n" in text


@pytest.mark.usefixtures("stored")
def test_a_baseline_of_another_mode_or_region_is_refused_before_anything_is_measured(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, 5, small, "--baseline", "b/main.json", "--mode", "lockstep", "-o", "out")
    assert said == (
        "b/main.json: nothing to compare: it was measured with --mode serial, this check is with --mode lockstep"
    )
    said = refused(capsys, 5, small, "--baseline", "b/main.json", "--region", "hugepages", "-o", "out")
    assert said == (
        "b/main.json: nothing to compare: it was measured with --region anonymous, "
        "this check is with --region hugepages"
    )
    assert not Path("out").exists()


def test_a_baseline_is_renewed_with_the_options_of_the_check(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--baseline", "main.json", "-a", "tlsf", "--metric", "peak_footprint_bytes", "--seed", "7", "--cold")
    assert check(small, *options, "--threads", "2", "--region", "populate", "--update", "-o", "made") == 0
    content = json.loads(Path("main.json").read_text())
    assert content["workloads"][0]["source"] == "small.yaml"
    content["cells"][0]["metrics"]["peak_footprint_bytes"] |= {"samples": [16, 16], "value": 16}
    Path("main.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert check(small, *options, "--threads", "2", "--region", "populate", "-o", "again") == 3
    assert (
        "next: memtool bench small.yaml --threads 2 -a tlsf --region populate --passes footprint; if it is meant: "
        "memtool check small.yaml --baseline main.json --update -a tlsf --metric peak_footprint_bytes "
        "--region populate --threads 2 --seed 7 --cold\n"
    ) in capsys.readouterr().out


@pytest.mark.usefixtures("stored")
def test_a_dry_run_says_what_would_be_measured(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small, "--against", "glibc", "--candidate", "tlsf", "--blocks", "2", "--dry-run", "-o", "out") == 0
    text = capsys.readouterr().out
    assert "measured: glibc, tlsf\n" in text
    assert "3 blocks; passes check, throughput, footprint" in text
    assert check(small, "--baseline", "b/main.json", "--metric", EXACT, "--dry-run", "-o", "out") == 0
    assert "measured: tlsf, slab\n" in capsys.readouterr().out
    assert not Path("out").exists()


def test_a_dry_run_of_what_could_compare_nothing_ends_as_the_check_would(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(small, "--against", "pool", "--candidate", "tlsf", "--dry-run") == 5
    assert "left out: pool on anonymous: serves requests of up to 64 B" in capsys.readouterr().out
    assert check(small, "--against", "pool", "--candidate", "tlsf", "--blocks", "1", "-o", "out") == 5


def test_a_plan_leaves_no_pass_out_on_threads_and_says_how_long_arrivals_take(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_text(SMALL.replace("2k", "20k") + "arrivals: {constant: {rate: 1/s}}\n")
    assert memtool(["bench", str(small), "-a", "tlsf", "--mode", "parallel", "--blocks", "1", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "Passes left out" not in text
    assert "process of its own: 1 block; passes check, throughput, latency, footprint, " in text
    assert ", heap, calls\n" in text
    # 39,000 operations and some, one a second, in three replays of tlsf and of the control.
    assert "small: its operations arrive over 1" in text
    assert "in each replay; the latency pass takes 2 d 1" in text


def test_a_check_goes_on_where_it_was_interrupted(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--against", "tlsf", "--candidate", "buddy", "--metric", "peak_footprint_bytes", "--blocks", "1")
    assert check(small, *options, "-o", "out") == 0
    first = capsys.readouterr().out
    journal = Path("out/journal.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    # As if it had been killed before its last sample.
    journal.write_text("".join(lines[:-1]))
    assert check(small, *options, "-o", "out", "--resume") == 0
    assert capsys.readouterr().out == first
    assert journal.read_text().splitlines(keepends=True)[:-1] == lines[:-1]
    assert len(journal.read_text().splitlines()) == len(lines)


@pytest.mark.usefixtures("stored")
def test_the_figures_of_earlier_runs_stand_beside(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small, "--baseline", "b/main.json", "--metric", EXACT, "--history", ".", "-o", "again") == 0
    table = capsys.readouterr().out.split("History")[1].split("\n\n")[0]
    # What the baseline was made from, and this run.
    assert table.count("small · tlsf") == 2 * 3


@pytest.mark.usefixtures("stored")
def test_a_baseline_on_another_footing_is_incomparable(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(small, "--baseline", "b/main.json", "--metric", EXACT, "--as", "malloc", "-o", "again") == 5
    assert "call differs: inlined, sized free, one thread and pointer, " in capsys.readouterr().out


HEAP = """\
from memtool.allocators.reference.first_fit import FirstFit


class Heap(FirstFit):
    pass
"""


def test_a_file_that_the_baseline_does_not_know_is_not_green_and_a_name_follows_it(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_text(SMALL.replace("2k", "500"))
    for folder in ("old", "new"):
        Path(folder).mkdir()
        Path(folder, "heap.py").write_text(HEAP)
    words = (small, "--metric", "peak_footprint_bytes", "--baseline")
    assert check(*words, "by-path.json", "-a", "./old/heap.py:Heap,tlsf", "--update", "-o", "1") == 0
    assert check(*words, "by-path.json", "-a", "./new/heap.py:Heap,tlsf", "-o", "2") == 5
    said = capsys.readouterr().out
    assert "not judged: small · ./new/heap.py:Heap: not in by-path.json; it has ./old/heap.py:Heap, tlsf\n" in said
    assert check(*words, "by-name.json", "-a", "mine=./old/heap.py:Heap", "--update", "-o", "3") == 0
    assert check(*words, "by-name.json", "-a", "mine=./new/heap.py:Heap", "-o", "4") == 0
    # Without -a it is what the baseline was made from.
    assert check(*words, "by-name.json", "-o", "5") == 0
    result = json.loads(Path("5/run.json").read_text())["cells"]
    assert [(item["allocator"], item["proof"]["named"]) for item in result] == [("mine", "mine=./old/heap.py:Heap")]
