"""The sign test, Holm and what so many pairs can see: figures worked by hand, and properties."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.stats import paired

effects = st.lists(st.floats(-10, 10), min_size=6, max_size=40)


def test_the_interval_of_ten_is_from_the_second_to_the_ninth() -> None:
    # P(fewer than 2 of 10 below the median) = 11 / 1024 on each side.
    assert paired.interval([7, 3, 9, 1, 5, 10, 2, 8, 4, 6]) == (2, 9)


def test_there_is_none_below_six() -> None:
    assert paired.interval([1, 2, 3, 4, 5]) is None
    assert paired.interval([1, 2, 3, 4, 5, 6]) == (1, 6)
    assert paired.interval([]) is None


def test_samples_that_are_all_equal_have_an_interval_without_width() -> None:
    assert paired.interval([2.5] * 8) == (2.5, 2.5)


def test_a_hundred_thousand_samples() -> None:
    # The ranks lie 1.96 / 2 * sqrt(n) = 310 from the middle.
    assert paired.interval(range(100_000)) == (49_689, 50_310)


@settings(max_examples=40)
@given(effects)
def test_the_interval_contains_the_median(samples: list[float]) -> None:
    result = paired.interval(samples)
    assert result is not None
    ordered = sorted(samples)
    assert (
        result[0] <= ordered[len(ordered) // 2] <= result[1]
        or result[0] <= ordered[(len(ordered) - 1) // 2] <= result[1]
    )


def test_two_runs_are_compared_by_the_ends_of_their_intervals() -> None:
    # 97.5 % of seven is from the least to the greatest: 2 / 2^7 = 0.016.
    assert paired.difference_of_medians([1, 2, 3, 4, 5, 6, 7], [11, 12, 13, 14, 15, 16, 17]) == (4, 16)


def test_two_runs_of_six_have_no_interval() -> None:
    assert paired.difference_of_medians([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]) is None


def test_p_values_count_the_pairs_on_either_side() -> None:
    # Nine of ten above: P(9 or more of 10) = 11 / 1024.
    samples = [1, 1, 1, 1, 1, 1, 1, 1, 1, -1]
    assert paired.p_above(samples, 0) == pytest.approx(11 / 1024)
    assert paired.p_not_above(samples, 0) == pytest.approx(1 - 1 / 1024)
    assert paired.p_not_above(samples, 2) == pytest.approx(1 / 1024)


def test_what_lies_at_the_limit_is_not_above_it() -> None:
    assert paired.p_not_above([0.0] * 10, 0) == pytest.approx(1 / 1024)
    assert paired.p_above([0.0] * 10, 0) == 1


@settings(max_examples=40)
@given(effects, st.floats(-5, 5))
def test_p_values_are_those_of_the_quantile_test(samples: list[float], limit: float) -> None:
    from scipy.stats import quantile_test

    above = quantile_test(samples, q=limit, p=0.5, alternative="greater").pvalue
    assert paired.p_above(samples, limit) == pytest.approx(above)
    just_above = math.nextafter(limit, math.inf)
    not_above = quantile_test(samples, q=just_above, p=0.5, alternative="less").pvalue
    assert paired.p_not_above(samples, limit) == pytest.approx(not_above)


def test_blocks_that_decide_an_effect_and_blocks_that_the_margin_takes_are_two_figures() -> None:
    """Half as fast and scattering by a fifth: five pairs on one side say so; 2 % are a tenth of the scatter."""
    samples = [-0.5 + 0.2 * item for item in (-1.5, -1.0, -0.6, -0.4, -0.1, 0.1, 0.4, 0.6, 1.0, 1.5)]
    decides = paired.blocks_to_decide(samples, 0.02, 0.05)
    needed = paired.blocks_needed(samples, 0.02, 0.05)
    assert decides is not None
    assert needed is not None
    assert decides <= 9
    assert needed > 500
    assert paired.blocks_to_decide([0.0, 0.04] * 5, 0.02, 0.05) is None


@settings(max_examples=40)
@given(effects, st.floats(-5, 5))
def test_both_ways_never_agree(samples: list[float], limit: float) -> None:
    assert paired.p_above(samples, limit) + paired.p_not_above(samples, limit) >= 1 - 1e-9


@settings(max_examples=40)
@given(effects, st.floats(-5, 5), st.floats(0, 5))
def test_a_wider_limit_never_makes_a_regression_surer(samples: list[float], limit: float, more: float) -> None:
    assert paired.p_above(samples, limit + more) >= paired.p_above(samples, limit) - 1e-12


def test_holm_by_hand() -> None:
    # 0.01 * 3; 0.03 * 2; 0.04 * 1, but never below the one before.
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.5, 0.9]) == [1.0, 1.0]
    assert paired.holm([]) == []


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    adjusted = paired.holm(p_values)
    assert all(raw <= item <= 1 for raw, item in zip(p_values, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1.0, len(p_values) * min(p_values)))


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order(p_values: list[float], random: Random) -> None:
    order = random.sample(range(len(p_values)), len(p_values))
    shuffled = paired.holm([p_values[index] for index in order])
    assert [shuffled[order.index(index)] for index in range(len(p_values))] == pytest.approx(paired.holm(p_values))


def test_a_verdict_in_a_family_of_twenty_needs_nine_blocks() -> None:
    assert paired.least_blocks(0.05 / 20) == 9  # 2^-9 = 0.00195
    assert paired.least_blocks(0.05) == 5
    assert paired.least_blocks(0.5) == 1


def test_scatter_is_the_standard_deviation_of_normal_pairs_and_blind_to_a_few_far_out() -> None:
    normal = [0.03 * NormalDist().inv_cdf((index + 0.5) / 1001) for index in range(1001)]
    assert paired.scatter(normal) == pytest.approx(0.03, rel=0.01)
    assert paired.scatter([*normal, *[50.0] * 20, *[-50.0] * 20]) == pytest.approx(0.03, rel=0.07)


def test_what_can_be_seen_grows_with_scatter_and_shrinks_with_blocks() -> None:
    base = [-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03]
    few, many = paired.smallest_detectable(base * 2, 0.02, 0.05), paired.smallest_detectable(base * 8, 0.02, 0.05)
    wide = paired.smallest_detectable([2 * item for item in base * 2], 0.02, 0.05)
    assert few is not None
    assert many is not None
    assert wide is not None
    assert 0.02 < many < few < wide


def test_what_can_be_seen_by_hand() -> None:
    # 30 pairs at 0.0025: at most 6 may lie below (P = 0.0007; 7 would be 0.0026). 24 of 30 must lie above with 80 %,
    # which takes p = 0.8385 for one, so the median lies 0.988 standard deviations above the limit.
    pairs = [0.05 * z for z in (-1, 1)] * 15
    spread = paired.scatter(pairs)
    result = paired.smallest_detectable(pairs, 0.02, 0.0025)
    assert result == pytest.approx(0.02 + 0.9884 * spread, abs=1e-4)


def test_too_few_pairs_can_see_nothing() -> None:
    assert paired.smallest_detectable([0.0, 0.1, 0.2, 0.1], 0.02, 0.05) is None


def test_blocks_needed() -> None:
    # Without scatter every pair lies below: as many as the level takes, and an odd number.
    assert paired.blocks_needed([0.0] * 6, 0.02, 0.0025) == 9
    assert paired.blocks_needed([-0.1, 0.1] * 5, 0.0, 0.05) is None
    # Scatter as wide as the margin: 84.1 % of pairs lie below. Of 29, at most 6 may lie above (P = 0.0012), which
    # they do in 83.5 % of runs.
    wide = [-0.02, 0.02] * 10
    assert paired.scatter(wide) == pytest.approx(0.02)
    assert paired.blocks_needed(wide, 0.02, 0.0025) == 29


@settings(max_examples=40)
@given(effects, st.floats(0.001, 1))
def test_so_many_blocks_are_odd_and_can_reach_the_level(samples: list[float], limit: float) -> None:
    needed = paired.blocks_needed(samples, limit, 0.01)
    if needed is not None:
        assert needed % 2 == 1
        assert 0.5**needed <= 0.01
        assert not math.isnan(needed)


def blocks(*figures: float) -> dict[int, float]:
    return dict(enumerate(figures))


def test_ranks_of_what_every_block_tells_apart() -> None:
    assert paired.ranks([blocks(*[30.0] * 6), blocks(*[10.0] * 6), blocks(*[20.0] * 6)]) == [3, 1, 2]


def test_pairs_tell_apart_what_a_busy_machine_lets_overlap() -> None:
    # The machine takes from 1 to 50 times as long, so their intervals overlap; in each block 300 ns are slower than 8.
    load = (1, 2, 3, 5, 8, 13, 21, 34, 40, 50)
    assert paired.ranks([blocks(*(300.0 * by for by in load)), blocks(*(8.0 * by for by in load))]) == [2, 1]


def test_eight_of_ten_pairs_are_a_tie_and_nine_are_not() -> None:
    best = blocks(*[10.0] * 10)
    assert paired.ranks([best, blocks(*[11.0] * 8, 9.0, 9.0)]) == [1, 1]
    assert paired.ranks([best, blocks(*[11.0] * 9, 9.0)]) == [1, 2]


def test_no_chain_of_ties_joins_what_lies_apart() -> None:
    # Each ties with its neighbour: 6 of 10 pairs. The third is slower than the first in all ten.
    first = blocks(*[10.0] * 10)
    second = blocks(*[11.0] * 6, *[9.5] * 4)
    third = blocks(*[10.9] * 4, *[12.0] * 6)
    assert paired.ranks([first, second]) == [1, 1]
    assert paired.ranks([second, third]) == [1, 1]
    assert paired.ranks([third, first, second]) == [3, 1, 1]


def test_a_tie_is_skipped_by_the_next_rank() -> None:
    assert paired.ranks([blocks(*[10.0] * 6), blocks(*[10.0] * 6), blocks(*[20.0] * 6)]) == [1, 1, 3]


def test_below_six_blocks_what_they_agree_about_is_apart() -> None:
    assert paired.ranks([blocks(300.0), blocks(8.0)]) == [2, 1]
    assert paired.ranks([blocks(10.0, 12.0, 11.0), blocks(11.0, 11.0, 12.0)]) == [1, 1]
    assert paired.ranks([]) == []


def test_without_a_common_block_only_a_gap_tells_apart() -> None:
    assert paired.ranks([{0: 10.0, 1: 12.0}, {2: 13.0, 3: 14.0}]) == [1, 2]
    assert paired.ranks([{0: 10.0, 1: 12.0}, {2: 11.0, 3: 14.0}]) == [1, 1]
