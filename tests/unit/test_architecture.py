"""docs/architecture.md follows one key of a workload to one cell of a table: what it names is there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

STEPS = re.findall(r"^\| (\d+) \| `([^`]+)` \| `([^`]+)` \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)


def test_a_key_takes_at_most_ten_steps_to_its_cell() -> None:
    assert [int(number) for number, _, _ in STEPS] == list(range(1, len(STEPS) + 1))
    assert 5 < len(STEPS) <= 10


@pytest.mark.parametrize(("file", "function"), [(file, function) for _, file, function in STEPS])
def test_each_step_is_a_function_of_its_file(file: str, function: str) -> None:
    text = (ROOT / file).read_text()
    definition = rf"^ *def {function}\(" if file.endswith(".py") else rf"^[ \w:<>*&\[\],]*\b{function}\([^;]*$"
    assert re.search(definition, text, re.MULTILINE), f"{file} defines no {function}"
