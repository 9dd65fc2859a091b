"""What native tests share: one build of the drivers for all that are not sanitized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import QUICKLY_BUILT, build_engine

BuildDriver = Callable[[str, str], Path]
"""(driver, sanitizers used under --sanitize) -> the executable."""


@pytest.fixture(scope="session")
def build_driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildDriver:
    """Return what builds a driver: tests/native/NAME.cpp with every strategy and adaptor."""
    plain = tmp_path_factory.mktemp("drivers")

    def build(driver: str, sanitizers: str) -> Path:
        if not request.config.getoption("--sanitize"):
            return build_engine(plain, QUICKLY_BUILT, target=driver)
        folder = tmp_path_factory.mktemp(driver)
        return build_engine(folder, QUICKLY_BUILT, f"-DMEMTOOL_SANITIZE={sanitizers}", target=driver)

    return build
