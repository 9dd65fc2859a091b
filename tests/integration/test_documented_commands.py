"""Every command that README.md and docs/*.md show is run as it stands there, and says what it is said to.

Three reductions keep it short, all made around the command and never in it: the workloads that are measured
are local files of a few thousand allocations; options are added where a command would measure for long (`reduced`, by
a ``memtool`` that stands before the real one where a line needs a shell); and what stands in a command's way to be run
at all (a library, a trace file, two stored runs, an interrupted one) is made beforehand. The roads of
docs/your-own-allocator.md have a test of their own (test_your_own_allocator.py), and so have the recipes for CI
(test_action.py).
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, shared_folder
from tests.started import run_memtool, shell_memtool

PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))]
ELSEWHERE = {
    "docs/your-own-allocator.md",
    "docs/choosing.md",
    "docs/containers.md",
    "docs/placement-new.md",
    "docs/access.md",
    "docs/mapping.md",
    "docs/device.md",
    "docs/start.md",
    "docs/reading.md",
    "docs/game-pool.md",
    "docs/small-budget.md",
    "docs/rss-grows.md",
    "docs/cluster.md",
}
"""What is run otherwise: by a test of its own (test_tutorials.py, test_cluster.py …), and by scripts/run_page.py."""
_COMMAND = re.compile(r"^(?:    |\$ )?(memtool (?:[a-z]+ ?)(?:.*))$", re.MULTILINE)
_KNOWN = frozenset(
    [
        "bench",
        "compare",
        "check",
        "list",
        "inspect",
        "record",
        "import",
        "fit",
        "run",
        "show",
        "plot",
        "report",
        "history",
        "doctor",
        "schema",
        "completion",
        "--help",
    ]
)
REDUCED = """\
#!{python} -SI
import os, sys
STORED = {stored!r}
{function}
os.execv(os.environ["WHOLE"], ["memtool", *reduced(sys.argv[1:])])
"""
"""The ``memtool`` that a shell finds."""
STORED = "bench quickstart -a glibc,tlsf,segregated-pool --blocks 2 --passes throughput,latency,footprint"
"""The run that is shown, plotted, compared, and interrupted and resumed."""
WORKLOADS = {
    "quickstart": "5k",
    "chapter/real-time-loop": "2k",
    "chapter/frequent-small-objects": "4k",
    "chapter/embedded-fixed-budget": "1k",
    "classic/xmalloc": "20k",
}
"""Shipped workloads that commands name -> allocations of the local files in their place: few, and packed at once."""
SAYS = {
    "bench": r"(?:peak [\d.]+ [KMG]?i?B in [\d,]+ objects|reachable at most [\d.]+ )[\s\S]*^Results: results/",
    "show": r"ns/op[\s\S]*tlsf",
    "plot": r"\.png$",
    "report": r"\.html$",
    "completion": r"_MEMTOOL_COMPLETE",
    "compare": r"^metric +.*verdict$|ranks? ",
    "check": r"^PASS: ",
    "history": r"^No change in \d+ series of \d+ runs? |\"value\": \d",
    "inspect": r"^peak live .*the load, the least memory that can serve it$",
    "list": r"\btlsf\b",
    "record": r"^what the program says$",
    "run": r"^what the program says$",
    "fit": r"^peak of live bytes|ratio",
    "import": r"^events +[\d,]+; [\d.]+ KiB",
    "doctor": r"perf|valgrind",
    "schema": r"^\{",
}
"""Subcommand -> what its output has."""
INSTEAD = {
    "--dry-run": r"blocks",
    "--find-limit": r"^tlsf +[\d,]{5,} ",
    "--program": r"^Whole program, times in ms$|^wall_time_ns ",
    "--update": r"^[\w/]*main\.json: \d+ cells?$",
}
"""Option -> what the output has with it."""


def commands_of(page: str) -> list[str]:
    """Return the commands of a page's code blocks, without the remarks behind them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    result = (line for line in _COMMAND.findall(text) if line.split()[1] in _KNOWN)
    return [re.sub(r"\s+#.*$", "", line) for line in result]


COMMANDS = list(dict.fromkeys(command for page in PAGES if page not in ELSEWHERE for command in commands_of(page)))

UPDATES = [command for command in COMMANDS if command.endswith("--update")]
"""Those that write a baseline, which others read: each is run once, before the others."""


