"""Journals that something has happened to: what is whole in them is gone on with, or they are refused in one line."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.kinds import FIRST, results
from memtool.model import Cell, Status
from memtool.passes import Sample
from memtool.store.journal import newest, open_journal
from tests.payloads import figures

FINGERPRINT: dict[str, object] = {
    "workloads": {"web": {"touch": "first", "seed": 42}},
    "blocks": 3,
    "passes": ["check"],
}
JUNK = (b"", b"\n", b"\x00", b"{}", b"[]", b"null", b'"', b"9" * 5000, b"[" * 2000, b"\xff\xfe", b"}\n{", b"NaN")


def samples(draw: random.Random) -> list[Sample]:
    result = []
    for block in range(draw.randrange(1, 6)):
        status = draw.choice([Status.OK, Status.FAILED])
        run_pass, proof = draw.choice(list(results(FIRST).measures)), {"version": "5.3", "x": 0.1}
        payload = figures(run_pass) if status is Status.OK else None
        result.append(Sample(Cell("web", "pool:block=64"), block, run_pass, status, None, payload, proof))
    return result


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Return a journal with a few bytes, lines or values of it changed."""
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(content) + 1)
        until = min(len(content), at + draw.randrange(1, 60))
        lines = content.splitlines(keepends=True)
        how = draw.randrange(7)
        if how == 0:
            content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
        elif how == 1:
            content = content[:at] + draw.choice(JUNK) + content[at:]
        elif how == 2:
            content = content[:at] + content[until:]
        elif how == 3:
            content = content[:at]
        elif how == 4 and lines:
            del lines[draw.randrange(len(lines))]
            content = b"".join(lines)
        elif how == 5 and lines:
            lines.insert(draw.randrange(len(lines) + 1), draw.choice(lines))
            content = b"".join(lines)
        elif lines:
            number = draw.randrange(len(lines))
            lines[number] = rewritten(draw, lines[number])
            content = b"".join(lines)
    return content


def rewritten(draw: random.Random, line: bytes) -> bytes:
    """Return a line with one of its values replaced, as by somebody who would have it otherwise."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return line
    inner = record
    while isinstance(inner, dict) and inner:
        key = draw.choice(list(inner))
        if not isinstance(inner[key], dict) or draw.random() < 0.3:
            inner[key] = draw.choice([None, -1, 1e300, "x", [], {}, True])
            break
        inner = inner[key]
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def test_damaged_journals_are_gone_on_with_or_refused(tmp_path: Path, documents: int) -> None:
    refusals: list[str] = []
    touched: list[int] = []
    for seed in range(documents):
        draw = random.Random(seed)
        folder = tmp_path / "results" / "run"
        path = folder / "journal.jsonl"
        taken = samples(draw)
        path.unlink(missing_ok=True)
        with open_journal(folder, FINGERPRINT, started="then", resume=False) as journal:
            for sample in taken:
                journal.append(sample)
        path.write_bytes(damaged(draw, path.read_bytes()))
        before = path.read_bytes()
        try:
            with open_journal(folder, FINGERPRINT, started="now", resume=True) as journal:
                # Never a sample that was not taken, or one with other figures.
                assert set(map(repr, journal.finished.values())) <= set(map(repr, taken)), seed
                assert journal.started == "then", seed
                journal.append(taken[0])
            with open_journal(folder, FINGERPRINT, started="now", resume=True) as journal:
                assert repr(taken[0]) in map(repr, journal.finished.values()), seed
        except InputError as problem:
            refusals.append(str(problem))
            is_left = path.read_bytes() == before
            with pytest.raises(InputError):
                newest(tmp_path / "results", FINGERPRINT)
            touched += [] if is_left else [seed]
    assert touched == []
    assert all(len(words.splitlines()) == 1 for words in refusals)
    assert 0.3 < len(refusals) / documents < 0.95
