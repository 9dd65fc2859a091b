"""Command lines of whole programs: names, shells, lists and scans of parameters, and what a run says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memtool.errors import InputError
from memtool.programs.program import (
    Program,
    described,
    named,
    program_from,
    refuse_impossible,
    scanned,
    spread,
    words_of,
)

SORT = Program(name="sort", command="sort")


@pytest.mark.parametrize(
    ("text", "name", "command"),
    [
        ("sort -n /etc/passwd", "sort -n /etc/passwd", "sort -n /etc/passwd"),
        ("numbers=sort -n", "numbers", "sort -n"),
        ("by-{key}=sort -k {key}", "by-{key}", "sort -k {key}"),
        # A variable of the shell's: there is no program named C or 3.
        ("LANG=C sort", "LANG=C sort", "LANG=C sort"),
        ("p=if true; then sort; fi", "p", "if true; then sort; fi"),
        ("A=3 B=4 sort", "A=3 B=4 sort", "A=3 B=4 sort"),
        ("/usr/bin/sort --reverse --numeric-sort --key=2 one two", "sort --reverse --numeric-sort --key=2 …", None),
    ],
)
def test_a_program_has_the_name_that_it_is_given_or_its_first_words(text: str, name: str, command: str | None) -> None:
    assert named(text) == (name, command or text)


@pytest.mark.parametrize(
    ("command", "shell", "words"),
    [
        ("sort -n 'a b'", "auto", ("sort", "-n", "a b")),
        ("sort < a", "auto", ("/bin/sh", "-c", "sort < a")),
        ("LANG=C sort", "auto", ("/bin/sh", "-c", "LANG=C sort")),
        ("exit 3", "auto", ("/bin/sh", "-c", "exit 3")),
        ("sort", "default", ("/bin/sh", "-c", "sort")),
        ("sort < a", "none", ("sort", "<", "a")),
        ("sort", "bash --norc", ("bash", "--norc", "-c", "sort")),
    ],
)
def test_a_shell_runs_what_needs_one(command: str, shell: str, words: tuple[str, ...]) -> None:
    assert words_of(command, shell) == words


@pytest.mark.parametrize(("command", "complaint"), [("", "is empty"), ("sort 'a", "'sort 'a': no closing quotation")])
def test_what_is_no_command_is_refused(command: str, complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        words_of(command, "none")
    assert refused.value.message.startswith(complaint)
    assert refused.value.field == "programs"


def test_parameters_make_a_program_of_each_combination_in_all_commands() -> None:
    program = replace(SORT, command="sort -k {key} --parallel {n}", prepare="make {n}", input="{key}.txt")
    spread_out = list(spread(program, {"n": ("1", "2"), "key": ("3",), "unused": ("x", "y")}))
    assert [(item.name, item.command, item.prepare, item.input) for item in spread_out] == [
        ("sort[n=1,key=3]", "sort -k 3 --parallel 1", "make 1", "3.txt"),
        ("sort[n=2,key=3]", "sort -k 3 --parallel 2", "make 2", "3.txt"),
    ]
    assert spread_out[1].parameters == (("n", "2"), ("key", "3"))
    assert [item.name for item in spread(replace(SORT, name="s{n}", command="sort {n}"), {"n": ("a", "b")})] == [
        "sa",
        "sb",
    ]
    assert list(spread(SORT, {})) == [SORT]


def test_a_scan_has_both_its_ends_and_its_digits() -> None:
    assert scanned("1", "4", None) == ("1", "2", "3", "4")
    assert scanned("0.3", "0.7", "0.2") == ("0.3", "0.5", "0.7")
    assert scanned("8", "9", "5") == ("8",)
    assert scanned("-1", "1", None) == ("-1", "0", "1")


@pytest.mark.parametrize(
    ("ends", "complaint"),
    [
        (("1", "x", None), "must be numbers, are 1, x"),
        (("2", "1", None), "must go up from 2 to 1 by more than 0"),
        (("1", "2", "0"), "must go up from 1 to 2 by more than 0"),
        (("nan", "2", None), "must go up from nan to 2 by more than 0"),
        (("0", "1000", None), "1,001 values; at most 1,000 are allowed"),
    ],
)
def test_a_scan_that_has_no_end_is_refused(ends: tuple[str, str, str | None], complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        scanned(*ends)
    assert refused.value.message == complaint


def test_a_run_says_what_is_not_as_usual_and_it_can_be_made_again() -> None:
    program = replace(
        SORT, command="sort | uniq", ignored_statuses=(1, 2), parameters=(("n", "2"),), warmup=3, time_limit=5.0
    )
    assert described(program) == {
        "name": "sort",
        "command": "sort | uniq",
        "run_by": "/bin/sh",
        "ignored_statuses": [1, 2],
        "parameters": [["n", "2"]],
        "warmup": 3,
    }
    assert program_from(described(program)) == replace(program, time_limit=600.0)
    assert program_from(described(replace(SORT, ignored_statuses=None))) == replace(SORT, ignored_statuses=None)


def test_two_programs_are_the_same_where_the_same_is_run_whatever_they_are_called() -> None:
    info = SORT.info
    assert (info.name, info.operations, info.peak_live_bytes) == ("sort", 0, 0)
    assert replace(SORT, name="other").info.event_hash == info.event_hash
    assert replace(SORT, time_limit=1.0).info.event_hash == info.event_hash
    for other in (replace(SORT, command="sort -n"), replace(SORT, input="a"), replace(SORT, expects_same_output=True)):
        assert other.info.event_hash != info.event_hash


def test_what_cannot_be_run_is_refused_beforehand() -> None:
    for program, complaint in (
        (replace(SORT, command="no-such-program-at-all"), "no-such-program-at-all: no such program"),
        (replace(SORT, input="/no/such/file"), "/no/such/file: no such file"),
        (replace(SORT, ready="8080"), "'8080': only a server becomes ready; give its load too"),
        (replace(SORT, prepare="make 'x"), "'make 'x': no closing quotation"),
    ):
        with pytest.raises(InputError) as refused:
            refuse_impossible(program)
        assert refused.value.message == complaint


def test_a_setup_may_make_what_is_not_there_yet() -> None:
    assert refuse_impossible(replace(SORT, command="./built-later", input="made-later", setup="make")) is None
