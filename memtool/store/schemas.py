"""The JSON Schemas of all files that memtool reads and writes."""

from __future__ import annotations

import importlib
from typing import Any

from memtool.errors import refuse_unknown

_MODULES = {
    "workload": "memtool.kinds.work",
    "run": "memtool.store.run_file",
    "compare": "memtool.store.compare_file",
    "history": "memtool.store.history_file",
    "limits": "memtool.store.limits_file",
    "series": "memtool.store.series",
}


def json_schema(what: str) -> dict[str, Any]:
    """Return the JSON Schema of a ``workload``, a ``run``, a ``compare``, ``limits``, ``series`` or a ``history``.

    Raises InputError for any other name.
    """
    refuse_unknown(what, _MODULES, "schema", "what")
    module = importlib.import_module(_MODULES[what])
    schema: dict[str, Any] = module.json_schema()
    return schema
