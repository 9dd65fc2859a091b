"""A strategy that gets worse fails the gate: TLSF in an engine where its header has grown by one byte."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Blocks that only just fit their granules, and none freed: nothing else moves the footprint.
FULL = """\
name: full
allocations: 10k
pattern: {ramp: {size: 24}}
touch: first
"""


def test_a_header_that_grew_by_a_byte_fails_the_check(
    faulty_engine: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    def check(*arguments: str, **engine: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "memtool", "check", "full.yaml", "--baseline", "main.json", *arguments],
            capture_output=True,
            text=True,
            env={**memtool_environment, **engine},
            cwd=tmp_path,
            check=False,
            timeout=120,
        )

    (tmp_path / "full.yaml").write_text(FULL)
    options = ("--metric", "peak_footprint_bytes", "-a", "tlsf")
    assert check(*options, "--update", "-o", "before").returncode == 0
    unchanged = check(*options, "-o", "same")
    assert (unchanged.returncode, unchanged.stderr) == (0, "")
    grown = check(*options, "-o", "after", MEMTOOL_ENGINE=str(faulty_engine))
    assert (grown.returncode, grown.stderr) == (3, "")
    found = next(line for line in grown.stdout.splitlines() if line.startswith("regression: "))
    assert re.fullmatch(
        r"regression: full · tlsf · peak_footprint_bytes: "
        r"[\d,]+ -> [\d,]+ \(\+[\d,]+ B, \+\d+\.\d+ %, limit 0\); "
        r"next: memtool bench full.yaml -a tlsf --passes footprint; "
        r"if it is meant: memtool check full.yaml --baseline main.json --update -a tlsf --metric peak_footprint_bytes",
        found,
    )
