"""Workload files that something has happened to: they load, or they are refused in one line; nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.errors import InputError
from memtool.workload.language.loader import load_workload
from memtool.workload.language.program import compile_workload

WHOLE: list[dict[str, Any]] = [
    {
        "name": "mix",
        "description": "All that objects can have.",
        "seed": 7,
        "allocations": "1k",
        "objects": [
            {"name": "a", "size": {"lognormal": {"median": 64, "sigma": 1, "max": "4KiB"}}, "lifetime": 5},
            {"size": {"choice": {"4KiB": 5, 16: 1}}, "lifetime": {"pareto": {"minimum": 10, "alpha": 1.2}}},
            {"size": {"histogram": [[1, 8, 2], [9, 16, 1]]}, "lifetime": "forever", "zeroed": True, "weight": 0.5},
            {"size": {"normal": {"mean": 9, "deviation": 2}}, "lifetime": {"exponential": {"mean": 9, "min": 2}}},
            {"matrix": {"sizes": [8, {"uniform": [1, 9]}], "lifetimes": [1, 5], "weights": [[1, 0], [2, 3]]}},
            {"size": 8, "lifetime": 9, "alignment": 64, "resize": {"share": "50%", "factor": 1.5, "times": 2}},
        ],
        "phases": [{"ramp": "20%"}, {"steady": "60%"}, {"drain": "20%"}],
        "touch": "all",
        "memory_limit": "1MiB",
        "marks": {"warm": "20%", "late": 900},
    },
    {"name": "pattern", "allocations": 99, "pattern": {"toggle": {"slots": 9, "skew": "80%", "size": 8}}},
    {
        "name": "sawtooth",
        "allocations": 99,
        "pattern": {"sawtooth": {"high": 9, "low": 2, "size": 8, "order": "random"}},
    },
    {"name": "profile", "allocations": 99, "profile": {"heap": "64KiB", "rows": [[8, 1.5, 2], ["1KiB", 3, 0.1]]}},
    {
        "name": "frames",
        "frames": {"count": 9, "objects_per_frame": 3, "scopes": {"per_frame": 1, "objects": 2, "depth": 2}},
        "objects": [{"size": 8}],
    },
]
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["4KiB", "4KB", "2M", "20%", "100%", "0%", "forever", "1e999", "0x10", "1_000", "[", "&a", "*a", "<<"]
    ),
    st.lists(st.integers(-1, 9), max_size=3),
    st.dictionaries(st.sampled_from(["uniform", "mean", "size", "x", ""]), st.integers(-1, 9), max_size=2),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where something can be changed."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path] * bool(path) + [place for key, value in inner for place in places(value, (*path, key))]


def changed(content: Any, path: tuple[Any, ...], how: str, junk: Any) -> Any:
    """Return a copy of plain data with the value at ``path`` replaced, removed, or given a neighbour."""
    if isinstance(content, dict):
        copy = dict(content)
    elif isinstance(content, list):
        copy = dict(enumerate(content))
    if len(path) > 1:
        copy[path[0]] = changed(content[path[0]], path[1:], how, junk)
    elif how == "remove":
        del copy[path[0]]
    elif how == "replace":
        copy[path[0]] = junk
    else:
        copy[junk if isinstance(content, dict) and isinstance(junk, (str, int)) else "x"] = content[path[0]]
    return copy if isinstance(content, dict) else list(copy.values())


@st.composite
def damaged(draw: st.DrawFn) -> str:
    content: Any = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(content)))
        content = changed(content, place, draw(st.sampled_from(["replace", "remove", "add"])), draw(JUNK))
    return yaml.safe_dump(content, default_flow_style=draw(st.booleans()), allow_unicode=True, sort_keys=False)


def load(text: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(text)
        try:
            workload = load_workload(file.name)
        except InputError as problem:
            words = str(problem)
            assert words.startswith(f"{file.name}:")
            assert len(words.splitlines()) == 1
            assert len(words) < 500
            for jargon in (b"pydantic", b"Input should", b"Value error", b"NoneType"):
                assert jargon in text or jargon not in words.encode()
        else:
            compile_workload(workload, workload.seed)


@settings(max_examples=400)
@given(damaged())
def test_damaged_workloads_load_or_are_refused_in_one_line(text: str) -> None:
    load(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_line(text: bytes) -> None:
    load(text)


@settings(max_examples=200)
@given(st.text(alphabet="[]{}:,-&*!|>'\"%@#?\n\t ab1", max_size=60))
def test_any_yaml_is_refused_in_one_line(text: str) -> None:
    load(text.encode())
