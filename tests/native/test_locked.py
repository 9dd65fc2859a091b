"""Four threads on one heap that is thread-safe, by itself or by a lock; with --sanitize (`make tsan`) under TSan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from memtool.engine.abi import binding
from tests.native.conftest import BuildDriver

MEASURED = [strategy for strategy in binding.describe() if not strategy["is_control"]]
RECIPES = [
    *(str(name["name"]) for name in MEASURED if name["thread_safe"]),
    *(
        f"{name['name']}+lock"
        for name in MEASURED
        if not name["thread_safe"] and name["free_order"] in ("any", "reset")
    ),
    *(f"{name['name']}+as-malloc" for name in MEASURED if name["free_order"] in ("any", "reset")),
    "tlsf+redzone+quarantine+track+lock",
    "tlsf+fill+leak+lock+virtual",
    "pool+pad+lock",
    "new-delete+virtual",
    "malloc+redzone+lock",
]


@pytest.fixture(scope="session")
def hammer(build_driver: BuildDriver) -> Path:
    return build_driver("hammer", "tsan")


def run(hammer: Path, operations: int, recipe: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([hammer, str(operations), "7", recipe], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_thread_safe(hammer: Path, recipe: str) -> None:
    ended = run(hammer, 5000, recipe)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout == "20000 operations without a fault\n"


def test_what_is_not_thread_safe_is_found_by_the_same_test(hammer: Path, request: pytest.FixtureRequest) -> None:
    """Without the sanitizer two threads may happen to be lucky; it needs no luck to see them."""
    if not request.config.getoption("--sanitize"):
        pytest.skip("needs --sanitize")
    ended = run(hammer, 5000, "tlsf")
    assert ended.returncode != 0
    assert "data race" in ended.stderr
