"""The manual pages have what ``--help`` says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memtool.cli import run
from tests.conftest import ROOT

pytest.importorskip("click_man")


def test_each_command_has_a_page_with_its_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = [sys.executable, str(ROOT / "scripts/man_pages.py"), str(tmp_path)]
    written = subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    names = [line.split()[0] for line in lines if not line.startswith("   ")]
    of_cluster = {f"memtool-cluster-{name}.1" for name in ("up", "join")}
    assert {Path(path).name for path in written} == {"memtool.1", *(f"memtool-{name}.1" for name in names)} | of_cluster
    plot = (tmp_path / "memtool-plot.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert ".SH OPTIONS" in plot
    for option in ("--only", "--theme", "--for", "--format"):
        assert option in plot
    bench = (tmp_path / "memtool-bench.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert "memtool-bench - Replay workloads against allocators and report the results\n" in bench
    assert bench.count(".SS Whole programs (--program)\n.TP\n\\fB--program\\fP") == 1
    completion = (tmp_path / "memtool-completion.1").read_text(encoding="utf-8")
    assert ".nf\nbash:  eval" in completion
    assert completion.endswith("memtool.fish\n.fi\n")
    if (man := shutil.which("man")) is not None:
        page = subprocess.run([man, "-l", tmp_path / "memtool-plot.1"], capture_output=True, text=True, check=False)
        assert page.returncode != 0 or "--theme" in page.stdout
