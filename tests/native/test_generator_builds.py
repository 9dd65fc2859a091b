"""The generator, compiled as it is installed and with every optimisation: the events are the same, bit by bit."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
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
    """Return the generator's part of the engine, compiled with these flags, as one file: it shares most headers."""
    library, united, made = (str(directory / f"generator.{ending}") for ending in ("so", "cpp", "o"))
    sources = [*sorted((ENGINE / "generate").glob("*.cpp")), *sorted((ENGINE / "events").glob("*.cpp"))]
    Path(united).write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")
    compiler = ["c++", "-std=c++20", "-fPIC", f"-I{ROOT / 'memtool'}"]
    subprocess.run([*compiler, *flags, "-c", united, "-o", made], check=True)
    # Linked without the flags: -ffast-math would bring start-up code that changes the arithmetic of this whole process.
    subprocess.run([*compiler, "-shared", made, "-o", library], check=True)
    return ctypes.CDLL(library)


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
