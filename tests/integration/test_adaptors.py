"""Adaptors in a real bench: what they report is in the table and in run.json, and what cannot stand is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from memtool.store import run_file
from tests.integration.test_bench import memtool

LEAKY = """\
name: leaky
allocations: 1000
objects:
  - {name: node, weight: 99, size: 48, lifetime: 10}
  - {name: cache, weight: 1, size: 1KiB, lifetime: forever}
"""
RECIPES = "tlsf+leak,glibc+track+lock,pool:block=48+redzone,stack+quarantine,null+virtual,pool:block=2KiB+redzone+pad"


def test_reports_and_exclusions(tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    workload = tmp_path / "leaky.yaml"
    workload.write_text(LEAKY)
    out = tmp_path / "out"
    options = ("--blocks", "1", "--no-plots", "-o", out)
    ended = memtool("bench", workload, "-a", RECIPES, *options, environment=memtool_environment)
    assert ended.returncode == 0
    assert ended.stderr.startswith("memtool: for a later `memtool compare`, 1 block cannot decide: ")
    assert ended.stderr.count("\n") == 1
    content = json.loads((out / "run.json").read_text())
    jsonschema.validate(content, run_file.json_schema())
    cells: dict[str, Any] = {cell["allocator"]: cell for cell in content["cells"]}

    leak = cells["tlsf+leak"]["proof"]["adaptors"]["leak"]
    forever = next(group for group in leak["groups"] if group["size"] == 1024)
    assert leak["blocks"] == sum(group["blocks"] for group in leak["groups"])
    assert leak["bytes"] == sum(group["blocks"] * group["size"] for group in leak["groups"])
    (note,) = cells["tlsf+leak"]["notes"]
    assert note.startswith(f"leak: {leak['blocks']} blocks of ")
    assert f"{forever['blocks']} × 1.00 KiB (operation" in note
    assert f"tlsf+leak: {note}" in ended.stdout

    track = cells["glibc+track+lock"]["proof"]["adaptors"]["track"]
    assert track["allocations"] == 1000
    assert track["frees"] == 1000 - leak["blocks"]
    assert (track["live_blocks"], track["live_bytes"]) == (leak["blocks"], leak["bytes"])
    assert track["peak_live_bytes"] == content["workloads"][0]["peak_live_bytes"]
    assert cells["glibc+track+lock"]["proof"]["malloc_owner"].endswith("libc.so.6")

    excluded = {name: cell["reason"] for name, cell in cells.items() if cell["status"] == "excluded"}
    assert excluded == {
        "pool:block=48+redzone": "redzone adds 64 bytes to a block; the heap below serves up to 48 bytes",
        "stack+quarantine": "quarantine frees blocks later and in another order; "
        "stack takes back only the youngest block",
    }
    assert "adaptors" not in cells["null+virtual"]["proof"]


def test_guard_is_left_out_where_the_kernel_allows_too_few_mappings(
    tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    workload = tmp_path / "many.yaml"
    workload.write_text("{name: many, allocations: 40k, objects: [{size: 16, lifetime: forever}]}")
    ended = memtool("bench", workload, "-a", "tlsf+guard,tlsf", "--dry-run", environment=memtool_environment)
    most = int(Path("/proc/sys/vm/max_map_count").read_text()) // 2
    if most < 40_000:
        assert f"tlsf+guard on anonymous: serves up to {most:,} live blocks; the workload has 40,000" in ended.stdout
    else:
        assert "left out" not in ended.stdout
