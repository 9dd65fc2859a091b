"""Says which library defines a symbol: a process of its own, for libraries that nobody has vouched for.

``python -I -S library_probe.py LIBRARY SYMBOL ... FD`` opens a library and writes to the descriptor FD, as a list in
JSON, for each symbol the file that defines it, or "". Without a library ("") it is what serves the symbol in this very
process, in which a library may have been preloaded. What a library prints when it is loaded is no part of the answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys


class _SymbolInfo(ctypes.Structure):
    """Dl_info of <dlfcn.h>."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def definer(scope: ctypes.CDLL, symbol: str) -> str:
    """Return the file that defines a symbol as seen from ``scope``; "" where nothing does."""
    info = _SymbolInfo()
    # A library's dependencies are searched too, so being found says little: the address says who defines it.
    if not hasattr(scope, symbol):
        return ""
    address = ctypes.cast(getattr(scope, symbol), ctypes.c_void_p)
    is_known = ctypes.CDLL(None).dladdr(address, ctypes.byref(info))
    return os.fsdecode(info.file) if is_known else ""


if __name__ == "__main__":
    _library, *_symbols, _descriptor = sys.argv[1:]
    _scope = ctypes.CDLL(_library or None)
    _answer = json.dumps([definer(_scope, symbol) for symbol in _symbols])
    os.write(int(_descriptor), _answer.encode())
