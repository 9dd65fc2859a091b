"""The generator, compiled as it is installed and with every optimisation: the events are the same, bit by bit."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memtool.engine.loading import engine_path
from memtool.workload.language.loader import load_workload
from memtool.workload.language.program import compile_workload
from memtool.workload.trace import shipped
from tests.conftest import ROOT

WORKLOADS = ("quickstart", "chapter/game-frame", "chapter/long-lived-server", "classic/alloc-test", "fleet/profile-4")
ENGINE = ROOT / "memtool/engine"


def build(directory: Path, *flags: str) -> ctypes.CDLL:
    """Return the generator's part of the engine, compiled with these flags."""
    library = directory / "generator.so"
    sources = [*sorted((ENGINE / "generate").glob("*.cpp")), *sorted((ENGINE / "events").glob("*.cpp"))]
    compiler = ["c++", "-std=c++20", "-fPIC", f"-I{ROOT / 'memtool'}"]

    def compiled(source: Path) -> str:
        made = str(directory / f"{source.stem}.o")
        subprocess.run([*compiler, *flags, "-c", str(source), "-o", made], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    # Linked without the flags: -ffast-math would bring start-up code that changes the arithmetic of this whole process.
    subprocess.run([*compiler, "-shared", *objects, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def event_hash(library: ctypes.CDLL, name: str) -> str:
    workload = load_workload(shipped()[name])
    program = compile_workload(workload, workload.seed).words
    address, count = program.buffer_info()
    message = ctypes.create_string_buffer(400)
    library.memtool_generator_open.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.memtool_generator_open(ctypes.c_void_p(address), ctypes.c_uint64(count), message))
    events, result, digest = ctypes.c_void_p(), ctypes.c_uint64(1), hashlib.blake2b(digest_size=16)
    while result.value:
        assert library.memtool_generator_next(handle, ctypes.byref(events), ctypes.byref(result), message) == 0
        digest.update(ctypes.string_at(events.value or 0, result.value * 16))
    library.memtool_generator_close(handle)
    return digest.hexdigest()


@pytest.mark.slow
def test_optimisation_changes_no_event(tmp_path: Path) -> None:
    installed = ctypes.CDLL(engine_path())
    fast = build(tmp_path, "-O3", "-march=native", "-ffast-math")
    for name in WORKLOADS:
        assert event_hash(installed, name) == event_hash(fast, name)
