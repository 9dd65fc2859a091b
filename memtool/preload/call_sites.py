"""Names for the call sites that a heap's report speaks of, by binutils' addr2line where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import PurePath

_SITE = re.compile(r"\[(?P<file>/[^\]\"]*?)\+0x(?P<address>[0-9a-f]+)(?: (?P<symbol>[^\] ]+))?\]")
"""As allocators/support/books/call_site.hpp writes it: file, address in it, and a symbol where the linker knows one."""
_UNKNOWN = "??"
_TIMEOUT_S = 60.0


def named(text: str) -> str:
    """Return a text with every call site in it named: ``make_table (table.c:17)``, or ``app+0x1234``."""
    addresses: dict[str, set[int]] = defaultdict(set)
    for site in _SITE.finditer(text):
        addresses[site["file"]].add(int(site["address"], 16))
    names = {file: _looked_up(file, sorted(places)) for file, places in addresses.items()}

    def name(site: re.Match[str]) -> str:
        place = f"{PurePath(site['file']).name}+0x{site['address']}"
        by_lines = names[site["file"]].get(int(site["address"], 16))
        if by_lines is not None:
            return by_lines
        return place if site["symbol"] is None else f"{site['symbol']} ({place})"

    return _SITE.sub(name, text)


def _looked_up(file: str, addresses: list[int]) -> dict[int, str]:
    """Return function and line of return addresses; of those that have none, nothing."""
    program = shutil.which("addr2line")
    if program is None:
        return {}
    # What returns to an address called from the instruction before it.
    asked = [f"{address - 1:#x}" for address in addresses]
    command = [program, "--functions", "--demangle", "--basenames", f"--exe={file}", *asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.splitlines()
    found = {}
    for address, function, place in zip(addresses, lines[::2], lines[1::2], strict=False):
        if function != _UNKNOWN and not place.startswith(_UNKNOWN):
            found[address] = f"{function} ({place.split(' ')[0]})".replace('"', "'").replace("\\", "/")
    return found
