"""What native tests share: the drivers, each built once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT, TOOLS, build_beside_installed, build_target

BuildDriver = Callable[[str, str], Path]
"""(driver, preset of CMakePresets.json that builds it under --sanitize) -> the executable."""


@pytest.fixture(scope="session")
def build_driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildDriver:
    """Return what builds a driver: tests/native/NAME.cpp with every strategy and adaptor."""
    sanitize = request.config.getoption("--sanitize")

    def build(driver: str, preset: str) -> Path:
        if not sanitize:
            return build_beside_installed(tmp_path_factory, driver)
        tree = ROOT / "build" / preset
        tree.mkdir(parents=True, exist_ok=True)
        with FileLock(tree / "tests.lock"):
            if not (tree / "build.ninja").exists():
                subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True, capture_output=True, env=TOOLS)
            return build_target(tree, driver)

    return build
