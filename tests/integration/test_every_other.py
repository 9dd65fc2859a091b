"""Six blocks, and every other one freed: fragmentation after the peak, and one footprint in all figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.started import run_memtool

EVERY_OTHER = (
    "id,lower,upper,size\nb0,0,10,8000\nb1,1,30,8000\nb2,2,10,8000\nb3,3,30,8000\nb4,4,10,8000\nb5,5,30,8000\n"
)


ALLOCATORS = "@strategies,free-list:grow=4096,free-list:initial=53464"


@pytest.fixture(scope="module")
def cells(
    tmp_path_factory: pytest.TempPathFactory, memtool_environment: Mapping[str, str]
) -> dict[str, tuple[Any, list[int]]]:
    """Figures and footprints at checkpoints, by strategy."""
    folder = tmp_path_factory.mktemp("every-other")
    (folder / "every-other.csv").write_text(EVERY_OTHER)
    done = run_memtool(
        *("bench", "every-other.csv", "-a", ALLOCATORS),
        *("--passes", "footprint", "--blocks", "1", "--no-plots", "-o", "out"),
        environment={**memtool_environment, "PYTHONPATH": str(ROOT)},
        folder=folder,
    )
    done.check_returncode()
    result = {}
    for cell in json.loads((folder / "out/run.json").read_text())["cells"]:
        if cell["metrics"].get("peak_footprint_bytes", {}).get("value") is not None:
            rows = json.loads((folder / "out" / cell["series"]["footprint"]).read_text())["footprint"]
            result[cell["allocator"]] = (
                cell["metrics"],
                [footprint_byte for footprint_byte in rows["footprint_bytes"] if footprint_byte is not None],
            )
    return result


def test_external_fragmentation_after_the_peak_is_in_the_greatest_over_the_run(
    cells: Mapping[str, tuple[Any, list[int]]],
) -> None:
    # The heap grows by pages and has given all of them to six blocks; three holes of 8,000 B are apart: 1 - 8000/24000.
    figures, _ = cells["free-list:grow=4096"]
    assert figures["external_fragmentation_max"]["value"] == pytest.approx(2 / 3, abs=0.01)


def test_the_rest_of_a_pool_is_a_hole_besides(cells: Mapping[str, tuple[Any, list[int]]]) -> None:
    # A pool of 53,464 B holds six blocks of 8,000 B with headers of 8 B, and 5,360 B behind them. With every other
    # block freed its holes are 3 x 8,000 and 5,360 B: 1 - 8000/29360. (With headers: 1 - 8008/29384, the same 0.7275.)
    figures, _ = cells["free-list:initial=53464"]
    assert figures["external_fragmentation_max"]["value"] == pytest.approx(0.7275, abs=0.00005)
    # At the peak of live bytes the only hole is the one behind the blocks.
    assert figures["external_fragmentation"]["value"] == 0.0


def test_the_peak_of_the_footprint_is_never_below_the_series(cells: Mapping[str, tuple[Any, list[int]]]) -> None:
    assert len(cells) > 10
    below = {
        name: (figures["peak_footprint_bytes"]["value"], max(footprints, default=0))
        for name, (figures, footprints) in cells.items()
        if figures["peak_footprint_bytes"]["value"] < max(footprints, default=0)
    }
    assert below == {}
