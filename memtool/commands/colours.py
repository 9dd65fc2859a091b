"""Colours for tables and verdicts on a terminal; they repeat what the words say.

There are none in a pipe, or if NO_COLOR is set (https://no-color.org); FORCE_COLOR turns them on everywhere.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.highlighter import RegexHighlighter


def are_wanted() -> bool:
    """Return whether standard output is to be in colour."""
    if os.environ.get("NO_COLOR"):
        return False
    if (forced := os.environ.get("FORCE_COLOR")) is not None:
        return forced not in ("", "0", "false")
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show(text: str) -> None:
    """Print a result for people, in colour where that is wanted."""
    if not are_wanted():
        click.echo(text)
        return
    from rich.text import Text

    written = Text(text)
    _highlighter().highlight(written)
    _console().print(written, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console
    from rich.theme import Theme

    styles = {"bad": "bold red", "good": "green", "unsure": "yellow", "faint": "bright_black", "title": "bold"}
    # Only the terminal's own sixteen colours, which its user has chosen to be readable.
    return Console(
        force_terminal=True,
        color_system="standard",
        theme=Theme({f"memtool.{name}": style for name, style in styles.items()}),
        highlight=False,
    )


@cache
def _highlighter() -> RegexHighlighter:
    from rich.highlighter import RegexHighlighter

    class Words(RegexHighlighter):
        """The words of verdicts, the titles of tables, and the sentence of the answer."""

        base_style = "memtool."
        highlights = (  # as Rich has it
            r"(?m)(?P<title>^[^\n]+)\n(?:[^\n]+\n){1,4}-{3,}",
            r"(?m)^(?P<title>[^\n]* (?:is fastest|share the first rank)[^\n]*)",
            r"(?m)(?P<bad>(?:^| )(?:regression|slower|more memory|worse|fails)(?=$|: ))",
            r"(?P<bad>REGRESSION[^\n]*|NOT sound[^\n]*)",
            r"(?m)^(?P<bad>Failed:|Not measured, [^\n]*:)",
            r"(?m)(?P<good> (?:pass|faster|less memory|better|no slower|no more memory|no worse)$)",
            r"(?m)^(?P<good>PASS[^\n]*)",
            r"(?P<good>all sound)",
            r"(?m)(?P<unsure>(?:^| )inconclusive(?=$|: )|^INCONCLUSIVE[^\n]*)",
            r"(?P<faint>\bn/a\b|not gated)",
        )

    return Words()
