"""Random graph programs on every collector against the reachability oracle; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from scripts.soak_graphs import CONSERVATIVE, ROWS, command
from tests.native.conftest import BuildDriver

OPERATIONS = int(os.environ.get("GRAPH_OPERATIONS", "1000000"))
"""Of each row."""


@pytest.fixture(scope="session")
def graphs(build_driver: BuildDriver) -> Path:
    return build_driver("graphs", "asan")


@pytest.mark.parametrize("row", ROWS)
def test_nothing_reachable_is_lost_and_nothing_else_stays(graphs: Path, row: str) -> None:
    done = subprocess.run(command(graphs, OPERATIONS, 1, row), capture_output=True, text=True, check=False)
    assert done.stdout.endswith("programs, nothing wrong\n"), (done.stdout, done.stderr[-2000:])


def test_every_collector_has_a_row() -> None:
    registry = Registry()
    named = {spec.name for row in (*ROWS, *CONSERVATIVE) for spec in parse_allocators(row, registry.groups)}
    assert named == set(registry.groups["collectors"])
