"""Damaged recordings, read under ASan and UBSan: no crash, and no more events than bytes."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from memtool.recorder.preload import Preload
from tests.conftest import ROOT, shared_folder
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture

SOURCES = [ROOT / "tests/native/recorded.cpp", *sorted((ROOT / "memtool/engine/recorded").glob("[mr]*.cpp"))]
HEAD_BYTES = 65536


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with shared_folder(tmp_path_factory, "recorded-reader") as folder:
        if not folder.exists():
            folder.mkdir()
            flags = ["-std=c++20", "-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
            sources = [str(source) for source in SOURCES]
            subprocess.run(["c++", *flags, f"-I{ROOT / 'memtool'}", "-o", folder / "recorded", *sources], check=True)
        return folder / "recorded"


def test_damaged_recordings(reader: Path, programs: Path, tmp_path: Path, documents: int) -> None:  # noqa: F811
    made = tmp_path / "recording"
    made.mkdir()
    environment = Preload(made, depth=3).environment({"PATH": os.environ["PATH"]})
    command = [str(programs / "counts_calls"), str(tmp_path / "counts"), "2", "2000"]
    assert subprocess.run(command, env=environment, check=False).returncode == 7
    whole = max((path.read_bytes() for path in made.iterdir()), key=len)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    draw = random.Random(documents)
    for number in range(documents):
        data = bytearray(whole)
        for _ in range(draw.choice((0, 1, 10, 1000))):
            # In the head, in the list of chunks, and in the records.
            first, end = draw.choice(((8, 128), (4096, 4112), (HEAD_BYTES, len(data))))
            place = draw.randrange(first, end)
            data[place] = draw.choice((0, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        cut = draw.choice((len(data), draw.randrange(len(data)), draw.randrange(HEAD_BYTES, len(data))))
        (damaged / f"{number:06}").write_bytes(data[:cut])
    (damaged / "whole").write_bytes(whole)
    done = subprocess.run([reader, damaged], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    events = [int(line) for line in done.stdout.split()]
    assert len(events) == documents + 1
    # 2,000 calls of each thread, the one that the first starts, and what the C library needs for it.
    assert 4001 <= events[-1] <= 4020
    assert max(events) < len(whole)
