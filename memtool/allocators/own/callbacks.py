"""Puts a class in Python behind the table of memtool.h, so that the engine replays it in every pass like any other.

Each operation is then a call from the engine into the interpreter, which takes longer than the strategy itself.
"""

from __future__ import annotations

import ctypes
import traceback
from collections.abc import Callable
from typing import Any

from memtool.allocators.interpreted import Region, describe, last_line, limits_of, settings_of
from memtool.engine.adopted import binding as abi

_OPTIONAL = ("allocate_zeroed", "reallocate", "usable_size", "stats", "walk", "check")


class Callbacks:
    """The functions that the engine calls for one class. A heap is made and destroyed for each replay.

    An exception of the class, or an offset outside its region, ends the replay: from then on memory is exhausted, and
    ``failure`` says why.
    """

    def __init__(self, cls: type[Any]) -> None:
        """``cls``: the class, which adopt() passes to the engine."""
        self.failure: str | None = None
        self._class = cls
        self._described = describe(cls)
        self._heap: Any = None
        self._region: Region | None = None
        self._base = 0
        self._markers: list[Any] = []

    def adopt(self) -> None:
        """Make the class the engine's adopted strategy. Raises EngineError."""
        names = ["create", "destroy", "allocate", "deallocate", "limits"]
        names += [name for name in _OPTIONAL if hasattr(self._class, name)]
        if hasattr(self._class, "mark") and hasattr(self._class, "release"):
            names += ["mark", "release"]
        described = self._described
        parameters = [_parameter(parameter) for parameter in described["parameters"]]
        texts = {name: described[name].encode() for name in ("name", "summary", "source", "complexity", "when")}
        table = abi.Allocator(
            abi=abi.ABI,
            struct_bytes=ctypes.sizeof(abi.Allocator),
            free_order=abi.FREE_ORDERS.index(described["free_order"]),
            parameters=(abi.Parameter * len(parameters))(*parameters),
            parameter_count=len(parameters),
            **texts,
            **{name: abi.FUNCTIONS[name](self._guarded(name)) for name in names},
        )
        abi.adopt_table(table)

    def _guarded(self, name: str) -> Callable[..., Any]:
        """Return a method that never raises, because ctypes would print the exception and continue."""
        method = getattr(self, f"_{name}")
        on_failure = None if abi.FUNCTIONS[name]._restype_ is None else 0

        def call(*arguments: Any) -> Any:  # noqa: ANN401
            if self.failure is not None and name not in ("create", "destroy"):
                return on_failure
            try:
                return method(*arguments)
            except BaseException as problem:
                self._fail(problem)
                return on_failure

        return call

    def _fail(self, problem: BaseException) -> None:
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        where = "" if frame.filename == __file__ else f" ({frame.filename}:{frame.lineno}, in {frame.name})"
        self.failure = last_line(problem) + where

    def _create(self, region: Any, values: Any, message: int) -> int:  # noqa: ANN401  # ctypes pointers
        self.failure = None
        of = region.contents
        memory = memoryview((ctypes.c_ubyte * of.capacity).from_address(of.base)).cast("B")
        self._base = of.base
        self._markers.clear()
        self._region = Region(
            memory,
            of.base,
            take=lambda count: of.grow(region, count),
            give_back=lambda count: of.shrink(region, count),
        )
        try:
            self._heap = self._class(self._region, **self._settings(values))
        except ValueError as problem:
            _say(message, str(problem))  # as in C: inconsistent values
            return 0
        return 1

    def _settings(self, values: Any) -> dict[str, int | str]:  # noqa: ANN401
        return settings_of(self._described, (values[index] for index in range(len(self._described["parameters"]))))

    def _destroy(self, _: int) -> None:
        self._heap = self._region = None

    def _limits(self, values: Any, largest_size: Any, largest_alignment: Any) -> None:  # noqa: ANN401
        size, alignment = limits_of(self._class, self._settings(values))
        if size is not None:
            largest_size[0] = size
        if alignment is not None:
            largest_alignment[0] = alignment

    def _address(self, offset: int | None, call: str, size: int) -> int | None:
        """Return the address of a block, after a check that it is in the region, because it will be written to."""
        if offset is None:
            return None
        assert self._region is not None
        if not isinstance(offset, int):
            raise TypeError(f"{call} returned {offset!r}: neither an offset nor None")
        if not (offset >= 0 and offset + size <= self._region.used):
            raise ValueError(f"{call} returned {offset}, outside the {self._region.used} bytes taken of its region")
        return self._base + offset

    def _allocate(self, _: int, size: int, alignment: int) -> int | None:
        return self._address(self._heap.allocate(size, alignment), f"allocate({size}, {alignment})", size)

    def _allocate_zeroed(self, _: int, size: int, alignment: int) -> int | None:
        offset = self._heap.allocate_zeroed(size, alignment)
        return self._address(offset, f"allocate_zeroed({size}, {alignment})", size)

    def _deallocate(self, _: int, block: int, size: int, alignment: int) -> None:
        self._heap.deallocate(block - self._base, size, alignment)

    def _reallocate(self, _: int, block: int, old_size: int, new_size: int, alignment: int) -> int | None:
        offset = block - self._base
        moved = self._heap.reallocate(offset, old_size, new_size, alignment)
        return self._address(moved, f"reallocate({offset}, {old_size}, {new_size}, {alignment})", new_size)

    def _mark(self, _: int) -> int:
        self._markers.append(self._heap.mark())
        return len(self._markers) - 1

    def _release(self, _: int, marker: int) -> None:
        marker_address = self._markers[marker]
        del self._markers[marker:]
        self._heap.release(marker_address)

    def _usable_size(self, _: int, block: int, size: int) -> int:
        return int(self._heap.usable_size(block - self._base, size))

    def _stats(self, _: int, stats: Any) -> None:  # noqa: ANN401
        for name, figure in self._heap.stats().items():
            if figure is not None:
                setattr(stats.contents, name, figure)

    def _walk(self, _: int, visit: Any, context: int) -> None:  # noqa: ANN401
        for offset, count, state in self._heap.walk():
            visit(self._base + offset, count, abi.STATES.index(state), context)

    def _check(self, _: int, message: int) -> int:
        try:
            self._heap.check()
        except Exception as problem:
            _say(message, str(problem) or last_line(problem))
            return 1
        return 0


def _say(message: int, words: str) -> None:
    line = " ".join(words.split()).encode()[: abi.MESSAGE_BYTES - 1] + b"\0"
    ctypes.memmove(message, line, len(line))


def _parameter(described: dict[str, Any]) -> abi.Parameter:
    return abi.Parameter(
        name=described["name"].encode(),
        summary=described["summary"].encode(),
        default_value=described["default"],
        minimum=described["minimum"],
        maximum=2**64 - 1 if described["maximum"] is None else described["maximum"],
        unit=described["unit"].encode(),
        choices="|".join(described["choices"]).encode() if described["choices"] else None,
    )
