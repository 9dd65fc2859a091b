"""The set-ups that the pages show: YAML that is valid, and in it commands of memtool with options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
import yaml

from memtool.cli import cli
from tests.conftest import ROOT

_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[ /])memtool ((?:bench|check|history|compare|report) [^|>\n]*)")


def blocks() -> Iterator[tuple[str, str]]:
    """Yield (page, YAML) of README.md and docs."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        yield from ((page.name, block) for block in _BLOCK.findall(page.read_text(encoding="utf-8")))


def texts(part: object) -> Iterator[str]:
    """Yield every text of a document."""
    if isinstance(part, dict):
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)
    elif isinstance(part, str):
        yield part


COMMANDS = sorted(
    {
        (page, command.strip())
        for page, block in blocks()
        for text in texts(yaml.safe_load(block))
        for command in [*_COMMAND.findall(text), *([text] if text.startswith("check ") else [])]
    }
)


def test_there_are_set_ups_for_ci() -> None:
    assert {page for page, _ in COMMANDS} >= {"comparing.md", "history.md"}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_of_a_set_up_has_options_that_there_are(page: str, command: str) -> None:
    name, *arguments = shlex.split(command)
    parser = cli.get_command(click.Context(cli), name)
    assert parser is not None, page
    parser.make_context(name, list(arguments), parent=click.Context(cli, **cli.context_settings))


def test_every_workflow_of_the_project_runs_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in sorted((ROOT / ".github/workflows").iterdir()):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert set(document) >= {"name", "permissions", "jobs"}, path.name
        assert {target for text in texts(document) for target in re.findall(r"\bmake ([a-z]+)", text)} <= targets
