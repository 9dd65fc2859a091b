"""``memtool show`` and ``memtool plot``: a stored run again, or a part of it, and nothing is measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from memtool.cli import run
from memtool.store import run_file
from tests.unit.report.fake_run import fake_run, fake_run_with_series


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    run_file.write(tmp_path, fake_run_with_series(tmp_path))
    return tmp_path


def test_it_shows_what_bench_showed(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Path(__file__).parents[1] / "golden/bench-table.txt"
    for path in (stored, stored / "run.json"):
        assert run(["show", str(path)]) == 0
        assert capsys.readouterr().out == golden.read_text(encoding="utf-8")


def rows(text: str) -> list[str]:
    return [line.split()[1] for line in text.partition("Speed, in ns\n")[2].split("\n\n")[0].splitlines()[2:]]


@pytest.mark.parametrize(
    ("named", "labels"),
    [
        ("glibc,slab", ["slab", "glibc"]),
        ("tlsf", ["tlsf:subdivisions=16"]),
        ("?[ci]*malloc", ["tcmalloc", "mimalloc"]),
        ("segregated-pool:spacing=3,chunk=1048576,glibc", ["segregated-pool:spacing=3,chunk=1048576", "glibc"]),
    ],
)
def test_a_subset_of_its_allocators(
    stored: Path, named: str, labels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(stored), "-a", named]) == 0
    text = capsys.readouterr().out
    assert sorted(rows(text)) == sorted(labels)
    assert "jemalloc" not in text


def test_another_reference(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(stored), "-a", "glibc,first-fit", "--reference", "glibc"]) == 0
    text = capsys.readouterr().out
    assert "/ glibc" in text
    assert "3.977" in text  # 85.5 / 21.5


def test_one_table_of_chosen_metrics(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(stored), "-a", "glibc", "--metrics", "peak_resident_bytes,allocate_p99_ns"]) == 0
    text = capsys.readouterr().out
    assert "Chosen figures (bytes in MiB, times in ns)" in text
    assert "Speed" not in text
    assert [line.split() for line in text.splitlines() if line.startswith("glibc ")] == [["glibc", "9.75", "60.00"]]


def test_every_sample_as_csv(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(stored), "-a", "glibc", "--format", "csv", "--samples"]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    times = [line for line in lines if line["metric"] == "time_per_op_ns"]
    metric = fake_run().cells[0].metrics["time_per_op_ns"]
    assert [float(line["sample"]) for line in times] == list(metric.samples)
    assert [int(line["block"]) for line in times] == list(metric.blocks)


def test_several_runs(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(stored), str(stored / "run.json"), "-a", "glibc"]) == 0
    assert capsys.readouterr().out.count("Speed, in ns") == 2
    assert run(["show", str(stored), str(stored), "-a", "glibc", "--format", "json"]) == 0
    assert [len(row["cells"]) for row in json.loads(capsys.readouterr().out)] == [1, 1]
    assert run(["show", str(stored), str(stored), "-a", "glibc", "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("workload,allocator") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", "jemaloc"], "-a: the run has no 'jemaloc'; did you mean 'jemalloc'"),
        (["--reference", "hoard"], "--reference: the run has no 'hoard'"),
        (
            ["--metrics", "time_per_op"],
            "--metrics: no metric 'time_per_op' (`memtool list metrics`); did you mean 'time_per_op_ns'",
        ),
        (["--samples"], "--samples goes with --format csv"),
        (["--metrics", "time_per_op_ns", "--format", "csv"], "--metrics goes with --format table or markdown"),
    ],
)
def test_what_is_wrong_is_one_line(
    stored: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(stored), *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert output.err.count("\n") == 1


def test_chosen_pictures_again(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "slides"
    arguments = ["plot", str(stored), "--only", "throughput", "-a", "glibc,slab", "--format", "svg", "-o", str(folder)]
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"{folder / 'web_requests-throughput.svg'}\n"
    text = (folder / "web_requests-throughput.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    assert run(["plot", str(stored), "--only", "throuput"]) == 2
    assert "--only: the run has no picture 'throuput'; did you mean 'throughput'?" in capsys.readouterr().err
