"""Limits, verdicts and exit codes, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool import gate
from memtool.errors import InputError
from memtool.gate import Limit, Policy
from memtool.model import Basis, Comparison, Judgement, Verdict
from memtool.stats import compare, paired
from memtool.stats.words import is_better
from tests.runs import cell, excluded, figure, run, trace, typed

TIME = "time_per_op_ns"
FOOTPRINT = "peak_footprint_bytes"


def pair(ratios: Sequence[float], metric: str = TIME, workload: str = "web", at_floor: bool = False) -> Comparison:
    """Return a paired comparison whose blocks differ by these ratios."""
    effects = tuple(math.log(ratio) for ratio in ratios)
    result = paired.interval(effects)
    low, high = (math.expm1(judgement) for judgement in result) if result else (None, None)
    middle = math.expm1(sorted(effects)[len(effects) // 2])
    return Comparison(
        workload, "anonymous", "serial", "a", "b", metric, Basis.PAIRED, True, 10.0, 10.0, effects, middle, low, high,
        len(effects), at_floor,
    )  # fmt: skip


def exact(base: float, head: float, metric: str = FOOTPRINT) -> list[Comparison]:
    """Return a strategy against its own baseline."""
    stored, now = (run(cell("t", {metric: figure(metric, item, item)})) for item in (base, head))
    return compare.between(stored, now, [metric])


def judge(comparisons: Sequence[Comparison], **rules: object) -> list[Judgement]:
    return gate.judge(comparisons, Policy((TIME,), **rules))  # type: ignore[arg-type]  # as the test says


def verdicts(comparisons: Sequence[Comparison], **rules: object) -> list[Verdict]:
    return [judgement.verdict for judgement in judge(comparisons, **rules)]


def test_three_verdicts() -> None:
    slower, same, unclear = pair([1.05] * 10), pair([1.0] * 10, workload="w2"), pair([0.9, 1.1] * 5, workload="w3")
    assert verdicts([slower, same, unclear]) == [Verdict.REGRESSION, Verdict.PASS, Verdict.INCONCLUSIVE]


def test_faster_passes() -> None:
    assert verdicts([pair([0.5] * 10)]) == [Verdict.PASS]


def test_worse_within_the_margin_passes() -> None:
    assert verdicts([pair([1.015] * 10)]) == [Verdict.PASS]
    assert verdicts([pair([1.015] * 10)], margin=0.01) == [Verdict.REGRESSION]


def test_a_family_of_twenty_needs_nine_blocks() -> None:
    eight = [pair([1.5] * 8, workload=f"w{index}") for index in range(20)]
    nine = [pair([1.5] * 9, workload=f"w{index}") for index in range(20)]
    # 20 * 2^-8 = 0.078; 20 * 2^-9 = 0.039.
    assert set(verdicts(eight)) == {Verdict.INCONCLUSIVE}
    assert judge(eight)[0].reason == "8 blocks; a verdict among so many needs 9"
    assert judge(eight)[0].p_regression == pytest.approx(20 / 256)
    assert set(verdicts(nine)) == {Verdict.REGRESSION}


def test_an_effect_that_holm_leaves_undecided_says_why_and_what_it_takes() -> None:
    """Nine of ten pairs are 30 to 50 % faster: p = 11 / 1024, and as the surest of eleven tests eleven times that."""
    faster = [0.5, 0.52, 0.55, 0.57, 0.6, 0.62, 0.65, 0.67, 0.7, 1.3]
    result = judge([pair(faster), *(pair([0.9, 1.1] * 5, workload=f"w{index}") for index in range(10))])
    assert result[0].verdict is Verdict.INCONCLUSIVE
    assert result[0].p_pass == pytest.approx(11 * 11 / 1024)
    assert result[0].comparison.high == pytest.approx(-0.3)  # the interval of this comparison alone
    assert result[0].reason == (
        "9 of 10 pairs within the limit, p = 0.12 (Holm over 11 tests): "
        "four of five runs of 9 blocks decide an effect like it, this one does not"
    )
    assert (result[0].blocks_to_decide, result[0].blocks_needed) == (9, 2607)
    assert gate.with_next_steps(result, typed)[0].next_step == "--blocks 21, or a wider --limit time_per_op_ns=X%"
    assert result[1].reason == (
        "5 of 10 pairs within the limit, p = 1 (Holm over 11 tests): to decide an effect like it takes about 323 blocks"
    )


def test_below_six_blocks_nothing_is_tested_and_the_family_is_not_the_larger_for_it() -> None:
    few, enough = pair([1.5] * 5, workload="few"), pair([1.5] * 6)
    first, second = judge([few, enough])
    assert (first.verdict, first.reason) == (Verdict.INCONCLUSIVE, "5 blocks; an interval needs 6")
    assert first.p_regression is None
    assert second.p_regression == pytest.approx(1 / 64)
    assert gate.family_of([few, enough], Policy((TIME,))) == 1


@pytest.mark.parametrize(
    ("blocks", "pairs", "looks", "least"),
    [(5, 1, 1, 6), (6, 1, 1, None), (3, 10, 1, 8), (7, 10, 1, 8), (8, 10, 1, None), (8, 10, 2, 9), (9, 10, 2, None)],
)
def test_too_few_blocks_are_known_before_anything_is_measured(
    blocks: int, pairs: int, looks: int, least: int | None
) -> None:
    # 2^-8 is within 0.05 / 10 and not within 0.05 / 2 / 10; an interval takes 6.
    result = gate.too_few_blocks(blocks, pairs, Policy((TIME, FOOTPRINT, "net_time_per_op_ns")), looks=looks)
    assert (None if result is None else result.needed) == least


def test_exact_figures_need_no_blocks() -> None:
    assert gate.too_few_blocks(1, 20, Policy((FOOTPRINT,)), looks=2) is None


@pytest.mark.parametrize("metric", ["internal_fragmentation", "external_fragmentation"])
def test_what_explains_a_footprint_is_gated_where_it_is_named(metric: str) -> None:
    sides = run(
        cell("a", {FOOTPRINT: figure(FOOTPRINT, 100, 100), metric: figure(metric, 0.1, 0.1)}),
        cell("b", {FOOTPRINT: figure(FOOTPRINT, 79, 79), metric: figure(metric, 0.9, 0.9)}),
    )
    result = compare.within(sides, "a", [FOOTPRINT, metric])
    by_default = gate.judge(result, gate.policy(None, 0.02, ()))
    assert [item.verdict for item in by_default] == [Verdict.PASS, Verdict.SHOWN]
    assert by_default[1].reason == "gated where it is named only"
    assert [judgement.verdict for judgement in gate.judge(result, gate.policy([FOOTPRINT, metric], 0.02, ()))] == [
        Verdict.PASS,
        Verdict.REGRESSION,
    ]
    assert gate.judge(result, gate.policy(None, 0.02, (f"{metric}=1%",)))[1].verdict is Verdict.REGRESSION


@pytest.mark.parametrize("moment", ["max", "mean", "mark_1", "mark_8"])
@pytest.mark.parametrize("kind", ["internal_fragmentation", "external_fragmentation"])
def test_fragmentation_at_any_moment_is_gated_where_it_is_named(kind: str, moment: str) -> None:
    name = f"{kind}_{moment}"
    result = exact(0.5, 0.5275, name)
    assert [judgement.verdict for judgement in gate.judge(result, gate.policy([name], 0.02, ()))] == [
        Verdict.REGRESSION
    ]
    wider = gate.policy(None, 0.02, (f"{name}=3%",))
    assert name in wider.metrics
    assert [judgement.verdict for judgement in gate.judge(result, wider)] == [Verdict.PASS]


def test_by_default_time_and_memory_are_gated_and_nothing_else() -> None:
    rules = gate.policy(None, 0.02, ())
    result = gate.judge([pair([1.0] * 9, metric) for metric in rules.metrics], rules)
    assert [judgement.comparison.metric for judgement in result if judgement.verdict is not Verdict.SHOWN] == [
        "time_per_op_ns",
        "peak_footprint_bytes",
        "peak_resident_bytes",
        # Of a whole program; no cell has figures of two kinds of work.
        "wall_time_ns",
        "cpu_time_ns",
        "tree_peak_resident_bytes",
        # Of containers, and of accesses.
        "traverse_ns",
        "traverse_churned_ns",
        "padding_bytes",
    ]


def test_a_noisy_machine_is_told_of_counted_instructions_and_no_absurd_number() -> None:
    noisy = [0.8, 1.25, 0.9, 1.12, 1.0, 0.7, 1.4, 0.95, 1.06]
    result = gate.with_next_steps(judge([pair(noisy)]), typed)[0]
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.next_step == (
        "a quieter machine, or a wider --limit time_per_op_ns=X%, or counted instructions, which no noise moves: "
        "memtool check web.yaml --against a --candidate b --metric instructions_per_op"
    )


def test_a_single_block() -> None:
    assert judge([pair([1.5])])[0].reason == "1 block; an interval needs 6"


P50 = "allocate_p50_ns"


def latencies(base: Sequence[float], head: Sequence[float], step: float = 10.0) -> list[Comparison]:
    """Return two allocators' medians in ns, the base's at the floor of a timer with this step."""
    first, second = (
        replace(cell(name, {P50: figure(P50, *samples, at_floor=at_floor)}), proof={"timer_resolution_ns": step})
        for name, samples, at_floor in (("a", base, True), ("b", head, False))
    )
    return compare.within(run(first, second), "a", [P50])


@pytest.mark.parametrize("slow", [120.0, 820.0])
def test_a_base_at_the_floor_hides_no_slowdown(slow: float) -> None:
    result = judge(latencies([0.0, 10.0, 0.0, 10.0, 0.0, 0.0, 10.0, 0.0, 0.0], [slow] * 9))[0]
    assert (result.verdict, result.limit, result.comparison.is_ratio) == (Verdict.REGRESSION, 15.0, False)
    assert result.comparison.change == slow


def test_at_the_floor_a_step_of_the_timer_is_no_change() -> None:
    # Rounded, one step of 10 ns reads as up to 10.4.
    assert verdicts(latencies([0.0] * 9, [10.4, 0.0, 10.4, 10.4, 10.0, 0.0, 10.4, 10.4, 10.4])) == [Verdict.PASS]
    assert verdicts(latencies([3.0] * 9, [4.0] * 9), limits={P50: Limit(0.5, is_share=False)}) == [Verdict.PASS]
    assert verdicts(latencies([3.0] * 9, [4.0] * 9, step=0.4)) == [Verdict.REGRESSION]


@pytest.mark.parametrize("metric", ["net_time_per_op_ns", "allocate_max_ns", "peak_live_bytes"])
def test_what_the_registry_does_not_gate_is_shown(metric: str) -> None:
    assert verdicts([pair([1.5] * 10, metric)]) == [Verdict.SHOWN]


def test_exact_metrics_gate_without_statistics() -> None:
    rules = Policy((FOOTPRINT,))
    for base, head, verdict in ((4096, 4097, Verdict.REGRESSION), (4096, 4096, Verdict.PASS), (4096, 1, Verdict.PASS)):
        assert gate.judge(exact(base, head), rules)[0].verdict is verdict


def test_a_limit_allows_as_much_and_no_more() -> None:
    result = exact(4096, 4112)
    for limit, verdict in (
        (Limit(16, is_share=False), Verdict.PASS),
        (Limit(15, is_share=False), Verdict.REGRESSION),
        (Limit(0.004, is_share=True), Verdict.PASS),
        (Limit(0.003, is_share=True), Verdict.REGRESSION),
    ):
        assert gate.judge(result, Policy((FOOTPRINT,), limits={FOOTPRINT: limit}))[0].verdict is verdict


def test_two_allocators_may_differ_by_the_margin_where_figures_are_exact() -> None:
    both = run(cell("t", {FOOTPRINT: figure(FOOTPRINT, 100, 100)}), cell("u", {FOOTPRINT: figure(FOOTPRINT, 102, 102)}))
    result = compare.within(both, "t", [FOOTPRINT])
    assert gate.judge(result, Policy((FOOTPRINT,), margin=0.021))[0].verdict is Verdict.PASS
    assert gate.judge(result, Policy((FOOTPRINT,), margin=0.019))[0].verdict is Verdict.REGRESSION


@pytest.mark.parametrize(
    ("base", "head", "threads", "verdict", "is_called_better"),
    [
        (80, 72, 1, Verdict.INCONCLUSIVE, False),
        (80, 80, 1, Verdict.INCONCLUSIVE, False),
        (80, 16, 1, Verdict.PASS, False),
        (80, 200, 1, Verdict.INCONCLUSIVE, False),
        # 80 KiB, 2 % of them, and 3 and 32 pages: 221.6 KiB.
        (80, 221, 1, Verdict.INCONCLUSIVE, False),
        (80, 222, 1, Verdict.REGRESSION, False),
        # A batch for each thread: 3 and 128 pages are 524 KiB.
        (80, 222, 4, Verdict.INCONCLUSIVE, False),
        (8192, 8192, 1, Verdict.PASS, False),
        (8192, 8392, 1, Verdict.INCONCLUSIVE, False),
        (8192, 8100, 1, Verdict.PASS, False),
        (8192, 8000, 1, Verdict.PASS, True),
        (8192, 9000, 1, Verdict.REGRESSION, False),
    ],
)
def test_the_error_of_resident_memory_is_no_change(
    base: int, head: int, threads: int, verdict: Verdict, is_called_better: bool
) -> None:
    name = "peak_resident_bytes"
    kib = [cell(which, {name: figure(name, *[size * 1024.0] * 9)}) for which, size in (("a", base), ("b", head))]
    both = run(*kib, traces=[replace(trace(), lanes=threads)])
    judged = gate.judge(compare.within(both, "a", [name]), Policy((name,)))
    assert [judgement.verdict for judgement in judged] == [verdict]
    assert (verdict is Verdict.PASS and is_better(judged[0].comparison)) is is_called_better
    within = "140 KiB" if threads == 1 else "524 KiB"
    reason = f"resident memory is known within {within}" if verdict is Verdict.INCONCLUSIVE else ""
    assert judged[0].reason == reason
    screened = gate.screen(compare.within(both, "a", [name]), Policy((name,)))
    assert screened[0].is_suspect is (verdict is Verdict.REGRESSION)


def test_no_number_of_blocks_settles_what_is_within_the_error() -> None:
    name = "peak_resident_bytes"
    both = run(*(cell(item, {name: figure(name, *[81920.0] * 9)}) for item in ("a", "b")))
    judged = gate.judge(compare.within(both, "a", [name]), Policy((name,)))
    assert judged[0].blocks_needed is None
    assert gate.with_next_steps(judged, typed)[0].next_step == (
        "a workload that needs more memory, or a wider --limit peak_resident_bytes=X"
    )


def test_two_runs_are_within_the_error_too() -> None:
    name = "peak_resident_bytes"
    base, head = (run(cell("a", {name: figure(name, *[kib * 1024.0] * 9)})) for kib in (80, 72))
    judged = gate.judge(compare.between(base, head, [name]), Policy((name,)))[0]
    assert (judged.verdict, judged.reason) == (Verdict.ADVICE, "resident memory is known within 140 KiB")


def test_a_share_is_limited_in_points() -> None:
    metric = "internal_fragmentation"
    result = exact(0.10, 0.115, metric)
    two_points = Policy((metric,), named=frozenset({metric}), limits={metric: Limit(0.02, is_share=True)})
    assert gate.judge(result, two_points)[0].verdict is Verdict.PASS
    assert gate.judge(result, Policy((metric,), named=frozenset({metric})))[0].verdict is Verdict.REGRESSION


def test_zeros_on_both_sides_pass() -> None:
    name = "major_faults"
    zeros = run(cell("a", {name: figure(name, *[0.0] * 9)}), cell("b", {name: figure(name, *[0.0] * 9)}))
    assert [judgement.verdict for judgement in gate.judge(compare.within(zeros, "a", [name]), Policy((name,)))] == [
        Verdict.PASS
    ]


def test_two_runs_advise_and_never_fail() -> None:
    base, head = (
        run(cell("a", {TIME: figure(TIME, *[10.0] * 9)})),
        run(cell("a", {TIME: figure(TIME, *[20.0] * 9)})),
    )
    result = gate.judge(compare.between(base, head, [TIME]), Policy((TIME,)))[0]
    assert (result.verdict, result.reason) == (Verdict.ADVICE, "looks worse; two runs cannot prove it")
    assert gate.exit_code([result], None) == 0
    assert gate.exit_code([result], "regression") == 5


def test_a_strategy_that_no_longer_repeats_does_not_pass() -> None:
    base = run(cell("t", {FOOTPRINT: figure(FOOTPRINT, 4096, 4096)}))
    head = run(cell("t", {FOOTPRINT: figure(FOOTPRINT, 4096, 4112)}))
    result = gate.judge(compare.between(base, head, [FOOTPRINT]), Policy((FOOTPRINT,)))[0]
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "exact on one side, and on the other not the same in two repeats (or measured once)",
    )


def test_a_crash_is_a_regression() -> None:
    base, head = run(cell("t", {TIME: figure(TIME, *[1.0] * 9)})), run(cell("t", failed="block 2: SIGSEGV"))
    result = gate.judge(compare.between(base, head, [TIME]), Policy((TIME,)))[0]
    assert (result.verdict, result.reason) == (Verdict.REGRESSION, "failed: block 2: SIGSEGV")


def test_what_the_harness_fails_is_no_regression_and_no_pass() -> None:
    good, other = cell("a", {TIME: figure(TIME, *[1.0] * 9)}), cell("c", {TIME: figure(TIME, *[1.0] * 9)})
    broken = replace(cell("b", failed="no memory (no fault of the allocator)"), proof={"harness_fault": True})
    reason = "was not measured: no memory (no fault of the allocator)"
    assert lost(compare.within(run(good, broken, other), "a", [TIME])) == (
        [f"web · b against a: the other side {reason}"],
        5,
    )
    assert lost(compare.within(run(good, broken), "b", [TIME])) == ([f"web · a against b: the base {reason}"], 5)
    # The allocator's own failure beside it is a regression.
    crashed = cell("d", failed="SIGSEGV")
    assert lost(compare.within(run(good, broken, crashed), "a", [TIME]))[1] == 3


def test_a_second_look_that_the_harness_fails_is_no_regression_and_no_pass() -> None:
    rules = Policy((TIME,))
    broken = replace(cell("b", failed="no memory"), proof={"harness_fault": True})
    fresh = compare.within(run(cell("a", {TIME: figure(TIME, 1.0)}), broken), "a", [TIME])
    result = gate.confirm(gate.screen([pair([1.5] * 31)], rules), fresh, rules)
    assert gate.exit_code(result, "regression", gate.unjudged(result, rules)) == 5


def test_no_regression_comes_of_one_look() -> None:
    first = gate.screen([pair([1.5] * 31)], Policy((TIME,)))
    assert [(item.verdict, item.is_suspect) for item in first] == [(Verdict.INCONCLUSIVE, True)]


def test_a_suspect_is_confirmed_on_fresh_blocks() -> None:
    rules = Policy((TIME,))
    first = gate.screen([pair([1.5] * 31), pair([1.0] * 31, workload="w2")], rules)
    again = gate.confirm(first, [pair([1.4] * 31)], rules)
    assert [item.verdict for item in again] == [Verdict.REGRESSION, Verdict.PASS]
    assert again[0].comparison.change == pytest.approx(0.4)
    assert again[0].first_look is not None
    assert again[0].first_look.change == pytest.approx(0.5)


def test_a_suspect_that_was_chance_passes() -> None:
    rules = Policy((TIME,))
    first = gate.screen([pair([1.5] * 31)], rules)
    assert gate.confirm(first, [pair([1.0] * 31)], rules)[0].verdict is Verdict.PASS
    unclear = gate.confirm(first, [pair([0.9, 1.1] * 15 + [1.0])], rules)[0]
    assert (unclear.verdict, unclear.reason) == (Verdict.INCONCLUSIVE, "looked worse at first, not confirmed")


def test_fresh_blocks_are_judged_over_the_suspects_alone() -> None:
    rules = Policy((TIME,))
    cells = [pair([1.5] * 9, workload="w0"), *(pair([1.0] * 9, workload=f"w{index}") for index in range(1, 20))]
    confirmed = gate.confirm(gate.screen(cells, rules), [pair([1.5] * 9, workload="w0")], rules)
    assert confirmed[0].p_regression == pytest.approx(1 / 512)


def test_a_suspect_that_crashes_at_the_second_look_is_a_regression() -> None:
    rules = Policy((TIME,))
    broken = compare.within(run(cell("a", {TIME: figure(TIME, 1.0)}), cell("b", failed="SIGSEGV")), "a", [TIME])
    result = gate.confirm(gate.screen([pair([1.5] * 31)], rules), broken, rules)
    assert [judgement.verdict for judgement in result] == [Verdict.INCONCLUSIVE, Verdict.REGRESSION]
    assert result[0].reason == "looked worse at first, and then: SIGSEGV"


def lost(comparisons: Sequence[Comparison], *named: str) -> tuple[list[str], int]:
    """Return what a gate could not judge, and the exit code."""
    rules = Policy((TIME, FOOTPRINT), named=frozenset(named))
    result = gate.judge(comparisons, rules)
    unjudged = gate.unjudged(result, rules)
    return unjudged, gate.exit_code(result, "regression", unjudged)


TIMES = {TIME: figure(TIME, *[1.0] * 9)}
BYTES = {FOOTPRINT: figure(FOOTPRINT, 64, 64)}


def test_a_candidate_that_no_longer_serves_a_workload_does_not_pass() -> None:
    both = [cell(name, TIMES, workload=workload) for name, workload in (("a", "w1"), ("b", "w1"), ("a", "w2"))]
    result = compare.within(run(*both, excluded("b", "too small", workload="w2")), "a", [TIME])
    assert lost(result) == (["w2 · b against a: the other side was left out: too small"], 5)
    # What the base could not serve either is no loss.
    nowhere = [*both[:2], excluded("a", "too small", workload="w2"), excluded("b", "too small", workload="w2")]
    assert lost(compare.within(run(*nowhere), "a", [TIME])) == ([], 0)


def test_a_base_that_failed_does_not_let_its_workload_pass() -> None:
    stored = run(cell("a", BYTES), cell("b", failed="SIGSEGV"))
    result = compare.between(stored, run(cell("a", BYTES), cell("b", BYTES)), [FOOTPRINT])
    assert lost(result) == (["web · b: the base was not measured: SIGSEGV"], 5)


def test_a_workload_whose_events_changed_does_not_pass_beside_one_that_is_compared() -> None:
    cells = [cell("a", BYTES, workload="w1"), cell("a", BYTES, workload="w2")]
    other = run(*cells, traces=[trace("w1"), trace("w2", "f" * 32)])
    reason = "event_hash differs: 0123456789ab and ffffffffffff"
    assert lost(compare.between(run(*cells), other, [FOOTPRINT])) == ([f"w2 · a · {FOOTPRINT}: {reason}"], 5)
    unknown = run(*cells, traces=[trace("w1")])
    reason = "event_hash is not recorded"
    assert lost(compare.between(unknown, unknown, [FOOTPRINT])) == ([f"w2 · a · {FOOTPRINT}: {reason}"], 5)


def test_a_metric_that_is_gone_or_was_asked_for_does_not_pass_unseen() -> None:
    both = TIMES | BYTES
    gone = compare.between(run(cell("a", both)), run(cell("a", BYTES)), [TIME, FOOTPRINT])
    assert lost(gone) == ([f"web · a · {TIME}: the other side has none"], 5)
    one_sided = run(cell("a", both), cell("b", TIMES))
    assert lost(compare.within(one_sided, "a", [TIME, FOOTPRINT])) == ([], 0)
    asked = compare.within(one_sided, "a", [TIME, FOOTPRINT], required={FOOTPRINT})
    assert lost(asked, FOOTPRINT) == ([f"web · b against a · {FOOTPRINT}: the other side has none"], 5)
    neither = compare.within(run(cell("a", TIMES), cell("b", TIMES)), "a", [TIME, FOOTPRINT], required={FOOTPRINT})
    assert lost(neither, FOOTPRINT) == ([f"{FOOTPRINT}: nothing that was compared has a figure of it"], 5)


def test_what_a_stored_run_left_out_has_no_baseline() -> None:
    stored = run(cell("a", BYTES), excluded("b", "too small"))
    result = compare.between(stored, run(cell("a", BYTES), cell("b", BYTES)), [FOOTPRINT])
    assert lost(result) == (["web · b: the base was left out: too small"], 5)


def test_no_file_makes_the_timer_as_coarse_as_it_likes() -> None:
    assert verdicts(latencies([0.0] * 9, [20_000.0] * 9, step=1e12)) == [Verdict.REGRESSION]


def test_another_compiler_or_no_counter_costs_the_instructions_only() -> None:
    code = "instructions_per_op"
    cells = cell("a", BYTES | {code: figure(code, 40.0, 40.0)})
    here, there = (run(cells, machine={"compiler": name, "instruction_counter": "callgrind"}) for name in ("X", "Y"))
    assert lost(compare.between(here, there, [code, FOOTPRINT], {code, FOOTPRINT})) == ([], 0)
    uncounted = run(cell("a", BYTES), machine={"compiler": "X", "instruction_counter": "none"})
    assert lost(compare.between(here, uncounted, [code, FOOTPRINT], {code, FOOTPRINT})) == ([], 0)


def test_a_second_look_that_did_not_happen_does_not_pass() -> None:
    rules = Policy((TIME,))
    result = gate.confirm(gate.screen([pair([1.5] * 31)], rules), [], rules)
    reason = "looked worse at first, and then: it was not measured a second time"
    assert gate.unjudged(result, rules) == [f"web · b against a · {TIME}: {reason}"]
    assert gate.exit_code(result, "inconclusive", gate.unjudged(result, rules)) == 5


def test_a_regression_is_one_whatever_else_was_not_judged() -> None:
    assert gate.exit_code(judged(Verdict.REGRESSION), "regression", ["web · b: gone"]) == 3
    assert gate.exit_code(judged(Verdict.PASS), None, ["web · b: gone"]) == 0


def judged(*result: Verdict) -> list[Judgement]:
    return [Judgement(pair([1.0] * 6), verdict) for verdict in result]


@pytest.mark.parametrize(
    ("result", "fail_on", "code"),
    [
        ([Verdict.PASS], "regression", 0),
        ([Verdict.PASS, Verdict.REGRESSION], "regression", 3),
        ([Verdict.PASS, Verdict.REGRESSION], None, 0),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], "regression", 0),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], "inconclusive", 4),
        ([Verdict.REGRESSION, Verdict.INCONCLUSIVE], "inconclusive", 3),
        ([Verdict.INCOMPARABLE, Verdict.SHOWN], "regression", 5),
        ([Verdict.INCOMPARABLE], None, 5),
        ([Verdict.INCOMPARABLE, Verdict.PASS], "regression", 0),
        ([Verdict.ADVICE], "inconclusive", 5),
        ([], "regression", 5),
    ],
)
def test_exit_codes(result: list[Verdict], fail_on: gate.FailOn | None, code: int) -> None:
    assert gate.exit_code(judged(*result), fail_on) == code


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("allocate_p99_ns=10%", Limit(0.1, is_share=True)),
        ("peak_footprint_bytes=0", Limit(0, is_share=False)),
        ("peak_footprint_bytes = 4KiB", Limit(4096, is_share=False)),
        ("time_per_op_ns=0.5", Limit(0.5, is_share=False)),
    ],
)
def test_limits(text: str, limit: Limit) -> None:
    assert gate.parse_limit(text) == (text.split("=", maxsplit=1)[0].strip(), limit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10%", "limits: must be METRIC=X, such as peak_footprint_bytes=0 or time_per_op_ns=3%, is '10%'"),
        ("time_per_op=1%", "limits: unknown metric 'time_per_op'; did you mean 'time_per_op_ns'"),
        ("time_per_op_ns=fast", "limits: time_per_op_ns: must be 10% or a number in ns, is 'fast'"),
        ("time_per_op_ns=-1%", "limits: time_per_op_ns: must be 10% or a number in ns, is '-1%'"),
        ("time_per_op_ns=nan", "limits: time_per_op_ns: must be 10% or a number in ns, is 'nan'"),
        ("peak_footprint_bytes=4kb", "limits: peak_footprint_bytes: must be 10%, 4096 or 4KiB, is '4kb'"),
    ],
)
def test_a_wrong_limit_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as problem:
        gate.parse_limit(text)
    assert str(problem.value).startswith(words)


def test_what_is_never_gated_cannot_be_limited() -> None:
    with pytest.raises(InputError, match="net_time_per_op_ns is shown and never gated"):
        gate.policy(None, 0.02, ["net_time_per_op_ns=1%"])


def test_a_limit_adds_its_metric() -> None:
    assert gate.policy([TIME], 0.02, ["allocate_p99_ns=10%"]).metrics == (TIME, "allocate_p99_ns")


@pytest.mark.parametrize("text", ["2", "two%", "-1%", "nan%", ""])
def test_a_wrong_margin_is_named(text: str) -> None:
    with pytest.raises(InputError, match="must be a percentage such as 2%"):
        gate.parse_margin(text)


ratio_lists = st.lists(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=12), min_size=1, max_size=8)


@settings(max_examples=40)
@given(ratio_lists)
def test_every_comparison_gets_one_verdict_that_its_pairs_can_carry(ratios: list[list[float]]) -> None:
    comparisons = [pair(item, workload=f"w{index}") for index, item in enumerate(ratios)]
    result = judge(comparisons)
    assert [judgement.comparison for judgement in result] == comparisons
    for judgement in result:
        if judgement.comparison.samples < 6:
            assert judgement.verdict is Verdict.INCONCLUSIVE
        if judgement.verdict is Verdict.REGRESSION:
            assert judgement.comparison.change is not None
            assert judgement.comparison.change > 0.02
        if judgement.verdict is Verdict.PASS:
            assert judgement.comparison.change is not None
            assert judgement.comparison.change <= 0.02 + 1e-12


@settings(max_examples=40)
@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=20))
def test_more_of_what_is_tested_never_turns_a_pass_into_a_regression(ratios: list[float]) -> None:
    alone = judge([pair(ratios)])[0]
    among = judge([pair(ratios), *(pair([1.0] * 9, workload=f"w{index}") for index in range(10))])[0]
    assert among.verdict in (alone.verdict, Verdict.INCONCLUSIVE)


def test_six_mallocs_in_eight_blocks_are_decided() -> None:
    """Five pairs by two figures are ten tests: 10 * 2^-8 = 0.039. One is half as slow again, four are as fast."""
    noise = (1.0, 1.003, 0.998, 1.001, 0.999, 1.004, 0.997, 1.002)
    resident = "peak_resident_bytes"
    cells = [
        cell(
            name,
            {
                TIME: figure(TIME, *(ns * item for item in (*noise[turn:], *noise[:turn]))),
                resident: figure(resident, *(50_000_000 + 4096 * (index % 2) for index in range(8))),
            },
        )
        for turn, (name, ns) in enumerate([*((name, 20.0) for name in "abcde"), ("slow", 30.0)])
    ]
    rules = gate.policy(None, gate.DEFAULT_MARGIN, [])
    result = gate.judge(compare.within(run(*cells), "a", rules.metrics), rules)
    judged = {
        (judgement.comparison.head, judgement.comparison.metric): judgement.verdict
        for judgement in result
        if judgement.verdict
    }
    others = {(name, metric): Verdict.PASS for name in ("b", "c", "d", "e") for metric in (TIME, resident)}
    assert judged == {**others, ("slow", TIME): Verdict.REGRESSION, ("slow", resident): Verdict.PASS}
