"""What another host would find: intervals that hold with few hosts, and groups of machines told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memtool import groups
from memtool.model import Run
from memtool.report.compared import by_machine as table
from memtool.stats import compare
from memtool.stats.by_machine import machines
from memtool.stats.over_hosts import OverHosts, by_block, over_hosts, p_differ
from tests.runs import MACHINE, cell, figure, run, trace

TIME = "time_per_op_ns"


def test_one_host_says_nothing_of_others_and_two_say_little() -> None:
    assert over_hosts([0.01, 0.02, 0.03], ["a"] * 3) == OverHosts(0.02, 1)
    # Student's 97.5 % point with one degree of freedom is 12.7062: 0.02 +- 12.7062 * 0.01.
    two = over_hosts([0.01, 0.01, 0.03], ["a", "a", "b"])
    assert (two.low, two.high) == pytest.approx((-0.107062, 0.147062), abs=1e-6)
    assert over_hosts([0.5, 0.5], ["a", "b"]) == OverHosts(0.5, 2, 0.5, 0.5)


@pytest.mark.parametrize("hosts", [2, 3, 8])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_the_interval_holds_the_truth_as_often_as_it_promises(hosts: int, spread: float) -> None:
    """Effects of hosts scatter by ``spread`` times what pairs of one host do; the truth is 0."""
    draw = np.random.default_rng(hosts)
    names = [str(host) for host in range(hosts) for _ in range(5)]
    held = 0
    for _ in range(400):
        own = np.repeat(draw.normal(0, spread, hosts), 5)
        over = over_hosts([float(effect) for effect in own + draw.normal(0, 1, 5 * hosts)], names)
        assert over.low is not None
        assert over.high is not None
        held += over.low <= 0 <= over.high
    assert held >= 0.92 * 400  # 95 %, less three standard errors


def test_groups_are_told_apart_by_their_hosts_and_not_by_their_blocks() -> None:
    assert p_differ([0.1], [0.2, 0.3]) is None
    # Welch's t of (1, 2, 3) and (7, 8, 9) is -7.348 with 4 degrees of freedom.
    assert p_differ([1, 2, 3], [7, 8, 9]) == pytest.approx(0.001826, abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_hosts_that_find_exactly_the_same_are_compared_without_a_warning() -> None:
    # Student's t of (1, 1) and (2, 3) is -3 with one degree of freedom: 1 - 2 / pi * atan(3).
    assert p_differ([0.1, 0.1], [0.2, 0.3]) == pytest.approx(0.204833, abs=1e-6)
    assert p_differ([0.1, 0.1], [0.2, 0.2]) == 0.0
    assert p_differ([0.1, 0.1], [0.1, 0.1]) is None


def fleet(**change: float) -> Run:
    """Return a run over two groups of three hosts: ``old`` and ``new``, whose time is worse by so much on each."""
    cells, traces = [], []
    for group, share in change.items():
        name = groups.in_group("web", group)
        traces.append(trace(name))
        hosts = [f"{group}{number}" for number in (0, 0, 0, 1, 1, 1, 2, 2, 2)]
        old = [100.0 + block for block in range(9)]
        new = [time * (1 + share + 0.001 * (block % 3) + 0.002 * (block // 3)) for block, time in enumerate(old)]
        for label, samples in (("old", old), ("new", new)):
            cells.append(cell(label, {TIME: figure(TIME, *samples, hosts=hosts)}, workload=name))
    known: dict[str, Any] = {
        group: {**MACHINE, "cpu": f"Processor {group}", groups.GROUP: group, groups.HOSTS: {f"{group}0": {"blocks": 3}}}
        for group in change
    }
    return run(*cells, traces=traces, machine={groups.GROUPS: known})


def test_a_change_is_shown_machine_by_machine_and_where_it_differs() -> None:
    of = machines(fleet(aaaaaa=0.0, bbbbbb=0.1), "old", [TIME])
    (row,) = of.rows
    assert [on.group for on in row.on] == ["aaaaaa", "bbbbbb"]
    assert [(on.hosts, on.pairs) for on in row.on] == [(3, 9), (3, 9)]
    assert [on.change for on in row.on] == pytest.approx([0.003, 0.103], abs=1e-9)
    low, high = row.on[1].hosts_low, row.on[1].hosts_high
    # Medians of hosts are ln 1.101, 1.103, 1.105: Student's 97.5 % point with two degrees of freedom is 4.3027.
    assert (low, high) == pytest.approx((0.098045, 0.107977), abs=2e-5)
    assert [(first, second) for first, second, _ in row.differing] == [("aaaaaa", "bbbbbb")]
    text = table.render(of, "table")
    assert "web: against old, by machine" in text
    assert "bbbbbb" in text
    assert "+10.3 %" in text
    assert "web · new · time_per_op_ns: +0.30 % on machine aaaaaa, +10.3 % on machine bbbbbb (p = " in text
    assert "machine bbbbbb: Processor bbbbbb, 2 cores, Linux 6.8.0, glibc 2.39" in text
    assert table.render(of, "json").startswith('{\n "schema": "memtool.machines.v1"')


def test_what_is_the_same_on_all_machines_is_not_told_apart() -> None:
    of = machines(fleet(aaaaaa=0.05, bbbbbb=0.05), "old", [TIME])
    assert of.rows[0].differing == ()
    over = of.rows[0].over_all
    assert over is not None
    assert over.hosts == 6
    assert "No two groups are told apart." in table.render(of, "table")


def test_samples_of_one_block_from_two_hosts_are_no_pair() -> None:
    base = figure(TIME, 10, 20, 30, hosts=["a", "a", "b"])
    head = figure(TIME, 11, 22, 33, hosts=["a", "b", "b"])
    assert by_block(base) == {(0, "a"): 10, (1, "a"): 20, (2, "b"): 30}
    (compared,) = compare.within(run(cell("x", {TIME: base}), cell("y", {TIME: head})), "x", [TIME])
    assert compared.samples == 2
    assert compared.hosts == ("a", "b")


def test_the_machine_of_a_workload_is_that_of_its_group() -> None:
    stored = fleet(aaaaaa=0.0, bbbbbb=0.0)
    assert groups.facts_of(stored.machine, "web:machine=bbbbbb")["cpu"] == "Processor bbbbbb"
    assert groups.split("web:threads=2:machine=bbbbbb") == ("web:threads=2", "bbbbbb")
    equal = {**MACHINE, "memory_bytes": 16_800_000_000}
    assert groups.name_of(equal) == groups.name_of({**equal, "memory_bytes": 16_790_000_000})
    assert groups.name_of(equal) != groups.name_of({**equal, "kernel": "6.9.0"})
