"""Finding the allocators of the machine, among libraries made for the test."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memtool.allocators import system
from memtool.allocators.system import Unavailable, environment_of, library_of, why_missing
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.errors import InputError
from memtool.model import AllocatorSpec

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what puts a library where the dynamic linker finds it; until then there is none."""
    result: dict[str, Path] = {}
    monkeypatch.setattr(system, "linker_cache", lambda: result)
    monkeypatch.setattr(system, "_FOLDERS", (tmp_path / "unlisted",))

    def add(name: str, content: str = "", file: str | None = None) -> Path:
        path = tmp_path / (file or name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="ascii")
        result[name] = path
        return path

    return add


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the library that an installed package carries; not there yet."""
    path = tmp_path / "site-packages" / "libmimalloc.so"

    class File:
        name = path.name

        def locate(self) -> Path:
            return path

    monkeypatch.setattr(importlib.metadata, "files", {"cmeel-mimalloc": [File()]}.get)
    system._packaged.cache_clear()
    yield path
    system._packaged.cache_clear()


def spec(name: str, *parameters: tuple[str, str]) -> AllocatorSpec:
    return AllocatorSpec(name, parameters)


def test_the_c_library_is_always_there(install: Install) -> None:
    assert library_of("glibc") is None
    assert why_missing("glibc") is None


def test_a_missing_library_says_how_to_get_it(install: Install) -> None:
    assert library_of("jemalloc") is None
    assert why_missing("jemalloc") == "not installed; get it with: apt install libjemalloc2"


def test_an_installed_library_is_found(install: Install) -> None:
    path = install("libjemalloc.so.2")
    assert library_of("jemalloc") == path
    assert why_missing("jemalloc") is None


def test_a_link_is_followed(install: Install, tmp_path: Path) -> None:
    path = install("libjemalloc.so.2", file="libjemalloc.so.2.9")
    link = tmp_path / "libjemalloc.so.2"
    link.symlink_to(path)
    assert system.linker_cache()["libjemalloc.so.2"] == path
    assert library_of("jemalloc") == path


def test_a_library_that_the_linker_has_not_heard_of_yet_is_found(install: Install, tmp_path: Path) -> None:
    path = tmp_path / "unlisted" / "libjemalloc.so.2"
    path.parent.mkdir()
    path.touch()
    assert library_of("jemalloc") == path


def test_what_the_linker_has_not_heard_of_is_looked_for_in_the_usual_folders(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usr/lib"
    usual.mkdir(parents=True)
    (usual / "libjemalloc.so.2").touch()
    monkeypatch.setattr(system, "_FOLDERS", (tmp_path / "usr/local/lib", usual))
    assert library_of("jemalloc") == usual / "libjemalloc.so.2"
    heard_of = install("libjemalloc.so.2", file="opt/libjemalloc.so.2")
    assert library_of("jemalloc") == heard_of


def test_the_better_of_two_names_is_taken(install: Install) -> None:
    install("libmimalloc.so")
    better = install("libmimalloc.so.2")
    assert library_of("mimalloc") == better


def test_another_version_than_the_one_named_is_not_taken(install: Install) -> None:
    install("libjemalloc.so.1")
    assert library_of("jemalloc") is None


def test_the_bare_tbbmalloc_replaces_nothing(install: Install) -> None:
    install("libtbbmalloc.so.2")
    assert why_missing("tbbmalloc") == "not installed; get it with: apt install libtbbmalloc2"


@pytest.mark.parametrize("folder", ["with space", "with:colon"])
def test_a_path_that_the_linker_would_cut_is_refused(folder: str, install: Install) -> None:
    path = install("libjemalloc.so.2", file=f"{folder}/libjemalloc.so.2")
    assert why_missing("jemalloc") == (f"{path}: cannot be preloaded: LD_PRELOAD ends a name at a space or a colon")


def test_a_package_carries_its_library(package: Path) -> None:
    package.parent.mkdir()
    package.touch()
    assert library_of("mimalloc-pypi") == package


def test_a_package_whose_library_is_gone(package: Path) -> None:
    assert library_of("mimalloc-pypi") is None


def test_a_package_that_is_not_installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert why_missing("mimalloc-pypi") == "not installed; get it with: pip install 'memtool-bench[mimalloc]'"


# Parameters


def test_settings_of_one_variable_stand_in_it_together(install: Install) -> None:
    assert environment_of(spec("glibc", ("arena_max", "1"), ("top_pad", "1MiB"))) == (
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.malloc.top_pad=1048576"),
    )
    assert environment_of(spec("jemalloc", ("narenas", "1"), ("dirty_decay_ms", "-1"))) == (
        ("MALLOC_CONF", "narenas:1,dirty_decay_ms:-1"),
    )


def test_what_glibc_is_told_never_to_do(install: Install) -> None:
    assert environment_of(spec("glibc", ("trim_threshold", "-1"), ("mmap_max", "0"))) == (
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=-1:glibc.malloc.mmap_max=0"),
    )
    with pytest.raises(InputError, match="trim_threshold: must be from -1 to 128TiB, is -2"):
        environment_of(spec("glibc", ("trim_threshold", "-2")))


def test_an_allocator_may_have_a_variable_for_each(install: Install) -> None:
    assert environment_of(spec("mimalloc", ("purge_delay", "0"), ("eager_commit", "1"))) == (
        ("MIMALLOC_PURGE_DELAY", "0"),
        ("MIMALLOC_EAGER_COMMIT", "1"),
    )


def test_without_parameters_there_are_no_variables(install: Install) -> None:
    assert environment_of(spec("jemalloc")) == ()


def test_a_setting_that_the_installed_build_does_not_know_is_no_setting(install: Install) -> None:
    install("libmimalloc.so.2", content="MIMALLOC_ eager_commit decommit_delay")
    assert environment_of(spec("mimalloc", ("decommit_delay", "25"))) == (("MIMALLOC_DECOMMIT_DELAY", "25"),)
    with pytest.raises(Unavailable, match="the mimalloc that is installed does not know purge_delay"):
        environment_of(spec("mimalloc", ("purge_delay", "0")))


@pytest.mark.parametrize(
    ("name", "parameter", "value", "problem"),
    [
        ("glibc", "arena_max", "0", "arena_max: must be from 1 to 1024, is 0"),
        ("glibc", "top_pad", "2GiB", "top_pad: must be from 0 to 1GiB, is 2GiB"),
        (
            "glibc",
            "arena_max",
            "few",
            "arena_max: must be a count such as 1000, 200k or 2M, is 'few'; allowed is from 1 to 1024",
        ),
        ("jemalloc", "thp", "maybe", "thp: must be default, always or never, is 'maybe'"),
        ("jemalloc", "muzzy_decay_ms", "-2", "muzzy_decay_ms: must be from -1 to 1000000, is -2"),
    ],
)
def test_values_out_of_range(name: str, parameter: str, value: str, problem: str, install: Install) -> None:
    with pytest.raises(InputError) as caught:
        environment_of(spec(name, (parameter, value)))
    assert str(caught.value) == f"allocators: {name}:{parameter}={value}: {problem}"


@pytest.mark.parametrize("name", SYSTEM_ALLOCATORS)
def test_the_table_is_whole(name: str) -> None:
    allocator = SYSTEM_ALLOCATORS[name]
    assert allocator.name == name
    assert all((allocator.summary, allocator.source, allocator.complexity, allocator.when, allocator.install))
    assert all(allocator.owner in soname for soname in allocator.sonames)
    for tunable in allocator.tunables:
        assert tunable.variable
        assert "{value}" in tunable.setting
        default = tunable.parameter.default
        assert default is None or tunable.parameter.canonical(default)
