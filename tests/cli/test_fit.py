"""``memtool fit``: the workload that it writes, what it says of it, and what it refuses, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.cli import run
from memtool.workload.language.loader import load_workload
from memtool.workload.trace import load_trace

# 300 blocks of 64 bytes of which three are alive at a time, and a table of 4,000 bytes that is never freed.
LINES = ["kind,object,size", "malloc,0,4000"]
for number in range(1, 301):
    LINES += [f"malloc,{number},64", *([f"free,{number - 2},"] if number > 2 else [])]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("app.csv")
    path.write_text("\n".join(LINES) + "\n")
    return path


def test_a_workload_is_written_that_loads_and_says_what_it_is(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(log), "--no-rank"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Workload: app-fit.yaml" in said
    assert "allocations 301 301 1.000 close" in said
    workload = load_workload("app-fit.yaml")
    assert (workload.name, workload.allocations, workload.touch) == ("app-fit", 301, "pages")
    comments = [line for line in Path("app-fit.yaml").read_text().splitlines() if line.startswith("#")]
    assert comments[0] == "# Fitted by memtool to app.csv."
    assert any("Zorn and Grunwald" in line for line in comments)
    assert any("peak of live bytes" in line for line in comments)
    with load_trace("app-fit.yaml") as trace, load_trace("app.csv") as own:
        assert trace.info.allocations == own.info.allocations == 301
        assert trace.info.peak_live_bytes == pytest.approx(own.info.peak_live_bytes, rel=0.05)


def test_as_json_it_is_one_document(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(log), "--no-rank", "--format", "json", "-o", "w.yaml"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["path"], document["source"], document["agreements"]) == ("w.yaml", "app.csv", [])
    by_name = {distance["name"]: distance for distance in document["distances"]}
    assert by_name["allocations_ratio"]["value"] == 1
    assert by_name["size_ks"]["is_close"] is True


def test_both_are_replayed_and_the_table_says_how_they_rank(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(log), "-a", "tlsf,first-fit", "--blocks", "1"]) == 0
    said = capsys.readouterr().out
    assert "of 1 pairs of allocators keep their order" in said
    assert said.count("tlsf") >= 2
    assert "# ranking: by time," in Path("app-fit.yaml").read_text()
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kind,object,size\n", "holds no allocation that can be read"),
        ("kind,object,size\nfree,1,\nfree,2,\n", "holds no allocation that can be read"),
        ("kind,object,size\nmalloc,1,0\nfree,1,\nmalloc,2,0\n", "asks for 0 bytes in all"),
        ("name: w\nallocations: 9\nobjects: [{size: 8, lifetime: 2}]\n", "is already a workload"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    tmp_path: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("w.yaml" if content.startswith("name") else "w.csv")
    path.write_text(content)
    assert run(["fit", str(path), "--no-rank", "-o", str(tmp_path / "out.yaml")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.yaml").exists()


def test_one_event_is_fitted_and_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.csv"
    path.write_text("kind,object,size\nmalloc,1,100\n")
    assert run(["fit", str(path), "--no-rank", "-o", str(tmp_path / "one.yaml")]) == 0
    assert load_workload(tmp_path / "one.yaml").allocations == 1
    assert run(["fit", str(path), "--no-rank", "-o", str(tmp_path / "nowhere/one.yaml")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert run(["fit", str(path), "--no-rank", "-o", str(path)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert run(["fit", str(tmp_path / "missing.csv")]) == 2
