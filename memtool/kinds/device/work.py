"""Turns a workload file with the key ``device`` into the image of its events, and finds reasons why it cannot run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.errors import InputError
from memtool.kinds.heap.work import pack, summary, why_unpacked
from memtool.kinds.ways import Way, by_pointer
from memtool.kinds.work import Inspection, Work, refuse_options
from memtool.model import AllocatorPlan, Mode, TraceInfo

if TYPE_CHECKING:
    from memtool.kinds.device.keys import Workload
    from memtool.workload.trace import Trace

VENDORS = "/etc/OpenCL/vendors"
VARIABLES = ("LD_LIBRARY_PATH", "OCL_ICD_VENDORS", "OCL_ICD_FILENAMES", "POCL_DEVICES", "CUDA_VISIBLE_DEVICES")
"""Variables with which users select their drivers and the device."""
_WITHOUT_ONE = "; the way host-buffer divides host memory in place of a device's"
_NO_LOADER = (
    "no OpenCL loader (libOpenCL.so.1) is installed: apt-get install ocl-icd-libopencl1, and the driver of your device"
    + _WITHOUT_ONE
)
_NO_OPENCL = (
    "no OpenCL driver is installed ({folder} names none): install that of your device, or one that runs on the "
    "processor (apt-get install pocl-opencl-icd)" + _WITHOUT_ONE
)
_NO_CUDA = "no CUDA driver (libcuda.so.1) is installed: it comes with that of an NVIDIA device" + _WITHOUT_ONE


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of such a file: that of heap events, with one more key."""
    from memtool.kinds.device.keys import Device, Workload
    from memtool.workload.language.schema import json_schema

    schema = json_schema()
    own = Device.model_json_schema()
    schema["properties"] |= {"device": own, "touch": Workload.model_json_schema()["properties"]["touch"]}
    schema["required"] = [*schema.get("required", []), "device"]
    return {**schema, "title": "memtool device memory"}


def _read(path: Path) -> Workload:
    from memtool.kinds.device.keys import Workload
    from memtool.workload.language.loader import load

    return load(path, Workload)


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Build the image of the events. Raises InputError for a workload that no device can serve."""
    from memtool.workload.sources.generated import generated
    from memtool.workload.trace import make_trace

    refuse_options(path, threads, rate, "device memory has none")
    workload = _read(path)
    trace = make_trace(generated(workload, workload.seed if seed is None else seed), str(path))
    if trace.info.reallocations:
        trace.close()
        raise InputError(f"{path}: resizes blocks, and no driver of a device does: leave resize out")
    return replace(trace, info=replace(trace.info, kind="device", facts={"ways": list(workload.device.ways)}))


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why a row cannot be measured on this machine, and the remedy; None where it can."""
    from memtool.allocators import pairing

    reason = why_no_driver(plan.spec.way.partition("-")[0])
    if reason is not None or not plan.strategy:
        return reason
    if not plan.uses_region:
        return "takes its memory from the system, and cannot divide a buffer of a device"
    return pairing.why_not_here(plan, trace)


def why_no_driver(api: str, vendors: str | None = None) -> str | None:
    """Return why this machine has no driver, ``opencl`` or ``cuda``, and the remedy; host memory needs none."""
    if api == "host":
        return None
    if api == "cuda":
        return None if _is_installed("libcuda.so.1") else _NO_CUDA
    if not _is_installed("libOpenCL.so.1"):
        return _NO_LOADER
    if os.environ.get("OCL_ICD_FILENAMES"):
        return None
    folder = Path(vendors or os.environ.get("OCL_ICD_VENDORS", VENDORS))
    is_there = folder.suffix == ".icd" or any(folder.glob("*.icd"))
    return None if is_there else _NO_OPENCL.format(folder=folder)


def _is_installed(library: str) -> bool:
    """Return whether the dynamic linker of a worker finds a library; LD_LIBRARY_PATH counts, too."""
    from memtool.allocators.system import installed

    folders = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    return any((Path(folder) / library).exists() for folder in folders) or installed((library,)) is not None


def inspect(path: Path, seed: int | None) -> Inspection:
    """Characterise the events."""
    from memtool.workload.description.inspection import inspect_source
    from memtool.workload.sources.generated import generated

    workload = _read(path)
    source = generated(workload, workload.seed if seed is None else seed)
    info, image_bytes, characteristics = inspect_source(source, str(path))
    return Inspection(replace(info, kind="device"), image_bytes, characteristics, source.definition)


WORK = Work(
    key="device",
    json_schema=json_schema,
    load=load,
    ways=(
        Way("opencl-each", needs_allocator=False, uses_region=False),
        Way("opencl-each-used", needs_allocator=False, uses_region=False),
        Way("opencl-buffer"),
        Way("cuda-each", needs_allocator=False, uses_region=False),
        Way("cuda-each-async", needs_allocator=False, uses_region=False),
        Way("cuda-buffer"),
        Way("host-buffer"),
    ),
    called=by_pointer,
    variables=VARIABLES,
    alone=True,  # there is one device, and drivers compile kernels into files that all processes share
    why_not=why_not,
    pack=pack,
    why_unpacked=why_unpacked,
    listed=lambda path: ("device", _read(path).description),
    inspect=inspect,
    summary=summary,
)
