"""Checks a program before it is started: whether a library can be preloaded into it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from memtool.errors import InputError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_MOST_INTERPRETERS = 4
"""A script may be run by another script; the kernel follows this many."""
_ELF = b"\x7fELF"
_SANITIZERS = ("libasan", "libtsan", "liblsan", "libclang_rt.asan", "libclang_rt.tsan")


def find_program(name: str) -> Path:
    """Return the file for the first word of a command, found like a shell does. Raises InputError."""
    path = shutil.which(name)
    if path is not None:
        return Path(path)
    if os.sep in name and Path(name).is_file():
        raise InputError(f"{name}: is not executable")
    raise InputError(f"{name}: no such program")


def refuse_what_takes_no_preload(program: Path) -> None:
    """Raise InputError, with the reason, for a program into which no library can be preloaded."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    path = program
    for _ in range(_MOST_INTERPRETERS):
        script_of = _interpreter_of(path)
        if script_of is None:
            break
        path = script_of
    about = "" if path == program else f"{path}, which runs it, "
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            if file.read(len(_ELF)) != _ELF:
                raise InputError(
                    f"{program}: {about}is neither an ELF program nor a script whose first line names its interpreter "
                    f"(#!/bin/sh); `sh {path}` runs a script of the shell"
                )
            problem = _problem_of(ELFFile(file), mode)
    except (OSError, ELFError) as unreadable:
        raise InputError(f"{program}: {about}cannot be read as a program: {unreadable}") from None
    if problem is not None:
        raise InputError(f"{program}: {about}{problem}")


def _interpreter_of(path: Path) -> Path | None:
    """Return the program that a script names in its first line; None for a file that is not a script."""
    with path.open("rb") as file:
        first = file.readline(4096)
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    # `env NAME` looks for the name in PATH.
    names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    name = names[0] if words and Path(words[0]).name == "env" and names else (words or [""])[0]
    return find_program(name)


def _problem_of(elf: ELFFile, mode: int) -> str | None:
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.sections import SymbolTableSection
    from elftools.elf.segments import InterpSegment

    interpreter = next(
        (segment.get_interp_name() for segment in elf.iter_segments() if isinstance(segment, InterpSegment)), None
    )
    if interpreter is None:
        return "is linked statically: nothing can be preloaded into it"
    if elf.elfclass != 64:
        return "is a 32-bit program: memtool's libraries are 64-bit"
    if "ld-musl" in interpreter:
        return "is linked against musl, which does not load what glibc programs do"
    if mode & (stat.S_ISUID | stat.S_ISGID):
        return "runs as another user (setuid): the dynamic linker preloads nothing then"
    needed = [
        str(tag.needed)  # type: ignore[attr-defined]  # made for tags of this kind
        for section in elf.iter_sections()
        if isinstance(section, DynamicSection)
        for tag in section.iter_tags("DT_NEEDED")
    ]
    sanitizer = next((library for library in needed if library.startswith(_SANITIZERS)), None)
    own = elf.get_section_by_name(".dynsym")
    for symbol in own.get_symbol_by_name("malloc") or () if isinstance(own, SymbolTableSection) else ():
        if symbol["st_shndx"] != "SHN_UNDEF":
            return "has a malloc of its own, which comes before any that is preloaded"
    if sanitizer is not None:
        return f"is built with a sanitizer ({sanitizer}), which brings an allocator of its own: take a build without"
    return None
