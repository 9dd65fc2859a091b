"""Records real programs, and makes the recordings that memtool ships from them (``make recordings``).

The programs are of Debian packages, which the list names; whatever is not installed is said and left out. Their inputs
are made here, the same each time. The whole recordings, with times and call sites, go into FOLDER; with ``--ship`` what
is shipped of them goes into workloads/recorded/, with its README.md.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from tabulate import tabulate

from memtool.units import format_size
from memtool.workload.importers.convert import Choice, import_trace

SHIPPED = Path(__file__).parent.parent / "workloads/recorded"
_READY_SECONDS = 20
_WORDS = ("allocate", "arena", "block", "cache", "chunk", "free", "heap", "page", "pool", "region", "slab", "stack")


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is recorded, on an input that is made here."""

    name: str
    kind: str
    packages: tuple[str, ...]
    """Debian's, of the program and of what its input needs."""
    command: str
    """For a shell, in a folder of its own that holds the input."""
    prepare: Callable[[Path], None] = lambda folder: None
    load: str | None = None
    """Of a server: what is run while it runs, with {port} for its port; it ends the server."""
    skip: int = 0
    take: int | None = None
    """The stretch that is shipped."""


def _sql(folder: Path) -> None:
    (folder / "script.sql").write_text(
        "create table t(id integer primary key, name text, amount integer);\n"
        "create index by_name on t(name);\n"
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000)\n"
        "insert into t select i, 'name-' || (i * 7919 % 5000), i * 31 % 1000 from n;\n"
        + "".join(
            f"select count(*), sum(amount) from t where name like 'name-{number}%';\n"
            f"update t set amount = amount + 1 where id % {number + 3} = 0;\n"
            f"select substr(name, 1, 7) as k, count(*), avg(amount) from t group by k order by 2 desc limit 5;\n"
            f"insert into t(name, amount) values ('extra-{number}', {number});\n"
            for number in range(400)
        )
        + "create table u as select a.id, a.name, b.amount from t a join t b on a.id = b.amount;\n"
        "delete from t where id % 7 = 0;\n"
        "select group_concat(name, ',') from (select name from u order by name limit 500);\n"
        "vacuum;\n"
    )


def _source_code(folder: Path) -> None:
    (folder / "words.cpp").write_text(
        "#include <map>\n#include <string>\n#include <vector>\n"
        "using Words = std::vector<std::string>;\n"
        "int most(const Words& words) {\n"
        "  std::map<std::string, int> seen;\n"
        "  for (const auto& word : words) ++seen[word];\n"
        "  int most = 0;\n"
        "  for (const auto& [word, count] : seen) most = count > most ? count : most;\n"
        "  return most;\n"
        "}\n"
    )


def _people(folder: Path) -> None:
    draw = random.Random(1)
    people = [
        {
            "id": number,
            "name": f"user{draw.randrange(500)}",
            "tags": [f"t{draw.randrange(50)}" for _ in range(draw.randrange(6))],
            "score": draw.random(),
        }
        for number in range(5000)
    ]
    (folder / "people.json").write_text(json.dumps(people))


def _text(folder: Path) -> None:
    draw = random.Random(2)
    lines = (" ".join(draw.choice(_WORDS) + str(draw.randrange(300)) for _ in range(12)) for _ in range(2500))
    (folder / "text.txt").write_text("\n".join(lines) + "\n")


def _jq(folder: Path) -> None:
    _people(folder)
    (folder / "group.jq").write_text(
        "group_by(.name)\n"
        "| map({name: .[0].name, n: length, tags: (map(.tags[]) | unique), best: (map(.score) | max)})\n"
        "| sort_by(.n) | .[-3:]\n"
    )


def _awk(folder: Path) -> None:
    _text(folder)
    (folder / "pairs.awk").write_text(
        '{ for (i = 1; i <= NF; i++) { n[$i]++; if (i > 1) after[$(i - 1)] = after[$(i - 1)] " " $i } }\n'
        "END { for (word in n) if (n[word] > 9) print word, n[word], length(after[word]) }\n"
    )


def _formula(folder: Path) -> None:
    """A random 3-SAT formula near the ratio at which they are hard."""
    draw = random.Random(3)
    variables, clauses = 180, 765
    rows = [
        " ".join(str(v * draw.choice((-1, 1))) for v in draw.sample(range(1, variables + 1), 3)) for _ in range(clauses)
    ]
    (folder / "formula.cnf").write_text(f"p cnf {variables} {clauses}\n" + "".join(f"{row} 0\n" for row in rows))


