"""Names of call sites: the function and the file that contain an address of a recorded program."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60
"""Time limit for one file: debugging information of a large program takes long to read."""
_LEAST_RANDOM = 1 << 32
"""Below this are programs that are linked to a fixed address, so that addresses need no conversion."""
_UNKNOWN = "??"


@dataclass(frozen=True, slots=True)
class Module:
    """Code of a file, mapped into a process."""

    path: str
    base: int
    """Address of the file's beginning, even if that is not mapped."""
    begin: int
    end: int


def modules(maps: str) -> Iterator[Module]:
    """Yield the mapped code in the text of a /proc/PID/maps."""
    bases: dict[str, int] = {}
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 6 or not words[5].startswith("/"):
            continue
        path = words[5].removesuffix(" (deleted)")
        begin, end = (int(number, 16) for number in words[0].split("-"))
        offset = int(words[2], 16)
        if offset == 0:
            bases[path] = begin
        if "x" in words[1]:
            yield Module(path, bases.get(path, begin - offset), begin, end)


def names_of(addresses: Iterable[int], known: Sequence[Module]) -> dict[int, str]:
    """Return ``function (file, line)`` of return addresses, where there is debugging information.

    Otherwise it is ``near function (file)``, with the nearest exported function of a stripped file, or
    ``file+0xoffset`` if the file is gone or cannot be read. Addresses outside of all modules are left out.
    """
    by_module: dict[Module, list[int]] = defaultdict(list)
    for address in addresses:
        module = next((module for module in known if module.begin <= address < module.end), None)
        if module is not None:
            by_module[module].append(address)
    return {
        address: name
        for module, own in by_module.items()
        for address, name in zip(own, _names(module, own), strict=True)
    }


def _names(module: Module, addresses: Sequence[int]) -> Iterator[str]:
    bias = module.base if module.base >= _LEAST_RANDOM else 0
    file = Path(module.path).name
    places = places_of(module.path, [address - bias for address in addresses])
    for address in addresses:
        function, line = places.get(address - bias, (None, None))
        if function is None:
            yield f"{file}+{address - module.base:#x}"
        else:
            yield f"near {function} ({file})" if line is None else f"{function} ({file}, {line})"


def places_of(path: str, addresses: Sequence[int]) -> dict[int, tuple[str, str | None]]:
    """Return (function, ``file.c:17`` or None) of return addresses in a file; unknown ones are left out.

    Uses binutils' addr2line, where it is installed.
    """
    program = shutil.which("addr2line")
    if program is None or not Path(path).is_file():
        return {}
    command = [program, "--functions", "--demangle", "--basenames", f"--exe={path}"]
    # The call instruction is before the address to which it returns.
    call_sites = "".join(f"{address - 1:#x}\n" for address in addresses)
    try:
        lines = subprocess.run(
            command, input=call_sites, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    return {
        address: (function, None if place.startswith(_UNKNOWN) else place.split(" ")[0].removesuffix(":?"))
        for address, function, place in zip(addresses, lines[::2], lines[1::2], strict=False)
        if function != _UNKNOWN
    }
