"""What samples of one cell prove must agree; a difference is named, and costs the cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from memtool.allocators.own.code_files import REPLACED
from memtool.model import Cell, Status
from memtool.passes import Pass, Sample
from memtool.worker.evidence import Contents, Evidence, digest_of
from tests.payloads import figures


def sample(allocator: str = "mine", block: int = 0, **proof: Any) -> Sample:
    return Sample(Cell("web", allocator), block, Pass.THROUGHPUT, Status.OK, None, figures(Pass.THROUGHPUT), proof)


def test_samples_that_agree_are_left_as_they_are() -> None:
    evidence = Evidence()
    for block in range(3):
        same = sample(block=block, malloc_build_id="aa", version="5.3", code={"/m.so": "11"}, tuning={"x": block})
        assert evidence.hold(same) is same


def test_a_library_that_is_replaced_during_a_run_is_named() -> None:
    evidence = Evidence()
    evidence.hold(sample(code={"/m.so": "11"}))
    held = evidence.hold(sample("other", 1, code={"/m.so": "22"}))  # the same file, in another cell
    assert held.status is Status.FAILED
    assert held.reason == "/m.so was replaced during the run: its samples would be of two builds"
    assert held.payload is None
    assert held.of_harness  # whoever replaced it: it says nothing of the allocator
    assert evidence.hold(sample(block=2, code={"/m.so": "11"})).status is Status.OK


@pytest.mark.parametrize("name", ["malloc_owner", "malloc_build_id", "version", "library_build_id", "python", "class"])
def test_a_proof_that_differs_is_named_with_both_values(name: str) -> None:
    evidence = Evidence()
    evidence.hold(sample("mine", 0, **{name: "before"}))
    held = evidence.hold(sample("mine", 1, **{name: "now"}))
    assert (held.status, held.reason) == (Status.FAILED, f"{name} is now, and was before in the samples before")
    assert evidence.hold(sample("other", 0, **{name: "now"})).status is Status.OK  # each cell for itself


def test_a_failed_sample_proves_nothing() -> None:
    evidence = Evidence()
    failed = Sample(Cell("web", "mine"), 0, Pass.CHECK, Status.FAILED, "died", proof={"version": "1"})
    assert evidence.hold(failed) is failed
    assert evidence.hold(sample(version="2")).status is Status.OK


def test_contents_are_told_apart_and_touching_changes_nothing(tmp_path: Path) -> None:
    path, contents = tmp_path / "m.so", Contents()

    def digest() -> str:
        known = path.stat()
        return contents.digest(str(path), (known.st_ino, known.st_size, known.st_mtime_ns))

    path.write_bytes(b"one")
    first = digest()
    os.utime(path, (1, 1))
    assert digest() == first == digest_of(path)
    old = path.stat()
    path.write_bytes(b"two")
    assert digest() not in (first, "replaced")
    # What a worker saw is no longer there to be read.
    assert contents.digest(str(path), (old.st_ino, old.st_size, 77)) == "replaced"
    assert contents.digest(str(path), REPLACED) == "replaced"
