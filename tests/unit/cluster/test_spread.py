"""Groups of equal machines: what makes a machine another one, and what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from memtool import groups
from memtool.cluster.spread import identifying
from memtool.plan import Plan
from tests.unit.cluster.hosts import PASSES, plan_of


def described(plan: Plan, **changed: Any) -> dict[str, Any]:
    """Return what a host says that can measure what is planned here."""
    return {
        "facts": {"cpu": "one", "python": "3.11"},
        "libraries": {"libc.so.6": "5e1f"},
        "settings": {"ns_per_tick": 0.4, "use_counter": True, "passes": [str(run_pass) for run_pass in PASSES]},
        "plans": [(asdict(cell), {"adopted": None}) for cell in plan.plans],
        **changed,
    }


def name_of(plan: Plan, **changed: Any) -> str:
    return groups.name_of(identifying(described(plan, **changed), plan))


def test_a_machine_keeps_its_name_whatever_is_measured_on_it() -> None:
    small, large = plan_of(["web"], ["tlsf"], 2), plan_of(["db", "game"], ["tlsf", "buddy"], 9)
    assert name_of(small) == name_of(large)
    assert name_of(small, facts={"cpu": "one", "python": "3.13"}) == name_of(small)  # which nothing measured is run by


def test_what_figures_depend_on_makes_another_group() -> None:
    plan = plan_of(["web"], ["tlsf", "jemalloc"], 2)
    settings = described(plan)["settings"]
    other = [
        {},
        {"facts": {"cpu": "another", "python": "3.11"}},
        {"libraries": {"libc.so.6": "77aa"}},
        {"settings": {**settings, "use_counter": False}},
        {"settings": {**settings, "passes": settings["passes"][1:]}},
        {"plans": described(plan)["plans"][:1]},  # an allocator is not installed there
    ]
    assert len({name_of(plan, **changed) for changed in other}) == len(other)
