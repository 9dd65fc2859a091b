"""Each strategy's and adaptor's header compiles alone: it can be taken out of the house with what it stands on.

Nearly all of them include the concept, whose own headers take most of the time. So the concept is compiled once and
comes first. What it brings is missing from no header that includes it: a header's includes come before its code.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = ROOT / "memtool"
HEADERS = sorted(
    str(path.relative_to(SOURCES))
    for folder in ("strategies", "adaptors", "concept")
    for path in (SOURCES / "allocators" / folder).glob("*.hpp")
)
CONCEPT = "allocators/concept/strategy.hpp"
COMPILER = ["c++", "-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-I", str(SOURCES)]


@cache
def includes_concept(header: str) -> bool:
    """Return whether the header includes the concept, itself or by another one, whatever is defined."""
    unconditional = (SOURCES / header).read_text(encoding="utf-8").partition("\n#if")[0]
    included: list[str] = re.findall(r'^#include "(.*)"$', unconditional, re.MULTILINE)
    return CONCEPT in included or any(map(includes_concept, included))


def complaint(header: str, concept: Path) -> str:
    """Return what the compiler says of a file that includes this header alone."""
    before = ["-include", str(concept)] if includes_concept(header) else []
    ended = subprocess.run(
        [*COMPILER, "-Werror", "-fsyntax-only", *before, "-x", "c++", "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stderr if ended.returncode else ""


@pytest.mark.slow
def test_each_strategy_and_adaptor_compiles_alone(tmp_path: Path) -> None:
    assert "allocators/strategies/pool.hpp" in HEADERS
    concept = tmp_path / "concept.hpp"
    concept.write_text(f'#include "{CONCEPT}"\n', encoding="utf-8")
    subprocess.run([*COMPILER, "-x", "c++-header", str(concept), "-o", f"{concept}.gch"], check=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = dict(zip(HEADERS, pool.map(partial(complaint, concept=concept), HEADERS), strict=True))
    assert {header: words for header, words in complaints.items() if words} == {}
