"""Names of call sites: what is mapped where, and what a file says of its addresses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from memtool.host.symbols import Module, modules, names_of

MAPS = """\
555555554000-555555556000 r--p 00000000 fe:00 123 /usr/bin/an app
555555556000-555555559000 r-xp 00002000 fe:00 123 /usr/bin/an app
7ffff7c00000-7ffff7c28000 r--p 00000000 fe:00 9 /usr/lib/libc.so.6
7ffff7c28000-7ffff7db0000 r-xp 00028000 fe:00 9 /usr/lib/libc.so.6 (deleted)
7ffff7fc3000-7ffff7fc7000 r--p 00000000 00:00 0 [vvar]
7ffff7fc7000-7ffff7fc9000 r-xp 00000000 00:00 0 [vdso]
7ffff7ff0000-7ffff7ff1000 rwxp 00000000 00:00 0
"""


def test_the_code_of_files_is_a_module() -> None:
    assert list(modules(MAPS)) == [
        Module("/usr/bin/an app", 0x555555554000, 0x555555556000, 0x555555559000),
        Module("/usr/lib/libc.so.6", 0x7FFFF7C00000, 0x7FFFF7C28000, 0x7FFFF7DB0000),
    ]


def test_an_address_of_a_file_that_is_gone_is_named_by_its_place_in_it() -> None:
    known = [Module("/none/app", 0x555555554000, 0x555555556000, 0x555555559000)]
    assert names_of([0x555555556010, 0x1000], known) == {0x555555556010: "app+0x2010"}


@pytest.mark.skipif(shutil.which("addr2line") is None, reason="addr2line is not installed")
@pytest.mark.parametrize("base", [0x555555554000, 0x400000], ids=["anywhere", "fixed"])
def test_functions_and_lines_come_from_the_file(tmp_path: Path, base: int) -> None:
    source, program = tmp_path / "named.c", tmp_path / "named"
    source.write_text("int twice(int x) {\n  return 2 * x;\n}\nint main(void) {\n  return twice(4);\n}\n")
    kind = ["-pie", "-fPIE"] if base > 1 << 32 else ["-no-pie"]
    subprocess.run(["cc", "-g", "-O0", *kind, "-o", program, source], check=True)
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout.splitlines()
    twice = next(int(line.split()[0], 16) for line in symbols if line.endswith(" T twice"))
    place = twice + base if base > 1 << 32 else twice
    # Four bytes in it is behind the first instruction.
    known = [Module(str(program), base, base, base + (1 << 20))]
    assert names_of([place + 4], known) == {place + 4: "twice (named, named.c:1)"}
    subprocess.run(["strip", "-g", program], check=True)
    assert names_of([place + 4], known) == {place + 4: "near twice (named)"}
