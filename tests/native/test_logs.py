"""Damaged texts of other tools, read under ASan and UBSan: no crash, no more events than lines tell of."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, shared_folder
from tests.unit.workload.test_importers import FORMATS

NAMES = ("heaptrack", "android", "mtrace", "malloc-lab", "wee-alloc", "valgrind", "logalloc", "calls")
WHOLE = {
    "heaptrack": "heaptrack 11 0 -1 3",
    "android": "android 9 0 -1 8",
    "mtrace": "mtrace 7 0 -1 5",
    "malloc lab": "malloc-lab 10 0 -1 7",
    "wee_alloc": "wee-alloc 5 0 -1 5",
    "valgrind": "valgrind 13 0 -1 10",
    "logalloc": "logalloc 6 0 -1 6",
    "ltrace": "calls 8 0 -1 6",
    "bpftrace": "calls 4 0 -1 3",
}
"""Format, lines, dropped ones, the first damage (-1: none) and events; a reallocation is two."""
LETTERS = b" 0x(),=\n->[]<.@:9f\xff\0"


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with shared_folder(tmp_path_factory, "log-reader") as folder:
        if not folder.exists():
            folder.mkdir()
            flags = ["-std=c++20", "-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
            sources = [ROOT / "tests/native/logs.cpp", *sorted((ROOT / "memtool/engine/recorded").glob("*log*.cpp"))]
            subprocess.run(["c++", *flags, f"-I{ROOT / 'memtool'}", "-o", folder / "logs", *sources], check=True)
        return folder / "logs"


def read(reader: Path, folder: Path) -> list[str]:
    done = subprocess.run([reader, folder], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_whole_and_damaged_texts(reader: Path, tmp_path: Path, documents: int) -> None:
    texts = {name: content.encode() for name, (_, content, _) in FORMATS.items() if isinstance(content, str)}
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    whole.mkdir()
    damaged.mkdir()
    for number, name in enumerate(WHOLE):
        (whole / f"{WHOLE[name].split()[0]}.{number}").write_bytes(texts[name])
    result = [" ".join([line.split(".")[0], *line.split()[1:]]) for line in read(reader, whole)]
    assert sorted(result) == sorted(WHOLE.values())
    draw = random.Random(documents)
    for number in range(documents):
        name = draw.choice(list(WHOLE))
        text = bytearray(texts[name] * draw.choice((1, 50)))
        for _ in range(draw.choice((1, 5, 50))):
            text[draw.randrange(len(text))] = draw.choice(LETTERS)
        cut = draw.choice((len(text), draw.randrange(len(text))))
        (damaged / f"{draw.choice(NAMES) if number % 10 == 0 else WHOLE[name].split()[0]}.{number:06}").write_bytes(
            text[:cut]
        )
    for line in read(reader, damaged):
        _, lines, dropped, first, events = line.split()
        assert int(dropped) <= int(lines)
        assert int(events) <= 2 * (int(lines) - int(dropped))
        assert (int(first) >= 0) == (int(dropped) > 0)
