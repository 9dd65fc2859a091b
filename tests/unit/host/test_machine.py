"""The machine's fingerprint: what is in it, what is not, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.host import machine
from memtool.host.cgroup import Allowance
from memtool.host.machine import available_memory, bracketed, caches, cpu_model, fingerprint, text_of


def test_the_fingerprint_is_plain_data_and_the_same_again() -> None:
    result = fingerprint()
    assert json.loads(json.dumps(result)) == result
    assert fingerprint() == result


def test_the_fingerprint_names_what_figures_depend_on() -> None:
    result = fingerprint()
    assert result["cores"] >= 1
    assert result["page_bytes"] in (4096, 16384, 65536)
    assert result["memory_bytes"] > 0
    assert result["libc"].startswith("glibc ")
    assert all(result[key] for key in ("cpu", "architecture", "kernel", "python"))
    assert {"caches", "governor", "clocksource", "transparent_huge_pages", "aslr", "virtual_machine"} <= set(result)


def test_there_is_no_frequency_in_it() -> None:
    """It changes while one looks, so no two runs would be of the same machine."""
    text = json.dumps(fingerprint()).lower()
    assert "mhz" not in text
    assert "bogomips" not in text


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("always [madvise] never", "madvise"), ("[always] madvise never", "always"), ("tsc", "tsc"), (None, None)],
)
def test_the_chosen_word_of_a_setting(text: str | None, chosen: str | None) -> None:
    assert bracketed(text) == chosen


@pytest.mark.parametrize(
    ("information", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 9654\n\nprocessor\t: 1\nmodel name\t: other\n", "AMD EPYC 9654"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "Arm implementer 0x41 part 0xd0c"),
    ],
)
def test_the_processor(information: str, model: str, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(information, encoding="ascii")
    assert cpu_model(path) == model


def test_caches(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "32768K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(text + "\n", encoding="ascii")
    assert caches(tmp_path) == {"L1d": 49152, "L1i": 32768, "L2": 1048576, "L3": 33554432}
    assert caches(tmp_path / "gone") == {}


def test_a_file_of_the_kernel_that_is_not_there(tmp_path: Path) -> None:
    assert text_of(tmp_path / "gone") is None


def test_available_memory_is_what_the_control_group_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "allowance", lambda: Allowance(1 << 20, 4096, None))
    assert available_memory() == 4096
    monkeypatch.setattr(machine, "allowance", Allowance)
    assert available_memory() > 1 << 20


@pytest.mark.parametrize(("quota", "at_once"), [(None, 4), (8.0, 4), (2.5, 2), (0.5, 1)])
def test_no_more_processes_work_at_a_time_than_a_quota_feeds(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, at_once: int
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.setattr(machine, "allowance", lambda: Allowance(cores=quota))
    assert machine.processes_at_once() == at_once
