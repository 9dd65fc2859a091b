"""``memtool inspect``: what a workload asks for, told without replaying it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from memtool.cli import run
from memtool.commands.inspect import _definition
from memtool.kinds import FIRST
from memtool.kinds.work import kind_of
from memtool.workload.language.loader import load_workload
from memtool.workload.language.program import compile_workload
from memtool.workload.trace import shipped

# 100 blocks of 64 bytes, then freed oldest first: every figure can be worked out by hand.
RAMP = "name: ramp\nallocations: 100\npattern:\n  ramp: {size: 64}\n"


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    path = tmp_path / "ramp.yaml"
    path.write_text(RAMP, encoding="utf-8")
    return path


def seed_and_hash(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("seed, event hash"))


def test_a_table_of_figures_worked_out_by_hand(ramp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(ramp)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "operations 200, and 0 frees in the epilogue" in lines
    assert "allocations 100, 0 resized, 0 zeroed" in lines
    assert "sizes 64 B to 64 B, median 64 B, mean 64 B" in lines
    assert "alignments 16 (100)" in lines
    assert "all bytes ever asked for 6.25 KiB" in lines
    assert "threads one" in lines
    assert "peak live 6.25 KiB in at most 100 objects: the load, the least memory that can serve it" in lines
    assert "best packing found 6.25 KiB, 1.000 of the load: offline, with all events known beforehand" in lines
    assert "frees LIFO for the first 100 operations; all FIFO" in lines
    # A head of 176 B, and a word of 8 B an event.
    assert "event image 1.73 KiB, 8.9 bytes an operation, epilogue included" in lines
    assert f"from 64 B 100 100.0% {40 * '#'}" in lines
    # The k-th to be born dies after the 100th birth, 101 - k births later: 37 of them 64 to 100 later.
    assert f"from 64 37 37.0% {40 * '#'}" in lines


def test_the_same_as_json_and_nothing_else(ramp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(ramp), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trace"]["name"] == "ramp"
    assert result["trace"]["peak_live_bytes"] == 6400
    assert result["trace"]["peak_live_objects"] == 100
    assert (result["allocations"], result["never_freed"], result["sizes"]) == (100, 0, {"6": 100})
    assert (max(result["live_bytes"]), result["live_bytes"][-1]) == (6400, 0)
    assert result["workload"]["allocations"] == 100
    assert "touch" in result["workload"], "every default is shown"


def test_frees_of_other_threads_and_resizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "handed-over.yaml"
    # The consumer frees whatever the producer allocates, but for the last batch, which is still in the queue.
    path.write_text(
        "name: queue\nthreads: 2\nallocations: 600\npattern:\n  producer-consumer: {batch: 10, depth: 2, size: 64}\n"
    )
    assert run(["inspect", str(path)]) == 0
    assert "2; 590 frees by another than allocated" in capsys.readouterr().out
    # Resized 5, 10 and 15 allocations after their birth: the last five objects are too young for it.
    path.write_text(
        "name: grown\nallocations: 50\nobjects:\n"
        "  - {size: 16, lifetime: {uniform: [20, 20]}, resize: {share: 100%, times: 3}}\n"
    )
    assert run(["inspect", str(path)]) == 0
    assert "of 45 objects, the most of one 3" in capsys.readouterr().out


def test_sizes_are_those_of_allocations_and_resizes_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "grown.yaml"
    # Lives of three allocations have time for two of ten resizes: 64, 96, 144 bytes. All but the last two objects have
    # both, the last but one has one: 1,998 x 2 + 1. The others of 20,000 found no time, three of them since it ends.
    path.write_text(
        "name: grown\nallocations: 2e3\nobjects:\n  - {size: 64, lifetime: 3, resize: {times: 10, factor: 1.5}}\n"
    )
    assert run(["inspect", str(path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "sizes 64 B to 64 B, median 64 B, mean 64 B; when allocated" in lines
    assert "resizes of 1,999 objects, the most of one 2; to 96 B to 144 B; 3,997 grow, 0 shrink" in lines
    note = next(line for line in lines if line.startswith("note"))
    assert note.startswith("note 16,003 resizes found no time and were left out, 3,997 took place: an object that")
    assert run(["inspect", str(path), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["smallest_size"], result["largest_size"], result["resized_to"]) == (64, 64, [96, 144])
    assert result["workload"]["objects"][0]["resize"]["when"] == "spread"


def test_requests_of_nothing_are_a_class_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nothing.yaml"
    # Of ten in turn six are of 0 bytes and four of 40: each lives until the next allocation, but for the last.
    path.write_text(
        "name: nothing\nallocations: 50\nobjects:\n  - {size: {cycle: [[3, 0], [4, 40], [3, 0]]}, lifetime: 1}\n"
    )
    assert run(["inspect", str(path), "--plot", str(tmp_path / "nothing.png")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "sizes 0 B to 40 B, median 0 B, mean 16 B" in lines
    bars = lines.index("Sizes of allocations")
    assert lines[bars + 1 : bars + 4] == [f"0 B 30 60.0% {40 * '#'}", f"from 32 B 20 40.0% {27 * '#'}", ""]
    assert lines[bars + 4 : bars + 6] == [
        "Lifetimes in allocations, of the 49 objects freed before the epilogue",
        f"from 1 49 100.0% {40 * '#'}",
    ]
    assert run(["inspect", str(path), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["empty"], result["sizes"], result["lifetimes"]) == (30, {"5": 20}, {"0": 49})
    # By size and lifetime only what has a size: the last object, which nobody frees, has none.
    assert result["size_by_lifetime"] == [[0], [0], [0], [0], [0], [20]]
    assert (result["smallest_size"], result["median_size"], result["trace"]["smallest_size"]) == (0, 0, 0)


def test_figures_that_a_stranger_would_stumble_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One is no plural, half a byte is not none, and of many threads only some are there at once."""
    assert run(["inspect", "classic/cache-thrash"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "peak live 1 B in at most 1 object: the load, the least memory that can serve it" in lines
    assert "mean live 0.5 B" in lines
    assert run(["inspect", "classic/mleak"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "threads 2,001 in all, 10 at once; 2,000 frees by another than allocated" in lines
    path = tmp_path / "limited.yaml"
    path.write_text(
        "name: limited\nmemory_limit: 64KiB\nallocations: 4k\nobjects:\n"
        "  - {size: {cycle: [[3999, 16], [1, 8KiB]]}, lifetime: 1}\n"
    )
    assert run(["inspect", str(path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "operations 7,999, and 1 free in the epilogue" in lines
    assert "memory limit 64.0 KiB; the load is 12.5% of it" in lines
    assert f"from 16 B 3,999 >99.9% {40 * '#'}" in lines
    assert "from 8.00 KiB 1 <0.1%" in lines


@pytest.mark.parametrize("name", ["cache-scratch", "malloc-large", "mleak"])
def test_the_figures_of_a_workload_agree_with_each_other(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", f"classic/{name}", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    trace = result["trace"]
    for key in ("operations", "allocations", "reallocations", "total_bytes", "peak_live_bytes", "peak_live_objects"):
        assert result[key] == trace[key], key
    assert trace["smallest_size"] <= result["smallest_size"] <= result["median_size"] <= result["largest_size"]
    assert (
        result["empty"] + sum(result["sizes"].values()) == result["allocations"] == sum(result["alignments"].values())
    )
    freed = sum(result["lifetimes"].values())
    assert freed == sum(map(sum, result["size_by_lifetime"])) == result["allocations"] - result["never_freed"]
    assert result["operations"] == result["allocations"] + result["reallocations"] + freed
    assert result["never_freed"] == trace["epilogue_operations"]
    assert result["mean_size"] * result["allocations"] == pytest.approx(result["total_bytes"])
    assert max(result["live_bytes"]) <= result["peak_live_bytes"] <= trace["packing_bytes"]


def test_marks_are_shown_with_what_is_done_and_alive(ramp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp.write_text(RAMP + "marks: {full: 100, half: 50%}\n", encoding="utf-8")
    assert run(["inspect", str(ramp)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("mark ")] == [
        "mark half: after 50 operations, 3.12 KiB live",
        "mark full: after 100 operations, 6.25 KiB live",
    ]
    assert run(["inspect", str(ramp), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["trace"]["marks"] == [
        {"name": "half", "operation": 50, "live_bytes": 3200, "progress": 50 / 202},
        {"name": "full", "operation": 100, "live_bytes": 6400, "progress": 101 / 202},
    ]


def test_the_definition_with_every_default_is_a_workload_with_the_same_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "chapter/game-frame"]) == 0
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 120
    again = tmp_path / "again.yaml"
    again.write_text(output.partition("With every default written out\n")[2], encoding="utf-8")
    assert run(["inspect", str(again)]) == 0
    assert seed_and_hash(capsys.readouterr().out) == seed_and_hash(output)


@pytest.mark.parametrize("name", [name for name, path in shipped().items() if kind_of(path) == FIRST])
def test_the_definition_of_every_shipped_workload_compiles_to_the_same_program(name: str, tmp_path: Path) -> None:
    """The program is all that the generator sees, so the events are the same, and none has to be generated."""
    workload = load_workload(shipped()[name])
    again = tmp_path / "again.yaml"
    again.write_text(_definition(workload.effective()), encoding="utf-8")
    assert compile_workload(load_workload(again), 1) == compile_workload(workload, 1)


def test_another_seed_gives_other_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "random.yaml"
    path.write_text("name: random\nallocations: 1000\nobjects:\n  - {size: {uniform: [1, 100]}, lifetime: 10}\n")
    hashes = []
    for seed in ("1", "2", "1"):
        assert run(["inspect", str(path), "--seed", seed]) == 0
        hashes.append(seed_and_hash(capsys.readouterr().out))
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_plot(
    ramp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = tmp_path / "ramp.png"
    titles = []
    save = Figure.savefig

    def spy(figure: Figure, path: Path, **options: object) -> None:
        titles.append(figure.get_suptitle())
        save(figure, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", spy)
    assert run(["inspect", str(ramp), "--plot", str(plot)]) == 0
    assert re.fullmatch(r"ramp: [\d,]+ allocations · \d{4}-\d\d-\d\d", titles[0])
    assert capsys.readouterr().out.endswith(f"\nPlot: {plot}\n")
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("plot", "words"),
    [("gone/ramp.png", "there is no folder "), ("ramp.mp3", "must end in .png, .svg or .pdf")],
)
def test_a_plot_that_cannot_be_drawn(
    plot: str, words: str, ramp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(ramp), "--plot", str(tmp_path / plot)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"memtool: Invalid value for '--plot': {tmp_path / plot}: {words}")


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        ("size: 64", "size: -3", "4:16: pattern.ramp.size: must be "),
        ("allocations", "alocations", "2:1: alocations: "),
        ("name: ramp", "name: [", "3:8: is not YAML: "),
    ],
)
def test_a_wrong_workload_is_one_line_with_its_place(
    wrong: str, right: str, line: str, ramp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp.write_text(RAMP.replace(wrong, right), encoding="utf-8")
    assert run(["inspect", str(ramp)]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert output.err.startswith(f"memtool: {ramp}:{line}")


def test_a_workload_that_is_not_there_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "quickstrat"]) == 2
    assert capsys.readouterr().err == (
        "memtool: quickstrat: no such file, and no shipped workload of that name; did you mean 'quickstart'?\n"
    )


BUFFERS = "id,lower,upper,size\na,0,4,100\nb,2,6,50\n"


def test_a_trace_file_has_no_definition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.csv"
    file.write_text(BUFFERS, encoding="utf-8")
    assert run(["inspect", str(file)]) == 0
    output = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "operations 4, and 0 frees in the epilogue" in lines
    assert "peak live 150 B in at most 2 objects: the load, the least memory that can serve it" in lines
    assert "With every default" not in output
    assert run(["inspect", str(file), "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["workload"], result["trace"]["name"], result["allocations"]) == (None, "two", 2)


@pytest.mark.parametrize("command", ["inspect", "bench"])
@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (
            BUFFERS.replace("lower,upper", "from,until"),
            "1: must have the columns id (or buffer, buffer_id), lower (begin, start), upper (end) and size, in any "
            "order; or, with a call on each line, kind, address (or object) and size; is 'id,from,until,size'",
        ),
        (BUFFERS.replace("6,50", "6,-50"), "3: size: must be a whole number from 0 to 2^58 - 1, is '-50'"),
        (BUFFERS.replace("2,6", "6,2"), "3: upper: must be above lower (6), is 2"),
    ],
)
def test_a_wrong_trace_is_one_line_with_its_place(
    command: str, wrong: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "two.csv"
    file.write_text(wrong, encoding="utf-8")
    assert run([command, str(file)]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"memtool: {file}:{line}\n")
