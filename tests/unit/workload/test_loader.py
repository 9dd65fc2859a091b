"""Whatever is wrong with a workload file is one line, with file, line, column and key, and comes at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.cli import run
from memtool.errors import InputError, InputErrors
from memtool.workload.language.loader import load_workload

HEAD = "name: test\nallocations: 1k\n"
OBJECTS = HEAD + "objects:\n  - {size: 8, lifetime: 3}\n  - {size: %s, lifetime: 4}\n"
MEDIAN = OBJECTS % "{lognormal: {median: %s, sigma: 1}}"
MEDIAN_AT = "5:33: objects[1].size.lognormal.median: "
SIZE_AT = "5:12: objects[1].size"
PLAIN = OBJECTS % "16"
PATTERN = HEAD + "pattern: {%s}\n"
PROFILE = HEAD + "profile: {heap: %s, rows: %s}\n"


def complaint(tmp_path: Path, content: str | bytes) -> str:
    """Return the one line that loading gives, without the file's path."""
    path = tmp_path / "w.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        load_workload(path)
    words = str(caught.value)
    assert "\n" not in words
    assert len(words) < 400
    assert words.startswith(f"{path}:")
    return words[len(str(path)) + 1 :]


WRONG: dict[str, tuple[str | bytes, str]] = {
    # sizes and units
    "negative": (MEDIAN % "-3", MEDIAN_AT + "must be > 0, is -3"),
    "zero": (MEDIAN % "0", MEDIAN_AT + "must be > 0, is 0"),
    "a decimal unit": (MEDIAN % "4KB", MEDIAN_AT + "must be a size such as 64, 4KiB or 1.5MiB, is '4KB'"),
    "half a byte": (MEDIAN % "0.5B", MEDIAN_AT + "must be a whole number, is '0.5B'"),
    "2^60": (MEDIAN % 2**60, MEDIAN_AT + "must be at most 128 TiB, is 1152921504606846976"),
    "a fraction": (MEDIAN % "1.5", MEDIAN_AT + "must be a size such as 64 or 4KiB, is 1.5"),
    "a list": (MEDIAN % "[1]", MEDIAN_AT + "must be a size such as 64 or 4KiB, is a list"),
    "nothing": (MEDIAN % "", MEDIAN_AT + "must be a size such as 64 or 4KiB, is empty"),
    "true": (MEDIAN % "true", MEDIAN_AT + "must be a size such as 64 or 4KiB, is true"),
    "yes is a word": (MEDIAN % "yes", MEDIAN_AT + "must be a size such as 64, 4KiB or 1.5MiB, is 'yes'"),
    "5,000 digits": (
        MEDIAN % ("9" * 5000),
        MEDIAN_AT + "must be a size such as 64 or 4KiB, is '9999999999999999999999999999999999999...'",
    ),
    "count": (PLAIN.replace("1k", "1000.5"), "2:14: allocations: must be a count such as 1000 or 2M, is 1000.5"),
    "too many": (PLAIN.replace("1k", "3G"), "2:14: allocations: must be at most 2,147,483,648, is '3G'"),
    "a rate without its unit": (
        PLAIN + "arrivals: {poisson: {rate: 2M}}\n",
        "6:28: arrivals.poisson.rate: must be a rate such as 500k/s or 2M/s, is '2M'",
    ),
    "too many a second": (
        PLAIN + "arrivals: {constant: {rate: 5G/s}}\n",
        "6:29: arrivals.constant.rate: must be at most 1,000,000,000 a second, is '5G/s'",
    ),
    "a burst a minute": (
        PLAIN + "arrivals: {bursts: {rate: 1/s, size: 60}}\n",
        "6:38: arrivals.bursts.size: must be at most 5 seconds' worth (5), is 60",
    ),
    "two kinds of arrivals": (
        PLAIN + "arrivals: {constant: {rate: 1/s}, poisson: {rate: 1/s}}\n",
        "6:11: arrivals: must have only one kind of arrivals, has constant and poisson",
    ),
    "weight": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, weight: 0"),
        "5:37: objects[1].weight: must be > 0, is 0",
    ),
    "infinite weight": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, weight: 1e99999"),
        "5:37: objects[1].weight: must be a number, is inf",
    ),
    "a word as weight": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, weight: heavy"),
        "5:37: objects[1].weight: must be a number, is 'heavy'",
    ),
    "sigma": (
        (MEDIAN % "3").replace("sigma: 1", "sigma: 1000"),
        "5:43: objects[1].size.lognormal.sigma: must be between 0.001 and 20, is 1000",
    ),
    "alignment": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, alignment: 48"),
        "5:40: objects[1].alignment: must be a power of two, is 48",
    ),
    "large alignment": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, alignment: 4MiB"),
        "5:40: objects[1].alignment: must be at most 2.00 MiB, is '4MiB'",
    ),
    "zeroed": (
        PLAIN.replace("lifetime: 4", "lifetime: 4, zeroed: yes"),
        "5:37: objects[1].zeroed: must be true or false, is 'yes'",
    ),
    "seed": (PLAIN + "seed: x\n", "6:7: seed: must be a whole number, is 'x'"),
    "negative seed": (PLAIN + "seed: -1\n", "6:7: seed: must be >= 0, is -1"),
    "touch": (PLAIN + "touch: page\n", "6:8: touch: must be 'none', 'first', 'pages' or 'all', is 'page'"),
    # keys
    "misspelt": (
        (MEDIAN % "3").replace("sigma", "sgima"),
        "5:36: objects[1].size.lognormal.sgima: unknown key; did you mean 'sigma'?",
    ),
    "misspelt at the top": (
        PLAIN.replace("allocations", "alocations"),
        "2:1: alocations: unknown key; did you mean 'allocations'?",
    ),
    "underscore": (
        PATTERN % "random_victim: {live: 3, size: 8}",
        "3:11: pattern.random_victim: unknown key; did you mean 'random-victim'?",
    ),
    "a number as key": (PLAIN + "5: 3\n", "6:1: [5]: unknown key"),
    "a key of two lines": (PLAIN + '"a\\nb": 3\n', "6:1: 'a\\nb': unknown key"),
    "a list as key": (PLAIN + "[a]: 3\n", "6:1: has a key that is not a word or a number"),
    "merge": (PLAIN + "<<: {seed: 3}\n", "6:1: <<: unknown key"),
    "twice": (PLAIN + "name: again\n", "6:1: name: is there twice"),
    "missing name": (PLAIN.replace("name: test\n", ""), "1:1: name: is missing"),
    "missing lifetime": (
        PLAIN.replace("size: 8, lifetime: 3", "size: 8"),
        "4:5: objects[0].lifetime: is missing",
    ),
    "missing size": (PLAIN.replace("size: 8, ", ""), "4:5: objects[0].size: is missing"),
    "missing allocations": (PLAIN.replace("allocations: 1k\n", ""), "1:1: allocations: is missing"),
    # laws
    "forever as size": (OBJECTS % "forever", SIZE_AT + ": must be a size such as 64, 4KiB or 1.5MiB, is 'forever'"),
    "a control character": (OBJECTS % '"\\x1e"', SIZE_AT + ": must be a size such as 64 or 4KiB, is '\\x1e'"),
    "a key beyond 64 bits": (PLAIN + f"{2**70}: 3\n", f"6:1: {2**70}: unknown key"),
    "two laws": (
        OBJECTS % "{uniform: [1, 2], pareto: {minimum: 3, alpha: 1}}",
        SIZE_AT + ": must have only one law, has uniform and pareto",
    ),
    "no law": (
        OBJECTS % "{}",
        SIZE_AT
        + ": must have one law of constant, uniform, choice, histogram, cycle, exponential, lognormal, normal, pareto",
    ),
    "a law misspelt": (
        OBJECTS % "{unifrom: [1, 2]}",
        "5:13: objects[1].size.unifrom: unknown key; did you mean 'uniform'?",
    ),
    "high below low": (OBJECTS % "{uniform: [5, 2]}", "5:22: objects[1].size.uniform: must be [low, high], is [5, 2]"),
    "one bound": (OBJECTS % "{uniform: [5]}", "5:22: objects[1].size.uniform[1]: is missing"),
    "three bounds": (
        OBJECTS % "{uniform: [5, 6, 7]}",
        "5:22: objects[1].size.uniform: must have at most 2 entries, has 3",
    ),
    "max below min": (
        OBJECTS % "{normal: {mean: 5, deviation: 1, max: 3, min: 4}}",
        "5:58: objects[1].size.normal.min: must not be above max (3), is 4",
    ),
    "max below minimum": (
        OBJECTS % "{pareto: {minimum: 5, alpha: 1, max: 3}}",
        "5:31: objects[1].size.pareto.minimum: must not be above max (3), is 5",
    ),
    "a choice of nothing": (OBJECTS % "{choice: {}}", "5:21: objects[1].size.choice: must not be empty"),
    "the same value twice": (
        OBJECTS % "{choice: {4KiB: 1, 4096: 2}}",
        "5:21: objects[1].size.choice: names a value twice",
    ),
    "a wrong value": (
        OBJECTS % "{choice: {4KB: 1}}",
        "5:22: objects[1].size.choice.4KB: must be a size such as 64, 4KiB or 1.5MiB, is '4KB'",
    ),
    "a wrong weight": (OBJECTS % "{choice: {4: -2}}", "5:25: objects[1].size.choice[4]: must be > 0, is -2"),
    "a range": (
        OBJECTS % "{histogram: [[1, 2, 3], [5, 4, 1]]}",
        "5:36: objects[1].size.histogram[1]: must be [low, high, weight], is [5, 4, ...]",
    ),
    "matrix": (
        HEAD + "objects: [{matrix: {sizes: [1, 2], lifetimes: [1], weights: [[1], [1, 2]]}}]\n",
        "3:67: objects[0].matrix.weights[1]: must have 1 entries, one for each of lifetimes, has 2",
    ),
    "matrix of zeroes": (
        HEAD + "objects: [{matrix: {sizes: [1], lifetimes: [1], weights: [[0]]}}]\n",
        "3:58: objects[0].matrix.weights: must not all be 0",
    ),
    "matrix and size": (
        HEAD + "objects: [{matrix: {sizes: [1], lifetimes: [1], weights: [[1]]}, size: 3}]\n",
        "3:72: objects[0].size: must go: matrix has sizes and lifetimes",
    ),
    "resize for ever": (
        PLAIN.replace("lifetime: 4", "lifetime: forever, resize: {factor: 2}"),
        "5:43: objects[1].resize: needs a lifetime that ends, or when: at_birth",
    ),
    # sources, phases
    "no source": (HEAD, "1:1: must have a source of events: one of objects, pattern, profile"),
    "two sources": (
        PLAIN + "pattern: {ring: {live: 3, size: 3}}\n",
        "6:10: pattern: must go: objects is the source of events already",
    ),
    "no objects": (HEAD + "objects: []\n", "3:10: objects: must not be empty"),
    "objects as mapping": (HEAD + "objects: {}\n", "3:10: objects: must be a list, is a mapping"),
    "a number as object": (HEAD + "objects: [3]\n", "3:11: objects[0]: must be a mapping, is 3"),
    "frames alone": (
        "name: a\nframes: {count: 3, objects_per_frame: 3}\n",
        "2:9: frames: needs objects, what is allocated in a frame, and no other source of events",
    ),
    "lifetime in frames": (
        "name: a\nframes: {count: 3, objects_per_frame: 3}\nobjects: [{size: 5, lifetime: 3}]\n",
        "3:31: objects[0].lifetime: must go: objects die with their frame",
    ),
    "allocations and frames": (
        "name: a\nframes: {count: 3, objects_per_frame: 3}\nobjects: [{size: 5}]\nallocations: 3\n",
        "4:14: allocations: must go: they follow from frames",
    ),
    "sum of phases": (PLAIN + "phases: [{ramp: 20%}, {steady: 70%}]\n", "6:9: phases: must add up to 100%, are 90%"),
    "share without %": (
        PLAIN + "phases: [{ramp: 20}, {steady: 80%}]\n",
        "6:17: phases[0].ramp: must be a share such as 20%, is 20",
    ),
    "two phases in one": (
        PLAIN + "phases: [{ramp: 20%, steady: 80%}]\n",
        "6:10: phases[0]: must have only one phase, has ramp and steady",
    ),
    "a moment that is before itself": (
        (OBJECTS % "16").replace("lifetime: 4", "lifetime: {until: [60%, 50%]}"),
        "5:34: objects[1].lifetime.until: must be one moment, or [from, to]",
    ),
    "a mix of what there is not": (
        PLAIN + "phases: [{steady: 100%, mix: {body: 1}}]\n",
        "6:37: phases[0].mix.body: must name one class each: no class of objects is called 'body'",
    ),
    "a mix in a drain": (
        PLAIN + "phases: [{steady: 50%}, {drain: 50%, mix: {body: 1}}]\n",
        "6:43: phases[1].mix: must go: nothing is allocated in a drain",
    ),
    "drain only": (PLAIN + "phases: [{drain: 100%}]\n", "6:9: phases: must have a ramp or a steady one"),
    "phases of a pattern": (
        PATTERN % "ring: {live: 3, size: 3}" + "phases: [{steady: 100%}]\n",
        "4:9: phases: must go: only objects have phases",
    ),
    "sawtooth": (
        PATTERN % "sawtooth: {high: 3, low: 3, size: 3}",
        "3:36: pattern.sawtooth.low: must be below high (3), is 3",
    ),
    "skew": (
        PATTERN % "toggle: {slots: 3, skew: 20%, size: 3}",
        "3:36: pattern.toggle.skew: must be at least 50% and below 100%",
    ),
    "kept": (
        PATTERN % "buffer: {slots: 5, kept: 100%, size: 3}",
        "3:36: pattern.buffer.kept: must be below 100%",
    ),
    "retained size": (
        PATTERN % "exchange: {retained_size: 5, size: 3}",
        "3:37: pattern.exchange.retained_size: needs retained, the share of what is kept",
    ),
    "sweep": (
        PATTERN.replace("1k", "65537") % "sweep: {size: 3}",
        "2:14: allocations: must be at most 65,536 a thread: a sweep resizes a third of all objects each time",
    ),
    "order": (
        PATTERN % "ramp: {order: newest, size: 3}",
        "3:25: pattern.ramp.order: must be 'oldest', 'youngest', 'random' or 'both-ends', is 'newest'",
    ),
    "no marks": (PLAIN + "marks: {}\n", "6:8: marks: must not be empty"),
    "a mark at the end": (
        PLAIN + "marks: {warm: 100%}\n",
        "6:15: marks.warm: must be above 0% and below 100%, is '100%'",
    ),
    "a mark at the beginning": (PLAIN + "marks: {warm: 0}\n", "6:15: marks.warm: must be > 0, is 0"),
    "a mark in words": (
        PLAIN + "marks: {warm: soon}\n",
        "6:15: marks.warm: must be a share such as 20% or a count such as 1000 or 2M, is 'soon'",
    ),
    "a mark after the end": (
        PLAIN + "marks: {warm: 1001}\n",
        "6:15: marks.warm: must be at most 1,000, the number of allocations, is 1,001",
    ),
    "a mark after the last frame": (
        "name: a\nframes: {count: 3, objects_per_frame: 9}\nobjects: [{size: 5}]\nmarks: {warm: 4}\n",
        "4:15: marks.warm: must be at most 3, the number of frames, is 4",
    ),
    "a mark of a name that is taken": (
        PLAIN + "marks: {peak: 50%}\n",
        "6:15: marks.peak: must go: peak is a moment of every workload",
    ),
    "a name of a mark": (
        PLAIN + "marks: {burst over: 50%}\n",
        "6:9: marks.burst over: must be letters, digits, '.', '_' and '-', at most 64, is 'burst over'",
    ),
    "too many marks": (
        PLAIN + "marks: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7}\n",
        "6:8: marks: must have at most 6 entries, has 7",
    ),
    "a row of two": (PROFILE % ("1MiB", "[[4, 3]]"), "3:30: profile.rows[0][2]: is missing"),
    "a row of four": (
        PROFILE % ("1MiB", "[[4, 3, 2, 1]]"),
        "3:30: profile.rows[0]: must have at most 3 entries, has 4",
    ),
    "no row fits": (PROFILE % ("1KiB", "[[4KiB, 3, 2]]"), "3:29: profile.rows: has no row of at most 1024 bytes"),
    "too many objects": (
        PROFILE % ("100TiB", "[[4, 3, 2]]"),
        "3:17: profile.heap: would be 2.7e+13 live objects, more than 268,435,456",
    ),
    # not a workload at all
    "empty": ("", "1:1: is empty"),
    "a comment": ("  \n# nothing\n", "1:1: is empty"),
    "a scalar": ("42", "1:1: must be a mapping of keys, is 42"),
    "a list of things": ("[1, 2]", "1:1: must be a mapping of keys, is a list"),
    "two documents": ("a: 1\n---\nb: 2\n", "2:1: is not YAML: but found another document"),
    "syntax": ("a: [1,\nb: }", "2:4: is not YAML: did not find expected node content"),
    "tab": ("name:\n\t- a", "2:1: is not YAML: found character that cannot start any token"),
    "Latin-1": (b"name: a\ndescription: \xe9t\xe9\n", "2:14: is not UTF-8 text (byte 0xe9)"),
    "control character": ("name: a\n\x01", "2:1: is not YAML: a character that text cannot have"),
    "a Python object": (
        "name: !!python/object:os.system x\n",
        "1:7: name: has the tag !!python/object:os.system, which means nothing here",
    ),
    "name": ("name: a b\n", "1:7: name: must be letters, digits, '.', '_' and '-', at most 64, is 'a b'"),
    "name of two lines": (
        'name: "a\\nb"\n',
        "1:7: name: must be letters, digits, '.', '_' and '-', at most 64, is 'a\\nb'",
    ),
    "a number as name": ("name: 5\n", "1:7: name: must be text, is 5"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: str | bytes, words: str) -> None:
    assert complaint(tmp_path, content) == words


