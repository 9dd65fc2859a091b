"""What native tests share: the drivers, each built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import QUICKLY_BUILT, ROOT, build_engine, build_target

BuildDriver = Callable[[str, str], Path]
"""(driver, sanitizers used under --sanitize) -> the executable."""


@pytest.fixture(scope="session")
def build_driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildDriver:
    """Return what builds a driver: tests/native/NAME.cpp with every strategy and adaptor."""
    trees: dict[str, Path] = {}

    def build(driver: str, sanitizers: str) -> Path:
        if not request.config.getoption("--sanitize"):
            # Where the engine is installed from, its strategies are compiled already.
            installed = next(ROOT.glob("build/*/build.ninja"), None)
            if installed is not None:
                return build_target(installed.parent, driver)
            return build_engine(trees.setdefault("", tmp_path_factory.mktemp("drivers")), QUICKLY_BUILT, target=driver)
        folder = trees.setdefault(sanitizers, tmp_path_factory.mktemp(sanitizers.replace(",", "-")))
        return build_engine(folder, QUICKLY_BUILT, f"-DMEMTOOL_SANITIZE={sanitizers}", target=driver)

    return build
