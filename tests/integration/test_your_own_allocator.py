"""docs/your-own-allocator.md: every block of code compiled, every command run, in the order of the page.

The workload of the commands replaces one of a thousand objects again and again; here it does so a tenth as often.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.conftest import ROOT
from tests.integration.test_documented_commands import short
from tests.started import shell_memtool

WORKLOAD = "chapter/frequent-small-objects"
PAGE = ROOT / "docs/your-own-allocator.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?:#|//|/\*) ([\w.]+)")

# Stands in for pip, which would ask the network for a build backend: lays out the package as an installation would.
PIP = """\
#!{python}
import pathlib, shutil, sys, tomllib
assert sys.argv[1:] == ["install", "."]
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
info = pathlib.Path("site") / "powers_allocator-1.0.dist-info"
info.mkdir(parents=True)
(info / "METADATA").write_text("Metadata-Version: 2.1\\nName: powers-allocator\\nVersion: 1.0\\n")
groups = project["project"]["entry-points"].items()
lines = [line for group, values in groups for line in (f"[{{group}}]", *(f"{{k}} = {{v}}" for k, v in values.items()))]
(info / "entry_points.txt").write_text("\\n".join(lines))
for module in project["tool"]["setuptools"]["py-modules"]:
    shutil.copy(f"{{module}}.py", "site")
"""


def roads() -> dict[str, list[tuple[str, str]]]:
    """Return (language, text) of the code blocks, by the heading that they stand under."""
    sections = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    result = {title: _FENCE.findall(text) for title, text in zip(sections[::2], sections[1::2], strict=True)}
    return {title: blocks for title, blocks in result.items() if blocks}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds every file of the page, and a bin with what its commands call but memtool."""
    made = tmp_path_factory.mktemp("page")
    for language, text in (block for blocks in roads().values() for block in blocks):
        if language != "sh":
            name = _NAME.match(text)
            assert name is not None, f"a block of {language} does not name its file"
            assert not (made / name[1]).exists()
            (made / name[1]).write_text(text, encoding="utf-8")
    (made / WORKLOAD).parent.mkdir()
    (made / WORKLOAD).write_text(short(WORKLOAD, "30k"), encoding="utf-8")
    commands = made / "bin"
    commands.mkdir()
    (commands / "pip").write_text(PIP.format(python=sys.executable))
    (commands / "python3").symlink_to(sys.executable)
    (commands / "pip").chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("title", "allocators"),
    [
        ("A class in Python", ["powers.py:Powers", "pool", "reference-pool"]),
        ("A Python package", ["powers", "pool"]),
        ("A library by memtool.h", ["./libpowers.so:smallest=4", "./libpowers.so:smallest=6", "pool"]),
        ("A malloc replacement", ["./libpowersmalloc.so", "glibc"]),
        ("A header in the engine", ["powers", "glibc"]),
    ],
)
def test_a_road(title: str, allocators: list[str], folder: Path, memtool_environment: dict[str, str]) -> None:
    environment = {
        **memtool_environment,
        "PATH": f"{folder / 'bin'}:{shell_memtool().parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder / 'site'}:{ROOT}",
        "MEMTOOL": str(ROOT),
    }
    before = set((folder / "results").glob("*"))
    script = "".join(text for language, text in roads()[title] if language == "sh")
    # One of them builds an engine where others do.
    building = FileLock(next(ROOT.glob("build/py3-*/build.ninja")).with_name("tests.lock"))
    with building if title == "A header in the engine" else nullcontext():
        ended = subprocess.run(
            ["bash", "-euxc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "warning:" not in ended.stderr
    (made,) = set((folder / "results").glob("*")) - before
    cells: dict[str, Any] = {
        cell["allocator"]: cell for cell in json.loads((made / "run.json").read_text(encoding="utf-8"))["cells"]
    }
    assert {name: cell["status"] for name, cell in cells.items()} == dict.fromkeys(allocators, "ok")
    assert all(cell["proof"]["invariants_checked"] > 0 for cell in cells.values())
    if title == "A header in the engine":
        assert "Sizes rounded up to powers of two" in ended.stdout  # the list shows what the header says of itself


def test_every_road_is_taken() -> None:
    assert list(roads()) == [
        "A class in Python",
        "A Python package",
        "A library by memtool.h",
        "A malloc replacement",
        "A header in the engine",
    ]
