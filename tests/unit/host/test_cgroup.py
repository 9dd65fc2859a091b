"""What control groups allow, read from trees made for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from memtool.host.cgroup import Allowance, allowance

MIB = 1 << 20
Tree = Callable[..., Allowance]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return what reads the allowance of a process in ``groups`` from a tree of files."""

    def read(groups: str, **files: str) -> Allowance:
        membership = tmp_path / "cgroup"
        membership.write_text(groups, encoding="ascii")
        root = tmp_path / "root"
        root.mkdir()
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="ascii")
        return allowance(root, membership)

    return read


def test_a_machine_without_control_groups(tmp_path: Path) -> None:
    assert allowance(tmp_path / "gone", tmp_path / "gone too") == Allowance(None, None, None)


def test_no_limits_in_version_2(tree: Tree) -> None:
    result = tree("0::/user\n", **{"user/memory.max": "max\n", "user/cpu.max": "max 100000\n"})
    assert result == Allowance(None, None, None)


def test_limits_in_version_2(tree: Tree) -> None:
    result = tree(
        "0::/job\n",
        **{
            "job/memory.max": f"{512 * MIB}\n",
            "job/memory.current": f"{200 * MIB}\n",
            "job/memory.stat": f"anon {100 * MIB}\ninactive_file {60 * MIB}\nactive_file {40 * MIB}\n",
            "job/cpu.max": "150000 100000\n",
        },
    )
    # Page cache that nobody uses is given up before the limit bites: 512 - (200 - 60).
    assert result == Allowance(512 * MIB, 372 * MIB, 1.5)


def test_the_tightest_group_around_the_process_counts(tree: Tree) -> None:
    result = tree(
        "0::/outer/inner\n",
        **{
            "outer/memory.max": f"{256 * MIB}\n",
            "outer/memory.current": f"{250 * MIB}\n",
            "outer/inner/memory.max": f"{300 * MIB}\n",
            "outer/inner/memory.current": f"{10 * MIB}\n",
            "outer/cpu.max": "400000 100000\n",
            "outer/inner/cpu.max": "max 100000\n",
        },
    )
    assert result == Allowance(256 * MIB, 6 * MIB, 4.0)


def test_inside_a_container_the_root_is_the_group(tree: Tree) -> None:
    """The group's name is the host's, and there is no folder of that name."""
    result = tree("0::/docker/0123\n", **{"memory.max": f"{64 * MIB}\n", "memory.current": f"{4 * MIB}\n"})
    assert result == Allowance(64 * MIB, 60 * MIB, None)


def test_limits_in_version_1(tree: Tree) -> None:
    result = tree(
        "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/job\n0::/job\n",
        **{
            "memory/job/memory.limit_in_bytes": f"{128 * MIB}\n",
            "memory/job/memory.usage_in_bytes": f"{50 * MIB}\n",
            "memory/job/memory.stat": f"inactive_file 0\ntotal_inactive_file {20 * MIB}\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cpu/job/cpu.cfs_quota_us": "50000\n",
            "cpu/job/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert result == Allowance(128 * MIB, 98 * MIB, 0.5)


def test_a_group_that_is_over_its_limit_has_nothing_left(tree: Tree) -> None:
    result = tree("0::/job\n", **{"job/memory.max": str(MIB), "job/memory.current": str(2 * MIB)})
    assert result.free_bytes == 0
