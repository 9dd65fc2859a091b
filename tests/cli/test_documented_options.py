"""Each option in a command that README.md or docs/ shows is one of that command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from memtool.cli import cli
from tests.conftest import ROOT

PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
_COMMAND = re.compile(r"^(?:\s+|\$ |.*\$ |- run: |.*&& |.*; )?memtool +([a-z]+)(?: +(.*))?$", re.MULTILINE)
_INLINE = re.compile(r"`memtool +([a-z]+)( [^`]*)?`")
_ENDS = {"|", ">", ">>", "<", "&", "&&", ";", "2>", "||", "#"}


def words(line: str) -> list[str]:
    """Return the words of a command up to what is the shell's."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";<>|&")
    lexer.whitespace_split = True
    taken: list[str] = []
    for word in lexer:
        if word in _ENDS or set(word) <= set(";<>|&"):
            break
        taken.append(word)
    if taken and taken[-1] == "2":  # of 2> notes.txt
        taken.pop()
    return taken


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Yield (command, its arguments) of a page, in blocks and in the text."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    yield from ((name, arguments or "") for name, arguments in _COMMAND.findall(text))
    yield from ((name, (arguments or "").replace("\n", " ")) for name, arguments in _INLINE.findall(text))


def complaint(name: str, arguments: str) -> str | None:
    """Return what click says of an option that the command has not."""
    command = cli.get_command(click.Context(cli), name)
    if command is None or isinstance(command, click.Group):
        return None  # a sentence about memtool; cluster has commands of its own
    try:
        # As a part of memtool: a command keeps the names of its --help from the first context that asks for them.
        whole = click.Context(cli, **cli.context_settings)
        command.make_parser(click.Context(command, parent=whole)).parse_args(words(arguments))
    except ValueError:
        return None  # half of a quotation: a line of a longer script
    except click.NoSuchOption as wrong:
        return str(wrong.message)
    except click.UsageError:
        return None  # options are named in the text without their values
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_option_exists(page: str) -> None:
    wrong = [
        f"memtool {name} {arguments}: {why}"
        for name, arguments in commands(page)
        if (why := complaint(name, arguments))
    ]
    assert wrong == []


def test_an_option_that_no_command_has_is_found() -> None:
    assert complaint("bench", "quickstart --regions anonymous 2> notes.txt | head") == "No such option '--regions'."
    assert complaint("bench", "quickstart --region anonymous 2> notes.txt | sed --quiet p") is None


def test_every_option_in_a_shipped_workload_is_one_of_bench() -> None:
    bench = cli.get_command(click.Context(cli), "bench")
    assert bench is not None
    known = {name for parameter in bench.params for name in parameter.opts}
    files = sorted((ROOT / "workloads").rglob("*.yaml"))
    named = {
        option for file in files for option in re.findall(r"(?<!\S)--[a-z][a-z-]+", file.read_text(encoding="utf-8"))
    }
    assert "--region" in named
    assert named <= known
