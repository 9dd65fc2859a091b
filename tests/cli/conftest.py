"""What tests of the command line share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.started import run_memtool

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(memtool_environment: dict[str, str]) -> Shell:
    """Return what runs memtool as a shell would: a process of its own, ``memtool ARGUMENT ...``."""
    engine = os.environ.get("MEMTOOL_ENGINE")
    environment = {**memtool_environment, **({"MEMTOOL_ENGINE": engine} if engine else {})}

    def run(*arguments: object, **changed: str) -> subprocess.CompletedProcess[str]:
        return run_memtool(*arguments, environment={**environment, **changed})

    return run
