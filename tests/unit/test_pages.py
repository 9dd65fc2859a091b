"""The pages: each says what it is for, no link of theirs leads nowhere, and each thing that can be named has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from memtool.allocators.registry import Registry
from memtool.cli import cli
from memtool.measure.metrics import METRICS
from memtool.workload.trace import shipped
from scripts import site_pages
from tests.conftest import ROOT

_FRONT = re.compile(r"\A---\n.*?\n---\n\s*", re.DOTALL)
_SENTENCE = re.compile(r"\A[A-Za-z0-9`*\[][^|]*?[.:?]", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pages of the site, laid out."""
    folder = tmp_path_factory.mktemp("site") / "source"
    site_pages.lay_out(folder)
    return folder


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.md"))


@cache
def parsed(path: Path) -> tuple[Token, ...]:
    text = _FRONT.sub("", path.read_text(encoding="utf-8"))
    return tuple(MarkdownIt("commonmark").enable("table").parse(text))


def links(path: Path) -> Iterator[str]:
    """Yield where a page's links and pictures lead."""
    for token in parsed(path):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target is not None:
                yield str(target)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as a code host makes them."""
    tokens = parsed(path)
    heads = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    return {site_pages.anchor(re.sub(r"[`*]|\]\([^)]*\)|\[", "", head)) for head in heads}


def broken(files: list[Path]) -> list[str]:
    """Return the links that lead nowhere."""
    result = []
    for path in files:
        for target in links(path):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
                result.append(f"{path.name}: {target}")
    return result


def test_no_link_of_the_repository_leads_nowhere() -> None:
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    assert broken([*own, *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")]) == []


def test_each_decision_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(path.name.partition("-")[0]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    for number, path in zip(numbers, records, strict=True):
        assert re.match(rf"# {number}\. \S.*\n\nDate: 2\d{{3}}-\d\d-\d\d\. Status: ", path.read_text("utf-8")), (
            path.name
        )


def test_no_link_of_the_site_leads_nowhere(site: Path) -> None:
    assert broken(pages(site)) == []


def test_each_page_has_a_title_and_says_what_it_is_for(site: Path) -> None:
    silent = []
    for path in pages(site):
        lines = _FRONT.sub("", path.read_text(encoding="utf-8"))
        title, _, rest = lines.partition("\n")
        rest = re.sub(r"\A\n*(?:<!--.*?-->\n*)?", "", rest, flags=re.DOTALL)
        if not re.match(r"# \S", title) or _SENTENCE.match(rest) is None:
            silent.append(str(path.relative_to(site)))
    assert silent == []


def test_each_thing_that_can_be_named_has_a_page(site: Path) -> None:
    names = {str(path.relative_to(site).with_suffix("")) for path in pages(site)}
    assert {f"metrics/{name}" for name in METRICS} <= names
    assert {f"workloads/{name}" for name in shipped()} <= names
    assert {f"commands/{name}" for name in cli.list_commands(click.Context(cli))} <= names
    registry = Registry()
    assert {f"allocators/{allocator.name}" for allocator in registry.known()} <= names
    assert {f"allocators/plus-{adaptor.name}" for adaptor in registry.known_adaptors()} <= names


def test_each_page_of_the_documentation_is_in_the_list_of_the_site(site: Path) -> None:
    listed = set(re.findall(r"^(?:.*<)?([\w/-]+)>?$", (ROOT / "docs/site/index.md").read_text(), re.MULTILINE))
    own = {path.stem for path in (ROOT / "docs").glob("*.md")} | {path.stem for path in (ROOT / "docs").glob("*.ipynb")}
    assert own <= listed
