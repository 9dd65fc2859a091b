"""Writes a manual page for memtool and for each of its commands, from their ``--help``.

python scripts/man_pages.py FOLDER        # then: man -l FOLDER/memtool-bench.1
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click_man.core import write_man_pages

from memtool import __version__
from memtool.cli import COMMANDS, cli
from memtool.commands.program_options import SECTION


def write(folder: Path) -> list[Path]:
    """Write the pages into a folder, which is made, and return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    context = cli.make_context("memtool", [], resilient_parsing=True)
    # Commands are imported when they are run; here all of them are.
    cli.commands = {
        name: command for name in cli.list_commands(context) if (command := cli.get_command(context, name)) is not None
    }
    _summarise(cli)
    for name, command in cli.commands.items():
        command.short_help = COMMANDS[name].removesuffix(".")
    write_man_pages("memtool", cli, version=__version__, target_dir=str(folder))
    pages = sorted(folder.glob("memtool*.1"))
    for page in pages:
        page.write_text(_mended(page.read_text(encoding="utf-8")), encoding="utf-8")
    return pages


def _summarise(command: click.Command) -> None:
    """Give a command and those below it a summary: click-man cuts the first sentence of the help after 45 letters."""
    command.short_help = (command.help or "").partition("\n")[0].removesuffix(".")
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _summarise(below)


def _mended(page: str) -> str:
    """Return a page with what click-man leaves out: lines that stay as they are, and sections of options."""
    # Click marks a paragraph whose lines stay as they are by a backspace before it.
    page = re.sub(r"^\x08\n((?:.+\n)+?)(?=\.|\Z)", r".nf\n\1.fi\n", page, flags=re.MULTILINE)
    first = re.escape(r".TP" "\n" r"\fB\-\-program\fP")
    return re.sub(first, lambda heading: f".SS {SECTION}\n{heading.group()}", page)


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
