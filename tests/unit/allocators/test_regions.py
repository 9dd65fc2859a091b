"""Regions: what they are, and who cannot be put on them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from memtool.allocators import regions
from memtool.allocators.regions import REGIONS, why_not, why_unavailable


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that says what the kernel does with huge pages; not there yet."""
    path = tmp_path / "enabled"
    monkeypatch.setattr(regions, "_THP", path)
    return path


def test_the_regions() -> None:
    assert list(REGIONS) == [
        "anonymous",
        "populate",
        "hugepages",
        "locked",
        "file-private",
        "file-shared",
        "shared-memory",
    ]
    assert {name for name, region in REGIONS.items() if region.populate} == {"populate", "locked"}
    assert {name for name, region in REGIONS.items() if region.needs_huge_pages} == {"hugepages"}
    assert {name for name, region in REGIONS.items() if region.shared} == {"file-shared", "shared-memory"}
    # The same for all, so that no kind is favoured by where it begins.
    assert {region.alignment for region in REGIONS.values()} == {2_097_152}
    assert all(region.summary and region.when for region in REGIONS.values())


def test_small_pages_are_asked_for_wherever_there_are_huge_ones() -> None:
    # MADV_HUGEPAGE is 14 and MADV_NOHUGEPAGE 15; a kernel without huge pages would refuse the latter.
    assert REGIONS["hugepages"].advice == (14,)
    assert REGIONS["anonymous"].advice == REGIONS["populate"].advice
    assert REGIONS["anonymous"].advice in {(15,), ()}


@pytest.mark.parametrize("name", ["anonymous", "populate"])
def test_small_pages_are_always_there(name: str, setting: Path) -> None:
    assert why_unavailable(REGIONS[name]) is None
    assert why_not(name, uses_region=True) is None


def test_a_system_allocator_is_on_anonymous_memory_only() -> None:
    assert why_not("anonymous", uses_region=False) is None
    for name in ("populate", "hugepages"):
        assert why_not(name, uses_region=False) == (
            f"takes its memory from the system itself, so it cannot be put on {name}"
        )


@pytest.mark.parametrize("chosen", ["[always] madvise never\n", "always [madvise] never\n"])
def test_huge_pages_where_the_kernel_gives_them(chosen: str, setting: Path) -> None:
    setting.write_text(chosen, encoding="ascii")
    assert why_unavailable(REGIONS["hugepages"]) is None


def test_huge_pages_that_are_off_say_what_mends_it(setting: Path) -> None:
    setting.write_text("always madvise [never]\n", encoding="ascii")
    assert why_unavailable(REGIONS["hugepages"]) == (
        f"transparent huge pages are off; mend it with: echo madvise | sudo tee {setting}"
    )


def test_a_kernel_without_huge_pages(setting: Path) -> None:
    assert why_unavailable(REGIONS["hugepages"]) == ("this kernel has no transparent huge pages")


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that says what this process may do; it may lock 8 MiB."""
    path = tmp_path / "status"
    monkeypatch.setattr(regions, "_OWN_STATUS", path)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8 << 20, 8 << 20))
    return path


def test_more_than_may_be_locked_says_how_much_and_what_mends_it(limit: Path) -> None:
    limit.write_text("CapEff:\t0000000000000000\n", encoding="ascii")
    assert why_not("locked", uses_region=True, peak_live_bytes=3 << 20) is None  # 7 MiB
    assert why_not("locked", uses_region=True, peak_live_bytes=6 << 20) == (
        "13.0 MiB would have to be locked, and this shell may lock 8.00 MiB; "
        "mend it with: sudo prlimit --pid $$ --memlock=unlimited"
    )


def test_who_may_lock_anything_is_not_refused(limit: Path) -> None:
    limit.write_text("CapPrm:\t0000000000000000\nCapEff:\t0000000000004000\n", encoding="ascii")  # CAP_IPC_LOCK
    assert why_not("locked", uses_region=True, peak_live_bytes=6 << 20) is None


def test_what_is_faulted_in_beforehand() -> None:
    # Twice the peak and 1 MiB, within the region's capacity.
    assert regions.populated(REGIONS["locked"], 4 << 20, 1 << 30) == 9 << 20
    assert regions.populated(REGIONS["populate"], 4 << 20, 2 << 20) == 2 << 20
    assert regions.populated(REGIONS["file-shared"], 4 << 20, 1 << 30) == 0


@pytest.mark.parametrize(
    ("limited", "limit", "size", "words"),
    [
        (
            resource.RLIMIT_AS,
            8_000_000 * 1024,
            64 << 30,
            "64.0 GiB of addresses are reserved for a region, and this shell allows 7.63 GiB (ulimit -v): "
            "give the workload a memory_limit, or lift the shell's limit",
        ),
        (
            resource.RLIMIT_DATA,
            200_000 * 1024,
            1 << 30,
            "1.00 GiB of addresses are reserved for a region, and this shell allows 195 MiB (ulimit -d): "
            "give the workload a memory_limit, or lift the shell's limit",
        ),
        (resource.RLIMIT_DATA, 200_000 * 1024, 1 << 20, None),
        (resource.RLIMIT_STACK, 1, 64 << 30, None),
    ],
)
def test_a_shell_may_allow_fewer_addresses_than_a_region_takes(
    monkeypatch: pytest.MonkeyPatch, limited: int, limit: int, size: int, words: str | None
) -> None:
    endless = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit if which == limited else endless, endless))
    assert regions.why_no_addresses(size) == words