def short(name: str, allocations: str) -> str:
    """Return a shipped workload with fewer allocations."""
    text = (ROOT / f"workloads/{name}.yaml").read_text(encoding="utf-8")
    return re.sub(r"^allocations: \S+$", f"allocations: {allocations}", text, count=1, flags=re.MULTILINE)


def block_of(page: str, beginning: str) -> str:
    """Return the block of code on a page that begins so."""
    blocks: list[str] = re.findall(
        r"^```\w+\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return next(block for block in blocks if block.startswith(beginning))


def reduced(given: list[str]) -> list[str]:
    """Return the arguments of a command, and options that keep it short; its source is in the script as well."""
    given = list(given)
    if given[:1] == ["bench"] and "--resume" in given:
        given += [*STORED.split()[1:], "--no-plots"]
    elif given[:1] == ["bench"] and "--dry-run" not in given:
        if "--program" in given:
            given += ["--blocks", "1", "--no-plots"]
        elif "--counters" in given:
            given += ["--blocks", "1", "--passes", "counters", "-a", "tlsf"]
        elif "--passes" not in given and "--find-limit" not in given:
            passes = "throughput" if "parallel" in given else "check,footprint"
            given += ["--blocks", "1", "--passes", passes, "--no-plots"]
    if given[:1] == ["check"] and "--update" not in given:
        footprints = "--against" in given and "--program" not in given
        given += ["--blocks", "2"] + (["--metric", "peak_footprint_bytes"] if footprints else [])
    return given


def words_of(command: str) -> list[str] | None:
    """Return the words of a command in which a shell would find nothing else; None for the work of a shell."""
    unquoted = re.sub(r"'[^']*'|\"[^\"$`\\!]*\"", "", command)
    return shlex.split(command) if re.fullmatch(r"[\w ./:,@%+=-]+", unquoted) else None


def run(folder: Path, command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**environment, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environment["WHOLE"] = str(shell_memtool())
    words = words_of(command)
    if words is not None and words[0] == "memtool":
        return run_memtool(*reduced(words[1:]), environment=environment, folder=folder)
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, memtool_environment: dict[str, str]) -> Path:
    """Return a folder with every file that a command names; to be copied."""
    with shared_folder(tmp_path_factory, "documented") as made:
        if (made / "complete").exists():
            return made
        shutil.rmtree(made, ignore_errors=True)
        (made / "bin").mkdir(parents=True)
        (made / "bin/memtool").write_text(
            REDUCED.format(python=sys.executable, stored=STORED, function=inspect.getsource(reduced))
        )
        (made / "bin/memtool").chmod(0o755)
        for name, allocations in WORKLOADS.items():
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(short(name, allocations), encoding="utf-8")
        (made / "mine.yaml").write_text(block_of("README.md", "name: web-server").replace("500k", "5k"))
        (made / "trees.yaml").write_text(block_of("docs/collection.md", "name: trees").replace("depth: 14", "depth: 8"))
        (made / "buffers.csv").write_text("id,lower,upper,size\n0,0,40,70000\n1,10,30,9000\n2,20,50,5000\n")
        with zipfile.ZipFile(made / "recording.zip", "w") as archive:
            calls = (f"{i % 2}: malloc 0x{i % 9 * 64 + 64:x} {i % 50 + 1}\n" for i in range(3000))
            archive.writestr("recording.txt", "".join(calls))
        heap = block_of("docs/your-own-allocator.md", "# powers.py").replace("Powers", "Heap")
        heap = heap.replace("max(4, ", "max(6, ").replace("return 1 << 40, 16", "return 1 << 40, 64")
        (made / "mine.py").write_text(heap, encoding="utf-8")
        _build(made)
        _build_app(made)
        # Recorded, for a trace that is replayed at its pace has to know it.
        done = run(made, "memtool record -o app.parquet -- ./app", memtool_environment)
        assert done.returncode == 0, done.stderr
        done = run(made, f"$WHOLE {STORED} --no-plots -o results/A", memtool_environment)
        assert done.returncode == 0, done.stderr
        shutil.copytree(made / "results/A", made / "results/B")
        for command in UPDATES:
            done = run(made, command, memtool_environment)
            assert done.returncode == 0, done.stderr
            (made / f"{UPDATES.index(command)}.update").write_text(done.stdout)
        (made / "complete").touch()
        return made


def _build(folder: Path) -> None:
    """Make the page's library by memtool.h, with a parameter called as the commands call it."""
    source = block_of("docs/your-own-allocator.md", "/* powers.c */")
    source = re.sub(r'\{"smallest".*\}', '{"block", "smallest block", 16, 16, 4096, "bytes", NULL}', source)
    # Every block is a multiple of 64 bytes, so that it is aligned to as much.
    source = source.replace("(unsigned)parameters[0]", "(unsigned)(parameters[0] > 32 ? 7 : 6)")
    source = source.replace("*largest_alignment = 16", "*largest_alignment = 64")
    (folder / "mine.c").write_text(source, encoding="utf-8")
    include = ROOT / "memtool/include"
    build = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", "-o", "libmine.so", "mine.c"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    for name in ("old.so", "new.so", "libmine-main.so", "old/libmine.so", "new/libmine.so"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "libmine.so", folder / name)


def _build_app(folder: Path) -> None:
    """Make a program that is recorded and run, also where a page records one that may not be here."""
    source = """
    #include <stdio.h>
    #include <stdlib.h>
    int main(void) {
      void* blocks[10] = {0};
      for (unsigned i = 0; i < 3000; ++i) {
        free(blocks[i % 10]);
        blocks[i % 10] = malloc(100 + i % 50);
      }
      puts("what the program says");
    }
    """
    (folder / "app.c").write_text(source, encoding="utf-8")
    subprocess.run(["cc", "-O0", "-o", "app", "app.c"], cwd=folder, check=True, capture_output=True)
    shutil.copy(folder / "app", folder / "bin/sqlite3")
    for name in ("redis-cli", "redis-benchmark"):
        shutil.copy(folder / "app", folder / "bin" / name)
    (folder / "bin/redis-server").write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    (folder / "bin/redis-server").chmod(0o755)
    for name in ("script.sql", "orders.sql"):
        (folder / name).touch()


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) >= 25
    assert {command.split()[1] for command in COMMANDS} >= set(SAYS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documentation_runs(
    command: str, prepared: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    if "--resume" in command:
        shutil.rmtree(folder / "results/B")
        (folder / "results/A/run.json").unlink()
        journal = folder / "results/A/journal.jsonl"
        journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-2]))
    if command in UPDATES:
        said = (folder / f"{UPDATES.index(command)}.update").read_text()
        assert re.search(INSTEAD["--update"], said, re.MULTILINE), said
        return
    done = run(folder, command, memtool_environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    said = done.stdout
    written = re.search(r"(?:--plot|>|--baseline) (\S+)", command)
    assert written is None or (folder / written[1]).stat().st_size > 0
    if " > " in command:
        said = (folder / command.partition(" > ")[2]).read_text(encoding="utf-8")
    if command.startswith("memtool schema"):
        json.loads(said)
    option = next((item for item in INSTEAD if item in command), None)
    expected = SAYS[command.split()[1]] if option is None else INSTEAD[option]
    assert re.search(expected, said, re.MULTILINE), said[-3000:]


def test_the_comparison_that_the_readme_shows_is_in_the_words_that_are_written(
    prepared: Path, tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    """Its figures are of one machine; names of columns and metrics, what is gated, and what is said below are not."""
    sample = block_of("README.md", "quickstart: against tlsf").splitlines()
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    command = "memtool check quickstart --against tlsf --candidate half-fit"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    done = run(folder, f"$WHOLE {command.partition(' ')[2]} --blocks 6 --no-plots", memtool_environment)
    lines = done.stdout.splitlines()
    header = next(line for line in lines if line.startswith("metric "))
    for column in re.split(r"  +", next(line for line in sample if line.startswith("metric "))):
        assert column in header
    assert not_gated(lines) == not_gated(sample) != {}
    below = [
        line for line in sample if line.startswith(("Paired by block: ", "can see: ", "exact: ")) or "Holm" in line
    ]
    assert len(below) == 4
    for line in below:
        assert line in lines


def not_gated(lines: list[str]) -> dict[str, bool]:
    """Return of each metric of a table of verdicts whether it is not gated."""
    rows = (line for line in lines if re.match(r"[a-z_]+ +half-fit ", line))
    return {row.split()[0]: row.endswith("not gated") for row in rows}
