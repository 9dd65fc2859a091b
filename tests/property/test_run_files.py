"""Run files changed by chance: no traceback, no hang, and no pass from a file that somebody has changed.

Two runs of two cells, of which one needs more memory in the second. Whatever one place of either file is changed
to, the gate may say so (3), that it cannot tell (4) or compare (5), or that the file is damaged (2): never 0.
Seeded; ``--documents`` says how many (make soak: 2,000).
"""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memtool.cli import run as memtool
from memtool.store import run_file
from tests.runs import cell, figure, run

FOOTPRINT = "peak_footprint_bytes"
TIME = "time_per_op_ns"
SECONDS = 5
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**63, 10**400, 0.5, -0.5, 1e308, float("inf"), float("nan"), "", "\x00", "\ud800",
    "ok", "failed", "excluded", "exact", "sampled", "parsec", "a" * 70_000, [], {}, [[]], [None], {"a": 1}, [0, 0],
)  # fmt: skip


def document(footprint: float) -> dict[str, Any]:
    """Return a run whose cell ``worse`` has this footprint."""
    times = {TIME: figure(TIME, *[10.0 + block / 10 for block in range(9)])}
    result = run(
        cell("same", {**times, FOOTPRINT: figure(FOOTPRINT, 4096, 4096)}),
        cell("worse", {**times, FOOTPRINT: figure(FOOTPRINT, footprint, footprint)}),
    )
    return json.loads(json.dumps(run_file.to_json(result)))  # type: ignore[no-any-return]  # an object, as written


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield (*path, name)
        yield from places(child, (*path, name))


def changed(random: Random, content: dict[str, Any]) -> None:
    """Change one place: another value, one from elsewhere, none, or twice."""
    path = random.choice(list(places(content)))
    parent: Any = content
    for name in path[:-1]:
        parent = parent[name]
    kind = random.randrange(4)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[path[-1]]))
    elif kind == 2:
        other: Any = content
        for name in random.choice(list(places(content))):
            other = other[name]
        parent[path[-1]] = copy.deepcopy(other)
    else:
        parent[path[-1]] = random.choice(VALUES)


def broken(random: Random, text: str) -> str:
    """Cut a text, or change some of its characters."""
    if random.random() < 0.3:
        return text[: random.randrange(len(text))]
    at = random.randrange(len(text))
    return text[:at] + random.choice('{}[],:"0-eE.\\ \x00é') + text[at + random.randrange(3) :]


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fail what takes longer than a reader waits."""

    def late(*_: object) -> None:
        raise AssertionError(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_no_changed_file_passes(
    tmp_path: Path, documents: int, in_time: None, capsys: pytest.CaptureFixture[str]
) -> None:
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    words = ["compare", str(base), str(head), "--metric", FOOTPRINT, "--fail-on", "inconclusive"]

    def ends(*texts: str) -> int:
        for path, text in zip((base, head), texts, strict=True):
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        signal.alarm(SECONDS)
        return memtool(words)

    sound = json.dumps(document(4096)), json.dumps(document(8192))
    assert ends(*sound) == 3
    assert ends(sound[0], sound[0]) == 0
    changes: tuple[Callable[[Random, str], str], ...] = (one_change, broken)
    for seed in range(documents):
        random = Random(seed)
        texts = list(sound)
        which = random.randrange(2)
        texts[which] = random.choice(changes)(random, texts[which])
        capsys.readouterr()
        code = ends(*texts)
        said = capsys.readouterr()
        if json_of(texts[which]) == json_of(sound[which]):
            continue  # white space, or the value that was there
        assert code in (2, 3, 4, 5), f"seed {seed}: {code}: {said.out[-300:]}{said.err}"
        assert said.err.count("\n") <= 1, f"seed {seed}: {said.err}"


def one_change(random: Random, text: str) -> str:
    content = json.loads(text)
    changed(random, content)
    return json.dumps(content)


def json_of(text: str) -> str | None:
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return None


def test_many_changes_at_once_end_in_one_line(
    tmp_path: Path, documents: int, in_time: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    for seed in range(documents // 4):
        random = Random(f"many {seed}")
        content = document(4096)
        for _ in range(random.randrange(2, 6)):
            changed(random, content)
        path.write_bytes(json.dumps(content).encode())
        capsys.readouterr()
        signal.alarm(SECONDS)
        for style in ("table", "json", "junit", "github"):
            code = memtool(["compare", str(path), "--format", style])
            said = capsys.readouterr()
            assert code in (0, 2, 5), f"seed {seed}: {code}: {said.err}"
            assert said.err.count("\n") <= 1, f"seed {seed}: {said.err}"
