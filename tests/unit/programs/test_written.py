"""Programs of workload files."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from memtool.errors import InputError
from memtool.kinds.work import json_schema, load_trace
from memtool.model import Mode
from memtool.options import BenchOptions, with_programs
from memtool.programs.program import Program, written_in

WHOLE = """
name: orders
description: Fills a table.
program:
  command: "sqlite3 :memory: -{mode}"
  shell: none
  input: "{n}.sql"
  output: pipe
  setup: make {n}.sql
  prepare: sync
  conclude: "true"
  cleanup: rm {n}.sql
  warmup: 2
  expect_same_output: true
  ignore_failure: [1, 2]
  time_limit: 30
  parameters: {n: [1, 2], mode: [csv]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_all_that_the_command_line_does(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(WHOLE))
    first, second = written_in(path)
    assert first == Program(
        name="orders[n=1,mode=csv]",
        command="sqlite3 :memory: -csv",
        shell="none",
        input="1.sql",
        output="pipe",
        setup="make 1.sql",
        prepare="sync",
        conclude="true",
        cleanup="rm 1.sql",
        warmup=2,
        expects_same_output=True,
        ignored_statuses=(1, 2),
        time_limit=30,
        parameters=(("n", "1"), ("mode", "csv")),
        source=str(path),
    )
    assert second.input == "2.sql"
    assert first.info.source == str(path)
    assert "source" not in (first.info.program or {})


def test_a_server_and_its_load(tmp_path: Path) -> None:
    text = "name: s\nprogram: {command: ./server, ready: '8080', load: ./load, ignore_failure: all-non-zero}\n"
    (server,) = written_in(written(tmp_path, text))
    assert (server.is_server, server.ready, server.ignored_statuses) == (True, "8080", None)


def test_files_of_events_stay_workloads(tmp_path: Path) -> None:
    events = "name: a\n# program: of another file\nallocations: 9\nobjects: [{size: 64, lifetime: 1}]\n"
    path = written(tmp_path, events)
    assert written_in(path) == ()
    (tmp_path / "p.yaml").write_text("{name: p, program: {command: 'true'}}", encoding="utf-8")
    options = with_programs(BenchOptions(workloads=(str(path), str(tmp_path / "p.yaml"), "quickstart")))
    assert options.workloads == (str(path), "quickstart")
    assert [program.name for program in options.programs] == ["p"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("program: {command: 'true'}\nthreads: 2", "w.yaml:3:1: threads: unknown key"),
        ("program: {comand: 'true'}", "w.yaml:2:11: program.comand: unknown key; did you mean 'command' or 'load'?"),
        ("program: {command: ''}", "w.yaml:2:20: program.command: must not be empty"),
        ("program: {shell: none}", "w.yaml:2:10: program.command: is missing"),
        ("program: {command: a, warmup: -1}", "w.yaml:2:31: program.warmup: must be >= 0, is -1"),
        ("program: {command: a, parameters: {x: []}}", "w.yaml:2:39: program.parameters.x: must not be empty"),
        ("program: {command: a}\nprofile: {}", None),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, complaint: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        written_in(written(tmp_path, f"name: p\n{text}\n"))
    assert complaint is None or refused.value.message.removeprefix(f"{tmp_path}/") == complaint


def test_what_replays_events_refuses_a_program(tmp_path: Path) -> None:
    path = str(written(tmp_path, "name: p\nprogram: {command: 'true'}\n"))
    with pytest.raises(
        InputError, match="program: is run as a whole, by bench and check; `memtool record` makes a trace"
    ):
        load_trace(path, seed=None, threads=None, rate=None, mode=Mode.SERIAL)
