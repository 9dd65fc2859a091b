"""A malloc replacement that the user brings: ``-a ./libmine.so``."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path

from memtool.allocators.system import why_not_preloadable
from memtool.engine import binding
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec

NEEDED = ("malloc", "free", "calloc", "realloc", "aligned_alloc", "malloc_usable_size")
"""What a replay calls. A library that leaves one out would be handed blocks of the C library's."""
_PROBE_SECONDS = 10
_PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
from memtool.engine import binding
binding.load_library(sys.argv[2])
for symbol in sys.argv[3:]:
    print((binding.symbol_owner(symbol) or ("",))[0])
"""


def library_plan(spec: AllocatorSpec) -> AllocatorPlan:
    """Return the plan of a malloc replacement. Raises InputError that says what a file lacks to be one."""
    path = Path(spec.name).resolve()
    if spec.parameters:
        raise InputError(f"-a: {spec.label}: a library takes no parameters")
    if not path.is_file():
        raise InputError(f"-a: {spec.name}: no such file")
    reason = why_not_preloadable(path) or _why_no_replacement(path)
    if reason is not None:
        raise InputError(f"-a: {spec.name}: {reason}")
    return AllocatorPlan(
        spec=spec,
        strategy="malloc",
        engine_parameters="",
        preload=(str(path),),
        expected_owner=path.name,
        family="library",
        exact=False,
        uses_region=False,
    )


@cache
def _why_no_replacement(library: Path) -> str | None:
    """Return why a library does not serve malloc in a process that preloads it; None when it does.

    Asked in a process of its own: a library runs code while it is loaded, some cannot be loaded later than at
    the start (static thread-local storage), and the dynamic linker alone knows whose symbol wins.
    """
    package_root = Path(str(files("memtool"))).parent
    command = [sys.executable, "-I", "-S", "-c", _PROBE, str(package_root), binding.library_path(), *NEEDED]
    environment = {"PATH": os.defpath, "LC_ALL": "C", "LD_PRELOAD": str(library)}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"a process that preloads it does not answer within {_PROBE_SECONDS} s"
    refused = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ld.so:")]
    if refused:
        return f"cannot be preloaded{refused[0].rpartition('cannot be preloaded')[2]}".removesuffix(": ignored.")
    if ended.returncode != 0:
        return f"a process that preloads it fails ({_ending(ended)})"
    owners = dict(zip(NEEDED, ended.stdout.splitlines(), strict=True))
    foreign = [symbol for symbol, owner in owners.items() if Path(owner).resolve() != library]
    if foreign == list(NEEDED):
        return f"is no malloc replacement: it defines none of {', '.join(NEEDED)}"
    return f"does not define {', '.join(foreign)}" if foreign else None


def _ending(ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode < 0:
        return f"signal {-ended.returncode}"
    last = ended.stderr.strip().splitlines()[-1:]
    return last[0] if last else f"status {ended.returncode}"
