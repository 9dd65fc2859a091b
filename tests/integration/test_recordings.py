"""The recordings that ship: small, replayed to the last block, with what another program has counted in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.model import Run, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from memtool.workload.description.characterise import characterise
from memtool.workload.sources import trace_file
from memtool.workload.sources.source import Ending
from memtool.workload.trace import shipped_recordings

# Events, allocations, of them zeroed, resizes, frees, threads, peak of live bytes, left live: counted by a script that
# reads the columns with pyarrow and keeps what lives in a dictionary, and shares nothing with memtool.
COUNTED = {
    "cc1plus": (572181, 289383, 121944, 6505, 276293, 1, 4795557, 13090),
    "dot": (69028, 38552, 4037, 7341, 23132, 4, 3049449, 15420),
    "gawk": (79057, 46428, 29, 14, 32615, 1, 2982002, 13813),
    "git": (98348, 48354, 2409, 1942, 48050, 3, 2431476, 304),
    "glpsol": (115397, 57699, 0, 0, 57698, 1, 305264, 1),
    "jq": (194357, 97178, 524, 1, 97178, 1, 4697299, 0),
    "minisat": (4974, 1048, 0, 3263, 663, 1, 4621918, 385),
    "pdftotext": (35374, 17677, 132, 24, 17673, 1, 1118705, 4),
    "perl": (88602, 39756, 441, 10428, 38418, 1, 2982008, 1338),
    "python3": (350432, 173910, 1356, 3109, 173413, 1, 6799543, 497),
    "redis-server": (294770, 174646, 112, 86, 120037, 1, 3510111, 54609),
    "rsvg-convert": (136737, 70459, 3866, 3647, 62622, 10, 36493345, 7837),
    "sqlite3": (686974, 341062, 0, 4866, 341046, 1, 2381697, 16),
}
NAMES = [f"recorded/{name}" for name in COUNTED]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = BenchOptions(
        workloads=tuple(NAMES),
        allocators="segregated-pool",
        passes=(Pass.CHECK,),
        blocks=1,
        output=tmp_path_factory.mktemp("recordings") / "out",
        draw_plots=False,
    )
    return bench(options, lambda *_: None).run


def test_they_are_all_here_and_small() -> None:
    assert list(shipped_recordings()) == NAMES
    folder = next(iter(shipped_recordings().values())).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2_000_000


def test_each_is_replayed_and_every_block_checked(replayed: Run) -> None:
    assert [(cell.cell.workload, cell.status) for cell in replayed.cells] == [(name, Status.OK) for name in COUNTED]


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_in_it_was_counted_by_another(name: str, replayed: Run) -> None:
    _, allocations, zeroed, resizes, frees, threads, peak, left = COUNTED[name]
    source = trace_file.load(shipped_recordings()[f"recorded/{name}"])
    counted = characterise(source.portions(Ending()))
    assert (counted.allocations, counted.zeroed, counted.reallocations) == (allocations, zeroed, resizes)
    assert (counted.never_freed, counted.threads) == (left, threads)
    (info,) = (info for info in replayed.workloads if info.name == name)
    assert (info.operations, info.epilogue_operations) == (allocations + resizes + frees, left)
    assert info.peak_live_bytes == peak


@pytest.mark.parametrize("name", COUNTED)
def test_it_says_what_it_is_and_nothing_of_the_machine(name: str) -> None:
    metadata = trace_file.load(shipped_recordings()[f"recorded/{name}"]).metadata
    assert (metadata["name"], metadata["program"]) == (name, name)
    assert ". " in metadata["description"]
    private = {"host", "command", "arguments", "begun", "process", "forked_from"}
    assert not private & metadata.keys()
    assert "/" not in json.dumps({key: value for key, value in metadata.items() if key != "description"})
    assert f"`recorded/{name}`" in (Path(__file__).parents[2] / "workloads/recorded/README.md").read_text()
