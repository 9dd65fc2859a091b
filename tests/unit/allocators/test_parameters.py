"""What can be set, and the one line for what cannot."""

from __future__ import annotations

import pytest

from memtool.allocators.parameters import Parameter, settle
from memtool.errors import InputError
from memtool.model import AllocatorSpec

BLOCK = Parameter("block", "bytes of a block", "64", 8, 1 << 20, "bytes")
GROW = Parameter("grow", "bytes of a step", "64KiB", 4096, None, "bytes")
COUNT = Parameter("count", "blocks", "2", 0, 5000)
DECAY = Parameter("decay", "delay", None, -1, 10_000, "ms")
FIT = Parameter("fit", "which hole", "first", unit="choice", choices=("first", "next", "best"))


@pytest.mark.parametrize(
    ("parameter", "text", "canonical"),
    [
        (BLOCK, "64", "64"),
        (BLOCK, "4KiB", "4096"),
        (BLOCK, "8", "8"),
        (BLOCK, "1MiB", "1048576"),
        (GROW, "1TiB", "1099511627776"),
        (COUNT, "2k", "2000"),
        (COUNT, "0", "0"),
        (DECAY, "-1", "-1"),
        (DECAY, "10k", "10000"),
        (FIT, "best", "best"),
    ],
)
def test_values_are_read_as_people_write_them(parameter: Parameter, text: str, canonical: str) -> None:
    assert parameter.canonical(text) == canonical


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (BLOCK, "7", "must be from 8 to 1MiB, is 7"),
        (BLOCK, "2MiB", "must be from 8 to 1MiB, is 2MiB"),
        (BLOCK, "-8", "must be a size such as 64, 4KiB or 1.5MiB, is '-8'; allowed is from 8 to 1MiB"),
        (BLOCK, "big", "must be a size such as 64, 4KiB or 1.5MiB, is 'big'; allowed is from 8 to 1MiB"),
        (BLOCK, "1.5", "must be a whole number, is '1.5'; allowed is from 8 to 1MiB"),
        (GROW, "1KiB", "must be at least 4KiB, is 1KiB"),
        (COUNT, "4KiB", "must be a count such as 1000, 200k or 2M, is '4KiB'; allowed is from 0 to 5000"),
        (DECAY, "-2", "must be from -1 to 10000, is -2"),
        (DECAY, "--1", "must be a count such as 1000, 200k or 2M, is '-1'; allowed is from -1 to 10000"),
        (FIT, "frist", "must be first, next or best, is 'frist'"),
    ],
)
def test_a_wrong_value_names_what_is_allowed(parameter: Parameter, text: str, message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        parameter.canonical(text)
    assert str(caught.value) == message


def test_a_parameter_as_the_engine_describes_it() -> None:
    described = {
        "name": "grow",
        "summary": "bytes of a step",
        "default": 65536,
        "minimum": 4096,
        "maximum": None,
        "unit": "bytes",
        "choices": [],
    }
    assert Parameter.from_engine(described) == GROW


def test_the_default_of_a_choice_is_its_word_not_its_number() -> None:
    described = {
        "name": "fit",
        "summary": "which hole",
        "default": 2,
        "minimum": 0,
        "maximum": None,
        "unit": "choice",
        "choices": ["first", "next", "best"],
    }
    assert Parameter.from_engine(described).default == "best"


def test_settled_values_keep_the_order_given() -> None:
    spec = AllocatorSpec("pool", (("grow", "4KiB"), ("block", "16")))
    assert list(settle(spec, (BLOCK, GROW)).items()) == [("grow", "4096"), ("block", "16")]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ((BLOCK, FIT), "pool:blok=1: pool has no parameter 'blok', only block (8 to 1MiB), "
         "fit (first, next or best); did you mean 'block'?"),
        ((GROW,), "pool:blok=1: pool has no parameter 'blok', only grow (at least 4KiB)"),
        ((), "pool:blok=1: pool has no parameters"),
    ],
)  # fmt: skip
def test_an_unknown_parameter_names_those_that_there_are(known: tuple[Parameter, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        settle(AllocatorSpec("pool", (("blok", "1"),)), known)
    assert caught.value.message == message


def test_a_value_out_of_range_names_allocator_parameter_and_range() -> None:
    with pytest.raises(InputError) as caught:
        settle(AllocatorSpec("pool", (("block", "4"),)), (BLOCK,))
    assert str(caught.value) == "allocators: pool:block=4: block: must be from 8 to 1MiB, is 4"