def test_all_errors_are_said_in_the_order_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = PLAIN.replace("1k", "many").replace("size: 16", "size: -1") + "touch: page\nxyz: 3\n"
    assert complaint(tmp_path, content) == "2:14: allocations: must be a count such as 1000, 200k or 2M, is 'many'"
    path = tmp_path / "w.yaml"
    assert run(["inspect", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"memtool: {path}:2:14: allocations: must be a count such as 1000, 200k or 2M, is 'many'",
        f"memtool: {path}:5:12: objects[1].size: must be >= 0, is -1",
        f"memtool: {path}:6:8: touch: must be 'none', 'first', 'pages' or 'all', is 'page'",
        f"memtool: {path}:7:1: xyz: unknown key",
    ]


FIVE_ERRORS: dict[str, tuple[str, list[str]]] = {
    "of values": (
        "name: a b\nallocations: 1.5\nseed: -1\npattern:\n  batches: {size: 4KB, batch: 3, order: eldest}\n",
        [
            "1:7: name: must be letters, digits, '.', '_' and '-', at most 64, is 'a b'",
            "2:14: allocations: must be a count such as 1000 or 2M, is 1.5",
            "3:7: seed: must be >= 0, is -1",
            "5:19: pattern.batches.size: must be a size such as 64, 4KiB or 1.5MiB, is '4KB'",
            "5:41: pattern.batches.order: must be 'oldest', 'youngest', 'random' or 'both-ends', is 'eldest'",
        ],
    ),
    "of what goes together": (
        "name: w\nallocations: 100\nrounds: 3\nphases: [{steady: 60%}, {drain: 30%}]\nmarks: {late: 200, peak: 10%}\n"
        "objects: [{size: 8, lifetime: 1, freed_by: other_thread}, {size: 8}]\n",
        [
            "3:9: rounds: must go: only patterns have rounds of threads",
            "4:9: phases: must add up to 100%, are 90%",
            "5:15: marks.late: must be at most 100, the number of allocations, is 200",
            "5:26: marks.peak: must go: peak is a moment of every workload",
            "6:44: objects[0].freed_by: needs threads",
            "6:59: objects[1].lifetime: is missing",
        ],
    ),
    "of frames": (
        "name: w\nthreads: 2\nallocations: 9\nframes: {count: 3, objects_per_frame: 4}\nphases: [{steady: 100%}]\n"
        "objects: [{size: 8, lifetime: 1}]\nmarks: {late: 4}\n",
        [
            "2:10: threads: must be 1: frames run on one thread",
            "3:14: allocations: must go: they follow from frames",
            "5:9: phases: must go: frames have none",
            "6:31: objects[0].lifetime: must go: objects die with their frame",
            "7:15: marks.late: must be at most 3, the number of frames, is 4",
        ],
    ),
    "of bounds": (
        "name: w\nallocations: 100\nobjects:\n"
        + 5 * "  - {size: 8, lifetime: forever, resize: {times: 2147483648, when: at_birth}}\n",
        [
            f"{line}:50: objects[{line - 4}].resize.times: would be 42,949,672,960 reallocations, more than 4,194,304"
            for line in range(4, 9)
        ],
    ),
}


@pytest.mark.parametrize(("content", "lines"), FIVE_ERRORS.values(), ids=FIVE_ERRORS.keys())
def test_five_errors_are_said_at_once(tmp_path: Path, content: str, lines: list[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(content)
    with pytest.raises(InputErrors) as caught:
        load_workload(path)
    assert [line.removeprefix(f"{path}:") for line in caught.value.lines] == lines


def test_of_very_many_errors_the_first_twenty_are_said(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(PLAIN + "".join(f"x{index}: 1\n" for index in range(50)))
    with pytest.raises(InputErrors) as caught:
        load_workload(path)
    assert len(caught.value.lines) == 21
    assert caught.value.lines[-1] == f"{path}: and 30 more errors"


def test_a_misspelt_key_is_not_called_missing(tmp_path: Path) -> None:
    content = PLAIN.replace("name: test\n", "") + "nmae: test\n"
    assert complaint(tmp_path, content) == "5:1: nmae: unknown key; did you mean 'name'?"


_LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
BOMBS: dict[str, tuple[str, str]] = {
    "nested aliases": (
        "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40_000)),
        "1002:16: has more than 1,000 aliases, which no workload needs",
    ),
    "10^5 nested aliases": (
        "a0: &a0 x\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100_000)),
        "1:1: is larger than 1 MiB, and no workload is that large",
    ),
    "aliases side by side": (
        "a: &a x\nb: [" + "*a," * 100_000 + "]",
        "2:3005: has more than 1,000 aliases, which no workload needs",
    ),
    "nested lists": ("a: " + "[" * 100_000, "1:1003: is not YAML: exceeded maximum nesting depth"),
    "nested mappings": ("".join(" " * i + "a:\n" for i in range(100)), "51:51: has more than 50 levels of nesting"),
    "a long list": ("a:\n" + "- 1\n" * 200_000, "49999:3: has more than 50,000 values, which no workload needs"),
    "an alias of itself": ("a: &a [*a]\n", "1:4: a[0][0]: grows without end through its aliases"),
    "a file of 2 MiB": ("#" * (2 << 20), "1:1: is larger than 1 MiB, and no workload is that large"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("content", "words"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_before_they_go_off(tmp_path: Path, content: str, words: str) -> None:
    assert complaint(tmp_path, content).startswith(words)


@pytest.mark.timeout(300)
def test_a_billion_laughs_are_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, _LAUGHS).endswith("grows without end through its aliases")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such/file.yaml", "/no/such/file.yaml: no such file"),
        ("/proc", "/proc: is a directory, not a workload"),
        ("/dev/zero", "/dev/zero:1:1: is larger than 1 MiB, and no workload is that large"),
    ],
)
def test_what_is_no_file_is_said(path: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_workload(path)
    assert str(caught.value) == words


def test_values_are_read_as_yaml_1_2_has_them(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "name: 'no'\ndescription: \"2026-11-24\"\nseed: 010\nallocations: 2M\n"
        "objects: [{name: yes, size: '1.5KiB', lifetime: 0100, weight: .5}]\n",
        encoding="utf-8-sig",
    )
    workload = load_workload(path)
    assert (workload.name, workload.seed, workload.allocations) == ("no", 10, 2_000_000)
    assert workload.objects is not None
    objects = workload.objects[0]
    assert objects.name == "yes"
    assert objects.size is not None
    assert objects.lifetime is not None
    assert (objects.size.constant, objects.lifetime.constant, float(objects.weight)) == (1536, 100, 0.5)


def test_a_few_aliases_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        HEAD + "objects:\n  - {size: &law {uniform: [8, 64]}, lifetime: 3}\n  - {size: *law, lifetime: 9}\n"
    )
    workload = load_workload(path)
    assert workload.objects is not None
    assert workload.objects[0].size == workload.objects[1].size
