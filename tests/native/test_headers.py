"""Each strategy's and adaptor's header compiles alone: it can be taken out of the house with what it stands on."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ROOT

SOURCES = ROOT / "memtool"
HEADERS = sorted(
    str(path.relative_to(SOURCES))
    for folder in ("strategies", "adaptors", "concept")
    for path in (SOURCES / "allocators" / folder).glob("*.hpp")
)
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
def test_each_strategy_and_adaptor_compiles_alone() -> None:
    assert "allocators/strategies/pool.hpp" in HEADERS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = dict(zip(HEADERS, pool.map(complaint, HEADERS), strict=True))
    assert {header: words for header, words in complaints.items() if words} == {}
