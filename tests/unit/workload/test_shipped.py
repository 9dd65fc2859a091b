"""The shipped workloads: all load, their events never change, and the fleet's keep what was published."""

from __future__ import annotations

import csv
import os
import re
from fractions import Fraction
from pathlib import Path

import pytest

from memtool.kinds.work import kind_of, load_trace, work
from memtool.model import Mode
from memtool.workload.language.loader import load_workload
from memtool.workload.trace import shipped
from scripts.coarsen_fleet import MOST_ROWS, coarsen, read
from tests.conftest import ROOT

# Hashes of the canonical events: a change of one is a change of what every stored result was measured on.
HASHES = {
    "chapter/access-patterns": "af53f6f1ee419683097f68f515ebf63e",
    "chapter/alignment": "4f82fb7eb0631a01be8eff7cbe6e37cf",
    "chapter/binary-trees": "6af528cb6bc3770563b514481d909cf9",
    "chapter/containers-growth": "5709fe203f58a4ec5ba9df2ef5719016",
    "chapter/containers-large": "20ec417724b2d08c8a8f31831fb8f80f",
    "chapter/containers-tiny": "44438c7dd12da07eb0cc088eabff81e4",
    "chapter/device-access": "3960538cde45ec430cfaf5cc841e2401",
    "chapter/device-memory": "fd9a27459ad7e24af62c87d4b0df023c",
    "chapter/embedded-fixed-budget": "5f91d6fdb4d10082a07ccc8b863f271f",
    "chapter/false-sharing": "2ab926c2b74ec8b4303cf4bcdd0aa3bf",
    "chapter/file-beyond-memory": "347351683924c3a86a481f3f173a6296",
    "chapter/file-log": "56651ca743415327ab3e58c753a91d05",
    "chapter/file-lookups": "7cf99c20cce562c845ec8527cc640151",
    "chapter/file-scan": "3e000d2ef79d6f6b6ee52f409c65659c",
    "chapter/file-updates": "a7bc7b041251a4d6b67d98c9989fa8ad",
    "chapter/fragmentation": "d4a51648cd0425139324eba91869d6f8",
    "chapter/frequent-small-objects": "5fa30e94e3f6f2eb4e1667d821efff9c",
    "chapter/game-frame": "c43ab29267798eeb3dd363b9fdb6c014",
    "chapter/garbage-cycles": "60b50bfa0dd7ca435ef37be8ef5368be",
    "chapter/garbage-pauses": "e375f04e9d45663eb5a4118d9f93b44a",
    "chapter/garbage-young": "98732ce3118f3162dd8acd0b1589f826",
    "chapter/growing-vectors": "88d0dc7e1d28de3fc7c798e9440d9a62",
    "chapter/huge-pages": "5a8ca48dc08874e692de3297e3451bf6",
    "chapter/loads": "9c3f1eb450fb2524aa32e7578d79f754",
    "chapter/long-lived-server": "967788ee6f62526319fa77e0258c991d",
    "chapter/message-queue": "38d54a9d2b68ab48c68803ec3c23982b",
    "chapter/nested-lifetimes": "e2651b248cdd26b6e75416dc9f467e1f",
    "chapter/object-arrays": "e5973cbe367daa2c73a9d86974adbe93",
    "chapter/object-handles": "fb34f637e090d42057807073846ee810",
    "chapter/padding": "f55ef9fa751617031a1b5184f8b26cbd",
    "chapter/placement-new": "a5e183212d72438db6ae31cd616e0f42",
    "chapter/real-time-loop": "f81e205a15fa586ac03780e3168f308a",
    "chapter/zeroed-buffers": "5b569616aebbb23db2841369458fd36b",
    "classic/cache-scratch": "da0f550dd5a7c952929ba397a5f4ae91",
    "classic/cache-thrash": "4da5b50f007623ba46d5240e8a71c6ee",
    "classic/mleak": "ce6b179f18162def4a303110b3268157",
    "classic/phong": "3b797f3d1a6484bc8ee0a9a3ba07ed9f",
    "classic/rptest": "ad89b5187dd03608a930bb806f7e3348",
    "classic/sh8bench": "11c34e1dc76c80e34ec4de80680edc60",
    "classic/xmalloc": "5e5609618c47d9948fb8dc0cc34c5102",
    "classic/alloc-test": "a0261511739f20604187da0384b91025",
    "classic/glibc-simple-16": "f3dcab8dfacfca25757c22f9c5d0c952",
    "classic/glibc-simple-32": "f4a129af8079444baec500f971c8a45c",
    "classic/glibc-simple-64": "6f326e6a78d78ef6ea8a4b51f6318f97",
    "classic/glibc-thread": "355f4168cad644773474ae496b81f717",
    "classic/larson": "8ef958c6cc6bd720193692941c0397c8",
    "classic/linux-scalability": "cff59b8afc30a2a1f0129f8d46250d59",
    "classic/malloc-large": "0088569f3b24c4c3e2e982e0f2f03b89",
    "classic/mstress": "413296ebd644f991d348e3e3e349579a",
    "classic/sh6bench": "828bbe12c6aa6417763887b2266ca5cf",
    "classic/threadtest": "491b23ee7594a27017100e599de9d85a",
    "fleet/profile-0": "e327a04b0bdeff40c5b0ef6e5420c386",
    "fleet/profile-1": "35a70c3b19fcefffea04f5fca2a3cf30",
    "fleet/profile-2": "61ea13f17d58163f971952c1b6a156ae",
    "fleet/profile-3": "870013af62ac384aaa4f7abe3106489b",
    "fleet/profile-4": "df027a66d479dcfcb4457ed11281b8e1",
    "quickstart": "3029bbf4680f79b3b04b6dcc58f92781",
}
PROFILES = Path(os.environ.get("MEMTOOL_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "fleetbench"


def test_every_workload_of_ordinary_size_has_its_hash_here() -> None:
    assert sorted(HASHES) == [name for name in shipped() if "1GiB" not in name]


@pytest.mark.parametrize("name", HASHES)
def test_events_are_the_same_everywhere(name: str) -> None:
    with load_trace(name, seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        assert trace.info.event_hash == HASHES[name]


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_workload_says_what_it_is(name: str) -> None:
    path = shipped()[name]
    _, description = work(kind_of(path)).listed(path)
    assert description


@pytest.mark.parametrize("index", range(5))
def test_fleet_profiles_keep_the_published_totals(index: int) -> None:
    published = PROFILES / f"TCMALLOC_{index}.csv"
    if not published.is_file():
        pytest.skip("the published profiles are not here")
    rows = read(published)
    coarse = coarsen(rows)
    assert len(coarse) <= MOST_ROWS
    for column in (1, 2):
        assert sum(row[column] for row in coarse) == sum(row[column] for row in rows)
    assert sum(row[0] * row[2] for row in coarse) == sum(row[0] * row[2] for row in rows)
    profile = load_workload(shipped()[f"fleet/profile-{index}"]).profile
    assert profile is not None
    shipped_rate = sum((row[1] for row in profile.rows), Fraction(0))
    assert abs(float(shipped_rate / sum(row[1] for row in rows)) - 1) < 1e-4
    shipped_bytes = sum((row[0] * row[2] for row in profile.rows), Fraction(0))
    assert abs(float(shipped_bytes / sum(row[0] * row[2] for row in rows)) - 1) < 1e-4


def test_the_published_profiles_have_a_row_a_size(tmp_path: Path) -> None:
    table = tmp_path / "TCMALLOC_9.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([(8, 10, 100), (16, 5, 50), (32, 0, 7), (64, 1, 0)])
    # Nothing allocates the 32s, and no 64 lives: neither says anything.
    assert read(table) == [tuple(map(Fraction, row)) for row in ((8, 10, 100), (16, 5, 50))]


TOUCHES = {
    # As the originals do: what they fill or clear is written whole, what they mark in its first bytes.
    "all": {
        "alloc-test", "glibc-simple-16", "glibc-simple-32", "glibc-simple-64", "glibc-thread", "malloc-large", "mleak",
        "mstress", "rptest", "threadtest", "xmalloc",
    },
    "first": {"larson", "phong", "sh6bench", "sh8bench"},
    "none": {"cache-scratch", "cache-thrash", "linux-scalability"},
}  # fmt: skip


def test_classics_write_what_their_originals_write() -> None:
    """What is touched is no part of the events, so their hash does not hold it."""
    touches: dict[str, set[str]] = {}
    for name, path in shipped().items():
        if name.startswith("classic/"):
            touches.setdefault(load_workload(path).touch, set()).add(name.removeprefix("classic/"))
    assert touches == TOUCHES


@pytest.mark.parametrize("page", ["README.md", "docs/workloads.md"])
def test_the_documented_workload_has_no_peak_that_misleads(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    block = next(
        block for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S) if "name: web-server" in block
    )
    (tmp_path / "w.yaml").write_text(block)
    with load_trace(str(tmp_path / "w.yaml"), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as loaded:
        assert loaded.info.notes == ()
