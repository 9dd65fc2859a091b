"""Kernels of kinds that are compiled once: every way in every pass. With --sanitize under ASan and UBSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.kinds.work import load_trace, work
from memtool.model import Mode
from tests.native.conftest import BuildDriver

ACCESS = "name: w\naccess: {{ways: [{way}], blocks: 300, size: [{least}, 200], accesses: 1000, pages: 8, ahead: 40}}\n"
ALL = "check+throughput+footprint"
WAYS = [way.name for way in work("access").ways]
DONE = ["{way} check: 0", "{way} throughput: 0", "{way} footprint: 0"]


def run(driver: Path, folder: Path, way: str, strategy: str) -> list[str]:
    text = ACCESS.format(way=way, least=1 if way.startswith("align-") else 8)
    return run_kind(driver, folder, "access", text, way, strategy)


def run_kind(driver: Path, folder: Path, kind: str, text: str, way: str, strategy: str, passes: str = ALL) -> list[str]:
    workload, image = folder / "w.yaml", folder / "image"
    workload.write_text(text, encoding="utf-8")
    with load_trace(str(workload), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image.write_bytes(Path(f"/proc/self/fd/{trace.image_fd}").read_bytes())
    command = [str(driver), kind, str(image), strategy, "", passes, way]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.splitlines()


@pytest.fixture(scope="session")
def kernels(build_driver: BuildDriver) -> Path:
    return build_driver("kernels", "asan")


@pytest.mark.parametrize("strategy", ["arena", "tlsf", "malloc"])
def test_every_way_in_every_pass(kernels: Path, tmp_path: Path, strategy: str) -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    for way in WAYS:
        if way.startswith("load-64") and "avx512f" not in flags:
            continue
        assert run(kernels, tmp_path, way, strategy) == [line.format(way=way) for line in DONE]


def test_the_control_of_a_graph_plays_it_over_a_pointer_that_moves(kernels: Path, tmp_path: Path) -> None:
    """The null strategy's one block could hold no graph: what is read of the objects would not sum up."""
    text = "name: w\ngraph: {binary-trees: {depth: 8}}\n"
    done = run_kind(kernels, tmp_path, "graph", text, "", "null", "throughput")
    assert done == [" throughput: 0"]


def test_what_cannot_be_served_is_said(kernels: Path, tmp_path: Path) -> None:
    lines = run(kernels, tmp_path, "chase", "null")
    assert lines[0].startswith("chase check: 2 block 0 of ")
    assert lines[0].endswith(" bytes lies outside of the region")
