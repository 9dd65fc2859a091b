"""``memtool schema``: what it prints is a schema, and the shipped workloads keep to it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from jsonschema.protocols import Validator

from memtool.cli import run
from memtool.kinds.work import json_schema
from memtool.workload.trace import shipped


@pytest.fixture(params=["workload", "run", "compare", "limits", "history"])
def schema(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> object:
    assert run(["schema", request.param]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_is_a_schema(schema: object) -> None:
    assert isinstance(schema, dict)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def undescribed(part: object) -> list[str]:
    if isinstance(part, list):
        return [name for item in part for name in undescribed(item)]
    if not isinstance(part, dict):
        return []
    properties = part.get("properties")
    own = properties if isinstance(properties, dict) else {}
    bare = [key for key, item in own.items() if isinstance(item, dict) and "description" not in item]
    return bare + [name for item in part.values() for name in undescribed(item)]


def test_every_property_says_what_it_is(schema: object) -> None:
    assert undescribed(schema) == []


@pytest.fixture(scope="module")
def published() -> Validator:
    """Return a validator of workloads: made once, for that is most of what it takes."""
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("path", shipped().values(), ids=shipped().keys())
def test_every_shipped_workload_keeps_to_it(path: Path, published: Validator) -> None:
    published.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_a_workload_with_a_wrong_key_does_not(published: Validator) -> None:
    assert not published.is_valid({"name": "w", "allocation": 10, "pattern": {"ramp": {"size": 8}}})


def test_a_run_without_cells_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "run"]) == 0
    published = json.loads(capsys.readouterr().out)
    assert not jsonschema.Draft202012Validator(published).is_valid({"schema": "memtool.run.v1"})
