"""Allocators written in Python: their interface, their memory, and how they are found and described.

An allocator is a class with ``allocate`` and ``deallocate``; docs/your-own-allocator.md has one to copy, and
memtool/allocators/reference has more. Blocks are identified by their offsets from the region's base.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import mmap
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Protocol

from memtool.allocators.parameters import Parameter
from memtool.errors import did_you_mean

__all__ = ["Interpreted", "Parameter", "Region", "align_up", "describe", "last_line", "limits_of", "load"]

NEEDED = ("allocate", "deallocate")
_TEXTS = ("source", "complexity", "when")
_FREE_ORDERS = ("any", "lifo", "fifo", "reset")
_HUGE_PAGE = 2 << 20


def align_up(value: int, alignment: int) -> int:
    """Return the next multiple of a power of two."""
    return value + alignment - 1 & -alignment


class Region:
    """The memory under a heap: one reservation, from which memory is taken in ascending order of addresses."""

    def __init__(
        self,
        memory: memoryview,
        base: int,
        *,
        take: Callable[[int], object] = lambda count: None,
        give_back: Callable[[int], object] = lambda count: None,
    ) -> None:
        """``memory``: writable bytes at address ``base``; ``take`` and ``give_back`` learn of growth and shrinkage."""
        self.memory = memory
        """All bytes of the reservation: ``region.memory[offset]``, or struct.pack_into(..., region.memory, offset)."""
        self.base = base
        """Address of the first byte: a block is aligned if base + offset is."""
        self.capacity = len(memory)
        self.used = 0
        """Number of bytes taken: the footprint."""
        self._take = take
        self._give_back = give_back

    @classmethod
    def anonymous(cls, capacity: int, base_modulo_2mib: int = 0) -> Region:
        """Map fresh memory, for tests; its base has this remainder modulo 2 MiB."""
        mapped = mmap.mmap(-1, capacity + 2 * _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        skip = (base_modulo_2mib - address) % _HUGE_PAGE
        return cls(memoryview(mapped)[skip : skip + capacity], address + skip)

    def grow(self, count: int) -> int | None:
        """Take the next ``count`` bytes and return the offset of the first; None: the region is exhausted."""
        if count > self.capacity - self.used:
            return None
        first = self.used
        self.used += count
        self._take(count)
        return first

    def shrink(self, count: int) -> None:
        """Return the last ``count`` bytes to the system."""
        self.used -= count
        self._give_back(count)


class Interpreted(Protocol):
    """The interface of allocators in Python.

    Further methods are optional, and emulated as a program would: ``reallocate(offset, old_size, new_size,
    alignment)``, ``allocate_zeroed(size, alignment)``, ``mark()`` and ``release(marker)``, ``usable_size(offset,
    size)``, ``stats()`` (a dictionary of the figures that it has), ``walk()`` (offset, bytes, "used" | "free" |
    "metadata"), and ``check()`` (which raises an exception with an explanation). The class may have ``summary``,
    ``source``, ``complexity``, ``when``, ``free_order`` ("any", "lifo", "fifo", "reset"), ``parameters``, which are
    keyword arguments of the constructor, and ``limits(**parameters)``, which returns the largest size and alignment
    that it serves.
    """

    def allocate(self, size: int, alignment: int) -> int | None:
        """Return the offset of a new block, or None when memory is exhausted."""

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        """Free a block; size and alignment are those of its request."""


class LoadError(Exception):
    """A class cannot be loaded; the message says in one line where and why."""


def last_line(problem: BaseException) -> str:
    """Return the last line of an exception's traceback."""
    return traceback.format_exception_only(problem)[-1].strip()


def load(where: str, name: str = "") -> type[Any]:
    """Return a class from a file (``mine.py``) or a module (``package.module``).

    Without a name it is the only class there that could be an allocator. Raises LoadError.
    """
    module = _file(Path(where)) if where.endswith(".py") else _module(where)
    classes = {key: value for key, value in vars(module).items() if isinstance(value, type)}
    if not name:
        able = [key for key, cls in classes.items() if cls.__module__ == module.__name__ and not _lacking(cls)]
        if len(able) != 1:
            has = f"it has {', '.join(able)}" if able else "it has no class with allocate and deallocate"
            raise LoadError(f"which class is meant? {has}; write {Path(where).name}:{able[0] if able else 'Heap'}")
        name = able[0]
    if name not in classes:
        raise LoadError(f"has no class '{name}'{did_you_mean(name, classes)}")
    lacking = _lacking(classes[name])
    if lacking:
        raise LoadError(f"class {name} lacks {', '.join(lacking)}")
    return classes[name]


def _lacking(cls: type[Any]) -> list[str]:
    return [method for method in NEEDED if not callable(getattr(cls, method, None))]


class _AsItStands(SourceFileLoader):
    """Compiles the file anew: what Python has kept may be of another text of the same size and second."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _file(path: Path) -> ModuleType:
    # As for a script, files in the same folder can be imported.
    sys.path.insert(0, str(path.parent))
    loader = _AsItStands(path.stem, str(path))
    spec = importlib.util.spec_from_loader(path.stem, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickle look up their module
    try:
        loader.exec_module(module)
    except SyntaxError as problem:
        raise LoadError(f"line {problem.lineno}: {last_line(problem)}") from None
    except BaseException as problem:  # a file may call sys.exit
        lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
        raise LoadError(f"line {lines[-1]}: {last_line(problem)}" if lines else last_line(problem)) from None
    return module


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as problem:
        raise LoadError(f"{name} cannot be imported: {last_line(problem)}") from None


def describe(cls: type[Any]) -> dict[str, Any]:
    """Return the description of a class, in the form in which the engine describes strategies. Raises LoadError."""
    free_order = getattr(cls, "free_order", "any")
    if free_order not in _FREE_ORDERS:
        raise LoadError(f"free_order must be one of {', '.join(_FREE_ORDERS)}, is {free_order!r}")
    summary = getattr(cls, "summary", None) or next(iter((cls.__doc__ or "").strip().splitlines()), "")
    return {
        "name": cls.__name__,
        "family": "python",
        "summary": summary,
        **{text: str(getattr(cls, text, "")) for text in _TEXTS},
        "parameters": [_parameter(parameter) for parameter in getattr(cls, "parameters", ())],
        "free_order": free_order,
        "uses_region": True,
        "is_control": False,
    }


def _parameter(parameter: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever the user's class holds
    if not isinstance(parameter, Parameter) or parameter.default is None:
        raise LoadError(f"parameters must be Parameter(name, summary, default='...'), one is {parameter!r}")
    try:
        canonical = parameter.canonical(parameter.default)
    except ValueError as problem:
        raise LoadError(f"parameter {parameter.name}: its default {problem}") from None
    return {
        "name": parameter.name,
        "summary": parameter.summary,
        "default": parameter.choices.index(canonical) if parameter.choices else int(canonical),
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "unit": "choice" if parameter.choices else parameter.unit,
        "choices": list(parameter.choices),
    }


def limits_of(cls: type[Any], settings: Mapping[str, int | str]) -> tuple[int | None, int | None]:
    """Return (largest size, largest alignment) in bytes that a class serves with these parameters; None: no limit."""
    if not hasattr(cls, "limits"):
        return None, None
    size, alignment = cls.limits(**settings)
    return size, alignment


def settings_of(described: Mapping[str, Any], values: Iterator[int]) -> dict[str, int | str]:
    """Return a described allocator's parameters by name, with words for choices, from their values in order."""
    return {
        str(parameter["name"]): parameter["choices"][value] if parameter["choices"] else value
        for parameter, value in zip(described["parameters"], values, strict=True)
    }
