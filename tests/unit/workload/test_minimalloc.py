"""MiniMalloc's CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.workload.importers.minimalloc import Buffer, read


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "buffers.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_buffers_are_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "id,lower,upper,size\n0,5,9,64\nb1, 0 ,3,0\n\n")
    assert read(path) == [Buffer("0", 5, 9, 64), Buffer("b1", 0, 3, 0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: must be the columns id,lower,upper,size, is ''"),
        ("id,start,end,size\n", ":1: must be the columns id,lower,upper,size, is 'id,start,end,size'"),
        ("id,lower,upper,size\n0,1,2\n", ":2: must have 4 columns, has 3"),
        ("id,lower,upper,size\n0,1,2,3\n1,2,2,3\n", ":3: upper: must be above lower (2), is 2"),
        (
            "id,lower,upper,size\n0,1,2,-3\n",
            ":2: size: must be a whole number from 0 to 2^58 - 1, is '-3'",
        ),
        (
            f"id,lower,upper,size\n0,1,2,{1 << 58}\n",
            f":2: size: must be a whole number from 0 to 2^58 - 1, is '{1 << 58}'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as problem:
        read(path)
    assert str(problem.value) == f"{path}{words}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv")
