"""The engine library: its path, the check that it was built from these sources, and its functions.

Each wing declares its own functions. A worker imports this module under ``python -I -S`` and starts within
milliseconds, so only modules that ctypes itself needs are imported here.
"""

from __future__ import annotations

import ctypes
import os

# As in worker/child.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

ABI_VERSION = 9
DONE, OUT_OF_MEMORY, WRONG, BAD_REQUEST = range(4)
NOT_APPLICABLE = 2**64 - 1
MESSAGE_BYTES = 400
MAP_NORESERVE = 0x4000
"""Linux, x86-64 and aarch64; Python's mmap module does not name it."""
LIBRARY_NAME = "libmemtool_engine.so"
LEAN_NAME = "memtool-lean"


class EngineError(Exception):
    """The engine library is absent, does not fit this package, or refuses a request. One line."""


def engine_path() -> str:
    """Return the path of the engine library. ``MEMTOOL_ENGINE`` names another build of it. Raises EngineError."""
    chosen = os.environ.get("MEMTOOL_ENGINE")
    if chosen:
        if not os.path.exists(chosen):
            raise EngineError(f"MEMTOOL_ENGINE names {chosen}, which does not exist")
        return os.path.abspath(chosen)
    # Not __file__: an editable install keeps the library elsewhere than the sources.
    from importlib.resources import files

    resource = files("memtool.engine").joinpath(LIBRARY_NAME)
    if not resource.is_file():
        raise EngineError(f"the engine library {LIBRARY_NAME} is not built: run `make native`, or `pip install .`")
    return str(resource)


def lean_path() -> str:
    """Return the path of the program in which memory is measured (worker/lean.cpp). Raises EngineError."""
    from importlib.resources import files

    resource = files("memtool.engine").joinpath(LEAN_NAME)
    if not resource.is_file():
        raise EngineError(f"the program {LEAN_NAME} is not built: run `make native`, or `pip install .`")
    return str(resource)


def package_folder() -> str:
    """Return the folder of memtool's Python sources.

    It is found by a file in it: an editable install has the package in two places, here and where the library was
    built.
    """
    from importlib.resources import files

    return os.path.dirname(str(files("memtool").joinpath("__init__.py")))


_loaded: list[ctypes.CDLL] = []


def load_library(path: str | None = None) -> ctypes.CDLL:
    """Return the engine library, loaded and declared once in a process. Raises EngineError with one line.

    The first call decides which build it is: the one at ``path``, or the one that engine_path() finds.
    """
    if not _loaded:
        path = path or engine_path()
        try:
            library = ctypes.CDLL(path)
        except OSError as problem:
            raise EngineError(f"the engine library cannot be loaded: {problem}") from None
        declare(
            library,
            {
                "memtool_abi_version": (ctypes.c_uint32, []),
                "memtool_source_hash": (ctypes.c_char_p, []),
                "memtool_compiler": (ctypes.c_char_p, []),
            },
        )
        if library.memtool_abi_version() != ABI_VERSION:
            raise EngineError(f"{path} has another ABI version than this package: run `make native`")
        _loaded.append(library)
    return _loaded[0]


def declare(library: ctypes.CDLL, signatures: dict[str, tuple[object, list[object]]]) -> None:
    """Declare functions of the library by name. Raises EngineError for a missing one."""
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise EngineError(f"the engine library has no {name}: run `make native`") from None
        function.restype = result
        function.argtypes = arguments


class Handle:
    """An object of the engine, which is closed with the block in which it is used."""

    def __init__(self, library: ctypes.CDLL, close: str, handle: int | None, problem: str) -> None:
        """``close``: the function that closes it. Raises EngineError with the problem where there is no handle."""
        self._library = library
        self._close = getattr(library, close)
        self._handle = handle
        if not handle:
            raise EngineError(problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the memory that the engine holds for it."""
        self._close(self._handle)
        self._handle = None


def refuse_stale() -> None:
    """Raise EngineError if the library was not built from the C++ sources next to this package.

    A library that MEMTOOL_ENGINE names is not checked.
    """
    folder = package_folder()
    # An installed package has memtool.h, and none of the sources.
    installed = not os.path.isfile(os.path.join(folder, "engine", "abi", "capi.cpp"))
    if installed or os.environ.get("MEMTOOL_ENGINE"):
        return
    import hashlib

    # As in CMakeLists.txt: the hash of all files' hashes, in order of their paths.
    hashes = []
    for path in sorted(_sources(folder)):
        with open(path, "rb") as file:
            hashes.append(hashlib.sha256(file.read()).hexdigest() + "\n")
    if hashlib.sha256("".join(hashes).encode()).hexdigest() != source_hash():
        raise EngineError("the engine library was built from other sources than these: run `make native`")


def _sources(folder: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in names if name.endswith((".cpp", ".hpp", ".h", ".c")))


def compiler() -> str:
    """Return the compiler of the engine, with its flags: ``GCC 12.2.0 -O2``.

    Instruction counts are comparable if it is the same.
    """
    return str(load_library().memtool_compiler().decode())


def source_hash() -> str:
    """Return the hash of the sources from which the loaded library was built."""
    return str(load_library().memtool_source_hash().decode())
