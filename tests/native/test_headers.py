"""Each header of the allocators compiles alone: a strategy can be taken out of the house with what it stands on."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ROOT

SOURCES = ROOT / "memtool"
HEADERS = sorted(str(path.relative_to(SOURCES)) for path in (SOURCES / "allocators").rglob("*.hpp"))
COMMAND = ["c++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def complaint(header: str) -> str:
    """Return what the compiler says of a file that includes this header alone."""
    ended = subprocess.run(
        [*COMMAND, "-I", str(SOURCES), "-x", "c++", "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stderr if ended.returncode else ""


@pytest.mark.slow
def test_each_header_of_the_allocators_compiles_alone() -> None:
    # The list of strategies is compiled whole with the engine.
    headers = [header for header in HEADERS if header != "allocators/strategies.hpp"]
    assert "allocators/strategies/pool.hpp" in headers
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = dict(zip(headers, pool.map(complaint, headers), strict=True))
    assert {header: words for header, words in complaints.items() if words} == {}
