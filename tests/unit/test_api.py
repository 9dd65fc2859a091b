"""memtool from Python: the example of docs/api.md, and errors that name a field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from memtool import api, cli, gate
from memtool.errors import AllocatorError, InputError, Interrupted, MemtoolError, option
from memtool.options import refuse_invalid
from memtool.store import run_file
from tests.conftest import ROOT
from tests.unit.report.fake_run import fake_run


def test_the_example_of_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    example, errors = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    exec(errors, names)
    live, first, second, verdicts, verdict, error = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ bytes are live at the peak", live)
    assert (first.split()[0], first.split()[2]) == ("first-fit", "exact")
    assert (second.split()[0], second.split()[2]) == ("tlsf", "exact")
    assert verdicts.startswith("[<Verdict.")
    assert verdict == "pass"
    assert error == "allocators | unknown allocator 'tslf'; did you mean 'tlsf'?"
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml", "tiny-run", "tiny-baseline.json", "results"}


def test_every_function_and_record_that_is_named_is_there() -> None:
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
    assert not hasattr(api, "no_such_record")


def test_an_error_names_its_field_and_a_command_names_its_option() -> None:
    wrong = InputError(f"must name one, or {option('resume')} goes on", field="against")
    assert (wrong.field, wrong.message) == ("against", "must name one, or resume goes on")
    assert str(wrong) == "against: must name one, or resume goes on"
    spelled = wrong.spelled({"against": "--against", "resume": "--resume"})
    assert spelled == "--against: must name one, or --resume goes on"
    assert AllocatorError("names none").field == "allocators"
    assert MemtoolError("no field").field is None
    assert str(Interrupted(f"{option('resume')} goes on")) == "resume goes on"


@pytest.mark.parametrize(
    ("command", "field", "written"),
    [
        ("bench", "allocators", "-a"),
        ("bench", "rates", "--rate"),
        ("bench", "output", "-o"),
        ("check", "regions", "--region"),
        ("check", "metrics", "--metric"),
        ("check", "limits", "--limit"),
        ("show", "metrics", "--metrics"),
        ("compare", "margin", "--margin"),
    ],
)
def test_a_command_has_an_option_for_the_fields_that_errors_name(command: str, field: str, written: str) -> None:
    assert cli._options_of([command, "x.yaml"])[field] == written


def test_nothing_below_the_commands_begins_an_error_with_an_option() -> None:
    """A caller in Python has no options; `commands/` and `cli.py` write them."""
    begins_with_option = re.compile(r"""Error\(\s*f?["']-""")
    offenders = [
        str(path)
        for path in (ROOT / "memtool").rglob("*.py")
        if path.parent.name != "commands" and begins_with_option.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


LIMITS = api.Limits("1.0", "2026-01-01T00:00:00Z", (), {}, step_bytes=16, workloads=(), rows=())
REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a format": (
        lambda _: api.render(LIMITS, "jsn"),
        "style: unknown format 'jsn' (known: table, markdown, json, csv); did you mean 'json'?",
    ),
    "a width": (lambda _: api.render(LIMITS, width=0), "width: must be at least 1, is 0"),
    "a schema": (
        lambda _: api.json_schema("rn"),
        "what: unknown schema 'rn' (known: workload, run, compare, history, limits, series); did you mean 'run'?",
    ),
    "a theme": (
        lambda run: api.draw(run, theme=cast("Any", "drk")),
        "theme: unknown theme 'drk' (known: light, dark); did you mean 'dark'?",
    ),
    "a purpose": (
        lambda run: api.draw(run, purpose=cast("Any", "prnt")),
        "purpose: unknown purpose 'prnt' (known: screen, print, slides); did you mean 'print'?",
    ),
    "a kind of picture": (
        lambda run: api.draw(run, suffix="gif"),
        "suffix: unknown format 'gif' (known: png, svg, pdf)",
    ),
    "a verdict": (
        lambda _: gate.exit_code((), cast("Any", "regresion")),
        "fail_on: unknown verdict 'regresion' (known: regression, inconclusive); did you mean 'regression'?",
    ),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED)
def test_an_unknown_name_is_refused_in_a_line(call: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    run_file.write(tmp_path, fake_run())
    with pytest.raises(InputError) as refused:
        call(tmp_path)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"mode": "seriel"},
            "mode: unknown mode 'seriel' (known: serial, lockstep, parallel); did you mean 'serial'?",
        ),
        ({"counters": "cg"}, "counters: unknown counter 'cg' (known: auto, none, perf, callgrind)"),
        (
            {"regions": ("anon",)},
            "regions: unknown region 'anon' (known: anonymous, populate, hugepages, locked, file-private, file-shared, "
            "shared-memory); did you mean 'anonymous'?",
        ),
        ({"blocks": -1}, "blocks: must be a number above 0, is -1"),
        ({"blocks": "ten"}, "blocks: must be a number above 0, is 'ten'"),
        ({"threads": (0,)}, "threads: must be a number above 0, is 0"),
        ({"speed": math.nan}, "speed: must be a number above 0, is nan"),
        ({"time_limit": math.inf}, "time_limit: must be a number above 0, is inf"),
    ],
)
def test_an_option_without_such_a_value_is_refused_in_a_line(options: dict[str, Any], words: str) -> None:
    """A command refuses them by itself; a caller in Python may give any."""
    with pytest.raises(InputError) as refused:
        refuse_invalid(api.BenchOptions(**options))
    assert str(refused.value) == words


def test_every_result_has_its_formats() -> None:
    assert api.render(LIMITS, "csv").startswith("workload,")


def test_a_report_packs_no_workload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Its chart of objects needs their sizes and lifetimes; a packing takes seconds for each workload.
    file = tmp_path / "w.yaml"
    file.write_text("name: w\nallocations: 3000\nobjects:\n  - {size: 64, lifetime: {uniform: [1, 40]}}\n")
    run = api.bench(
        api.BenchOptions(
            workloads=(str(file),),
            allocators="tlsf,bump",
            blocks=1,
            passes=(api.Pass.FOOTPRINT,),
            draw_plots=False,
            output=tmp_path / "run",
        )
    )
    monkeypatch.setattr("memtool.engine.packing.binding.pack_image", None)
    assert "Objects of the workload by size and lifetime" in api.report([run.directory]).read_text(encoding="utf-8")
