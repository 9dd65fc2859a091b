"""Lays out the pages of the documentation site: those of docs/, and one for each allocator, workload, metric, command.

    python scripts/site_pages.py build/site/source

The pages of the reference are made of what each thing says of itself. ``make site`` has Sphinx make HTML of all, with
every warning an error: a link that leads nowhere, a page that no list has.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from memtool.cli import cli
from memtool.kinds import KINDS, results
from memtool.kinds.metric import MetricInfo
from memtool.kinds.work import kind_of, work
from memtool.workload.trace import shipped

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES_OF_KINDS = {
    "heap": ("workloads.md", "heap events"),
    "program": ("programs.md", "whole programs"),
    "construct": ("placement-new.md", "objects"),
    "container": ("containers.md", "containers"),
    "access": ("access.md", "accesses"),
    "device": ("device.md", "device memory"),
    "graph": ("collection.md", "garbage collection"),
    "file": ("mapping.md", "files"),
}
"""Kind of work -> the page about it, and what it is called there."""
COMMAND_PAGES = {
    "bench": ["start.md", "measurement.md", "workloads.md"],
    "show": ["reading.md"],
    "report": ["report.md"],
    "plot": ["report.md"],
    "compare": ["comparing.md"],
    "history": ["history.md"],
    "check": ["comparing.md"],
    "cluster": ["cluster.md"],
    "record": ["recording.md"],
    "run": ["running-programs.md"],
    "list": ["allocators.md"],
    "import": ["traces.md"],
    "inspect": ["choosing.md", "traces.md"],
    "fit": ["fit.md"],
    "schema": ["workloads.md", "api.md"],
    "completion": ["start.md"],
    "doctor": ["measurement.md"],
}
"""Command -> pages that show it at work."""
_BETTER = {"lower": "less is better", "higher": "more is better", "neither": "neither way is better"}
_UNITS = {"ns": "nanoseconds", "B": "bytes", "1": "a plain number"}
_COMPARABLE = {
    "events": "runs of the same events, architecture and page size, on any machine of that kind",
    "code": "runs of the same events that the same compiler and C library made",
    "job": "measurements of one job, side by side; between two runs it is advice only",
}
_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./(?!workloads/recorded/README\.md)([^)#]*)\)")


def lay_out(folder: Path) -> None:
    """Write all pages into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS / "site", folder)
    for name in ("images", "data", "adr"):
        shutil.copytree(DOCS / name, folder / name)
    for path in [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")]:
        write(folder / path.name, of_site(path.read_text(encoding="utf-8")))
    recorded = (ROOT / "workloads/recorded/README.md").read_text(encoding="utf-8")
    write(folder / "recorded.md", recorded.replace("../../docs/", ""))
    write(folder / "decisions.md", decisions())
    for pages in (allocators, workloads, metrics, commands):
        for name, text in pages():
            write(folder / name, text)


def write(path: Path, text: str) -> None:
    """Write a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def of_site(text: str) -> str:
    """Return a page of docs/ with its links to files that are no pages as names of files."""
    text = _OUTSIDE.sub(r"\1 (`\2`)", text)
    return text.replace("../workloads/recorded/README.md", "recorded.md")


def decisions() -> str:
    """Return the list of the records of decisions."""
    words = "Each record says what was decided, on what evidence, and what follows from it."
    pages = "\n".join(f"adr/{path.stem}" for path in sorted((DOCS / "adr").glob("*.md")))
    return f"# Decisions\n\n{words}\n\n```{{toctree}}\n:maxdepth: 1\n:glob:\n\n{pages}\n```\n"


_APART = "---\norphan: true\n---\n\n"
"""Before a page that its list links to, and that is not at the side of every page: there are some hundreds."""


def listed(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return a list of (name, file, what it is)."""
    return "\n".join(f"- [{name}]({file}): {words}" for name, file, words in entries) + "\n"


def allocators() -> Iterator[tuple[str, str]]:
    """Yield a page for each allocator and adaptor, and the overview with a link to each in the place of its section."""
    text = of_site((DOCS / "allocators.md").read_text(encoding="utf-8"))
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    overview = [parts[0]]
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        section, heading, rest = body.partition("\n## ")
        slug = name.strip("`").replace("+", "plus-")
        inside = section.strip().replace("](images/", "](../images/").replace("](#", "](../allocators.md#")
        inside = re.sub(r"\]\((?!\.\./|http|#)([\w-]+\.md)", r"](../\1", inside)
        back = "See [all allocators](../allocators.md), and [how to read a table](../reading.md)."
        yield f"allocators/{slug}.md", f"{_APART}# {name}\n\n{inside}\n\n{back}\n"
        first = section.strip().split("\n\n")[0]
        overview.append(f"### {name}\n\n{first} [Costs, parameters and more](allocators/{slug}.md)\n\n{heading}{rest}")
    yield "allocators.md", "".join(overview)


def workloads() -> Iterator[tuple[str, str]]:
    """Yield a page for each workload that ships, and their list."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for name, path in shipped().items():
        _, description = work(kind_of(path)).listed(path)
        page, kind = PAGES_OF_KINDS[kind_of(path)]
        depth = "../" * (name.count("/") + 1)
        source = path.read_text(encoding="utf-8").rstrip()
        group = groups.setdefault(name.rpartition("/")[0] or "first", [])
        group.append((name, f"{name}.md", sentence(description)))
        yield (
            f"workloads/{name}.md",
            f"{_APART}# {name}\n\n{sentence(description)}\n\nIts kind of work is [{kind}]({depth}{page}). It comes "
            f"with memtool, which knows it by its name:\n\n    memtool bench {name}\n    memtool inspect {name}\n\n"
            f"```yaml\n{source}\n```\n",
        )
    lists = [f"## {_TITLES.get(group, group)}\n\n{listed(entries)}" for group, entries in groups.items()]
    yield (
        "workloads/index.md",
        "# Shipped workloads\n\nThese workloads come with memtool, and `memtool bench` takes each by its name; "
        "[recordings of real programs](../recorded.md) are on a page of their own, and [the keys of a workload]"
        "(../workloads.md) on another.\n\n" + "\n".join(lists),
    )


_TITLES = {
    "first": "What `memtool bench` takes unless told otherwise",
    "chapter": "The uses of a textbook chapter",
    "classic": "The classic allocator benchmarks",
    "fleet": "Production profiles of a fleet",
    "fleet/1GiB": "The same profiles at their full size",
}


def metrics() -> Iterator[tuple[str, str]]:
    """Yield a page for each metric, and their list."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    lists = []
    for kind in KINDS:
        infos = results(kind).metrics
        _, called = PAGES_OF_KINDS[kind]
        if not infos:
            continue
        entries = ((info.name, f"{info.name}.md", sentence(info.meaning, is_inside=True)) for info in infos)
        lists.append(f"## Of {called}\n\n{listed(entries)}")
        for info in infos:
            yield f"metrics/{info.name}.md", metric(info, kind, text)
    yield (
        "metrics/index.md",
        "# Metrics\n\nEach figure of `run.json` has a page here that says what it is; [what every figure means]"
        "(../metrics.md) has the formulas side by side, and what each contains and leaves out.\n\n" + "\n".join(lists),
    )


def metric(info: MetricInfo, kind: str, text: str) -> str:
    """Return the page of a metric."""
    page, called = PAGES_OF_KINDS[kind]
    row = re.search(rf"^\| `{info.name}` \| [^|]*\| (.+?) *\|$", text, re.MULTILINE)
    facts: Mapping[str, str] = {
        "unit": f"{_UNITS[info.unit]} (`{info.unit}`)",
        "direction": _BETTER[info.direction],
        "measured by": f"the [{info.measured_by} pass](../measurement.md) of [{called}](../{page})",
        "comparable in": _COMPARABLE[info.scope],
        "in a verdict": "compared unless others are named" if info.headline else _gated(info),
        **({"formula": row[1]} if row is not None and row[1].strip() else {}),
    }
    table = "\n".join(f"| {name} | {words} |" for name, words in facts.items())
    heading = _section(text, info.name)
    more = f"[{heading}](../metrics.md#{anchor(heading)})" if heading else "[What every figure means](../metrics.md)"
    return (
        f"{_APART}# {info.name}\n\n`{info.name}` is a metric of {called}: {sentence(info.meaning, is_inside=True)}\n\n"
        f"| | |\n|---|---|\n{table}\n\nWhat it contains, and when there is none: {more}.\n\n"
        f"    memtool show results/A --metrics {info.name}\n"
    )


def _gated(info: MetricInfo) -> str:
    if not info.gated or info.direction == "neither":
        return "shown, and never a regression"
    return "compared where it is named (`--metric`)"


def _section(text: str, name: str) -> str | None:
    """Return the heading under which a page has a row of this name."""
    before = text.partition(f"| `{name}` |")
    headings = re.findall(r"^## (.+)$", before[0], re.MULTILINE)
    return headings[-1] if before[1] and headings else None


def anchor(heading: str) -> str:
    """Return the anchor that a code host gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands() -> Iterator[tuple[str, str]]:
    """Yield a page for each command, and their list."""
    context = click.Context(cli, info_name="memtool")
    entries = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100)
        words = sentence(command.get_short_help_str(limit=400))
        entries.append((f"memtool {name}", f"{name}.md", words))
        pages = ", ".join(f"[{title(page)}](../{page})" for page in COMMAND_PAGES[name])
        text = f"# memtool {name}\n\n{words}\n\n```text\n{command.get_help(inner)}\n```\n\nAt work: {pages}.\n"
        yield f"commands/{name}.md", _APART + text
    words = "Each command has a page here with all of its options, as `memtool COMMAND --help` has them."
    yield "commands/index.md", f"# Commands\n\n{words}\n\n{listed(entries)}"


def title(page: str) -> str:
    """Return the title of a page of docs/."""
    return (DOCS / page).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def sentence(words: str, *, is_inside: bool = False) -> str:
    """Return words as a sentence: with a capital, unless it goes on after a colon, and a full stop."""
    words = " ".join(words.split()).rstrip(".")
    return (words if is_inside else words[:1].upper() + words[1:]) + "."


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
