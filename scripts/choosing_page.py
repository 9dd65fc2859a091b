"""Runs the commands of docs/choosing.md and puts what they print in the place of what stands there.

A block that begins with ```console holds commands, each a line that begins with ``$ ``, and then their output. The
commands of a block are one shell script; all blocks share one folder. The program is of Debian's redis-server.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/choosing.md"
_BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)


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


def renewed(text: str, folder: Path) -> str:
    """Return the page with the output of its commands, run in this folder."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}

    def run(found: re.Match[str]) -> str:
        script = "\n".join(commands(found[1])) + "\nwait\n"
        done = subprocess.run(
            ["sh", "-c", script], cwd=folder, env=environment, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        print(script, done.stdout, sep="", file=sys.stderr)
        output = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        return f"```console\n{typed(found[1])}{output}\n```\n".replace("\n\n```\n", "\n```\n")

    return _BLOCK.sub(run, text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), Path(scratch)), encoding="utf-8")
