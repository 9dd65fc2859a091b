"""The published JSON Schema and the effective form say the same as the loader."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from memtool.kinds import FIRST
from memtool.kinds.work import json_schema as of_any_kind
from memtool.kinds.work import kind_of
from memtool.workload.language.loader import load_workload
from memtool.workload.language.schema import Workload, json_schema
from memtool.workload.trace import shipped

OF_EVENTS = [name for name, path in shipped().items() if kind_of(path) == FIRST]
OBJECT = {"size": 64, "lifetime": 10}


@cache
def events_validator() -> jsonschema.Draft202012Validator:
    """Return what validates workloads of events."""
    return jsonschema.Draft202012Validator(json_schema())


@cache
def any_kind_validator() -> jsonschema.Draft202012Validator:
    """Return what validates workloads of all kinds."""
    return jsonschema.Draft202012Validator(of_any_kind())


def as_json(content: object) -> object:
    """Return plain data with keys as JSON has them."""
    plain: object = json.loads(json.dumps(content))
    return plain


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", shipped())
def test_the_schema_accepts_every_shipped_workload(name: str) -> None:
    any_kind_validator().validate(as_json(yaml.safe_load(shipped()[name].read_text())))


@pytest.mark.parametrize("name", OF_EVENTS)
def test_the_effective_form_is_the_same_workload(name: str) -> None:
    effective = load_workload(shipped()[name]).effective()
    events_validator().validate(as_json(effective))
    again = Workload.model_validate(effective)
    assert again.effective() == effective


@pytest.mark.parametrize(
    "arrivals",
    [
        {"poisson": {"rate": "2M/s"}},
        {"constant": {"rate": "1.5k/s"}},
        {"bursts": {"rate": "9/s", "size": 3}},
        {"bursts": {"every": "16.7ms", "size": 3}},
    ],
)
def test_arrivals_are_written_as_they_are_read(arrivals: dict[str, Any]) -> None:
    content = {"name": "a", "allocations": 9, "objects": [OBJECT], "arrivals": arrivals}
    effective = Workload.model_validate(content).effective()
    events_validator().validate(content)
    events_validator().validate(as_json(effective))
    assert Workload.model_validate(effective).arrivals == Workload.model_validate(content).arrivals


def test_marks_are_written_as_they_are_read() -> None:
    content = {"name": "a", "allocations": 900, "objects": [OBJECT], "marks": {"b": "12.5%", "a": 8, "c": "0.8k"}}
    effective = Workload.model_validate(content).effective()
    events_validator().validate(content)
    events_validator().validate(as_json(effective))
    assert list(effective["marks"].items()) == [("b", "12.5%"), ("a", 8), ("c", 800)]
    assert Workload.model_validate(effective).moments == {"a": 8, "b": 112, "c": 800}


def test_every_default_is_written_out() -> None:
    workload = Workload.model_validate(
        {"name": "a", "allocations": "2M", "objects": [{"size": "4KiB", "lifetime": "forever"}]}
    )
    assert workload.effective() == {
        "name": "a",
        "description": "",
        "seed": 42,
        "threads": 1,
        "rounds": 1,
        "allocations": 2_000_000,
        "objects": [
            {
                "weight": 1,
                "size": 4096,
                "lifetime": "forever",
                "alignment": 16,
                "zeroed": False,
                "freed_by": "own_thread",
            }
        ],
        "phases": [{"steady": "100%"}],
        "touch": "pages",
    }


@pytest.mark.parametrize("size", [64, 0, "64", "4KiB", "1.5MiB", {"uniform": [0, "4KiB"]}, {"choice": {"4KiB": 1}}])
def test_short_forms_are_accepted(size: object) -> None:
    content = {"name": "a", "allocations": "2M", "objects": [{**OBJECT, "size": size}]}
    events_validator().validate(content)
    Workload.model_validate(content)


WRONG: dict[str, dict[str, Any]] = {
    "no source": {},
    "two sources": {"objects": [OBJECT], "pattern": {"ring": {"live": 3, "size": 3}}},
    "unknown key": {"objects": [OBJECT], "speed": 3},
    "size below 0": {"objects": [{**OBJECT, "size": -1}]},
    "a mean of 0": {"objects": [{**OBJECT, "size": {"exponential": {"mean": 0}}}]},
    "alignment of 0": {"objects": [{**OBJECT, "alignment": 0}]},
    "unit": {"objects": [{**OBJECT, "size": "4KB"}]},
    "two laws": {"objects": [{**OBJECT, "size": {"uniform": [1, 2], "pareto": {"minimum": 1, "alpha": 1}}}]},
    "no law": {"objects": [{**OBJECT, "size": {}}]},
    "forever as size": {"objects": [{**OBJECT, "size": "forever"}]},
    "share": {"objects": [OBJECT], "phases": [{"steady": 1}]},
    "two phases in one": {"objects": [OBJECT], "phases": [{"steady": "50%", "ramp": "50%"}]},
    "touch": {"objects": [OBJECT], "touch": "page"},
    "no marks": {"objects": [OBJECT], "marks": {}},
    "a mark of a bad name": {"objects": [OBJECT], "marks": {"a b": "20%"}},
    "a mark as a fraction": {"objects": [OBJECT], "marks": {"a": 0.2}},
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_the_schema_refuses_what_the_loader_refuses(content: dict[str, Any]) -> None:
    whole = {"name": "a", "allocations": 10, **content}
    assert not events_validator().is_valid(whole)
    with pytest.raises(ValueError, match="validation error"):
        Workload.model_validate(whole)


def properties(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return every property of a JSON Schema, and where it is."""
    if isinstance(node, list):
        return [entry for item in node for entry in properties(item, path)]
    if not isinstance(node, dict):
        return []
    own = [(f"{path}/{name}", schema) for name, schema in node.get("properties", {}).items()]
    return own + [
        entry for key, value in node.items() if key != "examples" for entry in properties(value, f"{path}/{key}")
    ]