def _sacks(folder: Path) -> None:
    """An integer program: objects into sacks."""
    draw = random.Random(4)
    sacks, things = range(4), range(30)
    worth, weight = ([draw.randrange(10, 60) for _ in things] for _ in range(2))
    terms = [f"{worth[t]} x{t}_{s}" for t in things for s in sacks]
    limits = [f"w{s}: {' + '.join(f'{weight[t]} x{t}_{s}' for t in things)} <= 120" for s in sacks]
    once = [f"o{t}: {' + '.join(f'x{t}_{s}' for s in sacks)} <= 1" for t in things]
    names = " ".join(f"x{t}_{s}" for t in things for s in sacks)
    (folder / "sacks.lp").write_text(
        f"Maximize\n v: {' + '.join(terms)}\nSubject To\n {chr(10).join(limits + once)}\nBinary\n {names}\nEnd\n"
    )


def _graph(folder: Path) -> None:
    draw = random.Random(5)
    edges = "".join(f"  n{draw.randrange(140)} -> n{draw.randrange(140)};\n" for _ in range(220))
    (folder / "graph.dot").write_text(f"digraph g {{\n{edges}}}\n")


def _document(folder: Path) -> None:
    _graph(folder)
    subprocess.run(["dot", "-Tpdf", "-o", folder / "graph.pdf", folder / "graph.dot"], check=True)


def _picture(folder: Path) -> None:
    _graph(folder)
    subprocess.run(["dot", "-Tsvg", "-o", folder / "graph.svg", folder / "graph.dot"], check=True)


def _perl(folder: Path) -> None:
    _text(folder)
    (folder / "count.pl").write_text(
        "my (%count, %follows);\nwhile (<>) {\n  my $before;\n  for my $word (split) {\n    $count{$word}++;\n"
        "    push @{$follows{$before}}, $word if defined $before;\n    $before = $word;\n  }\n}\n"
        "for my $word ((sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 20]) {\n"
        "  my %seen; my @next = grep { !$seen{$_}++ } @{$follows{$word}};\n"
        '  (my $short = $word) =~ s/[aeiou]//g;\n  print "$short $count{$word} @next\\n";\n}\n'
    )


def _python(folder: Path) -> None:
    _people(folder)
    (folder / "group.py").write_text(
        "import collections, json, re\n\n\nclass Person:\n    def __init__(self, name, tags, score):\n"
        "        self.name, self.tags, self.score = name, tags, score\n\n\n"
        "people = [Person(p['name'], set(p['tags']), p['score']) for p in json.load(open('people.json'))]\n"
        "groups = collections.defaultdict(list)\nfor person in people:\n"
        "    groups[re.sub(r'\\d$', 'x', person.name)].append(person)\n"
        "best = sorted(groups, key=lambda name: -sum(p.score for p in groups[name]))[:20]\n"
        "print(json.dumps({name: sorted(set().union(*(p.tags for p in groups[name]))) for name in best}))\n"
    )


