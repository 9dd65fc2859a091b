"""What travels: YAML as text, a trace as its place and digest; never events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.cluster import launch, orders, quiet
from memtool.cluster.orders import Part, Unit, key_from, key_to_plain, options_in, order_of
from memtool.errors import InputError, MemtoolError
from memtool.model import AllocatorSpec, Cell, Mode
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.workload.trace import find_workload

TEXT = "name: churn\nallocations: 200\nobjects: [{size: 64, lifetime: {uniform: [1, 9]}}]\n"


def test_options_and_workloads_arrive_as_they_were_sent(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(TEXT, encoding="utf-8")
    sent = BenchOptions(
        workloads=(str(file),),
        specs=(AllocatorSpec("pool", (("block", "64"),)), AllocatorSpec("tlsf", again=True)),
        passes=(Pass.THROUGHPUT,),
        mode=Mode.PARALLEL,
        blocks=7,
        threads=(1, 2),
        output=tmp_path,
        cluster="tcp://there:8786",
    )
    order = json.loads(order_of(sent, "run"))
    assert order["workloads"] == [{"file": "churn.yaml", "text": TEXT}]
    folder = tmp_path / "there"
    folder.mkdir()
    got = options_in(order, folder)
    assert Path(got.workloads[0]).read_text(encoding="utf-8") == TEXT
    assert (got.specs, got.passes, got.mode, got.blocks, got.threads) == (
        sent.specs,
        sent.passes,
        sent.mode,
        sent.blocks,
        sent.threads,
    )
    assert (got.output, got.cluster) == (None, None)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (
            "graph: {events: web.parquet, frees: none} # ours\n",
            'graph: {events: "HERE/web.parquet", frees: none} # ours\n',
        ),
        ("graph:\n  events: recorded/jq\n", "graph:\n  events: recorded/jq\n"),
        ("construct: {type: string}\n", "construct: {type: string}\n"),
        ("construct: {type: 'web.parquet'}\n", 'construct: {type: "HERE/web.parquet"}\n'),
        ("file: {folder: ../data}\n", 'file: {folder: "HERE/../data"}\n'),
        ("file: {folder: /data}\n", 'file: {folder: "/data"}\n'),
    ],
)
def test_what_a_workload_names_beside_itself_is_named_by_its_whole_path(text: str, sent: str, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(text, encoding="utf-8")
    (tmp_path / "web.parquet").write_bytes(b"")
    (packed,) = json.loads(order_of(BenchOptions(workloads=(str(file),)), "run"))["workloads"]
    assert packed["text"] == sent.replace("HERE", str(tmp_path))


def test_a_trace_has_to_lie_there_and_to_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = find_workload("recorded/sqlite3")
    trace = tmp_path / "mine.parquet"
    trace.write_bytes(recorded.read_bytes())
    order = json.loads(order_of(BenchOptions(workloads=(str(trace), "recorded/sqlite3")), "run"))
    assert [sorted(packed) for packed in order["workloads"]] == [["digest", "file", "shipped"]] * 2
    assert options_in(order, tmp_path).workloads == (str(trace), str(recorded))
    trace.write_bytes(b"PAR1")
    with pytest.raises(MemtoolError, match=r"mine.parquet: is another trace there"):
        options_in(order, tmp_path)
    trace.unlink()
    with pytest.raises(MemtoolError, match=r"mine.parquet: the trace cannot be read there: No such file or directory"):
        options_in(order, tmp_path)
    monkeypatch.setattr(orders, "find_workload", lambda name: Path("/dev/stdin"))
    with pytest.raises(InputError, match=r"/dev/stdin: is not a file, and cannot be measured on other machines"):
        order_of(BenchOptions(workloads=("-",)), "run")


def test_keys_and_units_have_names_that_cross() -> None:
    key = (Cell("web", "tlsf", "hugepages", "parallel"), 3, Pass.LATENCY)
    assert key_from(json.loads(json.dumps(key_to_plain(key)))) == key
    names = {Unit(workload, part, block).name for workload in ("a", "b") for part in Part for block in (0, 1)}
    assert len(names) == 12


def test_what_a_nanny_sets_is_not_in_the_environment_of_what_measures() -> None:
    given = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "DASK_X": "1", "MINE": "2", "HOME": "/"}
    assert quiet.without_dask(given, {"MINE": 2}) == {"HOME": "/"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# nobody\n\n", "hosts: names no host"),
        ("one\ntwo three\n", "hosts:2: must be one host, as ssh takes it, is 'two three'"),
        ("one\n-oProxyCommand=x\n", "hosts:2: must be one host, as ssh takes it, is '-oProxyCommand=x'"),
        ("one\none\n", "hosts:2: one is there twice"),
    ],
)
def test_a_file_of_hosts_that_is_wrong_is_refused_with_its_line(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=why):
        launch.hosts_in(file)
    file.write_text("user@one # first\n[::1]\n10.0.0.7\n".replace("[::1]", "two.example"), encoding="utf-8")
    assert launch.hosts_in(file) == ["user@one", "two.example", "10.0.0.7"]
