"""``memtool doctor``: each finding on machines that this one is not, and the whole on this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.cli import run
from memtool.commands import doctor
from memtool.commands.doctor import Finding, State, examine
from memtool.engine.loading import EngineError

GIB = 1 << 30
FACTS = {"cpu": "AMD EPYC", "cores": 2, "core_quota": None, "virtual_machine": False}


def test_everything_is_looked_at_on_this_machine() -> None:
    subjects = [finding.subject for finding in examine()]
    assert subjects == [
        "engine",
        "compiler",
        "memtool.h",
        "clock",
        "cores",
        "load",
        "steal time",
        "frequency",
        "memory",
        "address space",
        "locked memory",
        "address randomisation",
        "region anonymous",
        "region populate",
        "region hugepages",
        "region locked",
        "region file-private",
        "region file-shared",
        "region shared-memory",
        *SYSTEM_ALLOCATORS,
        "hardware counters",
        "valgrind",
        "system calls",
    ]


def test_whatever_is_not_well_says_what_helps() -> None:
    for finding in examine():
        assert finding.words
        helped = finding.mend or "get it with: " in finding.words or "mend it with: " in finding.words
        assert helped or finding.state is State.OK, finding


def test_the_table_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["what", "finding"]
    assert max(map(len, lines)) <= 120
    assert {line.split()[0] for line in lines[2:] if not line.startswith(" ")} <= {"ok", "note", "missing"}


def test_an_engine_that_is_not_built_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise EngineError("the engine library is not built: run `make native`")

    monkeypatch.setattr("memtool.engine.abi.binding.describe", absent)
    assert doctor.engine() == Finding("engine", State.MISSING, "the engine library is not built: run `make native`")


def test_an_allocator_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtool.allocators.system.why_missing", lambda name: f"get it with: apt install {name}")
    findings = {finding.subject: finding for finding in doctor.allocators()}
    assert findings["jemalloc"] == Finding("jemalloc", State.MISSING, "get it with: apt install jemalloc")


@pytest.mark.parametrize(
    ("finding", "state", "words"),
    [
        (lambda: doctor.clock("tsc", "x86_64"), State.OK, "time stamp counter"),
        (lambda: doctor.clock("hpet", "x86_64"), State.NOTE, "clock_gettime over hpet"),
        (lambda: doctor.clock("arch_sys_counter", "aarch64"), State.OK, "architecture's counter"),
        (lambda: doctor.cores(FACTS), State.OK, "2 of AMD EPYC"),
        (lambda: doctor.cores({**FACTS, "virtual_machine": True}), State.OK, "on a virtual machine"),
        (lambda: doctor.cores({**FACTS, "cores": 1}), State.NOTE, "1 of AMD EPYC"),
        (lambda: doctor.cores({**FACTS, "core_quota": 1.5}), State.NOTE, "the control group may use 1.5"),
        (lambda: doctor.cores({**FACTS, "core_quota": 4.0}), State.OK, "2 of AMD EPYC"),
        (lambda: doctor.load(0.1, 3.0, 2), State.OK, "0.1 over the last minute, 3 % of the processors in use now"),
        (lambda: doctor.load(0.1, 60.0, 2), State.NOTE, "60 %"),
        (lambda: doctor.load(1.0, 3.0, 2), State.NOTE, "1.0 over the last minute"),
        (lambda: doctor.stolen(0.2), State.OK, "0.2 %"),
        (lambda: doctor.stolen(7.5), State.NOTE, "7.5 % taken by the host"),
        (lambda: doctor.frequency(None), State.OK, "not this system's"),
        (lambda: doctor.frequency("performance"), State.OK, "performance"),
        (lambda: doctor.frequency("powersave"), State.NOTE, "governor powersave"),
        (lambda: doctor.memory(8 * GIB, None), State.OK, "8.00 GiB available"),
        (lambda: doctor.memory(GIB, 2 * GIB), State.OK, "within a control group's limit of 2.00 GiB"),
        (lambda: doctor.address_space("0", None), State.OK, "unlimited"),
        (lambda: doctor.address_space("2", None), State.NOTE, "overcommit is off"),
        (lambda: doctor.address_space("0", 4 * GIB), State.NOTE, "this shell allows 4.00 GiB"),
        (lambda: doctor.locked_memory(8 << 20), State.OK, "up to 8.00 MiB"),
        (lambda: doctor.locked_memory(None), State.OK, "unlimited"),
        (lambda: doctor.randomisation("2"), State.OK, "on"),
        (lambda: doctor.randomisation("0"), State.NOTE, "set to 0"),
    ],
)
def test_findings(finding: Callable[[], Finding], state: State, words: str) -> None:
    result = finding()
    assert (result.state, bool(result.mend)) == (state, state is not State.OK)
    assert words in result.words


@pytest.mark.parametrize(
    ("device", "paranoid", "state", "words"),
    [
        (None, "2", State.NOTE, "none"),
        ("cpu", "2", State.OK, "there (perf_event_paranoid 2)"),
        ("cpu_core", "-1", State.OK, "there (perf_event_paranoid -1)"),
        ("cpu", "4", State.NOTE, "not for ordinary users (perf_event_paranoid 4)"),
        ("armv8_pmuv3_0", None, State.NOTE, "not for ordinary users"),
    ],
)
def test_counters(device: str | None, paranoid: str | None, state: State, words: str, tmp_path: Path) -> None:
    if device is not None:
        (tmp_path / device).mkdir()
    result = doctor.counters(tmp_path, paranoid)
    assert result.state is state
    assert words in result.words


def test_tools_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert doctor.compiler().mend == "apt install g++"
    assert doctor.valgrind().mend == "apt install valgrind"
