"""What a shell offers while a command is typed, and the scripts by which it asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memtool.cli import run
from tests.started import run_memtool


@pytest.fixture
def offered(memtool_environment: dict[str, str], tmp_path: Path) -> object:
    """Return what is offered for a line that is typed up to its end, as Bash would ask."""

    def ask(line: str) -> list[str]:
        asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_WORDS": line, "COMP_CWORD": "9"}
        environment = {**memtool_environment, **asked, "_MEMTOOL_COMPLETE": "bash_complete"}
        done = run_memtool(environment=environment, folder=tmp_path)
        assert done.stderr == ""
        return [item.partition(",")[2] for item in done.stdout.splitlines()]

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("memtool re", ["report", "record"]),
        (
            "memtool bench chapter/ga",
            ["chapter/game-frame", "chapter/garbage-cycles", "chapter/garbage-pauses", "chapter/garbage-young"],
        ),
        ("memtool bench -a glibc,tls", ["glibc,tlsf"]),
        ("memtool bench -a @real", ["@real-time"]),
        ("memtool bench -a pool+red", ["pool+redzone"]),
        ("memtool check w.yaml --against half", ["half-fit"]),
        ("memtool bench --passes check,thr", ["check,throughput"]),
        ("memtool show R --metrics peak_live_bytes,minor_f", ["peak_live_bytes,minor_faults"]),
        ("memtool plot R --theme d", ["dark"]),
        # Bash has taken "tlsf:" for words of their own, and is given what comes behind.
        ("memtool bench -a tlsf:subd", ["subdivisions="]),
        ("memtool bench -a glibc,tlsf:subdivisions=16,gro", ["16,grow="]),
    ],
)
def test_what_may_follow_is_offered(offered: object, line: str, expected: list[str]) -> None:
    assert callable(offered)
    assert offered(line) == expected


def test_stored_runs_are_offered_before_files(offered: object, tmp_path: Path) -> None:
    assert callable(offered)
    (tmp_path / "results/2026-01-01").mkdir(parents=True)
    (tmp_path / "results/2026-01-01/run.json").write_text("{}")
    assert offered("memtool show res") == ["results/2026-01-01"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_it_can_read(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert f"_MEMTOOL_COMPLETE={shell}_complete" in script.read_text()
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n", script], check=True)


def test_bash_completes_by_the_script(tmp_path: Path, memtool_environment: dict[str, str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    tool = tmp_path / "memtool"
    tool.write_text(f"#!{sys.executable}\nfrom memtool.cli import main\nmain()\n")
    tool.chmod(0o755)
    script = tmp_path / "script"
    typed = "memtool bench -a glibc,half"
    script.write_text(
        f"source <(memtool completion bash)\nCOMP_LINE={typed!r}; COMP_POINT={len(typed)}\n"
        "COMP_WORDS=(memtool bench -a glibc,half); COMP_CWORD=3\n"
        "_memtool_completion memtool\necho ${COMPREPLY[@]}\n"
    )
    environment = {**memtool_environment, "PATH": f"{tmp_path}:{memtool_environment['PATH']}"}
    # Without a terminal there is no `complete`, and so nothing to complete with: its absence is no fault of the script.
    done = subprocess.run([bash, script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["glibc,half-fit"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("memtool bench -a glibc,half", ["glibc,half-fit"]),
        ("memtool bench -a tlsf:subd", ["tlsf:subdivisions="]),
        ("memtool plot R --theme d", ["dark"]),
    ],
)
def test_fish_completes_by_the_script(
    typed: str, offered: list[str], tmp_path: Path, memtool_environment: dict[str, str]
) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish")
    tool = tmp_path / "memtool"
    tool.write_text(f"#!{sys.executable}\nfrom memtool.cli import main\nmain()\n")
    tool.chmod(0o755)
    environment = {**memtool_environment, "PATH": f"{tmp_path}:{memtool_environment['PATH']}", "HOME": str(tmp_path)}
    script = f"memtool completion fish | source; complete -C '{typed}'"
    done = subprocess.run([fish, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == offered
