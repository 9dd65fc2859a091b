"""A process that is forked from the server is to memtool what a fresh interpreter is (tests/started.py)."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.started import run_memtool, server, shell_memtool

SHOWN = (
    "env | sort; pwd; ulimit -a; ls /proc/self/fd; readlink /proc/self/fd/0; nice;"
    "grep -e ^Sig[BIC] -e ^Cpus_allowed: /proc/self/status; echo complaint >&2"
)
"""Shell commands that print what a program of memtool's inherits."""
STATE = """\
import json, locale, os, signal, sys, tempfile, threading

streams = [[stream.fileno(), stream.encoding, stream.errors, stream.line_buffering, stream.mode]
           for stream in (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)]
handlers = [getattr(signal.getsignal(number), "__qualname__", str(signal.getsignal(number)))
            for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM)]
opened = [number for number in range(200) if os.path.exists(f"/proc/self/fd/{number}")]
print(json.dumps([streams, handlers, opened, sys.path, sys.argv, sys.orig_argv, sys.warnoptions, os.getcwd(),
                  dict(os.environ), tempfile.gettempdir(), threading.active_count(), locale.getlocale()]))
"""
"""Python that prints what a test could find out about its process, in the process itself."""
LATE = ("bench", "quickstart", "--cluster", "tcp://127.0.0.1:1")
"""A command that imports ``distributed``, which the server has not imported."""


@pytest.fixture
def environment(memtool_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return another one than that of the server, with a folder where modules are found first."""
    variables = {name: value for name, value in memtool_environment.items() if name != "USER"}
    return {**variables, "SECOND": "zwei", "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path / "late")}


def late(folder: Path, code: str) -> None:
    """Have memtool run this when it imports ``distributed``."""
    (folder / "late").mkdir()
    (folder / "late/distributed.py").write_text(code, encoding="utf-8")


def both(*words: str, environment: dict[str, str], folder: Path) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """Return exit code, output and errors of a forked process, and of one that was started."""
    forked = run_memtool(*words, environment=environment, folder=folder)
    real = subprocess.run(
        [sys.executable, "-m", "memtool", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )
    return (forked.returncode, forked.stdout, forked.stderr), (real.returncode, real.stdout, real.stderr)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("list", "alocators"),
        ("list", "allocators"),
        ("bench", "gone.yaml"),
        ("run", "-a", "glibc", "--", "sh", "-c", SHOWN),
        ("run", "-a", "glibc", "--", "sh", "-c", "exit 42"),
        ("run", "-a", "glibc", "--", "sh", "-c", "kill -9 $$"),
    ],
)
def test_it_says_the_same_and_passes_on_the_same(
    words: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    forked, real = both(*words, environment=environment, folder=tmp_path)
    assert forked == real


def test_it_finds_itself_in_the_same_state(environment: dict[str, str], tmp_path: Path) -> None:
    late(tmp_path, STATE + "raise SystemExit('complaint')\n")
    forked, real = both(*LATE, environment=environment, folder=tmp_path)
    assert forked[::2] == real[::2] == (1, "complaint\n")
    assert json.loads(forked[1]) == json.loads(real[1])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import atexit\natexit.register(print, 'at the end')\nraise SystemExit", (0, "at the end\n", "")),
        ("raise SystemExit(258)", (2, "", "")),
        ("import os\nos.kill(os.getpid(), 9)", (-9, "", "")),
    ],
)
def test_it_ends_in_the_same_way(
    code: str, expected: tuple[int, str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    late(tmp_path, code)
    assert both(*LATE, environment=environment, folder=tmp_path) == (expected, expected)


def test_what_nobody_catches_is_shown(environment: dict[str, str], tmp_path: Path) -> None:
    late(tmp_path, "class Odd(BaseException): pass\nraise Odd('one')")
    forked, real = both(*LATE, environment=environment, folder=tmp_path)
    assert (forked[0], real[0]) == (1, 1)
    for errors in (forked[2], real[2]):
        assert errors.startswith("Traceback (most recent call last):\n")
        assert errors.endswith("\ndistributed.Odd: one\n")


def test_one_that_is_late_is_killed(environment: dict[str, str], tmp_path: Path) -> None:
    late(tmp_path, "import time\nwhile True: time.sleep(9)")
    with pytest.raises(subprocess.TimeoutExpired):
        run_memtool(*LATE, environment=environment, folder=tmp_path, timeout=0.1)
    assert psutil.Process(server()[0]).children() == []


def test_the_server_can_be_forked(environment: dict[str, str], tmp_path: Path) -> None:
    """It has no thread, which a fork would lose, no engine, which each process chooses, and no file of a test."""
    assert run_memtool("--version", environment=environment, folder=tmp_path).returncode == 0
    process = Path(f"/proc/{server()[0]}")
    assert len(list((process / "task").iterdir())) == 1
    mapped = (process / "maps").read_text()
    assert "scipy" in mapped
    assert "libmemtool" not in mapped
    assert (process / "cwd").readlink() == Path("/")
    opened = [str(entry.readlink()) for entry in (process / "fd").iterdir() if int(entry.name) > 2]
    assert [path for path in opened if path.startswith("/") and path != os.devnull] == []


def test_what_only_a_start_can_obey_is_started(environment: dict[str, str], tmp_path: Path) -> None:
    late(tmp_path, "raise SystemExit(hash('memtool') & 0x7F)")
    forked, real = both(*LATE, environment={**environment, "PYTHONHASHSEED": "1"}, folder=tmp_path)
    assert forked == real


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("memtool list alocators", 2),
        ("echo no-such | memtool run -a glibc -- cat >&2", 0),
        ("memtool run -a glibc -- sh -c 'exit 42' && memtool list metrics", 42),
        ("memtool list metrics | tail -1", 0),
    ],
)
def test_a_shell_finds_the_same_memtool(line: str, code: int, environment: dict[str, str], tmp_path: Path) -> None:
    real = f'memtool() {{ {shlex.quote(sys.executable)} -m memtool "$@"; }}; {line}'
    environment["PATH"] = f"{shell_memtool().parent}:{environment['PATH']}"
    first, second = (
        subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        for text in (line, real)
    )
    assert (first.returncode, first.stdout, first.stderr) == (code, second.stdout, second.stderr)
    assert second.returncode == code


def test_a_shell_hears_of_a_signal(environment: dict[str, str], tmp_path: Path) -> None:
    late(tmp_path, "import os\nos.kill(os.getpid(), 9)")
    ended = subprocess.run([shell_memtool(), *LATE], env=environment, cwd=tmp_path, check=False)
    assert ended.returncode == -9
