"""Every strategy, and adaptors over it, under random operations; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.engine.abi import binding
from tests.native.conftest import BuildDriver

STRATEGIES = [str(strategy["name"]) for strategy in binding.describe() if not strategy["is_control"]]
RECIPES = [
    *(f"tlsf+{adaptor['name']}" for adaptor in binding.describe_adaptors()),
    "tlsf+guard:+side=before",
    "tlsf+quarantine:+bytes=4096",
    "malloc+guard+quarantine",
    "malloc+redzone+quarantine+leak",
    "pool+redzone+pad+track:block=1024+bytes=48+line=64+",
    "pool+guard:block=16384",
    "stack+fill+redzone+guard+pad+leak+track+lock",
    "arena+redzone+quarantine",
    "arena+guard+quarantine+track",
    "buddy+lock+fill+redzone+guard+quarantine+leak+track+pad+virtual",
    "first-fit+pad+redzone+pad+redzone",
    *(f"{name}+as-malloc" for name in ("segregated-pool", "slab", "buddy", "arena", "mmap", "pmr-synchronized-pool")),
    "tlsf+redzone+as-malloc+leak",
]


@pytest.fixture(scope="session")
def stress(build_driver: BuildDriver) -> Path:
    return build_driver("stress", "asan")


def run(stress: Path, operations: int, recipe: str) -> None:
    ended = subprocess.run(
        [stress, str(operations), "7", recipe],
        capture_output=True,
        text=True,
        check=False,
        # More than there is must be refused, not reported; and the region's memory is not the sanitizer's.
        env={"ASAN_OPTIONS": "allocator_may_return_null=1:max_allocation_size_mb=1024"},
    )
    # On stderr the sanitizer notes each request that it refused, and what it found wrong.
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines()[-1] == f"{operations} operations without a fault"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies(stress: Path, strategy: str) -> None:
    run(stress, 60_000, strategy)


@pytest.mark.parametrize("recipe", RECIPES)
def test_adaptors(stress: Path, recipe: str) -> None:
    run(stress, 10_000, recipe)
