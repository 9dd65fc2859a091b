"""Each kind of region, in a real worker: that it is what it is called is for the kernel to say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from memtool.allocators.regions import REGIONS, populated, why_unavailable
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.passes.footprint import Footprint
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from tests.images import image_fd, make_image

MIB = 1 << 20
TOUCH_ALL = 3
# 512 blocks of 8 KiB, 4 MiB in all, never freed before the end.
BLOCKS, BLOCK = 512, 8192


@pytest.fixture
def image() -> Iterator[tuple[int, int]]:
    events = [("allocate", slot, BLOCK) for slot in range(BLOCKS)]
    made = make_image([*events, *(("deallocate", slot, BLOCK) for slot in range(BLOCKS))], touch=TOUCH_ALL)
    descriptor = image_fd(made)
    yield descriptor, len(made)
    os.close(descriptor)


def job(image: tuple[int, int], name: str, strategy: str = "bump", run_pass: Pass = Pass.FOOTPRINT) -> Job:
    kind = REGIONS[name]
    populate = populated(kind, BLOCKS * BLOCK, 64 * MIB)
    return Job(
        cell=Cell("blocks", strategy, name),
        block=0,
        run_pass=run_pass,
        plan=AllocatorPlan(AllocatorSpec(strategy), strategy, ""),
        image_fd=image[0],
        image_bytes=image[1],
        region=RegionRequest(64 * MIB, kind.alignment, kind.advice, populate, kind.backing, kind.shared, kind.locked),
        warmups=0,
        iterations=1,
        checkpoints=10,
        use_counter=False,
        time_limit=60.0,
    )


def footprint_of(sample: Sample) -> Footprint:
    assert (sample.status, sample.reason) == (Status.OK, None)
    return sample.of(Footprint)


@pytest.mark.parametrize("name", list(REGIONS))
def test_the_kernel_has_the_region_as_what_it_is_called(name: str, image: tuple[int, int], tmp_path: Path) -> None:
    if reason := why_unavailable(REGIONS[name], BLOCKS * BLOCK):
        pytest.skip(reason)
    payload = footprint_of(WorkerExecutor(1, tmp_path).execute(job(image, name)))
    region = payload.region
    # Twice the 4 MiB that are live and one more are faulted in beforehand.
    resident = {"populate": 9 * MIB, "locked": 9 * MIB}.get(name, 4 * MIB)
    kinds = {
        "file-private": f"rw-p {tmp_path}/",
        "file-shared": f"rw-s {tmp_path}/",
        "shared-memory": "rw-s /memfd:memtool-region (deleted)",
    }
    assert region.mapping.startswith(kinds.get(name, "rw-p anonymous"))
    assert region.resident_bytes == resident
    assert region.anonymous_bytes == (0 if REGIONS[name].shared else resident)
    assert region.locked_bytes == (9 * MIB if name == "locked" else 0)
    assert region.huge_bytes == (4 * MIB if name == "hugepages" else 0)
    # What is reported is the region's, whatever kind of pages it consists of; a few pages are the engine's own.
    assert resident <= payload.resident_at_peak_live_bytes <= resident + 64 * 1024
    assert resident <= payload.peak_resident_bytes <= resident + 512 * 1024
    assert list(tmp_path.iterdir()) == []


class KeptFile(WorkerExecutor):
    """Gives the worker a file that the test goes on to read."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(1)
        self._descriptor = descriptor

    @contextmanager
    def backing(self, region: RegionRequest) -> Iterator[int | None]:
        os.ftruncate(self._descriptor, region.size)
        yield self._descriptor


@pytest.mark.parametrize(("name", "written"), [("file-shared", 4 * MIB), ("file-private", 0)])
def test_what_was_written_is_in_the_file_when_the_process_is_gone(
    name: str, written: int, image: tuple[int, int], tmp_path: Path
) -> None:
    with (tmp_path / "heap").open("w+b") as file:
        payload = footprint_of(KeptFile(file.fileno()).execute(job(image, name, "arena")))
        content = file.read()
    assert payload.peak_footprint_bytes == 4 * MIB
    # Every byte of every block was set to one; beyond the footprint the file has a hole.
    assert len(content) == 64 * MIB
    assert content.count(1) == written
    assert content[:written] == b"\1" * written


def test_a_region_that_is_not_what_was_asked_for_fails_the_sample(image: tuple[int, int]) -> None:
    class Anonymous(WorkerExecutor):
        @contextmanager
        def backing(self, region: RegionRequest) -> Iterator[int | None]:
            yield None

    sample = Anonymous(1).execute(job(image, "file-shared"))
    assert sample.status is Status.FAILED
    assert sample.reason == "the kernel has the region as 'rw-p anonymous', which is not what was asked for"


def test_a_region_that_cannot_be_populated_fails_with_the_kernel_s_reason(image: tuple[int, int]) -> None:
    asked = job(image, "locked")
    sample = WorkerExecutor(1).execute(replace(asked, region=replace(asked.region, populate=80 * MIB)))
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.startswith("the region cannot be populated: ")
