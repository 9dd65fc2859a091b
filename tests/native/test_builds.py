"""Events and footprints must not depend on how the engine was compiled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, build_engine

WORKLOADS = ("quickstart", "chapter/game-frame", "chapter/long-lived-server", "classic/larson")
STRATEGIES = "segregated-pool,slab,first-fit,next-fit,best-fit,buddy,tlsf"
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from memtool.pipeline import BenchOptions, bench
from memtool.model import Pass
import json, pathlib
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


def figures(engine: Path, out: Path, environment: dict[str, str]) -> object:
    script = SCRIPT.format(root=str(ROOT), workloads=WORKLOADS, strategies=STRATEGIES, out=str(out))
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "MEMTOOL_ENGINE": str(engine)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(printed.stdout)


@pytest.mark.slow
def test_native_and_generic_code_agree(tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    generic = build_engine(tmp_path / "generic")
    native = build_engine(tmp_path / "native", "-DMEMTOOL_ARCH=native", "-DCMAKE_CXX_FLAGS_RELEASE=-O3")
    found = figures(generic, tmp_path / "a", memtool_environment)
    assert found == figures(native, tmp_path / "b", memtool_environment)
    assert isinstance(found, list)
    assert len(found) == 1 + len(WORKLOADS) * 7
