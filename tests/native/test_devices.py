"""The kernel of device memory: on host memory, and on drivers made here that fail. With --sanitize under ASan."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from memtool.kinds.work import load_trace
from memtool.model import Mode
from tests.conftest import ROOT
from tests.native.conftest import BuildDriver

DEVICE = (
    "name: d\nallocations: 300\nobjects: [{size: 256, lifetime: {uniform: [1, 50]}}]\nmemory_limit: 1MiB\ndevice: {}\n"
)
LIBRARIES = {"opencl": "libOpenCL.so.1", "cuda": "libcuda.so.1"}
OPENCL = ("opencl-buffer", "opencl-each", "opencl-each-used")
CUDA = ("cuda-buffer", "cuda-each", "cuda-each-async")


@pytest.fixture(scope="session")
def kernels(build_driver: BuildDriver) -> Path:
    return build_driver("kernels", "asan")


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the drivers, under the names by which they are loaded."""
    folder = tmp_path_factory.mktemp("drivers")
    for interface, library in LIBRARIES.items():
        source = ROOT / f"tests/native/drivers/fake_{interface}.c"
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(folder / library)]
        subprocess.run([*command, str(source)], check=True)
    return folder


class Run(Protocol):
    """Runs a workload in a way, and returns what becomes of it; ``fake``: what a driver is told."""

    def __call__(self, way: str, passes: str = "check", *, strategy: str = "tlsf", **fake: int) -> str: ...


def run_on(
    kernels: Path, drivers: Path, folder: Path, way: str, passes: str = "check", strategy: str = "tlsf", **fake: int
) -> str:
    """Return what becomes of a workload in a way, on the drivers that lie in a folder."""
    workload, image = folder / "w.yaml", folder / "image"
    workload.write_text(DEVICE, encoding="utf-8")
    with load_trace(str(workload), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image.write_bytes(Path(f"/proc/self/fd/{trace.image_fd}").read_bytes())
    settings = {name.upper(): str(value) for name, value in fake.items()}
    done = subprocess.run(
        [str(kernels), "device", str(image), strategy, "", passes, way],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | settings | {"LD_LIBRARY_PATH": str(drivers)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def run(kernels: Path, drivers: Path, tmp_path: Path) -> Run:
    return partial(run_on, kernels, drivers, tmp_path)


@pytest.mark.parametrize("way", [*OPENCL, *CUDA, "host-buffer"])
def test_every_pass(run: Run, way: str) -> None:
    lines = run(way, "check+throughput").splitlines()
    assert lines == [f"{way} {name}: 0" for name in ("check", "throughput")]


def test_a_driver_without_a_device_says_so(run: Run) -> None:
    words = "opencl-each check: 3 no OpenCL driver is installed\n"
    assert run("opencl-each", platforms=0) == words
    assert run("opencl-each", devices=0) == "opencl-each check: 3 no OpenCL driver has a device\n"
    words = "cuda-each check: 3 the CUDA driver has no device (error 100)\n"
    assert run("cuda-each", devices=0) == words


@pytest.mark.parametrize(
    ("interface", "has", "words"),
    [
        ("opencl", "clGetPlatformIDs", "the OpenCL loader has no clGetDeviceIDs"),
        ("cuda", "cuInit", "the CUDA driver has no cuDeviceGet"),
    ],
)
def test_a_library_that_lacks_a_function_is_named_with_it(
    kernels: Path, tmp_path: Path, interface: str, has: str, words: str
) -> None:
    command = ["cc", "-shared", "-fPIC", "-o", str(tmp_path / LIBRARIES[interface]), "-x", "c", "-"]
    subprocess.run(command, input=f"int {has}(void) {{ return 0; }}\n", text=True, check=True)
    lines = run_on(kernels, tmp_path, tmp_path, f"{interface}-each")
    assert lines == f"{interface}-each check: 3 {words}\n"


@pytest.mark.parametrize(("way", "call"), [("opencl-buffer", "clEnqueue"), ("cuda-buffer", "cuMem")])
def test_a_device_that_goes_away_ends_the_check_with_its_call(run: Run, way: str, call: str) -> None:
    for calls in range(40, 48):
        done = run(way, calls=calls)
        assert done.startswith(f"{way} check: 3 a fake device: c")
        assert " has failed with error " in done
    assert any(call in run(way, calls=calls) for calls in range(40, 44))


@pytest.mark.parametrize(
    ("way", "error"), [("opencl-each", -36), ("opencl-each-used", -36), ("cuda-each", 719), ("cuda-each-async", 719)]
)
def test_a_device_that_goes_away_is_not_out_of_memory(run: Run, way: str, error: int) -> None:
    """Whether an allocation or a free is the first call that fails: each is one of these."""
    for calls in range(60, 70):
        done = run(way, "throughput", calls=calls)
        assert done.startswith(f"{way} throughput: 3 a fake device: c")
        assert done.endswith(f" has failed with error {error}\n")


@pytest.mark.parametrize("way", ["opencl-each", "opencl-each-used", "cuda-each", "cuda-each-async"])
def test_device_memory_that_is_used_up_is_out_of_memory(run: Run, way: str) -> None:
    """The eleventh block of 256 bytes has no room: the fewest that live at once are more."""
    done = run(way, "throughput", memory=10 * 256)
    assert done.startswith(f"{way} throughput: 1 out of memory at event ")
    assert ", for a request of 256 bytes: 2560 bytes live" in done


@pytest.mark.parametrize("way", ["opencl-buffer", "cuda-buffer"])
def test_a_buffer_that_the_device_has_no_room_for(run: Run, way: str) -> None:
    """The region of the test driver is of 64 MiB."""
    words = "has no memory for a buffer of 67108864 bytes: a smaller memory_limit asks for less"
    assert run(way, memory=1 << 20) == f"{way} check: 3 a fake device {words}\n"


@pytest.mark.parametrize("way", [*OPENCL, *CUDA])
def test_a_block_that_lost_a_byte_is_seen(run: Run, way: str) -> None:
    words = "block 100: 1 of 256 bytes on the device are not what was written to them"
    assert run(way, loses=100) == f"{way} check: 2 {words}\n"


def test_blocks_that_lie_over_one_another_are_seen(run: Run) -> None:
    """The null strategy gives one block to all."""
    words = "block 1: 256 of 256 bytes on the device are not what was written to them"
    assert run("host-buffer", strategy="null") == f"host-buffer check: 2 {words}\n"


def test_a_block_beside_the_buffer_is_not_written_to(run: Run) -> None:
    words = "block 1 of 256 bytes lies outside of the buffer"
    assert run("host-buffer", strategy="malloc") == f"host-buffer check: 2 {words}\n"


def test_a_way_that_there_is_not(run: Run) -> None:
    assert run("vulkan") == "vulkan check: 3 unknown way of device memory vulkan\n"
