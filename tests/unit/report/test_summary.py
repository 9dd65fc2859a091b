"""The answer in words: never more than the ranks of the tables carry."""

from __future__ import annotations

from dataclasses import replace

from memtool.model import CellResult, Run
from memtool.report import summary
from tests.runs import cell, excluded, figure, run, trace

MIB = 2**20


def timed(name: str, *samples: float, resident: float = 8.0, workload: str = "web") -> CellResult:
    """Return a cell with these times in ns, and its peak in MiB."""
    return cell(
        name,
        {
            "time_per_op_ns": figure("time_per_op_ns", *samples),
            "peak_resident_bytes": figure("peak_resident_bytes", resident * MIB),
        },
        workload=workload,
    )


def around(middle: float, blocks: int = 10) -> list[float]:
    """Return samples that pairs tell from those around another middle."""
    return [middle + 0.01 * block for block in range(blocks)]


def said(of: Run) -> str:
    return " ".join(summary.sentences(of, of.workloads[0]))


def test_the_fastest_is_named_with_its_share_of_the_next_and_what_it_costs() -> None:
    of = run(
        timed("fast", *around(10), resident=12), timed("next", *around(20)), timed("slow", *around(40), resident=6)
    )
    assert said(of) == (
        "fast is fastest: 10.0 ns an operation, 0.50 times that of next, the next (95 % 0.50 to 0.50). "
        "But it peaks at 12.0 MiB of resident memory, 2.00 times the 6.00 MiB of slow, which takes 3.99 times as long."
    )


def test_who_is_fastest_and_lowest_is_both() -> None:
    of = run(timed("best", *around(10), resident=6), timed("other", *around(20)))
    assert said(of).endswith("It also peaks lowest, at 6.00 MiB of resident memory.")


def test_those_that_pairs_do_not_tell_apart_share_the_first_place() -> None:
    one, other = [10.0, 11.0] * 5, [11.0, 10.0] * 5
    of = run(timed("a", *one), timed("b", *other), timed("c", *around(30)))
    assert said(of) == (
        "a and b share the first rank; the pairs show no difference from a: 10.5 ns an operation; c follows, at 30.0 "
        "ns an operation. All peak at about 8.00 MiB of resident memory, equal within its error."
    )


def test_what_the_error_covers_is_not_called_about_the_least_of_it() -> None:
    page = 4096 / MIB
    of = run(timed("a", 1.0, resident=page), timed("b", 2.0, resident=17 * page), timed("c", 3.0, resident=31 * page))
    assert said(of).endswith("All peak at 4.00 KiB to 124 KiB of resident memory, equal within its error.")
    of = run(timed("a", 1.0, resident=page), timed("b", 2.0, resident=17 * page), timed("c", 3.0, resident=256))
    assert said(of).endswith("a and b peak lowest, at 4.00 KiB to 68.0 KiB of resident memory.")


def test_too_few_blocks_rank_nobody() -> None:
    of = run(timed("a", 1.0, 1.0, 1.0), timed("b", 9.0, 9.0, 9.0))
    assert said(of).startswith("No allocator is ranked: ranks need 6 blocks or more, and this run has 3.")
    assert "fastest" not in said(of)


def test_one_allocator_is_compared_with_nothing() -> None:
    of = run(timed("only", *around(5)))
    assert said(of) == (
        "only takes 5.04 ns an operation; nothing was measured beside it. It peaks at 8.00 MiB of resident memory."
    )


def test_who_failed_and_who_was_left_out_is_named_and_wins_nothing() -> None:
    broken = cell("broken", {"time_per_op_ns": figure("time_per_op_ns", *around(1))}, failed="killed by SIGSEGV")
    of = run(timed("a", *around(10)), timed("b", *around(20)), broken, excluded("pool", "too large"), traces=[trace()])
    assert said(of).startswith("a is fastest")
    assert said(of).endswith("Left out: pool; failed: broken (reasons below).")


def test_what_is_interpreted_is_not_ranked() -> None:
    mine = replace(timed("mine", *around(1)), proof={"interpreted": True})
    assert said(run(mine, timed("a", *around(10)), timed("b", *around(20)))).startswith("a is fastest")


def test_memory_that_its_error_does_not_tell_apart_is_one() -> None:
    near = 8.0 + 4096 / MIB
    of = run(timed("a", *around(10)), timed("b", *around(20), resident=near), timed("c", *around(30), resident=99))
    assert "It also peaks lowest, at about 8.00 MiB of resident memory, with b." in said(of)


def test_a_noisy_machine_and_different_calls_are_said() -> None:
    inlined = {"route": "inlined", "free": "sized", "threads": "one", "as_malloc": False}
    linked = {"route": "linker", "free": "bare", "threads": "any", "as_malloc": False}
    of = run(
        replace(timed("a", *around(10)), proof={"call": inlined, "noisy": True}),
        replace(timed("b", *around(20)), proof={"call": linked}),
    )
    assert "They are called in different ways, which affects their times (column call)." in said(of)
    assert said(of).endswith("The machine was noisy: do not trust small differences.")


def test_nothing_is_said_of_nothing() -> None:
    assert summary.sentences(run(excluded("pool", "too large"), traces=[trace()]), trace()) == []


def test_footprints_alone_are_told_too() -> None:
    def held(name: str, mib: float) -> CellResult:
        return cell(name, {"peak_footprint_bytes": figure("peak_footprint_bytes", mib * MIB, mib * MIB)})

    assert said(run(held("a", 4), held("b", 2))) == "b peaks lowest, at 2.00 MiB of footprint."


def test_several_workloads_are_counted() -> None:
    cells = [timed(name, *around(at), workload=work) for work in ("x", "y") for name, at in (("a", 10.0), ("b", 20.0))]
    assert summary.overall(run(*cells)) == ["Of 2 workloads that rank allocators, the fastest is a on 2."]
    assert summary.overall(run(*cells[:2])) == []


def test_several_workloads_of_too_few_blocks_rank_nobody() -> None:
    cells = [timed(name, at, at, workload=work) for work in ("x", "y") for name, at in (("a", 10.0), ("b", 20.0))]
    assert summary.overall(run(*cells)) == ["No allocator is ranked: ranks need 6 blocks or more, and this run has 2."]
