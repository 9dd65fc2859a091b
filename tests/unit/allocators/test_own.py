"""Allocators that a user brings by memtool.h, in Python and as entry points: what is taken, what is refused and how."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import memtool
from memtool.allocators.own import brought as own
from memtool.allocators.own.brought import adopted_limits, python_plan
from memtool.allocators.own.shared_library import library_plan
from memtool.engine.loading import EngineError, refuse_stale
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec, Call
from tests.conftest import ROOT

Build = Callable[..., Path]
Write = Callable[[str], Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return what builds the fixture library with some of its macros."""
    folder = tmp_path_factory.mktemp("own")

    def make(name: str, *macros: str) -> Path:
        path = folder / name
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *(f"-D{macro}" for macro in macros)]
        source = ROOT / "tests/native/fixtures/own.c"
        subprocess.run(["cc", *flags, f"-I{memtool.get_include()}", "-o", path, source], check=True)
        return path

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes mine.py."""

    def make(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def plan(path: Path | str, *parameters: tuple[str, str]) -> AllocatorPlan:
    spec = AllocatorSpec(str(path), parameters)
    return python_plan(spec) if ".py" in str(path) else library_plan(spec)


def refusal(path: Path | str, *parameters: tuple[str, str]) -> str:
    with pytest.raises(InputError) as caught:
        plan(path, *parameters)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"allocators: {path}")


def test_a_library_by_memtool_h_is_adopted_not_preloaded(build: Build) -> None:
    path = build("libstep.so")
    assert plan(path, ("step", "4KiB"), ("mode", "loose")) == AllocatorPlan(
        spec=AllocatorSpec(str(path), (("step", "4KiB"), ("mode", "loose"))),
        strategy="adopted",
        engine_parameters="step=4096,mode=loose",
        family="library",
        call=Call(route="pointer", free="sized", threads="one"),
        exact=False,
        adopted=("library", str(path)),
        files=(str(path),),
    )
    assert adopted_limits(("library", str(path)))("adopted", "step=4096", 16) == (4 << 20, 4096)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([("step", "8")], ":step=8: step: must be from 16 to 64KiB, is 8"),
        ([("mode", "fast")], ":mode=fast: mode: must be loose or tight, is 'fast'"),
        ([("stp", "16")], ":stp=16: PATH has no parameter 'stp', only step (16 to 64KiB), mode (loose or tight)"),
        (
            [("step", "2KiB"), ("mode", "tight")],
            ":step=2KiB,mode=tight: step: must not exceed 1024 where mode is tight",
        ),
    ],
)
def test_parameters_are_held_against_what_the_library_declares(
    build: Build, parameters: list[tuple[str, str]], words: str
) -> None:
    path = build("libstep.so")
    result = refusal(path, *parameters).replace(str(path), "PATH")
    assert result.removesuffix("; did you mean 'step'?") == words


@pytest.mark.parametrize(
    ("macro", "words"),
    [
        ("NO_ALLOCATE", ": its memtool_allocator lacks allocate, deallocate"),
        ("OLD", ": it implements version 2 of memtool.h, and this memtool version 1: compile it again"),
    ],
)
def test_what_a_table_lacks_is_said(build: Build, macro: str, words: str) -> None:
    assert refusal(build(f"lib{macro}.so", macro)) == words


HEAP = '''
from memtool.allocators.interpreted import Parameter

class Heap:
    """Hands memory out upwards."""
    parameters = (Parameter("step", "rounded up to", default="16", minimum=1, maximum=64, unit="bytes"),)
    def __init__(self, region, step):
        if step == 13:
            raise ValueError("step: thirteen is refused")
        self.region, self.step = region, step
    @staticmethod
    def limits(step):
        return 1000 * step, None
    def allocate(self, size, alignment):
        return self.region.grow(size)
    def deallocate(self, offset, size, alignment):
        pass

class Half:
    def allocate(self, size, alignment):
        return None
'''


def test_a_class_in_python_is_adopted(write: Write) -> None:
    path = write(HEAP)
    result = plan(f"{path}:Heap", ("step", "32"))
    assert (result.strategy, result.engine_parameters) == ("adopted", "step=32")
    assert adopted_limits(("python", str(path), "Heap"))("adopted", "step=32", 16) == (32000, None)
    assert result.interpreted
    assert result.adopted == ("python", str(path), "Heap")
    assert plan(path).interpreted  # the only class there that could be meant


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (HEAP, ":Heep", ": has no class 'Heep'; did you mean 'Heap'?"),
        (HEAP, ":Half", ": class Half lacks deallocate"),
        (
            "import nothing_so\n",
            ":Heap",
            ": line 1: ModuleNotFoundError: No module named 'nothing_so'",
        ),
        ("class Heap:\n    def allocate(self\n", ":Heap", ": line 2: SyntaxError: '(' was never closed"),
        ("x = 1\n\nraise SystemExit(3)\n", "", ": line 3: SystemExit: 3"),
        ("x = 1\n", "", ": which class is meant? it has no class with allocate and deallocate; write mine.py:Heap"),
        (
            "class A:\n allocate = deallocate = print\nclass B(A): pass\n",
            "",
            ": which class is meant? it has A, B; write mine.py:A",
        ),
        (
            "class A:\n free_order = 'random'\n allocate = deallocate = print\n",
            "",
            ": free_order must be one of any, lifo, fifo, reset, is 'random'",
        ),
        (
            "class A:\n allocate = deallocate = print\n",
            "",
            ": TypeError: A() takes no arguments",
        ),
    ],
)
def test_what_is_wrong_with_a_python_file_is_said_in_a_line(write: Write, text: str, name: str, words: str) -> None:
    assert refusal(f"{write(text)}{name}") == words


def test_parameters_of_a_python_class(write: Write) -> None:
    path = f"{write(HEAP)}:Heap"
    assert refusal(path, ("step", "65")) == ":step=65: step: must be from 1 to 64, is 65"
    assert refusal(path, ("step", "13")) == ":step=13: step: thirteen is refused"
    assert refusal(path, ("jump", "1")) == f":jump=1: {path} has no parameter 'jump', only step (1 to 64)"


def test_a_file_that_is_edited_within_a_second_is_not_what_it_was(write: Write) -> None:
    path = write(HEAP)
    assert refusal(f"{path}:Heap", ("step", "65")).endswith("must be from 1 to 64, is 65")
    times = path.stat()
    os.utime(write(HEAP.replace("maximum=64", "maximum=32")), ns=(times.st_atime_ns, times.st_mtime_ns))
    own.descriptions_of.cache_clear()  # as for another process
    assert refusal(f"{path}:Heap", ("step", "65")).endswith("must be from 1 to 32, is 65")


def test_files_that_are_not_there_or_never_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal("gone.py:Heap") == ": no such file"
    monkeypatch.setattr(own, "TRIAL_SECONDS", 1)
    path = write("while True: pass\n")
    assert refusal(path) == ": a process that loads it does not answer within 1 s"


def test_what_a_file_prints_is_not_taken_for_an_answer(write: Write) -> None:
    assert plan(write("print('hello')\n" + HEAP)).interpreted


def test_an_installed_package_has_the_header_without_being_taken_for_a_stale_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (Path(memtool.get_include()) / "memtool.h").is_file()
    (tmp_path / "include").mkdir()
    (tmp_path / "include/memtool.h").touch()
    monkeypatch.delenv("MEMTOOL_ENGINE", raising=False)
    monkeypatch.setattr("memtool.engine.loading.package_folder", lambda: str(tmp_path))
    refuse_stale()
    (tmp_path / "engine/abi").mkdir(parents=True)
    (tmp_path / "engine/abi/capi.cpp").touch()
    with pytest.raises(EngineError, match="built from other sources"):
        refuse_stale()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os\nos._exit(0)", ": a process that loads it ends without an answer"),
        ("import os\nos._exit(3)", ": a process that loads it fails: status 3"),
        (
            "import os\nos.write(2, b'gr\\xa9\\n')\nos._exit(3)",
            ": a process that loads it fails: gr\ufffd",
        ),
        ("import sys\nsys.exit(0)", ": line 2: SystemExit: 0"),
    ],
)
def test_a_file_that_exits_or_writes_no_text_is_refused_in_one_line(write: Write, text: str, words: str) -> None:
    assert refusal(write(text)) == words


def test_modules_that_are_imported_are_part_of_an_allocators_code(write: Write, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import json\n", encoding="utf-8")
    path = write(
        "import helper\n"
        "class Heap:\n"
        "    def __init__(self, region): pass\n"
        "    def allocate(self, size, alignment): return None\n"
        "    def deallocate(self, offset, size, alignment): pass\n"
    )
    assert plan(path).files == (str(tmp_path / "helper.py"), str(path))


def test_one_that_ends_the_process_costs_no_other(write: Write, tmp_path: Path) -> None:
    bad = write("import os\nos._exit(0)")
    good = ("python", "memtool.allocators.reference.arena", "Arena")
    first, second = own.described((("python", str(bad), "Heap"), good))
    assert first == {"error": f"{bad}: a process that loads it ends without an answer"}
    assert second["description"]["name"] == "Arena"


def test_a_library_that_is_taken_away_meanwhile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.py: "):
        adopted_limits(("python", str(tmp_path / "gone.py"), "Heap"))("adopted", "", 16)
