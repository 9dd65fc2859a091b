"""The quick ones of scripts/real_programs.py: real programs say the same with strategies for their malloc."""

from __future__ import annotations

import pytest

from scripts.real_programs import PROGRAMS, is_here, said


@pytest.mark.parametrize("name", ["sqlite3", "perl", "zstd"])
def test_a_program_says_the_same(name: str) -> None:
    program = PROGRAMS[name]
    if not is_here(program):
        pytest.skip(f"{' '.join(program.needs)} is not installed")
    plain = said(program, None)
    assert "exit code 0" in plain
    for allocator in ("thread-spans", "tlsf"):
        assert said(program, allocator) == plain
