"""A strategy that gets worse fails the gate: a header that has grown by a byte, an allocate that has become slower."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest

from memtool.host.counters import Counter, why_not
from tests.started import run_memtool

# Blocks that only just fit their granules, and none freed: nothing else moves the footprint.
FULL = """\
name: full
allocations: 10k
pattern: {ramp: {size: 24}}
touch: first
"""


Check = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def check(tmp_path: Path, memtool_environment: dict[str, str]) -> Check:
    """Return what runs ``memtool check full.yaml --baseline main.json``, with changes to its environment."""
    (tmp_path / "full.yaml").write_text(FULL)

    def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        words = ("check", "full.yaml", "--baseline", "main.json", *arguments)
        return run_memtool(*words, environment={**memtool_environment, **changed}, folder=tmp_path)

    return run


def test_a_header_that_grew_by_a_byte_fails_the_check(faulty_engine: Path, check: Check) -> None:
    options = ("--metric", "peak_footprint_bytes", "-a", "tlsf")
    assert check(*options, "--update", "-o", "before").returncode == 0
    unchanged = check(*options, "-o", "same")
    assert (unchanged.returncode, unchanged.stderr) == (0, "")
    grown = check(*options, "-o", "after", MEMTOOL_ENGINE=str(faulty_engine))
    assert (grown.returncode, grown.stderr) == (3, "")
    result = next(line for line in grown.stdout.splitlines() if line.startswith("regression: "))
    assert re.fullmatch(
        r"regression: full · tlsf · peak_footprint_bytes: "
        r"[\d,]+ -> [\d,]+ \(\+[\d,]+ B, \+\d+\.\d+ %, limit 0\); "
        r"next: memtool bench full.yaml -a tlsf --passes footprint; "
        r"if it is meant: memtool check full.yaml --baseline main.json --update -a tlsf --metric peak_footprint_bytes",
        result,
    )


COUNTED = ("--metric", "instructions_per_op,peak_footprint_bytes")
needs_callgrind = pytest.mark.skipif(bool(why_not(Counter.CALLGRIND)), reason=str(why_not(Counter.CALLGRIND)))


@pytest.fixture(scope="module")
def baseline(
    faulty_engine: Path, memtool_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return a baseline of instructions, counted of ``sound``."""
    folder = tmp_path_factory.mktemp("baseline")
    (folder / "full.yaml").write_text(FULL)
    options = (*COUNTED, "-a", "sound", "--counters", "callgrind", "--baseline", "main.json", "--update")
    environment = {**memtool_environment, "MEMTOOL_ENGINE": str(faulty_engine)}
    done = run_memtool("check", "full.yaml", *options, environment=environment, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return cast("dict[str, Any]", json.loads((folder / "main.json").read_text()))


@pytest.fixture
def counted(baseline: dict[str, Any], tmp_path: Path) -> Callable[..., None]:
    """Return what writes the baseline of instructions, as that of another allocator or compiler."""

    def write(allocator: str = "sound", **machine: str) -> None:
        content = deepcopy(baseline)
        content["machine"] |= machine
        content["cells"][0]["allocator"] = allocator
        (tmp_path / "main.json").write_text(json.dumps(content))

    return write


@needs_callgrind
def test_five_more_instructions_fail_the_check(faulty_engine: Path, check: Check, counted: Callable[..., None]) -> None:
    counted("five-more")
    slower = check(*COUNTED, "-o", "after", MEMTOOL_ENGINE=str(faulty_engine))
    assert (slower.returncode, slower.stderr) == (3, "")
    result = next(line for line in slower.stdout.splitlines() if line.startswith("regression: "))
    match = re.fullmatch(
        r"regression: full · five-more · instructions_per_op: (\d+\.\d+) -> (\d+\.\d+) "
        r"\(\+\d+\.\d %, limit 0\.50 %\); "
        r"next: memtool bench full.yaml -a five-more --passes counters; if it is meant: "
        r"memtool check full.yaml --baseline main.json --update --metric instructions_per_op,peak_footprint_bytes",
        result,
    )
    assert match is not None, result
    # Every second operation allocates.
    assert float(match[2]) - float(match[1]) == pytest.approx(2.5, abs=0.01)


@needs_callgrind
def test_unchanged_instructions_pass_the_check(faulty_engine: Path, check: Check, counted: Callable[..., None]) -> None:
    counted()
    same = check(*COUNTED, "-o", "same", MEMTOOL_ENGINE=str(faulty_engine))
    assert (same.returncode, same.stderr) == (0, "")
    assert "2 figures unchanged.\n\nPASS: 2 pass\n" in same.stdout


@needs_callgrind
def test_instructions_of_another_compiler_are_not_compared_and_the_rest_is(
    faulty_engine: Path, check: Check, counted: Callable[..., None]
) -> None:
    counted(compiler="GCC 11.4.0 -O2")
    other = check(*COUNTED, "-o", "other", MEMTOOL_ENGINE=str(faulty_engine))
    assert (other.returncode, other.stderr) == (0, "")
    assert re.search(
        r"^incomparable: full · sound · instructions_per_op: compiler differs: GCC 11\.4\.0 -O2 and [^/]+ -O2$",
        other.stdout,
        re.MULTILINE,
    )
    assert "PASS: 1 pass, 1 incomparable" in other.stdout
    nothing = check("--metric", "instructions_per_op", "-o", "nothing", MEMTOOL_ENGINE=str(faulty_engine))
    assert nothing.returncode == 5


@needs_callgrind
def test_where_nothing_counts_the_rest_is_gated(
    faulty_engine: Path, check: Check, counted: Callable[..., None], tmp_path: Path
) -> None:
    if why_not(Counter.PERF) is None:
        pytest.skip("the processor counts here")
    counted()
    (tmp_path / "empty").mkdir()
    rest = check(*COUNTED, "-o", "rest", MEMTOOL_ENGINE=str(faulty_engine), PATH=str(tmp_path / "empty"))
    assert (rest.returncode, rest.stderr) == (0, "")
    assert "valgrind is not installed; get it with: apt install valgrind.\n" in rest.stdout
    assert "incomparable: full · sound · instructions_per_op: the other side has none\n" in rest.stdout
    assert "PASS: 1 pass, 1 incomparable" in rest.stdout
