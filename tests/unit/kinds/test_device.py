"""Device memory: what a file may say, what is missing on a machine, and what is said of what was proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.allocators import system
from memtool.errors import InputError
from memtool.kinds import results
from memtool.kinds.device.work import why_no_driver
from memtool.kinds.work import kind_of, load_trace, work
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, CellResult, Mode, Status, TraceInfo

EVENTS = "name: d\nallocations: 200\nobjects: [{size: 256, lifetime: {constant: 5}}]\n"


def trace_of(folder: Path, text: str) -> TraceInfo:
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    assert kind_of(path) == "device"
    with load_trace(str(path), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        return trace.info


def test_a_file_is_heap_events_on_a_buffer(tmp_path: Path) -> None:
    info = trace_of(tmp_path, EVENTS + "device: {}\n")
    assert (info.kind, info.allocations, info.touch, info.memory_limit) == ("device", 200, "none", 1 << 28)
    assert info.facts == {"ways": ["opencl-each", "opencl-each-used", "opencl-buffer"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EVENTS + "touch: all\ndevice: {}\n", "touch: must be 'none', is 'all'"),
        (EVENTS + "device: {ways: [vulkan]}\n", "device.ways[0]: must be"),
        (EVENTS.replace("}}]", "}, resize: {share: 50%}}]") + "device: {}\n", "resizes blocks, and no driver of a"),
    ],
)
def test_what_no_device_does_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as problem:
        trace_of(tmp_path, text)
    assert words in str(problem.value)


def test_a_machine_without_a_driver_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "installed", lambda sonames: None)
    assert str(why_no_driver("opencl")).startswith("no OpenCL loader (libOpenCL.so.1) is installed: apt-get install")
    assert why_no_driver("cuda") == (
        "no CUDA driver (libcuda.so.1) is installed: it comes with that of an NVIDIA device; "
        "the way host-buffer divides host memory in place of a device's"
    )
    assert why_no_driver("host") is None
    monkeypatch.setattr(system, "installed", lambda sonames: Path("/lib") / sonames[0])
    assert why_no_driver("cuda") is None
    assert str(why_no_driver("opencl", str(tmp_path))).startswith(
        f"no OpenCL driver is installed ({tmp_path} names none): install that of your device"
    )
    (tmp_path / "pocl.icd").write_text("libpocl.so.2\n", encoding="utf-8")
    assert why_no_driver("opencl", str(tmp_path)) is None


def test_a_driver_is_found_where_the_user_says_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "installed", lambda sonames: None)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{tmp_path}")
    (tmp_path / "libOpenCL.so.1").touch()
    monkeypatch.setenv("OCL_ICD_FILENAMES", "libmine.so")
    assert why_no_driver("opencl") is None


def test_an_allocator_of_the_system_cannot_divide_a_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtool.kinds.device.work.why_no_driver", lambda api: None)
    info, why_not = trace_of(tmp_path, EVENTS + "device: {}\n"), work("device").why_not
    glibc = AllocatorPlan(AllocatorSpec("glibc", way="opencl-buffer"), "malloc", "", uses_region=False)
    assert why_not(glibc, info) == "takes its memory from the system, and cannot divide a buffer of a device"
    assert why_not(AllocatorPlan(AllocatorSpec("tlsf", way="opencl-buffer"), "tlsf", ""), info) is None
    assert why_not(AllocatorPlan(AllocatorSpec("", way="opencl-each"), "", ""), info) is None


def test_what_was_proved_is_said_with_the_device(tmp_path: Path) -> None:
    cells = [
        CellResult(Cell("d", name), Status.OK, None, {"device": "pthread-EPYC", "blocks_proved": 200}, {})
        for name in ("opencl-each", "tlsf@opencl-buffer")
    ]
    first, _ = results("device").remarks(cells, trace_of(tmp_path, EVENTS + "device: {}\n"))
    assert first.startswith("Proved on pthread-EPYC: each of 200 blocks, filled by the device")
