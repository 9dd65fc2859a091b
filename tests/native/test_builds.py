"""Footprints must not depend on how a strategy was compiled; of events see test_generator_builds.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_beside_installed
from tests.started import LITTLE_WORK

WORKLOADS = ("quickstart", "chapter/game-frame")
# A search in a tree, one by bits, and halves: what vector units and contracted arithmetic could change.
STRATEGIES = "best-fit,buddy,tlsf"
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
import functools, json, pathlib
from memtool.engine.packing import binding
from memtool.passes import Pass
from memtool.options import BenchOptions
from memtool.run import bench

binding.pack_image = functools.partial(binding.pack_image, work={work})
options = BenchOptions(
    workloads={workloads!r},
    allocators={strategies!r},
    passes=(Pass.FOOTPRINT,),
    blocks=1,
    draw_plots=False,
    output=pathlib.Path({out!r}),
)
run = bench(options, lambda *_: None).run
figures = [[workload.event_hash for workload in run.workloads]]
for result in run.cells:
    if result.metrics:
        names = ("peak_footprint_bytes", "footprint_mean_ratio", "peak_granted_bytes")
        values = [result.metrics[name].value for name in names]
        figures.append([result.cell.workload, result.cell.allocator, *values])
print(json.dumps(figures))
"""


def figures(out: Path, environment: dict[str, str]) -> object:
    script = SCRIPT.format(root=str(ROOT), work=LITTLE_WORK, workloads=WORKLOADS, strategies=STRATEGIES, out=str(out))
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(printed.stdout)


@pytest.mark.slow
def test_native_and_generic_code_agree(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, memtool_environment: dict[str, str]
) -> None:
    native = build_beside_installed(tmp_path_factory, "native_engine")
    result = figures(tmp_path / "generic", memtool_environment)
    assert result == figures(tmp_path / "a", {**memtool_environment, "MEMTOOL_ENGINE": str(native)})
    assert isinstance(result, list)
    assert len(result) == 1 + len(WORKLOADS) * 3
