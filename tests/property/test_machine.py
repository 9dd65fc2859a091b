"""The machine of machine.py finds what is wrong, and nothing where nothing is: on classes in Python, adopted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from memtool.allocators.own.callbacks import Callbacks
from memtool.allocators.reference.arena import Arena
from memtool.allocators.reference.best_fit import BestFit
from memtool.allocators.reference.buddy import Buddy
from memtool.allocators.reference.first_fit import FirstFit
from memtool.allocators.reference.pool import Pool
from memtool.allocators.reference.tlsf import Tlsf
from memtool.engine.abi.binding import BrokenInvariant
from tests.property.machine import machine_of


def run(cls: type[Any], examples: int) -> Callbacks:
    callbacks = Callbacks(cls)
    callbacks.adopt()
    machine = machine_of("adopted", getattr(cls, "free_order", "any"), on_region=True)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(machine, settings=chosen)
    return callbacks


@pytest.mark.parametrize("cls", [FirstFit, BestFit, Tlsf, Pool, Buddy, Arena])
def test_references_are_sound_in_the_engine(cls: type[Any]) -> None:
    assert run(cls, examples=5).failure is None


class Overlaps(FirstFit):
    """Merges a block that is still in use."""

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        super().deallocate(offset, size, alignment)
        if len(self.used) > 3:
            start = max(self.used)
            self._release(start, self.used[start])


class Misaligns(FirstFit):
    def allocate(self, size: int, alignment: int) -> int | None:
        return super().allocate(size, min(alignment, 64))


class Scribbles(Pool):
    """Writes its link one block too far."""

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        super().deallocate(offset, size, alignment)
        if offset >= self.block:
            self.region.memory[offset - self.block] ^= 0xFF


class Forgets(FirstFit):
    """Never finds again what was freed."""

    def deallocate(self, offset: int, size: int, alignment: int) -> None:
        super().deallocate(offset, size, alignment)
        self.unlink(next(iter(self.free)))


class Boasts(FirstFit):
    def stats(self) -> dict[str, int]:
        result = super().stats()
        return {**result, "granted": result["granted"] + 16}


class DirtyZeroes(Pool):
    def allocate_zeroed(self, size: int, alignment: int) -> int | None:
        return self.allocate(size, alignment)


class LosesContents(FirstFit):
    def reallocate(self, offset: int, old_size: int, new_size: int, alignment: int) -> int | None:
        self.deallocate(offset, old_size, alignment)
        return self.allocate(new_size, alignment)


@pytest.mark.parametrize(
    ("cls", "words"),
    [
        (Overlaps, "a block is both used and free|the blocks do not end"),
        (Misaligns, "a block is misaligned"),
        (Scribbles, "a live block was written to|the list leaves the pool|too large"),
        (Forgets, "the blocks do not end where the heap does"),
        (Boasts, "what is granted is not"),
        (DirtyZeroes, "a zeroed block is not zero"),
        (LosesContents, "a live block was written to"),
    ],
)
def test_what_is_wrong_is_found(cls: type[Any], words: str) -> None:
    with pytest.raises((AssertionError, BrokenInvariant), match=words):
        run(cls, examples=100)
