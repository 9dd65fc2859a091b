"""Parallel replays end in the same objects as the serial one, 100 times of 100; with --sanitize under TSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.model import Mode
from memtool.workload.language.schema import Workload
from memtool.workload.sources.generated import generated
from memtool.workload.sources.staged import Stages, staged
from memtool.workload.trace import make_trace
from tests.native.conftest import BuildDriver
from tests.native.test_passes import THREAD_SAFE, on_threads, skip_what_is_not_replayed

SIZES = {"uniform": [16, 600]}
XMALLOC = {"name": "x", "threads": 2, "pattern": {"producer-consumer": {"batch": 64, "depth": 4, "size": SIZES}}}
MSTRESS = {"name": "m", "threads": 2, "rounds": 3, "pattern": {"exchange": {"size": SIZES, "slots": 50}}}
MODES = [Mode.SERIAL, Mode.LOCKSTEP, Mode.PARALLEL]
STRATEGIES = ["malloc", "thread-heaps", "thread-cache", "thread-spans"]


@pytest.fixture(scope="session")
def replays(build_driver: BuildDriver) -> Path:
    return build_driver("replays", "tsan")


@pytest.fixture(
    scope="session",
    params=[(XMALLOC, None), (MSTRESS, None), (MSTRESS, "50%")],
    ids=["xmalloc", "mstress", "from-half"],
)
def images(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Mode, Path]:
    folder = tmp_path_factory.mktemp("images")
    content, begin = request.param
    workload = Workload.model_validate(content | {"allocations": 1500})
    result = {}
    for mode in MODES:
        with make_trace(staged(generated(workload, 3), "test", Stages(begin=begin)), "test", mode) as trace:
            result[mode] = folder / str(mode)
            result[mode].write_bytes(Path(f"/proc/self/fd/{trace.image_fd}").read_bytes())
    return result


def left(replays: Path, image: Path, mode: Mode, strategy: str, times: int) -> list[str]:
    command = [str(replays), str(image), str(MODES.index(mode)), strategy, str(times)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.splitlines()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_parallel_ends_as_serial_does_100_times_of_100(replays: Path, images: dict[Mode, Path], strategy: str) -> None:
    expected = left(replays, images[Mode.SERIAL], Mode.SERIAL, "malloc", 1)
    assert left(replays, images[Mode.PARALLEL], Mode.PARALLEL, strategy, 100) == expected * 100
    assert left(replays, images[Mode.LOCKSTEP], Mode.LOCKSTEP, strategy, 3) == expected * 3


@pytest.mark.parametrize("recipe", THREAD_SAFE)
def test_every_pass(build_driver: BuildDriver, tmp_path: Path, recipe: str, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--sanitize"):
        pytest.skip("without TSan this is test_passes.py::test_passes_on_threads")
    skip_what_is_not_replayed(request, recipe)
    on_threads(build_driver("passes", "tsan"), tmp_path, recipe)