def test_every_property_is_described_for_editors() -> None:
    result = properties(json_schema())
    assert len(result) > 500
    assert [path for path, schema in result if not schema.get("description")] == []


def test_what_editors_offer_is_allowed() -> None:
    whole = json_schema()
    offered = [(path, schema, value) for path, schema in properties(whole) for value in schema.get("examples", ())]
    assert len(offered) > 100
    validators: dict[int, jsonschema.Draft202012Validator] = {}
    for path, schema, value in offered:
        validator = validators.setdefault(
            id(schema), jsonschema.Draft202012Validator({**schema, "$defs": whole["$defs"]})
        )
        assert validator.is_valid(as_json(value)), f"{path}: {value}"


def offers(schema: Any, definitions: dict[str, Any]) -> bool:
    """Return whether an editor has something to offer for a value: an example, a word, a key, or true and false."""
    if isinstance(schema, list):
        return any(offers(item, definitions) for item in schema)
    if "$ref" in schema:
        return offers(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if {"examples", "enum", "const", "properties"} & schema.keys() or schema.get("type") == "boolean":
        return True
    return any(offers(schema[key], definitions) for key in ("anyOf", "oneOf", "allOf", "items") if key in schema)


def test_editors_have_something_to_offer_for_every_value_that_is_no_prose() -> None:
    whole = json_schema()
    missing = [path for path, schema in properties(whole) if not offers(schema, whole["$defs"])]
    assert {path.rpartition("/")[2] for path in missing} == {"description"}


def walked(value: Any, schema: Any, whole: dict[str, Any], path: str) -> list[tuple[str, str]]:
    """Return (path, description) of each key of a value, as an editor finds it by following the schema."""
    validator = jsonschema.Draft202012Validator
    if "$ref" in schema:
        return walked(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole, path)
    for key in ("anyOf", "oneOf"):
        fitting = [
            entry for entry in schema.get(key, ()) if validator({**entry, "$defs": whole["$defs"]}).is_valid(value)
        ]
        if "properties" not in schema and fitting:
            return walked(value, fitting[0], whole, path)
    if isinstance(value, list):
        return [entry for item in value for entry in walked(item, schema.get("items", {}), whole, f"{path}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    result = []
    for key, inner in value.items():
        own = schema["properties"][key]
        result += [(f"{path}.{key}", own.get("description", "")), *walked(inner, own, whole, f"{path}.{key}")]
    return result


def test_every_key_of_the_shipped_workloads_is_explained_where_an_editor_looks() -> None:
    whole = json_schema()
    seen: dict[str, str] = {}
    for name in OF_EVENTS:
        path = shipped()[name]
        if "/1GiB/" not in str(path):
            seen |= dict(walked(yaml.safe_load(path.read_text(encoding="utf-8")), whole, whole, ""))
        assert all(seen.values()), name
    assert len(seen) > 80
    assert seen[".objects[].size.lognormal.median"] == "Median of the distribution."
    assert seen[".pattern.exchange.freed"] == "Probability that a thread frees one of its objects after an allocation."