def _repository(folder: Path) -> None:
    draw = random.Random(6)
    who = {f"GIT_{of}_{identity}": "someone" for of in ("AUTHOR", "COMMITTER") for identity in ("NAME", "EMAIL")}
    environment = {**os.environ, **who, "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

    git("init", "--quiet", "--initial-branch=main")
    for number in range(60):
        for _ in range(20):
            path = folder / f"part{draw.randrange(12)}/file{draw.randrange(40)}.txt"
            path.parent.mkdir(exist_ok=True)
            lines = path.read_text().splitlines() if path.exists() else []
            lines.insert(draw.randrange(len(lines) + 1), " ".join(draw.choice(_WORDS) for _ in range(20)))
            path.write_text("\n".join(lines) + "\n")
        git("add", "--all")
        git("commit", "--quiet", "--message", f"change {number}")


PROGRAMS = (
    Program("cc1plus", "compiler", ("g++",), "g++ -O2 -S -o words.s words.cpp", _source_code),
    Program("sqlite3", "SQL database", ("sqlite3",), "sqlite3 :memory: < script.sql", _sql),
    Program(
        "redis-server",
        "key-value server under load",
        ("redis-server", "redis-tools"),
        "redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no",
        load="redis-benchmark -p {port} -n 15000 -r 3000 -c 20 -d 100 -q "
        "-t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100",
        skip=1_000_000,
        take=250_000,
    ),
    Program("perl", "interpreter", ("perl",), "perl count.pl text.txt", _perl),
    Program(
        "python3",
        "interpreter whose own allocator is off",
        ("python3",),
        "PYTHONMALLOC=malloc PYTHONHASHSEED=0 /usr/bin/python3 group.py",
        _python,
    ),
    Program("jq", "JSON tool", ("jq",), "jq -f group.jq people.json", _jq),
    Program("gawk", "text tool", ("gawk",), "gawk -f pairs.awk text.txt", _awk),
    Program("minisat", "solver of formulas", ("minisat",), "minisat formula.cnf; true", _formula),
    Program("glpsol", "solver of integer programs", ("glpk-utils",), "glpsol --lp sacks.lp --tmlim 20", _sacks),
    Program("dot", "graph layout", ("graphviz",), "dot -Tsvg -o graph.svg graph.dot", _graph),
    Program("pdftotext", "documents, C++", ("poppler-utils", "graphviz"), "pdftotext graph.pdf graph.txt", _document),
    Program(
        "rsvg-convert",
        "image tool, Rust",
        ("librsvg2-bin", "graphviz"),
        "rsvg-convert -o graph.png graph.svg",
        _picture,
    ),
    Program("git", "version control, two threads", ("git",), "git -c pack.threads=2 repack -adfq", _repository),
)
FINDINGS: Mapping[str, str] = {
    "cc1plus": (
        "Two of three blocks die within three later allocations, and two of five are zeroed; next fit takes 47 % more "
        "memory than what lives, best fit 1 %."
    ),
    "sqlite3": (
        "At most 1,294 blocks live while 558 MiB pass through 2.3 MiB: an arena that frees nothing takes 160 times "
        "what lives."
    ),
    "redis-server": (
        "54,000 small blocks live, half of the requests are for 24 bytes or less; first fit takes 7 % more than what "
        "lives, next fit 12 %, best fit 0.2 %."
    ),
    "perl": (
        "Four of five requests are for 8 to 15 bytes, and 36,000 strings stay to the end: with a header for each, "
        "best fit takes 1.28 times what lives."
    ),
    "python3": (
        "Two requests of three are for 32 to 63 bytes; half of the blocks die within 15 later allocations, and 80,000 "
        "live at the peak."
    ),
    "jq": (
        "Half of all blocks that it ever asks for live at the peak: an arena that frees nothing takes only 2.8 times "
        "what lives."
    ),
    "gawk": (
        "Three of ten blocks are never freed, and most others live long: an arena that frees nothing takes 1.5 times "
        "what lives."
    ),
    "minisat": (
        "Three resizes for each allocation: vectors that grow hold 4.4 MiB in 536 blocks, so what a resize costs "
        "decides."
    ),
    "glpsol": (
        "At most 137 blocks live at once, of the 57,699 that pass; segregated pools take 7 times the 298 KiB that "
        "live, tlsf 1.11 times."
    ),
    "dot": (
        "It builds up to 28,638 blocks, and two of five are never freed: an arena that frees nothing takes 2.0 times "
        "what lives."
    ),
    "pdftotext": (
        "Half of the requests are for less than 16 bytes, and all but four blocks are freed; with a header for each, "
        "best fit takes 1.15 times what lives."
    ),
    "rsvg-convert": "Ten threads; a few pixel buffers make up the peak of 34.8 MiB, and every malloc stays within 6 %.",
    "git": (
        "Three threads pass 686 MiB through 2.3 MiB, in buffers of 4 to 128 KiB that live for a moment; next fit "
        "takes 68 % more than what lives."
    ),
}
"""A sentence about each shipped recording. For the fits of verification row 17, memory is counted without headers."""


def record(program: Program, folder: Path) -> Path:
    """Record a program and return its trace, in ``folder``; what it prints is thrown away."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        program.prepare(work)
        port = _free_port()
        command = [sys.executable, "-m", "memtool", "record", "--format", "json", "-o", "app.parquet", "--"]
        running = subprocess.Popen(
            [*command, "sh", "-c", program.command.replace("{port}", str(port))],
            cwd=work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if program.load is not None:
            _wait_for(port)
            load = f"{program.load}; redis-cli -p {{port}} shutdown nosave".replace("{port}", str(port))
            subprocess.run(["sh", "-c", load], check=True, stdout=subprocess.DEVNULL)
        said = running.communicate()[1]
        if running.returncode:
            raise click.ClickException(f"{program.name}: ended with {running.returncode}: {said}")
        # What the program itself prints there comes before.
        processes = json.loads(said[said.rindex('{"status"') :])["processes"]
        largest = max(
            (process for process in processes if process["file"]), key=lambda process: process["counts"]["allocations"]
        )
        return Path(shutil.move(work / largest["file"], folder / f"{program.name}.parquet"))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + _READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise click.ClickException(f"nothing listens on port {port}") from None
            time.sleep(0.05)


def ship(program: Program, whole: Path, folder: Path) -> dict[str, str]:
    """Write what is shipped of a recording, and return its row of the README."""
    path = folder / f"{program.name}.parquet"
    path.unlink(missing_ok=True)
    said = {
        "name": program.name,
        "program": program.name,
        "file": None,
        "description": f"{program.kind[:1].upper()}{program.kind[1:]}. {FINDINGS[program.name]}",
    }
    choice = Choice(program.skip, program.take, has_times=False, has_callers=False, is_anonymous=True, said=said)
    shipped = import_trace(str(whole), path, choice=choice)
    is_whole = program.skip == 0 and program.take is None
    return {
        "recording": f"`recorded/{program.name}`",
        "what it is": program.kind,
        "Debian packages": ", ".join(_version(package) for package in program.packages),
        "command": f"`{program.command}`" + (f" under `{program.load}`" if program.load else ""),
        "events": f"{shipped.events:,}",
        "threads": str(shipped.threads),
        "stretch": "whole" if is_whole else f"{program.take:,} events after the first {program.skip:,}",
        "size": format_size(shipped.file_bytes),
    }


def _version(package: str) -> str:
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${Version}", package],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return query.stdout or f"{package} (not installed as a package)"


def _missing(program: Program) -> list[str]:
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *program.packages],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    installed = {line.split()[0].partition(":")[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in program.packages if package not in installed]


_README = """\
# Recordings of real programs

The allocator requests of programs in Debian 12, recorded by `memtool record`: every allocation, resize and free, its
thread, and the resident part of each large block when it was freed. Times and call sites are left out to save space,
and everything that identifies a machine is left out, too. `scripts/record_programs.py` makes all inputs.

    memtool bench recorded/sqlite3
    make recordings        # record all of them again, in full, with times and call sites, into recordings/

{table}

{findings}

A stretch begins with the allocation of the objects that were live there, in the order of birth, and the mark `start`.

The recordings are facts about programs and contain none of their code or data; they are under memtool's licence
(Apache-2.0). `scripts/record_programs.py --ship` writes them and this page.
"""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([program.name for program in PROGRAMS]), metavar="[PROGRAM]...")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), default="recordings", show_default=True)
@click.option("--ship", "is_shipped", is_flag=True, help="Write workloads/recorded/ from them; needs all programs.")
def main(names: tuple[str, ...], folder: Path, is_shipped: bool) -> None:
    """Record the PROGRAMs of the list, all unless named, into a folder."""
    if is_shipped and names:
        raise click.UsageError("--ship needs all programs: name none")
    folder.mkdir(exist_ok=True)
    rows = []
    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        if missing := _missing(program):
            click.echo(f"{program.name}: left out: apt install {' '.join(missing)}", err=True)
            continue
        whole = record(program, folder)
        click.echo(f"{whole}: {format_size(whole.stat().st_size)}")
        if is_shipped:
            rows.append(ship(program, whole, SHIPPED))
    if is_shipped and len(rows) == len(PROGRAMS):
        items = (f"- **{program.name}**: {FINDINGS[program.name]}" for program in PROGRAMS)
        findings = "\n".join(textwrap.fill(item, 120, subsequent_indent="  ") for item in items)
        table = tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True)
        (SHIPPED / "README.md").write_text(_README.format(table=table, findings=findings), encoding="utf-8")


if __name__ == "__main__":
    main()
