"""The wheel: it is built from what is compiled already, has all that memtool needs, and runs where no compiler is.

``make wheel`` makes the source distribution and the wheel from it, and tries that in an environment into which pip puts
everything anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT, TOOLS, shared_folder

pytestmark = pytest.mark.slow

BESIDE = {
    "engine/libmemtool_engine.so",
    "engine/memtool-lean",
    "include/memtool.h",
    "preload/libmemtool-malloc-thread-spans.so",
    "preload/libmemtool-malloc.so",
    "programs/memtool-supervisor",
    "py.typed",
    "recorder/libmemtool-record.so",
    "report/page/static/fragment.html.j2",
    "report/page/static/options.js",
    "report/page/static/page.js",
    "report/page/static/report.css",
    "report/page/static/report.html.j2",
    "report/page/vendor/README.md",
    "report/page/vendor/dataTables.LICENSE",
    "report/page/vendor/dataTables.min.js",
    "report/page/vendor/echarts.LICENSE",
    "report/page/vendor/echarts.LICENSE-d3",
    "report/page/vendor/echarts.NOTICE",
    "report/page/vendor/echarts.min.js",
}
"""What the package has besides Python and the shipped workloads."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this tree."""
    compiled = next(ROOT.glob("build/py3-*/build.ninja"), None)
    if compiled is None:
        pytest.skip("nothing is compiled in build/: make wheel builds from nothing")
    with shared_folder(tmp_path_factory, "wheel") as folder, FileLock(compiled.with_name("tests.lock")):
        if not folder.exists():
            command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
            subprocess.run(command, check=True, capture_output=True, env=TOOLS)
        return next(folder.glob("*.whl"))


def tracked(folder: str, *suffixes: str) -> set[str]:
    """Return the paths of files in a folder of the repository, from there."""
    return {
        str(path.relative_to(ROOT / folder))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }


def test_the_wheel_has_what_memtool_needs_and_no_sources_of_the_engine(wheel: Path) -> None:
    name = re.fullmatch(r"memtool_bench-([^-]+)-py3-none-linux_(x86_64|aarch64)\.whl", wheel.name)
    assert name is not None
    with zipfile.ZipFile(wheel) as archive:
        names = {item for item in archive.namelist() if not item.startswith(f"memtool_bench-{name[1]}.dist-info/")}
        executable = {item.filename for item in archive.infolist() if item.external_attr >> 16 & 0o100}
    workloads = {f"workloads/{path}" for path in tracked("workloads", ".yaml", ".parquet", ".md")}
    expected = tracked("memtool", ".py") | workloads | BESIDE
    assert {item.removeprefix("memtool/") for item in names} == expected
    assert executable >= {"memtool/engine/memtool-lean", "memtool/programs/memtool-supervisor"}


def test_the_wheel_runs_the_quickstart_where_no_compiler_is(wheel: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh], check=True)
    python = fresh / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    # Only what memtool stands on is taken from here: its own package comes from the wheel, which is found first.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(fresh), "platbase": str(fresh)}))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = "import memtool, memtool.engine.loading as l; print(memtool.__file__, l.engine_path(), memtool.__version__)"
    lines = subprocess.run(
        [python, "-c", where], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    assert lines[:2] == [f"{packages}/memtool/__init__.py", f"{packages}/memtool/engine/libmemtool_engine.so"]
    assert f"memtool_bench-{lines[2]}-" in wheel.name
    quickstart = tmp_path / "quickstart.yaml"
    shipped = (ROOT / "workloads/quickstart.yaml").read_text(encoding="utf-8")
    quickstart.write_text(shipped.replace("allocations: 200k", "allocations: 1k"))  # so few are packed at once
    done = subprocess.run(
        [python, ROOT / "scripts/try_installed.py", quickstart],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_released_is_built_from_one_configuration() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["project"]["scripts"] == dict.fromkeys(("memtool", "memtool-bench"), "memtool.cli:main")
    names = subprocess.run(
        [
            sys.executable,
            "-m",
            "cibuildwheel",
            "--platform",
            "linux",
            "--print-build-identifiers",
            "--archs",
            "all",
            ".",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout.split()
    assert names == ["cp311-manylinux_x86_64", "cp311-manylinux_aarch64"]
