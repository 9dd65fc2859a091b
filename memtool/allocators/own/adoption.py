"""Loads an allocator that the user brings into this process; run as a file, tries this in a separate process.

A *source* is ("library", path) or ("python", file or module, class). ``python -I -S adoption.py ROOT ENGINE FD`` reads
{"path", "requests": [[source, recipe, parameters, alignment], ...]} as JSON and writes a list of the results to the
descriptor FD: {"description", "refusal", "files", "limits" or "cannot_stand"}, {"error"}, or {"none"} for a library of
another kind. "files" are the origins of the code, including the user's own modules and libraries. memtool itself never
runs untrusted code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# Not from typing, because a worker imports this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from memtool.allocators.own.callbacks import Callbacks

LIBRARY, PYTHON = "library", "python"
_TRIAL_BYTES = 64 << 20


def adopt(source: Sequence[str]) -> Callbacks | None:
    """Make the source's allocator the engine's adopted strategy; return the object that calls it, if it is in Python.

    Raises EngineError or LoadError with one line.
    """
    if source[0] == LIBRARY:
        from memtool.engine.adopted import binding as adopted_binding

        adopted_binding.adopt_library(source[1])
        return None
    return adopt_class(source)


def adopt_class(source: Sequence[str]) -> Callbacks:
    """Make a class in Python the engine's adopted strategy; return the object that calls it. Raises LoadError."""
    import site

    from memtool.allocators.interpreted import load
    from memtool.allocators.own.callbacks import Callbacks
    from memtool.allocators.own.code_files import ignore_modules

    # A worker starts without the installed packages, but a class in Python may need them.
    site.main()
    ignore_modules()
    callbacks = Callbacks(load(source[1], source[2]))
    callbacks.adopt()
    return callbacks


def _describe(source: Sequence[str], recipe: str, parameters: str, alignment: int) -> dict[str, Any]:
    from memtool.allocators.interpreted import LoadError
    from memtool.allocators.own.code_files import code_files
    from memtool.engine.abi import binding
    from memtool.engine.adopted import binding as adopted_binding
    from memtool.engine.loading import EngineError

    try:
        callbacks = adopt(source)
    except adopted_binding.NoAllocatorError:
        return {"none": True}
    except (EngineError, LoadError) as problem:
        return {"error": str(problem)}
    description = adopted_binding.describe_adopted()
    answer: dict[str, Any] = {"description": description, "refusal": None, "files": sorted(code_files())}
    try:
        answer["limits"] = binding.limits(recipe, parameters, alignment)
        binding.Heap(recipe, parameters, _TRIAL_BYTES).close()
    except binding.CannotStand as problem:
        answer["cannot_stand"] = str(problem)
    except EngineError as problem:
        answer["refusal"] = str(problem)
    if callbacks is not None and callbacks.failure is not None:
        answer["refusal"] = callbacks.failure
    return answer


def main() -> None:
    """Answer the requests on standard input."""
    import json

    package_root, engine, answers = sys.argv[1:]
    sys.path.insert(0, package_root)
    from memtool.engine.loading import load_library

    load_library(engine)
    request_document = json.load(sys.stdin)
    sys.path += [folder for folder in request_document["path"] if folder not in sys.path]
    descriptions = [_describe(*request) for request in request_document["requests"]]
    for description in descriptions:
        description["files"] = [path for path in description.get("files", ()) if path != os.path.realpath(engine)]
    with os.fdopen(int(answers), "w") as out:
        json.dump(descriptions, out)
    # A library may have left threads or handlers behind.
    os._exit(0)


if __name__ == "__main__":
    main()
