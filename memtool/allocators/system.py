"""The allocators of the machine: they are found where they are installed, and preloaded into their own workers."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from memtool.allocators.parameters import settle
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS, SystemAllocator, Tunable
from memtool.model import AllocatorSpec

_LDCONFIG_PATH = "/sbin:/usr/sbin:/bin:/usr/bin"
"""Folders of ldconfig, which an ordinary user's PATH often lacks."""
_FOLDERS = tuple(
    Path(folder) for folder in (f"/usr/lib/{platform.machine()}-linux-gnu", "/usr/local/lib", "/usr/lib64", "/usr/lib")
)
"""Folders of libraries that are not in the linker's cache."""


class Unavailable(Exception):
    """This machine lacks a known allocator, or one of its settings; the message says why."""


def library_of(name: str) -> Path | None:
    """Return the library that is preloaded for an allocator; None: not installed, or none is needed."""
    allocator = SYSTEM_ALLOCATORS[name]
    if allocator.distribution is not None:
        return _packaged(allocator.distribution, allocator.sonames)
    return installed(allocator.sonames)


def why_missing(name: str) -> str | None:
    """Return that an allocator is not installed, and the command that installs it; None where it can be used."""
    allocator = SYSTEM_ALLOCATORS[name]
    if not allocator.sonames:
        return None
    library = library_of(name)
    if library is None:
        return f"not installed; get it with: {allocator.install}"
    return why_not_preloadable(library)


def why_not_preloadable(library: Path) -> str | None:
    """Return why the dynamic linker cannot preload a file with this name; None: it can."""
    if re.search(r"[ :]", str(library)):
        return f"{library}: cannot be preloaded: LD_PRELOAD ends a name at a space or a colon"
    return None


def environment_of(spec: AllocatorSpec) -> tuple[tuple[str, str], ...]:
    """Return the environment variables for the parameters of a system allocator.

    Raises:
        InputError: a name is unknown, or a value out of range.
        Unavailable: the installed build does not read a variable. Allocators ignore unknown settings, so a column
            would name a setting without effect.
    """
    allocator = SYSTEM_ALLOCATORS[spec.name]
    tunables = {tunable.parameter.name: tunable for tunable in allocator.tunables}
    settings: dict[str, list[str]] = {}
    for name, value in settle(spec, [tunable.parameter for tunable in allocator.tunables]).items():
        tunable = tunables[name]
        if not _is_read(allocator, tunable):
            raise Unavailable(f"the {spec.name} that is installed does not know {name}")
        settings.setdefault(tunable.variable, []).append(tunable.setting.format(value=value))
    return tuple((variable, allocator.separator.join(setting)) for variable, setting in settings.items())


def _is_read(allocator: SystemAllocator, tunable: Tunable) -> bool:
    """Return whether the installed build contains the variable's name; true for an absent library."""
    library = installed(allocator.options_in) if allocator.options_in else library_of(allocator.name)
    return library is None or tunable.option.lower().encode() in _content(library)


@cache
def _content(library: Path) -> bytes:
    return library.read_bytes().lower()


def installed(sonames: Sequence[str]) -> Path | None:
    """Return the file of the first of these libraries that exists; None: none does."""
    known = linker_cache()
    for soname in sonames:
        places = (folder / soname for folder in _FOLDERS)
        library = known.get(soname) or next((place for place in places if place.exists()), None)
        if library is not None:
            return library.resolve()
    return None


@cache
def linker_cache() -> Mapping[str, Path]:
    """Return the libraries that the dynamic linker finds by itself: file name -> path, 64 bit only."""
    try:
        listed = subprocess.run(
            ["ldconfig", "-p"], capture_output=True, text=True, check=False, env={"PATH": _LDCONFIG_PATH}
        ).stdout
    except OSError:
        return {}
    # libjemalloc.so.2 (libc6,x86-64) => /lib/x86_64-linux-gnu/libjemalloc.so.2; without a comma: 32 bit
    libraries: dict[str, Path] = {}
    for name, path in re.findall(r"^\s*(\S+) \(libc6,(?:x86-64|AArch64)[^)]*\) => (\S.*)$", listed, re.MULTILINE):
        libraries.setdefault(name, Path(path))
    return libraries


@cache
def _packaged(distribution: str, sonames: tuple[str, ...]) -> Path | None:
    """Return the first of the libraries that an installed PyPI package carries."""
    try:
        contents = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    carried = {content.name: Path(str(content.locate())) for content in contents}
    return next((carried[name].resolve() for name in sonames if name in carried and carried[name].exists()), None)
