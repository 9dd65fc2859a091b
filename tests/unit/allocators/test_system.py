"""Finding the allocators of the machine, in folders made for the test."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtool.allocators import system
from memtool.allocators.system import SYSTEM_ALLOCATORS, library_of, why_missing


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """Return two empty folders, the only ones in which libraries are looked for."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setattr(system, "_LIBRARY_FOLDERS", (str(first), str(second)))
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    library_of.cache_clear()
    yield first, second
    library_of.cache_clear()


def test_the_c_library_is_always_there(folders: tuple[Path, Path]) -> None:
    assert library_of("glibc") is None
    assert why_missing("glibc") is None


def test_a_missing_library_says_how_to_get_it(folders: tuple[Path, Path]) -> None:
    assert library_of("jemalloc") is None
    assert why_missing("jemalloc") == "not installed; get it with: apt install libjemalloc2"


def test_a_library_is_found_in_the_first_folder_that_has_it(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "libjemalloc.so.2").touch()
    assert library_of("jemalloc") == folders[0] / "libjemalloc.so.2"
    assert why_missing("jemalloc") is None


def test_an_earlier_name_goes_before_an_earlier_folder(folders: tuple[Path, Path]) -> None:
    (folders[0] / "libmimalloc.so").touch()
    (folders[1] / "libmimalloc.so.2").touch()
    assert library_of("mimalloc") == folders[1] / "libmimalloc.so.2"


def test_the_loader_is_asked_last(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", {"tcmalloc_minimal": "libtcmalloc_minimal.so.4"}.get)
    assert library_of("tcmalloc") == Path("libtcmalloc_minimal.so.4")


def test_another_version_than_the_one_named_is_not_taken(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libjemalloc.so.1")
    assert library_of("jemalloc") is None


def test_a_package_carries_its_library(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class File:
        name = "libmimalloc.so"

        def locate(self) -> Path:
            return tmp_path / "site-packages" / self.name

    monkeypatch.setattr(importlib.metadata, "files", {"cmeel-mimalloc": [File()]}.get)
    assert library_of("mimalloc-pypi") == tmp_path / "site-packages" / "libmimalloc.so"


def test_a_package_that_is_not_installed(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert why_missing("mimalloc-pypi") == "not installed; get it with: pip install 'memtool[mimalloc]'"


@pytest.mark.parametrize("name", SYSTEM_ALLOCATORS)
def test_the_table_is_whole(name: str) -> None:
    allocator = SYSTEM_ALLOCATORS[name]
    assert allocator.name == name
    assert allocator.summary
    assert allocator.install
    assert all(allocator.owner in soname for soname in allocator.sonames)
    for tunable in allocator.tunables:
        assert tunable.minimum <= tunable.maximum
        assert "{value}" in tunable.written
        # Without a variable of its own each tunable names one.
        assert allocator.variable or "=" in tunable.written
