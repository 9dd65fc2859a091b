"""The plain form read by columns: the same calls, counts and damage as line by line, whatever is in it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence

import pytest

from memtool.workload.importers import plain
from memtool.workload.importers.calls import Calls
from memtool.workload.importers.content import Portions
from memtool.workload.importers.decoder import Report
from memtool.workload.importers.plain_columns import Columns, JsonColumns

pytest.importorskip("pyarrow.csv")
KINDS = ("malloc", "calloc", "realloc", "free", "posix_memalign", " Delete", "+")


def decoded(text: bytes) -> tuple[bytes, Report]:
    report = Report()
    events = b"".join(bytes(seen) for seen in plain.Decoder().decode(Portions(io.BytesIO(text)), report))
    return events, report


def by_lines(text: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Report]:
    with monkeypatch.context() as patch:
        patch.setattr(Columns, "read", lambda *_: None)
        return decoded(text)


def rows(draw: random.Random, count: int) -> Sequence[str]:
    made = []
    for number in range(count):
        kind = draw.choice(KINDS)
        address = draw.choice([0, 16 * number + 4096, draw.randrange(1 << 47)])
        size = "" if kind in ("free", " Delete") else str(draw.randrange(5000))
        rest = f"{draw.choice([3, 7, 9])},{number},{draw.choice(['', 8, 64, 3])},{draw.choice(['', 0, '0x5000'])}"
        made.append(f"{kind},{hex(address) if draw.random() < 0.5 else address},{size},{rest}")
    return made


@pytest.mark.parametrize("name", ["address", "object"])
def test_columns_and_lines_are_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_BLOCK_BYTES", 2000)
    text = "\n".join([f"kind,{name},size,thread,time,alignment,old", *rows(random.Random(7), 3000)]).encode()
    read: list[bool] = []
    columns = Columns.read

    def counted(self: Columns, block: bytes, calls: Calls) -> memoryview | None:
        made = columns(self, block, calls)
        read.append(made is not None)
        return made

    monkeypatch.setattr(Columns, "read", counted)
    fast, slow = decoded(text), by_lines(text, monkeypatch)
    assert read == [True] * len(read)
    assert len(read) > 2
    assert fast == slow
    assert fast[1].dropped == 0
    assert fast[1].threads == 3


@pytest.mark.parametrize(
    "odd",
    [
        "malloc,5,x,1,1,,",
        "malloc,5,,1,1,,",
        "malloc,007,8,1,1,,",
        "malloc,1_000,8,1,1,,",
        '"malloc",5,8,1,1,,',
        "# a word in between",
        "malloc,5,8",
        "grow,5,8,1,1,,",
        "malloc,5,8,-4,1,,",
        "malloc,18446744073709551615,8,1,1,,",
        "malloc,5,18446744073709551616,1,1,,",
        "malloc,5,8,1,1,,," + 70_000 * "9",
        "",
        "\xff\xfe",
    ],
)
def test_what_is_odd_is_left_to_lines(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_BLOCK_BYTES", 500)
    lines = list(rows(random.Random(7), 90))
    lines.insert(50, odd)
    text = "\n".join(["kind,object,size,thread,time,alignment,old", *lines]).encode("latin-1")
    assert decoded(text) == by_lines(text, monkeypatch)


def test_damage_anywhere_is_said_as_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_BLOCK_BYTES", 1000)
    draw = random.Random(11)
    whole = "\n".join(["kind,address,size,thread,time,alignment,old", *rows(draw, 200)]).encode()
    for _ in range(60):
        text = bytearray(whole)
        for _ in range(3):
            text[draw.randrange(50, len(text))] = draw.randrange(256)
        assert decoded(bytes(text)) == by_lines(bytes(text), monkeypatch)


def as_json(row: str, name: str) -> str:
    """Return a row of CSV as a line of JSON: numbers as they are, hexadecimal ones as texts."""
    names = ("kind", name, "size", "thread", "time", "alignment", "old")
    fields = zip(names, row.split(","), strict=False)
    return json.dumps({key: int(text) if text.isdigit() else text for key, text in fields if text})


@pytest.mark.parametrize("name", ["address", "id"])
def test_json_by_columns_and_by_lines_are_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_BLOCK_BYTES", 5000)
    draw = random.Random(9)
    lines = [as_json(row, name) for row in rows(draw, 1500)]
    # A block whose addresses are numbers and texts is read line by line.
    for chosen in (lines, [line for line in lines if "0x" not in line]):
        text = "\n".join(chosen).encode()
        fast, slow = decoded(text), by_lines(text, monkeypatch)
        assert fast == slow
        assert fast[1].dropped == 0
    text = "\n".join(json.dumps({"kind": "malloc", name: hex(16 + n), "size": 8}) for n in range(500)).encode() + b"\n"
    read = JsonColumns(plain._NAMES, plain._KINDS).read(text, Calls())
    assert read is not None
    assert read.nbytes == 500 * 48
    assert bytes(read) == by_lines(text, monkeypatch)[0]


@pytest.mark.parametrize(
    "odd",
    [
        '{"kind": "malloc", "id": 5, "size": "8"}',
        '{"kind": "malloc", "id": 5, "size": 8.0}',
        '{"kind": "malloc", "id": 5, "size": true}',
        '{"kind": "malloc", "id": "007", "size": 8}',
        '{"kind": "malloc", "id": null, "size": 8}',
        '{"kind": "malloc", "id": 5}',
        '{"kind": "malloc", "id": 5, "size": 8, "time": -1}',
        '{"kind": "malloc", "id": 5, "size": 8, "thread": -1}',
        '{"kind": "malloc", "id": 18446744073709551615, "size": 8}',
        '{"kind": "malloc", "id": 5, "size": 99999999999999999999}',
        '{"kind": "malloc", "id": 5, "address": 6, "size": 8}',
        '{"kind": "malloc", "id": 5, "id": 6, "size": 8}',
        '{"kind": "malloc", "ID": 5, "size": 8}',
        '{"kind": "realloc", "old": 5, "size": 8}',
        '{"kind": "malloc", "id": 5, "size": 8}{"kind": "free", "id": 5}',
        '{"kind": "malloc", "id": 5,\n"size": 8}',
        '{"kind": "grow", "id": 5, "size": 8}',
        '{"kind": 5, "id": 5, "size": 8}',
        '{"kind": "malloc", "id": 5, "size": 8, "more": {"a": [1, 2]}}',
        '{"kind": "malloc", "id": 5, "size": 8, "time": "2020-01-01"}',
        ' {"kind": "malloc", "id": 5, "size": 8}',
        '["malloc", 5, 8]',
        "# a word in between",
        "",
        "{",
        "\xff",
        '{"kind": "mal\xff", "id": 5, "size": 8}',
    ],
)
def test_odd_json_is_left_to_lines(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_BLOCK_BYTES", 800)
    lines = [json.dumps({"kind": "malloc", "id": number, "size": 8 + number}) for number in range(90)]
    lines.insert(50, odd)
    text = "\n".join(lines).encode("latin-1")
    assert decoded(text) == by_lines(text, monkeypatch)
