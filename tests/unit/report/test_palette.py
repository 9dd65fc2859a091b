"""Colours stand in one place: what is drawn names them, so that a picture and the page cannot differ."""

from __future__ import annotations

import re

from memtool.kinds import KINDS, results
from memtool.report import palette
from tests.conftest import ROOT

REPORT = ROOT / "memtool/report"
PLACES = {REPORT / "palette.py", REPORT / "paper/themes.py"}


def named(text: str) -> list[str]:
    return re.findall(r"""["'](#[0-9A-Fa-f]{6})["']""", text)


def test_no_colour_is_written_elsewhere() -> None:
    drawing = [*REPORT.rglob("*.py"), *(REPORT / "page/static").glob("*.js")]
    assert named((REPORT / "palette.py").read_text(encoding="utf-8"))[0] == "#0072B2"
    assert [str(path) for path in sorted({*drawing} - PLACES) if named(path.read_text(encoding="utf-8"))] == []


def test_a_bar_has_a_colour_for_each_part() -> None:
    for kind in KINDS:
        for bars in results(kind).pictures:
            assert len(bars.parts) <= len(palette.PARTS), (kind, bars.name)
