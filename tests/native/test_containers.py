"""Every container in every way over heaps of several kinds; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from memtool.kinds.container.image import CONTROL, NESTED, TYPES, WAYS
from memtool.kinds.container.work import WORK
from memtool.model import Mode
from tests.native.conftest import BuildDriver

SCRIPT = (
    "[push: 40, insert: 10, find: 20, traverse: 2, churn: 60, erase: 9, copy: {count: 1, order: round}, traverse: 1, "
    "pop: 5, clear: 1, push: 3]"
)
HEAPS = ("malloc", "tlsf", "bump", "segregated-pool", "tlsf+redzone")
DONE = ["check: done", "throughput: done", "footprint: done"]
"""Each container is held against a model, and each block against those that live."""


@pytest.fixture(scope="session")
def containers(build_driver: BuildDriver) -> Path:
    return build_driver("containers", "asan")


def image_of(folder: Path, kind: str) -> Path:
    workload, image = folder / f"{kind}.yaml", folder / f"{kind}.image"
    length = "  length: {uniform: [1, 40]}\n" if kind in NESTED else ""
    workload.write_text(f"name: w\ncontainer:\n  type: {kind}\n  containers: 3\n{length}  script: {SCRIPT}\n")
    with WORK.load(workload, seed=3, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image.write_bytes(os.pread(trace.image_fd, trace.image_bytes, 0))
    return image


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "flat_map"])
def test_each_container_in_each_way(containers: Path, tmp_path: Path, kind: str) -> None:
    image = image_of(tmp_path, kind)
    for turn, way in enumerate(WAYS):
        # Where each container has a heap of its own, that is no malloc: there all heaps are one.
        heap = "tlsf" if way == CONTROL else HEAPS[turn % len(HEAPS)]
        done = subprocess.run([containers, image, heap, way], capture_output=True, text=True, check=False)
        assert (done.stdout.splitlines(), done.stderr[-2000:]) == (DONE, ""), (way, heap)


def test_an_image_that_lies_is_noticed(containers: Path, tmp_path: Path) -> None:
    image = image_of(tmp_path, "list")
    content = bytearray(image.read_bytes())
    content[40] ^= 1  # the checksum
    image.write_bytes(content)
    done = subprocess.run([containers, image, "tlsf", "std"], capture_output=True, text=True, check=False)
    assert "throughput: the values read from the containers sum up to" in done.stdout
