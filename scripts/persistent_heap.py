"""A persistent heap that is killed, damaged and shared: the tables of docs/mapping.md.

    python scripts/persistent_heap.py [--kills 1000] [--operations 10M] [--write]

Builds tests/native/persistent.cpp, kills a process on a heap so often and lets another open it, changes single bits of
what a heap keeps of itself, and lets two processes work on one heap. ``--write`` puts the tables into the page. Exit
code 1 when any of it found damage in silence.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from memtool.units import parse_count

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build/soak"
PAGE = ROOT / "docs/mapping.md"
_BEGIN = "<!-- sample: written by scripts/persistent_heap.py -->"
_END = "<!-- end of the sample -->"
_KILLS_WITH_A_LOCK = 100


def build() -> Path:
    """Build the driver, optimised, and return its path."""
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "persistent"], check=True, stdout=subprocess.DEVNULL)
    return BUILD / "persistent"


def take(title: str, command: Sequence[str | Path]) -> tuple[str, bool]:
    """Run a part; return what it says under its title, and whether nothing was wrong."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    print(title, ended.stdout + ended.stderr, sep="\n", flush=True)
    return f"{title}\n{ended.stdout.rstrip()}", ended.returncode == 0


def parts(driver: Path, kills: int, operations: int) -> list[tuple[str, bool]]:
    """Run every part."""
    with tempfile.TemporaryDirectory() as folder:
        heap = Path(folder) / "heap"
        return [
            take(f"killed {kills:,} times at a random moment; what the next process finds:",
                 [driver, "kills", heap, str(kills), "1"]),
            take(f"one bit of its books changed, {kills:,} times:", [driver, "damage", str(kills), "1"]),
            take("two processes on one heap:", [driver, "shared", str(operations), "0"]),
            take("the same, and a third one that is killed with or without the lock:",
                 [driver, "shared", str(operations // 10), str(_KILLS_WITH_A_LOCK)]),
        ]  # fmt: skip


def main() -> int:
    """Run all, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=parse_count, default=1000)
    parser.add_argument("--operations", type=parse_count, default=10_000_000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    outcomes = parts(build(), options.kills, options.operations)
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
        sample = "\n\n".join(text for text, _ in outcomes)
        after = rest.partition(_END)[2]
        PAGE.write_text(f"{before}{_BEGIN}\n\n```text\n{sample}\n```\n\n{_END}{after}", encoding="utf-8")
    return 0 if all(is_right for _, is_right in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
