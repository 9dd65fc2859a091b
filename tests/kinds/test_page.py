"""docs/kinds.md shows a whole kind: its code blocks are the files of tests/kinds/count."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs/kinds.md"
COUNT = Path(__file__).parent / "count"
SHOWN = re.compile(r"(`(\w+\.\w+)`:\n\n```\w+\n)(.*?)(```\n)", re.DOTALL)


def test_the_page_shows_the_files_as_they_are(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    if request.config.getoption("--renew-golden"):
        page = SHOWN.sub(lambda block: block[1] + (COUNT / block[2]).read_text(encoding="utf-8") + block[4], page)
        PAGE.write_text(page, encoding="utf-8")
    blocks = {name: text for _, name, text, _ in SHOWN.findall(page)}
    assert blocks == {path.name: path.read_text(encoding="utf-8") for path in COUNT.iterdir() if path.is_file()}


def test_its_kernel_compiles_without_a_warning() -> None:
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{ROOT / 'memtool'}"]
    subprocess.run(["c++", *flags, str(COUNT / "kernel.cpp")], check=True)
