"""Regions: what they are, and who cannot be put on them."""

from __future__ import annotations

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
    assert list(REGIONS) == ["anonymous", "populate", "hugepages"]
    assert [region.populate for region in REGIONS.values()] == [False, True, False]
    assert [region.needs_huge_pages for region in REGIONS.values()] == [False, False, True]
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
