"""Completions for shells: names of allocators, parameters, workloads, metrics and pictures.

Click calls these functions (``shell_complete``) and writes the scripts. Modules are imported only when needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_MEMTOOL_COMPLETE"
"""The environment variable through which a script requests completions."""
_PARTS = re.compile(r"[:=]")


class _Bash(BashComplete):
    """Bash, which splits ``pool:block`` into three words: it is read from the line, and the answer is its last part."""

    source_template = BashComplete.source_template.replace(
        "env COMP_WORDS=", 'env COMP_LINE="$COMP_LINE" COMP_POINT=$COMP_POINT COMP_WORDS='
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being typed, and this one."""
        if "COMP_LINE" not in os.environ:
            return super().get_completion_args()
        line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem) -> str:
        """Return an item without the part that Bash treats as separate words."""
        _, incomplete = self.get_completion_args()
        ends = [match.end() for match in _PARTS.finditer(incomplete)]
        known = ends[-1] if ends and item.value.startswith(incomplete[: ends[-1]]) else 0
        return f"{item.type},{item.value[known:]}"


class _Fish(FishComplete):
    """Fish, whose script splits an answer at every comma, although lists contain commas."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


class _Zsh(ZshComplete):
    """Zsh, which adds a space: not after ``block=``, and removed again if ``:`` or ``,`` continues the word."""

    source_template = (
        ZshComplete.source_template.replace(
            'if [[ "$descr" == "_" ]]; then',
            'if [[ "$key" == *= ]]; then\n                unfinished+=("$key":"$descr")\n'
            '            elif [[ "$descr" == "_" ]]; then',
        )
        .replace("    local -a response\n", "    local -a response\n    local -a unfinished\n")
        .replace(
            '    if [ -n "$completions_with_descriptions" ]; then',
            "    if [ -n \"$unfinished\" ]; then\n        _describe -V parameters unfinished -U -S ''\n    fi\n\n"
            '    if [ -n "$completions_with_descriptions" ]; then',
        )
        .replace("completions_with_descriptions -U\n", "completions_with_descriptions -U -S ' ' -r ':,+=|@ '\n")
        .replace("compadd -U ", "compadd -U -S ' ' -r ':,+=|@ ' ")
    )


def register() -> None:
    """Register the completion of Bash, Fish and Zsh with Click."""
    add_completion_class(_Bash)
    add_completion_class(_Fish)
    add_completion_class(_Zsh)


def allocators(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return continuations of a list of allocators: names and @groups, parameters, or adaptors after a ``+``."""
    from memtool.allocators.registry import GROUPS, Registry

    registry = Registry()
    before, last = _split_list(incomplete)
    spec, plus, adaptor = last.rpartition("+")
    if plus:
        return [
            CompletionItem(f"{before}{spec}+{known.name}", help=known.summary)
            for known in registry.known_adaptors()
            if known.name.startswith(adaptor)
        ]
    name, colon, parameters = last.partition(":")
    if colon:
        written = f"{before}{name}:{parameters[: parameters.rfind(',') + 1]}"
        return [
            CompletionItem(f"{written}{parameter.name}=", help=parameter.range)
            for known in registry.known()
            if known.name == name
            for parameter in known.parameters
            if parameter.name.startswith(parameters.rpartition(",")[2])
        ]
    groups = [
        CompletionItem(f"{before}@{group}", help="a group") for group in (*GROUPS, "all", "default", "strategies")
    ]
    names = [CompletionItem(f"{before}{known.name}", help=known.summary) for known in registry.known()]
    return [item for item in (*names, *groups) if item.value.startswith(incomplete)]


def workloads(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return shipped workloads with this beginning, and files if there are none."""
    from memtool.workload.trace import shipped, shipped_recordings

    names = [name for name in (*shipped(), *shipped_recordings()) if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def metrics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return metrics that can continue a list of them."""
    from memtool.measure.metrics import METRICS

    before, last = incomplete[: incomplete.rfind(",") + 1], incomplete.rpartition(",")[2]
    return [
        CompletionItem(f"{before}{name}", help=info.meaning) for name, info in METRICS.items() if name.startswith(last)
    ]


def listed(names: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return names of a fixed set that can continue a list of them."""
    before, last = incomplete[: incomplete.rfind(",") + 1], incomplete.rpartition(",")[2]
    return [CompletionItem(f"{before}{name}") for name in names if name.startswith(last)]


def runs(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return folders under results/ that hold a run, the newest first, and files if none has this beginning."""
    names = [name for name in _stored_runs() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def _stored_runs() -> Iterator[str]:
    from pathlib import Path

    places = [file.parent for file in Path("results").glob("*/run.json")]
    yield from (str(place) for place in sorted(places, key=lambda place: -place.stat().st_mtime))


def _split_list(text: str) -> tuple[str, str]:
    """Return the complete part of a list of allocators, and the last item, which includes commas within parameters."""
    pieces = text.split(",")
    begin = len(pieces) - 1
    # "tlsf:a=1,b" continues tlsf: an item without a colon, after one with a colon, may be a parameter.
    while begin > 0 and ":" not in pieces[begin] and _goes_on(pieces, begin):
        begin -= 1
    before = ",".join(pieces[:begin])
    return (f"{before}," if begin else ""), ",".join(pieces[begin:])


def _goes_on(pieces: Sequence[str], at: int) -> bool:
    """Return whether an item is a parameter of the one before: it has a value, or only parameters begin so."""
    owner = next((piece for piece in reversed(pieces[:at]) if ":" in piece), None)
    if owner is None or "+" in pieces[at] or "@" in pieces[at]:
        return False
    if "=" in pieces[at]:
        return True
    from memtool.allocators.registry import Registry

    name = owner.partition(":")[0]
    parameters = [
        parameter.name for known in Registry().known() if known.name == name for parameter in known.parameters
    ]
    return bool(pieces[at]) and any(parameter.startswith(pieces[at]) for parameter in parameters)
