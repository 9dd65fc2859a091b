"""Names of the call sites in a heap's report, from binutils' addr2line where it is installed."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePath

from memtool.host.symbols import places_of

_SITE = re.compile(r"\[(?P<file>/[^\]\"]*?)\+0x(?P<address>[0-9a-f]+)(?: (?P<symbol>[^\] ]+))?\]")
"""In the form of allocators/support/books/call_site.hpp: file, address in it, and a symbol if the linker knows one."""


def named(text: str) -> str:
    """Return a text with the name of every call site in it: ``make_table (table.c:17)``, or ``app+0x1234``."""
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
    """Return function and line of return addresses; those without either are left out."""
    return {
        address: f"{function} ({line})".replace('"', "'").replace("\\", "/")
        for address, (function, line) in places_of(file, addresses).items()
        if line is not None
    }
