"""Calls as several tools write them: ``malloc(32) = 0x55d0``. What they put before and around them is their own."""

from __future__ import annotations

import re

from memtool.workload.importers.calls import Calls

CALL = re.compile(rb"([A-Za-z_][\w.:]*)\(([^()]*)\)\s*(?:=\s*(\S+))?")
"""Name, arguments, result."""
_NOTHING = (b"(nil)", b"nil", b"null")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]+|\d+")
_ALLOCATIONS = ("malloc", "valloc", "pvalloc", "__builtin_new", "__builtin_vec_new")
_FREES = ("free", "cfree", "free_sized", "free_aligned_sized", "__builtin_delete", "__builtin_vec_delete")
_ALIGNED = ("memalign", "aligned_alloc", "posix_memalign")
NAMES = rb"malloc|calloc|realloc|reallocarray|free|memalign|aligned_alloc|posix_memalign|p?valloc|_Zn[wa]\w+|_Zd[la]\w+"


def numbers(text: bytes) -> list[int]:
    """Return the numbers in a list of arguments, decimal or hexadecimal; (nil) and null are 0."""
    words = (0 if part.strip().lower() in _NOTHING else _NUMBER.search(part) for part in text.split(b","))
    return [word if isinstance(word, int) else int(word[0], 0) for word in words if word is not None]


def note(calls: Calls, thread: int, name: str, arguments: bytes, result: bytes | None, time: int = 0) -> bool:
    """Note a call; return whether it is one of a malloc. Errors of numbers say that it cannot be read."""
    values = numbers(arguments)
    made = _address(result)
    bare = name.partition("@")[0]
    if bare in _ALLOCATIONS or bare.startswith(("_Znw", "_Zna")):
        size = values[0]
        alignment = values[1] if "St11align_val_t" in bare and len(values) > 1 else 0
        calls.allocate(thread, made, size, alignment, time=time)
    elif bare == "calloc":
        calls.allocate(thread, made, values[0] * values[1], zeroed=True, time=time)
    elif bare == "realloc":
        calls.reallocate(thread, values[0], made, values[1], time)
    elif bare == "reallocarray":
        calls.reallocate(thread, values[0], made, values[1] * values[2], time)
    elif bare in _ALIGNED:
        calls.allocate(thread, made, values[-1], values[-2], time=time)
    elif bare in _FREES or bare.startswith(("_ZdlPv", "_ZdaPv")):
        calls.free(thread, values[0], time)
    else:
        return False
    calls.counts[bare] += 1
    return True


def _address(result: bytes | None) -> int:
    """Return the address of a result; 0 where there is none, or it was refused."""
    match = _NUMBER.match(result) if result is not None else None
    return int(match[0], 0) if match is not None else 0
