"""MiniMalloc's CSV."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.errors import InputError
from memtool.model import Mode
from memtool.workload.importers.known import importer_of
from memtool.workload.importers.minimalloc import IMPORTER, Buffer, load, read
from memtool.workload.trace import load_trace
from tests.events import ALLOCATE, DEALLOCATE, decode, in_words
from verification.packing import CAPACITY, INSTANCES, LOADS

# At 2 and at 4 one buffer ends where another begins.
COLUMNS = (
    "must have the columns id (or buffer, buffer_id), lower (begin, start), upper (end) and size, in any order; or, "
    "with a call on each line, kind, address (or object) and size"
)
FOUR = "id,lower,upper,size\na,0,4,100\nb,2,6,50\nc,4,8,70\nd,0,2,10\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "buffers.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_buffers_are_read_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "id,lower,upper,size\n0,5,9,64\nb1, 0 ,3,0\n\n")
    assert read(path) == [Buffer("0", 5, 9, 64), Buffer("b1", 0, 3, 0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f":1: {COLUMNS}; is ''"),
        ("id,first,last,size\n", f":1: {COLUMNS}; is 'id,first,last,size'"),
        ("id,lower,upper,size,begin\n", ":1: has two columns for lower; is 'id,lower,upper,size,begin'"),
        ("id,lower,upper,size,end\n", ":1: has two columns for upper; is 'id,lower,upper,size,end'"),
        ("id,start,end,size\n0,3,2,8\n", ":2: end: must be at least the beginning (3), is 2"),
        (
            "id,lower,upper,size,alignment\n0,1,2,8,24\n",
            ":2: alignment: must be a power of two up to 2.00 MiB, is 24",
        ),
        (
            "alignment,id,lower,upper,size\n4194304,0,1,2,8\n",
            ":2: alignment: must be a power of two up to 2.00 MiB, is 4194304",
        ),
        ("id,lower,upper,size\n0,1,2\n", ":2: must have 4 columns, has 3"),
        ("id,lower,upper,size\n0,1,2,3\n1,2,2,3\n", ":3: upper: must be above lower (2), is 2"),
        (
            "id,lower,upper,size\n0,1,2,-3\n",
            ":2: size: must be a whole number from 0 to 2^58 - 1, is '-3'",
        ),
        ("id,lower,upper,size\n0,1,,3\n", ":2: upper: must be a whole number from 0 to 2^58 - 1, is ''"),
        (f"id,lower,upper,size\n0,1,2,{1 << 48}\n", f":2: size: must be at most 128 TiB, is {1 << 48}"),
        (
            f"id,lower,upper,size\n0,1,2,{1 << 58}\n",
            f":2: size: must be a whole number from 0 to 2^58 - 1, is '{1 << 58}'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as problem:
        read(path)
    assert str(problem.value) == f"{path}{words}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            b"id,lower,upper,size\n\xff,1,2,3\n0,1,2,\xff\n",
            ":3: size: must be a whole number from 0 to 2^58 - 1, is '\ufffd'",
        ),
        (b'id,lower,upper,size\n0,1,2,"3\n4"\n', ":3: size: must be a whole number from 0 to 2^58 - 1, is '3\\n4'"),
        (
            b"id,lower,upper,size\n0,1,2," + 5000 * b"9",
            f":2: size: must be a whole number from 0 to 2^58 - 1, is '{37 * '9'}...'",
        ),
        (b"id,lower,upper,size\n" + 200_000 * b"a", ":2: is not CSV: field larger than field limit (131072)"),
        (b"\x7fELF\x02\x01\x00", f":1: {COLUMNS}; is '\\x7fELF\\x02\\x01\\x00'"),
    ],
    ids=["not UTF-8", "two lines", "5,000 digits", "a long field", "a program"],
)
def test_any_bytes_are_refused_in_one_short_line(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "buffers.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as problem:
        read(path)
    assert str(problem.value) == f"{path}{words}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_a_trace_allocates_at_lower_and_frees_at_upper(tmp_path: Path) -> None:
    imported = load(written(tmp_path, FOUR))
    events = list(decode(imported.records))
    assert in_words(events) == "A0 A1 F1 A2 F0 A3 F2 F3"
    assert [size for kind, _, size, _ in events if kind == ALLOCATE] == [100, 10, 50, 70]
    assert (imported.name, imported.allocations, imported.notes) == ("buffers", 4, ())


@pytest.mark.parametrize(
    "text",
    [
        "buffer,begin,upper,size\na,0,4,100\nb,2,6,50\n",
        "buffer_id,start,end,size\na,0,3,100\nb,2,5,50\n",
        "size, upper ,id,lower\n100,4,a,0\n50,6,b,2\n",
        "\ufeffid,lower,upper,size\na,0,4,100\nb,2,6,50\n",
        "name,id,lower,upper,size\nx,a,0,4,100\ny,b,2,6,50\n",
    ],
    ids=["begin", "end is the last moment", "another order", "a byte-order mark", "one column more"],
)
def test_other_names_and_orders_of_columns_are_the_same_buffers(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    assert read(path) == [Buffer("a", 0, 4, 100), Buffer("b", 2, 6, 50)]
    assert importer_of(path.rename(tmp_path / "trace.txt")) is IMPORTER


def test_alignments_are_asked_for_and_what_says_nothing_about_a_trace_is_named(tmp_path: Path) -> None:
    rows = "id,lower,upper,size,offset,alignment,hint,gaps\na,0,4,100,0,64,-1,1-2\nb,2,6,50,128,1,-1,\n"
    imported = load(written(tmp_path, rows))
    assert [(size, align) for kind, _, size, align in decode(imported.records) if kind == ALLOCATE] == [
        (100, 6),
        (50, 4),
    ]
    assert imported.notes == (
        "the column offset is passed over: allocators place buffers as they do",
        "the column hint is passed over: allocators place buffers as they do",
        "the column gaps is passed over: a buffer stays allocated from its beginning to its end",
    )


def test_buffers_of_nothing_are_requests_too(tmp_path: Path) -> None:
    imported = load(written(tmp_path, "id,lower,upper,size\na,0,4,0\nb,1,2,8\nc,1,9,0\n"))
    assert in_words(decode(imported.records)) == "A0 A1 A2 F1 F0 F2"
    assert [size for kind, _, size, _ in decode(imported.records) if kind == ALLOCATE] == [0, 8, 0]
    assert imported.notes == ()
    with pytest.raises(InputError, match=r"buffers\.csv: has no buffers of at least 1 byte$"):
        load(written(tmp_path, "id,lower,upper,size\na,0,4,0\n"))


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.integers(1, 100)), min_size=1, max_size=30)


@settings(deadline=None)
@given(SPANS)
def test_buffers_are_alive_together_exactly_when_their_spans_meet(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "spans.csv"
    rows = [f"{number},{lower},{lower + length},{size}" for number, (lower, length, size) in enumerate(spans)]
    path.write_text("\n".join(["id,lower,upper,size", *rows]), encoding="utf-8")
    born = [spans[index] for index in sorted(range(len(spans)), key=lambda index: spans[index][0])]
    together, live = set[tuple[int, int]](), set[int]()
    for kind, thing, size, _ in decode(load(path).records):
        if kind == DEALLOCATE:
            live.remove(thing)
            continue
        assert size == born[thing][2]
        together |= {(other, thing) for other in live}
        live.add(thing)
    assert not live
    assert together == {
        (a, b)
        for b in range(len(born))
        for a in range(b)
        if born[a][0] < born[b][0] + born[b][1] and born[b][0] < born[a][0] + born[a][1]
    }


def test_the_figures_of_a_trace(tmp_path: Path) -> None:
    path = written(tmp_path, FOUR)
    with load_trace(str(path), seed=7) as trace:
        info = trace.info
    assert (info.name, info.source, info.seed, info.touch, info.lanes) == ("buffers", str(path), 0, "pages", 1)
    assert (info.operations, info.epilogue_operations, info.allocations, info.slots) == (8, 0, 4, 2)
    assert (info.peak_live_bytes, info.peak_live_objects, info.total_bytes) == (150, 2, 230)
    with load_trace(str(path), mode=Mode.PARALLEL) as trace:
        assert (trace.info.event_hash, trace.info.lanes) == (info.event_hash, 1)


def test_a_trace_has_its_own_threads(tmp_path: Path) -> None:
    path = written(tmp_path, FOUR)
    with pytest.raises(InputError) as problem:
        load_trace(str(path), threads=2)
    assert str(problem.value) == f"{path}: with threads 2: a trace has its own threads"


def test_a_file_is_known_by_its_content_and_else_by_its_name(tmp_path: Path) -> None:
    result = {}
    for name, text in {
        "trace.txt": FOUR,
        "spaced": "id, lower, upper, size\r\n",
        "other.csv": "id,start,end,size\n",
        "workload.yaml": "name: a\n",
        "empty": "",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        result[name] = importer_of(tmp_path / name)
    assert result == {
        "trace.txt": IMPORTER,
        "spaced": IMPORTER,
        "other.csv": IMPORTER,
        "workload.yaml": None,
        "empty": None,
    }
    assert importer_of(tmp_path) is importer_of(tmp_path / "none.csv") is None


@pytest.mark.parametrize(
    ("file", "name"), [("A.1048576.csv", "A.1048576"), ("my buffers (2).csv", "my-buffers-2-"), ("._.csv", "buffers")]
)
def test_a_trace_is_called_as_its_file_in_the_letters_of_names(file: str, name: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(FOUR, encoding="utf-8")
    assert load(tmp_path / file).name == name


@pytest.mark.parametrize(("name", "published"), LOADS.items())
def test_the_loads_of_the_published_instances_are_peaks_of_live_bytes(name: str, published: int) -> None:
    path = INSTANCES / f"{name}.{CAPACITY}.csv"
    if not path.is_file():
        pytest.skip("the published instances are not here")
    with load_trace(str(path)) as trace:
        assert trace.info.peak_live_bytes == published
