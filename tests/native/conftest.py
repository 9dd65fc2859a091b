"""What native tests share: the drivers, each built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import QUICKLY_BUILT, ROOT, build_engine, build_target, shared_folder

BuildDriver = Callable[[str, str], Path]
"""(driver, sanitizers used under --sanitize) -> the executable."""


@pytest.fixture(scope="session")
def build_driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildDriver:
    """Return what builds a driver: tests/native/NAME.cpp with every strategy and adaptor."""
    sanitize = request.config.getoption("--sanitize")

    def build(driver: str, sanitizers: str) -> Path:
        # Where the engine is installed from, its strategies are compiled already.
        installed = next(ROOT.glob("build/*/build.ninja"), None)
        name = f"drivers-{sanitizers.replace(',', '-')}" if sanitize else "drivers"
        with shared_folder(tmp_path_factory, name) as folder:
            if sanitize:
                return build_engine(folder, QUICKLY_BUILT, f"-DMEMTOOL_SANITIZE={sanitizers}", target=driver)
            if installed is not None:
                return build_target(installed.parent, driver)
            return build_engine(folder, QUICKLY_BUILT, target=driver)

    return build
