"""Reports which library defines a symbol, in a separate process, because the libraries are not trusted.

``python -I -S library_probe.py LIBRARY SYMBOL ... FD`` opens a library and writes a JSON list to the descriptor FD: for
each symbol the file that defines it, or "". Without a library ("") it reports the library that serves the symbol in
this process, into which one may have been preloaded. Output of the library itself is not part of the answer.
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
    """Return the file that defines a symbol as seen from ``scope``; "" if nothing does."""
    info = _SymbolInfo()
    # The search includes a library's dependencies, so only the address shows which of them defines a symbol.
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
