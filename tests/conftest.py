"""What tests share: the fixture engine, built once a session from the strategies that are wrong on purpose."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from memtool.engine.packing import binding as packing_binding
from tests.started import LITTLE_WORK, without_tuning

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests/golden"
TOOLS = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
"""Environment in which CMake and Ninja are those of the virtual environment, which has them wherever it was made."""
QUICKLY_BUILT = "-DMEMTOOL_OPTIMISE=-O1"
"""For what has to be right and not fast: half the time goes into building."""

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how long an example takes says nothing about what is tested


def pytest_configure() -> None:
    """Give what tests start an environment like a user's, whatever this one is.

    It can be interrupted, also where a shell has begun the tests in the background and ignores it; and it keeps what
    Python has compiled, which hundreds of processes, and pytest itself, would otherwise compile anew.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector, and let it pass over them later.

    It would look through the thousands of tests, which all stay, again and again: nearly half of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are processors: some tests wait for a time or a disk."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --sanitize, for native tests, and --renew-golden, which writes the expected text instead of comparing."""
    parser.addoption("--sanitize", action="store_true", help="run the native tests under ASan and UBSan")
    parser.addoption("--renew-golden", action="store_true", help="write tests/golden/ anew; read the diff")
    parser.addoption("--documents", type=int, default=60, help="how many a fuzzer makes; make soak: 2,000")
    parser.addoption("--kills", type=int, default=3, help="how often a run is killed and resumed; make soak: 50")


@pytest.fixture
def documents(request: pytest.FixtureRequest) -> int:
    """Return how many documents a fuzzer is to make."""
    return int(request.config.getoption("--documents"))


def build_tree(directory: Path, target: str, *definitions: str) -> Path:
    """Build a target with CMake in a tree of its own and return the path of what was built."""
    subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(directory), "-G", "Ninja", "-DMEMTOOL_WERROR=ON", *definitions],
        check=True,
        capture_output=True,
        env=TOOLS,
    )
    return build_target(directory, target)


def build_target(directory: Path, target: str) -> Path:
    """Build a target in a tree that CMake has configured and return the path of what was built."""
    built = subprocess.run(
        ["cmake", "--build", str(directory), "--target", target],
        check=False,
        capture_output=True,
        text=True,
        env=TOOLS,
    )
    assert built.returncode == 0, built.stdout[-4000:]
    return directory / target / "libmemtool_engine.so" if target.endswith("_engine") else directory / target


def build_beside_installed(tmp_path_factory: pytest.TempPathFactory, target: str) -> Path:
    """Build a target where the engine was installed from, whose objects are compiled already; else anew."""
    installed = next(ROOT.glob("build/py3-*/build.ninja"), None)
    if installed is not None:
        with FileLock(installed.with_name("tests.lock")):
            return build_target(installed.parent, target)
    with shared_folder(tmp_path_factory, "native") as folder:
        return build_tree(folder, target, QUICKLY_BUILT)


@contextmanager
def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Yield a folder that all processes of a test run share, one of them at a time: what one has built is there."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(common / f"{name}.lock"):
        yield common / name


@pytest.fixture(scope="session")
def faulty_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an engine whose strategies are null, malloc and the faulty ones."""
    return build_beside_installed(tmp_path_factory, "faulty_engine")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return what compares a text with the file of that name in tests/golden/, letter by letter."""

    def compare(name: str, text: str) -> None:
        if request.config.getoption("--renew-golden"):
            (GOLDEN / name).write_text(text + "\n", encoding="utf-8")
        assert text + "\n" == (GOLDEN / name).read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def packed_with_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what runs memtool in this process look for a packing for a millisecond: its quality has tests of its own."""
    monkeypatch.setattr(packing_binding, "pack_image", partial(packing_binding.pack_image, work=LITTLE_WORK))


@pytest.fixture(scope="session")
def memtool_environment() -> dict[str, str]:
    """Return an environment for subprocesses of tests, without what a developer may have set."""
    return without_tuning(os.environ)
