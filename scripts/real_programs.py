"""Runs real programs with strategies for their malloc, and holds what they say against what they say without.

    python scripts/real_programs.py [--allocators tlsf,slab] [--programs sqlite3,perl] [--write]

With --write the table stands in docs/running-programs.md. Programs that are not installed are left out; Debian has them
as sqlite3, redis-server, redis-tools, perl, g++, zstd, git, python3 and libpython3-testsuite. Exit code 1 where a
program says anything else, or ends otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/running-programs.md"
MARKS = ("<!-- table of real programs -->\n", "<!-- end of the table -->\n")
ALLOCATORS = (
    *("thread-spans", "thread-cache", "thread-heaps", "segregated-pool", "slab", "tlsf", "half-fit", "buddy"),
    *("best-fit", "first-fit", "tlsf+redzone+leak"),
)
TESTS = (
    *("test_list", "test_dict", "test_set", "test_deque", "test_heapq", "test_array", "test_json", "test_struct"),
    *("test_re", "test_generators", "test_zlib", "test_thread", "test_threading", "test_fork1", "test_mmap"),
)
_TIMES = re.compile(
    r"\d+:\d+:\d+ |load avg: \S+ |\[ *\d+/\d+\] |\(?\d+(\.\d+)? (ms|sec|min)[^\n]*|Total duration: [^\n]*"
)
_TIMEOUT_S = 1800
PYTHON = "/usr/bin/python3"


class Under:
    """Starts commands with an allocator for their malloc; with none, as they are."""

    def __init__(self, allocator: str | None) -> None:
        self._before = [] if allocator is None else [sys.executable, "-m", "memtool", "run", "-a", allocator, "--"]

    def command(self, *command: str) -> list[str]:
        return [*self._before, *command]

    def output(self, *command: str, text: str = "", folder: Path | None = None, **variables: str) -> str:
        """Return what a command prints and how it ends."""
        done = subprocess.run(
            self.command(*command),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            env=_environment(variables),
            timeout=_TIMEOUT_S,
            check=False,
        )
        # What the program says on standard error is its own; memtool's words on leaks and the like are not.
        errors = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("memtool: "))
        return f"{done.stdout}{errors}exit code {done.returncode}\n"


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
    return {**plain, "LC_ALL": "C.UTF-8", "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0", **variables}


def sqlite3(under: Under, folder: Path) -> str:
    """Rows, an index, transactions, sorts, text functions, and the whole database as text."""
    rows = "\n".join(f"insert into t values({i}, 'name {i * 7919 % 1009}', {i % 97} / 7.0);" for i in range(8000))
    script = f"""create table t(a integer primary key, b text, c real);
create index by_name on t(b); begin; {rows} commit;
update t set b = b || 'x' where a % 3 = 0; delete from t where a % 5 = 0;
select b, count(*), round(sum(c), 3) from t group by substr(b, 1, 6) order by 2 desc, 1 limit 20;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select sum(i) from n;
select json_group_array(b) from (select b from t order by c, a limit 500);
.dump
vacuum; pragma integrity_check;
"""
    return _digest(under.output("sqlite3", str(folder / "db"), text=script))


def perl(under: Under, folder: Path) -> str:
    script = r"""
        my (%h, @w); my $s = 12345;
        for my $i (0 .. 60000) { $s = ($s * 1103515245 + 12345) % 2147483648; my $k = "w" . ($s % 9000);
          $h{$k} .= chr(97 + $i % 26); push @w, $k if $i % 7 == 0; }
        for (sort { length $h{$a} <=> length $h{$b} || $a cmp $b } keys %h) {
          my $x = $h{$_}; $x =~ s/([aeiou])/<$1>/g; print "$_ ", join("-", reverse split //, $x), "\n"; }
        my $pid = open(my $child, "-|") // die; if (!$pid) { print sort map { $_ x 3 } @w; exit 0 }
        my $all = join "", <$child>; print length $all, "\n"; my $deep = []; $deep = [$deep] for 1 .. 20000;
        printf "%s %d\n", ref $deep, scalar @w;"""
    return _digest(under.output("perl", "-e", script, folder=folder))


def compiler(under: Under, folder: Path) -> str:
    """g++ with its children: files of memtool's own engine, the assembler and the linker."""
    made = folder / "packing.so"
    sources = sorted(str(path) for path in (ROOT / "memtool/engine/packing").glob("*.cpp"))
    flags = ["-std=c++20", "-O2", "-shared", "-fPIC", f"-I{ROOT / 'memtool'}", "-Wl,--build-id=sha1"]
    said = under.output("g++", *flags, "-o", str(made), *sources)
    return said + hashlib.sha256(made.read_bytes()).hexdigest() if made.exists() else said


def python_tests(under: Under, folder: Path) -> str:
    """A part of Python's own test suite, with every object from malloc."""
    command = (PYTHON, "-m", "test", "--randseed", "1", *TESTS)
    said = under.output(*command, folder=folder, PYTHONMALLOC="malloc", TMPDIR=str(folder))
    return _TIMES.sub("", said)


def redis(under: Under, folder: Path) -> str:
    """A server, its load, and a digest of all that it then holds."""
    socket = str(folder / "socket")
    options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder), "--loglevel", "warning"]
    options += ["--enable-debug-command", "local"]  # for the digest; redis 7 asks for it
    server = subprocess.Popen(
        under.command("redis-server", *options), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment({})
    )
    try:
        client = Under(None)

        def ask(*command: str, text: str = "") -> str:
            return client.output("redis-cli", "-s", socket, *command, text=text)

        deadline = time.monotonic() + 60
        while "PONG" not in ask("ping") and time.monotonic() < deadline:
            time.sleep(0.1)
        load = ["-s", socket, "-n", "20000", "-q", "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset"]
        ended = client.output("redis-benchmark", *load, "-c", "10", "-P", "8").splitlines()[-1]
        ask("flushall")
        commands = "".join(
            f"set k{i} {'v' * (i % 300 + 1)}\nrpush l{i % 50} {i}\n"
            f"hset h{i % 70} f{i} {i * 3}\nzadd z{i % 9} {i} m{i}\n"
            f"append k{i * 3 % 4000} tail\nexpire k{i} {100000 + i}\n"
            for i in range(4000)
        )
        said = [ask("--pipe", text=commands), ask("debug", "digest"), ask("dbsize"), ask("save")]
        ask("shutdown", "nosave")
        return "".join([ended, *said, f"server: exit code {server.wait(60)}\n"])
    finally:
        server.kill()
        server.communicate()


