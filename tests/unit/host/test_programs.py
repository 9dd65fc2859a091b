"""What is said of a file that is no program into which a library can be preloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.host.programs import refuse_what_takes_no_preload


def executable(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def said_of(path: Path) -> str:
    with pytest.raises(InputError) as problem:
        refuse_what_takes_no_preload(path)
    return str(problem.value)


@pytest.mark.parametrize("content", [b"echo hello\n", b"", b"\x7fEL"])
def test_a_script_must_name_its_interpreter(content: bytes, tmp_path: Path) -> None:
    path = executable(tmp_path / "run", content)
    assert said_of(path) == (
        f"{path}: is neither an ELF program nor a script whose first line names its interpreter (#!/bin/sh); "
        f"`sh {path}` runs a script of the shell"
    )


def test_a_script_of_a_script_is_followed(tmp_path: Path) -> None:
    inner = executable(tmp_path / "inner", b"#!/bin/sh\n")
    refuse_what_takes_no_preload(executable(tmp_path / "outer", f"#!{inner}\n".encode()))


def test_a_program_that_is_cut_short_cannot_be_read(tmp_path: Path) -> None:
    path = executable(tmp_path / "cut", b"\x7fELF\x02\x01")
    assert said_of(path).startswith(f"{path}: cannot be read as a program: ")
