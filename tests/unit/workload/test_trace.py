"""Traces: their figures, their hash, and the memory that holds their image."""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from memtool.engine.generate import binding as generator_binding
from memtool.errors import InputError, MemtoolError
from memtool.host.cgroup import Allowance
from memtool.model import Mark, Mode
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending
from memtool.workload.trace import find_workload, load_trace, make_trace
from tests.events import workload_of

LIFO = {"allocations": 30, "pattern": {"lifo": {"batch": 3, "size": 100, "alignment": 64}}}
QUEUE = {"allocations": 30, "pattern": {"fifo": {"live": 3, "size": 100}}}


def descriptors() -> set[str]:
    """Return what is open in this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_the_figures_of_a_trace() -> None:
    with make_trace(generated(workload_of({**LIFO, "touch": "all", "memory_limit": "1MiB"}), 7), "w.yaml") as made:
        info = made.info
    assert (info.name, info.source, info.seed, info.touch, info.memory_limit) == ("test", "w.yaml", 7, "all", 1 << 20)
    assert (info.operations, info.epilogue_operations, info.allocations, info.reallocations) == (60, 0, 30, 0)
    assert (info.peak_live_bytes, info.peak_live_objects, info.slots, info.total_bytes) == (300, 3, 3, 3000)
    assert (info.smallest_size, info.largest_size, info.largest_alignment) == (100, 100, 64)
    assert info.first_not_lifo is None
    assert info.first_not_fifo == 3
    assert info.threads == 1


def test_requests_of_0_bytes_count_and_add_nothing() -> None:
    content = {"allocations": 4, "objects": [{"size": {"cycle": [[1, 0], [1, 100]]}, "lifetime": "forever"}]}
    with make_trace(generated(workload_of(content), 7), "w.yaml") as made:
        info = made.info
    assert (info.allocations, info.peak_live_objects, info.peak_live_bytes, info.total_bytes) == (4, 4, 200, 200)
    assert (info.smallest_size, info.largest_size) == (0, 100)


def test_a_workload_that_asks_for_nothing_but_0_bytes_is_refused() -> None:
    content = {"allocations": 4, "objects": [{"size": 0, "lifetime": 2}]}
    with pytest.raises(InputError) as caught:
        make_trace(generated(workload_of(content), 7), "w.yaml")
    assert str(caught.value) == "w.yaml: asks for 0 bytes in all (with seed 7), so there is nothing to measure"


def test_the_first_free_that_is_not_lifo_is_known() -> None:
    with make_trace(generated(workload_of(QUEUE), 7), "w.yaml") as made:
        assert made.info.first_not_lifo == 4
        assert made.info.epilogue_operations == 3


def test_the_marks_of_a_trace_in_the_order_of_the_run() -> None:
    with make_trace(generated(workload_of({**QUEUE, "marks": {"late": "50%", "first": 1}}), 7), "w.yaml") as made:
        # 15 allocations, and 11 deallocations from the fourth on; with the first mark 27 of the 59 words.
        assert made.info.marks == (Mark("first", 1, 100, 1 / 59), Mark("late", 26, 400, 27 / 59))


def test_several_threads_pass_marks_over_and_the_trace_says_so() -> None:
    content = {**QUEUE, "threads": 2, "marks": {"late": "50%", "first": 1}}
    for mode, marks, notes in (
        (Mode.SERIAL, ["first", "late"], ()),
        (Mode.LOCKSTEP, [], ("marks are passed over on several threads: first, late",)),
    ):
        with make_trace(generated(workload_of(content), 7), "w.yaml", mode) as made:
            assert [mark.name for mark in made.info.marks] == marks
            assert made.info.notes == notes


def test_threads_of_which_one_does_anything_are_replayed_as_one() -> None:
    """The batch is never full, so that the thread that frees has nothing to do."""
    pattern = {"producer-consumer": {"batch": 100, "depth": 4, "size": 64}}
    content = {"name": "cut", "threads": 2, "allocations": 20, "pattern": pattern, "marks": {"late": "50%"}}
    with (
        make_trace(generated(workload_of(content), 7), "w.yaml") as serial,
        make_trace(generated(workload_of(content), 7), "w.yaml", Mode.PARALLEL) as made,
    ):
        assert made.info.lanes == 1
        assert made.info.notes == ("only one of its threads does anything, and so it is replayed on one",)
        assert made.info.marks == serial.info.marks
        images = [Path(f"/proc/self/fd/{trace.image_fd}").read_bytes() for trace in (made, serial)]
        assert images[0] == images[1]


def test_the_hash_is_that_of_the_canonical_events() -> None:
    events = b"".join(bytes(portion) for portion in generated(workload_of(QUEUE), 7).events(Ending()))
    with make_trace(generated(workload_of(QUEUE), 7), "w.yaml") as made:
        assert made.info.event_hash == hashlib.blake2b(events, digest_size=16).hexdigest()


def test_the_seed_of_the_file_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("name: a\nseed: 5\nallocations: 99\nobjects: [{size: {uniform: [1, 99]}, lifetime: 3}]\n")
    hashes = []
    for seed in (None, 5, 6):
        with load_trace(str(path), seed) as made:
            hashes.append(made.info.event_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_image_can_neither_grow_nor_shrink() -> None:
    with make_trace(generated(workload_of(QUEUE), 7), "w.yaml") as made:
        assert made.image_bytes == os.fstat(made.image_fd).st_size
        assert fcntl.fcntl(made.image_fd, fcntl.F_GET_SEALS) & (fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        with pytest.raises(PermissionError):
            os.ftruncate(made.image_fd, 0)


def test_closing_gives_the_image_back() -> None:
    made = make_trace(generated(workload_of(QUEUE), 7), "w.yaml")
    made.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(made.image_fd)


@pytest.mark.parametrize(
    "content",
    [
        {"allocations": "1G", "objects": [{"size": 8, "lifetime": 1}]},
        {"frames": {"count": "1M", "objects_per_frame": 1000}, "objects": [{"size": 8}]},
    ],
    ids=["known beforehand", "found out"],
)
def test_an_image_that_fits_neither_into_memory_nor_onto_the_disk_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: dict[str, object]
) -> None:
    # The machine has more than the control group of a container leaves; what counts is the smaller one.
    monkeypatch.setattr("memtool.host.machine.allowance", lambda: Allowance(2 << 20, 1 << 20, None))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    before = descriptors()
    with pytest.raises(MemtoolError) as caught:
        make_trace(generated(workload_of(content), 7), "w.yaml")
    assert str(caught.value).startswith("w.yaml: the image of its events takes at least ")
    assert str(caught.value).endswith(", and 1.00 MiB of memory are available")
    assert descriptors() == before


@pytest.mark.parametrize("mode", [Mode.SERIAL, Mode.LOCKSTEP])
def test_images_that_memory_has_no_room_for_lie_on_a_disk_and_are_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: Mode
) -> None:
    content = {**QUEUE, "threads": 2, "allocations": 300_000}
    with make_trace(generated(workload_of(content), 7), "w.yaml", mode) as inside:
        expected = hashlib.sha256(Path(f"/proc/self/fd/{inside.image_fd}").read_bytes()).hexdigest()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("memtool.host.machine.allowance", lambda: Allowance(2 << 20, 1 << 20, None))
    before = descriptors()
    with make_trace(generated(workload_of(content), 7), "w.yaml", mode) as made:
        assert str(Path(f"/proc/self/fd/{made.image_fd}").readlink()).startswith(str(tmp_path))
        assert hashlib.sha256(Path(f"/proc/self/fd/{made.image_fd}").read_bytes()).hexdigest() == expected
        assert made.info == inside.info
    assert descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_a_trace_of_threads_is_generated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generate = Mock(wraps=generator_binding.generate)
    monkeypatch.setattr(generator_binding, "generate", generate)
    with make_trace(generated(workload_of({**QUEUE, "threads": 2}), 7), "w.yaml", Mode.PARALLEL) as made:
        assert made.info.lanes == 2
        assert made.serial is not None
        serial = Path(f"/proc/self/fd/{made.serial[0]}").read_bytes()
    assert generate.call_count == 1
    with make_trace(generated(workload_of({**QUEUE, "threads": 2}), 7), "w.yaml") as made:
        assert Path(f"/proc/self/fd/{made.image_fd}").read_bytes() == serial


def test_a_shipped_workload_goes_by_its_name() -> None:
    assert find_workload("classic/larson").name == "larson.yaml"
    assert find_workload("quickstart").parent.name == "workloads"


def test_a_file_goes_before_a_shipped_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()
    assert find_workload("quickstart").is_file()
    Path("larson").write_text("name: mine\n")
    assert find_workload("larson") == Path("larson")


def test_a_name_that_nothing_has_comes_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        find_workload("clasic/larson")
    expected = "clasic/larson: no such file, and no shipped workload of that name; did you mean 'classic/larson'"
    assert str(caught.value).startswith(expected)


PEAKS = {
    # 4,000 objects of 100 bytes at the end of the ramp; after it they live for one allocation each.
    "far above": (
        {
            "allocations": 80_000,
            "objects": [{"size": 100, "lifetime": 1}],
            "phases": [{"ramp": "5%"}, {"steady": "95%"}],
        },
        ("the peak of 391 KiB live is ",),
    ),
    "a fill": (
        {"allocations": 4000, "pattern": {"ramp": {"size": 100}}},
        (
            "the peak of 391 KiB live comes before anything is freed: figures at the peak are those of a heap that was "
            "only filled",
        ),
    ),
    "a steady state": ({"allocations": 4000, "pattern": {"fifo": {"live": 1000, "size": 100}}}, ()),
    "a heap too small to matter": ({"allocations": 400, "pattern": {"ramp": {"size": 100}}}, ()),
}


@pytest.mark.parametrize(("content", "notes"), PEAKS.values(), ids=PEAKS)
def test_a_peak_that_misleads_is_said(content: dict[str, object], notes: tuple[str, ...]) -> None:
    with make_trace(generated(workload_of(content), 7), "w.yaml") as trace:
        result = trace.info.notes
    assert len(result) == len(notes)
    assert all(one.startswith(words) for one, words in zip(result, notes, strict=True))
    assert all("comes before anything is freed" in one for one in result)
