"""Regions: what they are, and who cannot be put on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from memtool.allocators import regions
from memtool.allocators.regions import REGIONS, why_not, why_unavailable


@pytest.fixture
def huge_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that says what the kernel does with huge pages; not there yet."""
    path = tmp_path / "enabled"
    monkeypatch.setattr(regions, "_THP", path)
    return path


def test_the_regions() -> None:
    assert list(REGIONS) == ["anonymous", "populate", "hugepages"]
    assert [region.populate for region in REGIONS.values()] == [False, True, False]
    # MADV_NOHUGEPAGE is 15 and MADV_HUGEPAGE 14, whatever the system's default is.
    assert [region.advice for region in REGIONS.values()] == [(15,), (15,), (14,)]
    assert {region.alignment for region in REGIONS.values()} == {2_097_152}


@pytest.mark.parametrize("name", ["anonymous", "populate"])
def test_small_pages_are_always_there(name: str, huge_pages: Path) -> None:
    assert why_unavailable(REGIONS[name]) is None
    assert why_not(name, uses_region=True) is None


def test_a_system_allocator_is_on_anonymous_memory_only() -> None:
    assert why_not("anonymous", uses_region=False) is None
    for name in ("populate", "hugepages"):
        assert why_not(name, uses_region=False) == (
            f"takes its memory from the system itself, so it cannot be put on {name}"
        )


@pytest.mark.parametrize("setting", ["[always] madvise never\n", "always [madvise] never\n"])
def test_huge_pages_where_the_kernel_gives_them(setting: str, huge_pages: Path) -> None:
    huge_pages.write_text(setting, encoding="ascii")
    assert why_not("hugepages", uses_region=True) is None


def test_huge_pages_that_are_off_say_what_mends_it(huge_pages: Path) -> None:
    huge_pages.write_text("always madvise [never]\n", encoding="ascii")
    assert why_not("hugepages", uses_region=True) == (
        f"transparent huge pages are off; mend it with: echo madvise | sudo tee {huge_pages}"
    )


def test_a_kernel_without_huge_pages(huge_pages: Path) -> None:
    assert why_not("hugepages", uses_region=True) == "this kernel has no transparent huge pages"