def zstd(under: Under, folder: Path) -> str:
    """Two threads compress, and one decompresses, the text of memtool's sources."""
    text = "".join(path.read_text() for path in sorted((ROOT / "memtool").rglob("*.py"))) * 20
    (folder / "text").write_text(text)
    said = under.output("zstd", "-q", "-T2", "-7", "text", "-o", "small", folder=folder)
    said += under.output("zstd", "-q", "-d", "small", "-o", "again", folder=folder)
    return said + str((folder / "again").read_text() == text)


def git(under: Under, folder: Path) -> str:
    """A repository of a hundred commits, its packs on several threads, its log."""
    identity = {
        f"GIT_{who}_{what}": "memtool@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    dates = {"GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
    script = """git init -q . && for i in $(seq 40); do seq $i $((i * 50)) > file$((i % 7)); git add -A;
        git commit -q -m "change $i"; done; git gc -q --aggressive; git log --stat --format='%h %s'; git fsck"""
    return _digest(under.output("sh", "-c", script, folder=folder, **identity, **dates))


def _digest(text: str) -> str:
    """Return the end of a text and a digest of all of it."""
    return f"{text[-200:]} {hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Program:
    """One row: ``run`` returns everything that must be the same, from a command and an empty folder."""

    what: str
    run: Callable[[Under, Path], str]
    needs: tuple[str, ...]


PROGRAMS = {
    "sqlite3": Program("sqlite3, 8,000 rows and a dump", sqlite3, ("sqlite3",)),
    "perl": Program("perl, strings, sorts and a child", perl, ("perl",)),
    "g++": Program("g++, memtool's engine/packing to a library", compiler, ("g++",)),
    "redis": Program("redis-server under redis-benchmark", redis, ("redis-server", "redis-benchmark")),
    "zstd": Program("zstd on two threads", zstd, ("zstd",)),
    "git": Program("git, 40 commits and their packs", git, ("git",)),
    "python3": Program(
        f"python3, {len(TESTS)} modules of its test suite",
        python_tests,
        (PYTHON, "/usr/lib/python3.11/test/regrtest.py"),
    ),
}


def is_here(program: Program) -> bool:
    return all(Path(need).exists() if need.startswith("/") else shutil.which(need) for need in program.needs)


def said(program: Program, allocator: str | None) -> str:
    """Return what a program says with an allocator; its folder has the same name each time."""
    folder = Path(tempfile.gettempdir()) / f"memtool-real-program-{os.getpid()}"
    folder.mkdir()
    try:
        return program.run(Under(allocator), folder)
    finally:
        shutil.rmtree(folder)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--allocators", default=",".join(ALLOCATORS))
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--write", action="store_true", help="the table in docs/running-programs.md")
    options = parser.parse_args(arguments)
    allocators = options.allocators.split(",")
    rows, failed = [], 0
    for name in options.programs.split(","):
        program = PROGRAMS[name]
        if not is_here(program):
            print(f"{name}: not installed: {' '.join(program.needs)}")
            continue
        plain = said(program, None)
        cells = []
        for allocator in allocators:
            under = said(program, allocator)
            cells.append("same" if under == plain else "other")
            print(f"{name} with {allocator}: {cells[-1]}", flush=True)
            if under != plain:
                failed += 1
                print(f"--- without\n{plain[-2000:]}\n--- with {allocator}\n{under[-2000:]}", flush=True)
        rows.append([program.what, *cells])
    table = tabulate(rows, headers=["program", *(f"`{name}`" for name in allocators)], tablefmt="pipe")
    print(table)
    if options.write:
        page = PAGE.read_text()
        before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}\n{table}\n\n{MARKS[1]}{after}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
