"""Runs the commands of pages and puts what they print in the place of what stands there.

    python scripts/run_page.py docs/choosing.md docs/placement-new.md

A block that begins with ```console holds commands, each a line that begins with ``$ ``, and then their output. The
commands of a block are one shell script; all blocks of a page share one folder. A block of another language whose first
line is a remark with the name of a file is that file, and docs/ is there, too. What is there in the end under the name
of a file of docs/images takes its place. The program of choosing.md is of Debian's redis-server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/choosing.md"
IMAGES = PAGE.parent / "images"
_BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
_FILE = re.compile(r"^```(?:yaml|python|c|sh)\n((?:#|/\*) ([\w-]+\.\w+)\b.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """Return the commands of a block; one that ends with a backslash goes on in the next line."""
    joined = block.replace("\\\n", "")
    return [re.sub(r" {2,}", " ", line.removeprefix("$ ")) for line in joined.splitlines() if line.startswith("$ ")]


def typed(block: str) -> str:
    """Return the part of a block that is typed."""
    lines = block.splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if line.startswith("$ "))
    while lines[last].endswith("\\\n"):
        last += 1
    return "".join(lines[: last + 1])


def lay_out(text: str, folder: Path) -> None:
    """Write the files of a page into a folder, and put docs/ beside them."""
    for content, name in _FILE.findall(text):
        (folder / name).write_text(content, encoding="utf-8")
    if not (folder / "docs").exists():
        (folder / "docs").symlink_to(ROOT / "docs")


def renewed(text: str, folder: Path, tools: Path = Path(sys.executable).parent) -> str:
    """Return the page with the output of its commands, run in this folder with the memtool of another one."""
    lay_out(text, folder)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "COLUMNS": "120"}

    def run(block: re.Match[str]) -> str:
        script = "\n".join(commands(block[1])) + "\nwait\n"
        done = subprocess.run(
            ["sh", "-c", script], cwd=folder, env=environment, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print(script, done.stdout, sep="", file=sys.stderr)
        output = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        return f"```console\n{typed(block[1])}{output}\n```\n".replace("\n\n```\n", "\n```\n")

    return _BLOCK.sub(run, text)


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as scratch:
            page.write_text(renewed(page.read_text(encoding="utf-8"), Path(scratch)), encoding="utf-8")
            for image in IMAGES.iterdir():
                if (drawn := Path(scratch) / image.name).is_file():
                    shutil.copyfile(drawn, image)
