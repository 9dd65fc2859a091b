"""Every strategy under random operations; with --sanitize under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.engine import binding
from tests.conftest import build_engine

STRATEGIES = [str(strategy["name"]) for strategy in binding.describe() if not strategy["is_control"]]


@pytest.fixture(scope="session")
def stress(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sanitizers = ["-DMEMTOOL_SANITIZE=address,undefined"] if request.config.getoption("--sanitize") else []
    return build_engine(tmp_path_factory.mktemp("stress"), *sanitizers, target="stress")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_random_operations(stress: Path, strategy: str) -> None:
    ended = subprocess.run(
        [stress, "60000", "7", strategy],
        capture_output=True,
        text=True,
        check=False,
        # More than there is must be refused, not reported; and the region's memory is not the sanitizer's.
        env={"ASAN_OPTIONS": "allocator_may_return_null=1:max_allocation_size_mb=1024"},
    )
    # On stderr the sanitizer notes each request that it refused, and what it found wrong.
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines()[-1] == "60000 operations without a fault"
