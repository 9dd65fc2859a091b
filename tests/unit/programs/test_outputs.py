"""Outputs that differ, and where."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from memtool.programs import outputs


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        (b"one\ntwo\n", b"one\ntwo\n", None),
        (b"", b"", None),
        (b"one\ntwo\n", b"one\ntoo\n", "at byte 5 (line 2): 'too' in place of 'two'"),
        (b"one\ntwo\n", b"one\n", "at byte 4 (line 2): its end in place of 'two'"),
        (b"", b"x", "at byte 0 (line 1): 'x' in place of its end"),
        (b"a" * 9, b"a" * 8 + b"\x1b", "at byte 8 (line 1): 'aaaaaaaa\\x1b' in place of 'aaaaaaaaa'"),
        (b"a" * 60, b"a" * 59, "at byte 59 (line 1): its end in place of '" + "a" * 21 + "'"),
        # Beyond the first portion that is read.
        (b"x\n" * 600_000 + b"1", b"x\n" * 600_000 + b"2", "at byte 1,200,000 (line 600,001): '2' in place of '1'"),
    ],
)
def test_the_first_difference_is_named_with_its_line(expected: bytes, actual: bytes, difference: str | None) -> None:
    assert outputs.first_difference(BytesIO(expected), BytesIO(actual)) == difference


def test_an_output_is_kept_from_its_beginning(tmp_path: Path) -> None:
    output = BytesIO(b"all of it")
    output.seek(4)
    outputs.keep(output, tmp_path / "outputs" / "sort")
    assert (tmp_path / "outputs" / "sort").read_bytes() == b"all of it"
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["sort"]
