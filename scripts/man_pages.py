"""Writes a manual page for memtool and for each of its commands, from what their ``--help`` says.

python scripts/man_pages.py FOLDER        # then: man -l FOLDER/memtool-bench.1
"""

from __future__ import annotations

import sys
from pathlib import Path

from click_man.core import write_man_pages

from memtool import __version__
from memtool.cli import cli


def write(folder: Path) -> list[Path]:
    """Write the pages into a folder, which is made, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    context = cli.make_context("memtool", [], resilient_parsing=True)
    # Commands are imported when they are run; here all of them are.
    cli.commands = {
        name: command for name in cli.list_commands(context) if (command := cli.get_command(context, name)) is not None
    }
    write_man_pages("memtool", cli, version=__version__, target_dir=str(folder))
    return sorted(folder.glob("memtool*.1"))


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
