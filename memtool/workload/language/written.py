"""Writes a workload file for people to read: a comment that says what it represents, then the YAML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from memtool import files
from memtool.errors import InputError

_WIDTH = 116


def write_workload(path: Path, definition: Mapping[str, Any], comments: Iterable[str]) -> None:
    """Write a workload file atomically; each comment begins on its own line. Raises InputError."""
    import yaml

    body = yaml.safe_dump(dict(definition), sort_keys=False, default_flow_style=None, allow_unicode=True, width=_WIDTH)
    lines = [line for words in comments for line in textwrap.wrap(words, _WIDTH, subsequent_indent="  ")]
    try:
        files.write_whole(path, "".join(f"# {line}\n" for line in lines) + body)
    except OSError as problem:
        raise InputError(files.refusal(problem, path), field="output") from None
