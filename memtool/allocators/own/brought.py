"""Allocators that the user brings: a library with the interface of memtool.h, a class in Python, an entry point."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from memtool import files
from memtool.allocators.own.adoption import LIBRARY, PYTHON
from memtool.allocators.own.trial import try_apart
from memtool.allocators.parameters import Parameter, settle
from memtool.engine.abi import binding
from memtool.engine.adopted.binding import STRATEGY
from memtool.engine.loading import engine_path, package_folder
from memtool.errors import AllocatorError, InputError
from memtool.model import AllocatorPlan, AllocatorSpec, Call

GROUP = "memtool.allocators"
"""The entry points with which installed packages, memtool's own references included, bring allocators in Python."""
TRIAL_SECONDS = 30
DEFAULT_ALIGNMENT = 16

Source = tuple[str, ...]
"""("library", path) or ("python", file or module, class); see adoption.py."""
Request = tuple[Source, str, str, int]
"""Source, recipe (the adopted strategy and adaptors over it), parameters, alignment of the requests."""


def resolved(name: str) -> Path:
    """Return the absolute path of a file that the user names. Raises InputError where it does not exist."""
    try:
        files.is_there(Path(name))
    except InputError as problem:
        raise AllocatorError(f"{problem}") from None
    return Path(name).resolve()


def python_plan(spec: AllocatorSpec) -> AllocatorPlan:
    """Return the plan of ``mine.py:Heap``. Raises InputError."""
    file, _, name = spec.name.partition(":")
    path = resolved(file)
    if not path.is_file():
        raise AllocatorError(f"{spec.name}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    return adopted_plan(spec, (PYTHON, str(path), name))


def entry_points() -> dict[str, Source]:
    """Return the allocators that installed packages bring, by name."""
    installed = importlib.metadata.entry_points(group=GROUP)
    return {
        entry_point.name: (PYTHON, entry_point.module, entry_point.attr)
        for entry_point in sorted(installed, key=lambda entry_point: entry_point.name)
    }


def adopted_plan(spec: AllocatorSpec, source: Source) -> AllocatorPlan:
    """Return the plan of an allocator that a worker adopts. Raises InputError with one line about the fault."""
    (description,) = descriptions_of((_request(source),))
    if "error" in description:
        raise AllocatorError(f"{spec.name}: {description['error']}")
    described = description["description"]
    settled = settle(spec, [Parameter.from_engine(parameter) for parameter in described["parameters"]])
    parameters = ",".join(f"{name}={value}" for name, value in settled.items())
    if parameters:
        (description,) = descriptions_of((_request(source, parameters),))
    refusal = description.get("refusal") or description.get("error")
    if refusal is not None:
        raise AllocatorError(f"{spec.label}: {refusal}")
    return AllocatorPlan(
        spec=spec,
        strategy=STRATEGY,
        engine_parameters=parameters,
        family=source[0],
        # Only its author can know whether it is deterministic.
        exact=False,
        uses_region=bool(described["uses_region"]),
        free_order=str(described["free_order"]),
        thread_safe=bool(described["thread_safe"]),
        call=Call("pointer", "sized", "any" if described["thread_safe"] else "one"),
        adopted=source,
        files=tuple(description["files"]),
    )


def adopted_limits(source: Source) -> Callable[[str, str, int], tuple[int | None, int | None]]:
    """Return a function for an adopted allocator, and adaptors over it, that works like binding.limits()."""

    def limits(strategy: str, parameters: str, alignment: int) -> tuple[int | None, int | None]:
        (description,) = descriptions_of(((source, strategy, parameters, alignment),))
        _refuse_error(source, description)
        if "cannot_stand" in description:
            raise binding.CannotStand(description["cannot_stand"])
        size, largest_alignment = description["limits"]
        return size, largest_alignment

    return limits


def adopted_refusal(source: Source) -> Callable[[str, str], str | None]:
    """Return a function that explains why a recipe over an adopted allocator cannot have these parameters, or None."""

    def refusal(strategy: str, parameters: str) -> str | None:
        (description,) = descriptions_of(((source, strategy, parameters, DEFAULT_ALIGNMENT),))
        _refuse_error(source, description)
        words: str | None = description["refusal"]
        return words

    return refusal


def _refuse_error(source: Source, description: Mapping[str, Any]) -> None:
    """Raise InputError if code that could be loaded before no longer can."""
    if "limits" not in description and "cannot_stand" not in description:
        raise AllocatorError(f"{source[1]}: {description.get('error', 'is no longer the kind of library that it was')}")


def has_interface(library: Path) -> bool:
    """Return whether a library defines memtool_get_allocator; false if it cannot be loaded."""
    try:
        (description,) = descriptions_of((_request((LIBRARY, str(library))),))
    except InputError:
        return False
    return "none" not in description and not description.get("error", "").startswith(str(library))


def described(sources: Sequence[Source]) -> list[Mapping[str, Any]]:
    """Return adoption.py's results for each source with its defaults; one that ends the process affects no other."""
    try:
        return descriptions_of(tuple(_request(source) for source in sources))
    except InputError:
        return [_described_alone(source) for source in sources]


def _described_alone(source: Source) -> Mapping[str, Any]:
    try:
        return descriptions_of((_request(source),))[0]
    except InputError as problem:
        return {"error": problem.message}


def _request(source: Source, parameters: str = "") -> Request:
    return source, STRATEGY, parameters, DEFAULT_ALIGNMENT


@cache
def descriptions_of(requests: Sequence[Request]) -> list[Mapping[str, Any]]:
    """Return adoption.py's results for each request, from a separate process. Raises InputError."""
    package = Path(package_folder())
    request_document = json.dumps({"path": [folder for folder in sys.path if folder], "requests": requests})
    where = ", ".join(dict.fromkeys(source[1] for source, *_ in requests))
    script = str(package / "allocators/own/adoption.py")
    try:
        ended = try_apart(
            [sys.executable, "-I", "-S", script, str(package.parent), engine_path()],
            request=request_document.encode(),
            seconds=TRIAL_SECONDS,
        )
    except TimeoutError:
        raise AllocatorError(f"{where}: a process that loads it does not answer within {TRIAL_SECONDS} s") from None
    if ended.status != 0 or not ended.answer:
        raise AllocatorError(f"{where}: a process that loads it {ended.ending}")
    try:
        answers: list[Mapping[str, Any]] = json.loads(ended.answer)
    except ValueError:
        raise AllocatorError(
            f"{where}: a process that loads it gives an answer that does not fit the question"
        ) from None
    return answers
