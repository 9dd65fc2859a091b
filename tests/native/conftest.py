"""What native tests share: the drivers, each built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import build_beside_installed, build_tree, shared_folder

BuildDriver = Callable[[str, str], Path]
"""(driver, sanitizers used under --sanitize) -> the executable."""


@pytest.fixture(scope="session")
def build_driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuildDriver:
    """Return what builds a driver: tests/native/NAME.cpp with every strategy and adaptor."""
    sanitize = request.config.getoption("--sanitize")

    def build(driver: str, sanitizers: str) -> Path:
        if not sanitize:
            return build_beside_installed(tmp_path_factory, driver)
        with shared_folder(tmp_path_factory, sanitizers.replace(",", "-")) as folder:
            return build_tree(
                folder, driver, "-DMEMTOOL_OPTIMISE=-Og", "-DMEMTOOL_FEW_REPLAYS=ON", f"-DMEMTOOL_SANITIZE={sanitizers}"
            )

    return build
