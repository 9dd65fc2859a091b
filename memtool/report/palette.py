"""The colours, markers and hatches of everything that is drawn, in pictures and on the page.

Colours are Okabe and Ito's ("Color universal design", 2008), which colour-blind readers can distinguish. Markers and
hatches carry the same information for them and for grey print.
"""

from __future__ import annotations

from memtool.model import Verdict

BLUE, VERMILION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY, BROWN, WHITE, BLACK = "#8C8C8C", "#8C6D1F", "#FFFFFF", "#000000"
SERIES = (BLUE, VERMILION, GREEN, PINK, ORANGE, SKY, GREY, BROWN)
"""Of allocators, and of whatever else is a line. Without black, which is used for whiskers and the harness."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---")

PARTS = ((BLUE, ""), (ORANGE, "///"), ("#CCCCCC", "..."), (GREEN, "xxx"), (WHITE, "\\\\\\"))
"""(colour, hatch) of the parts of a bar."""
USED, FREE, UNACCOUNTED, METADATA = "#004C8C", "#F5B83D", "#B0557F", BLACK
"""What memory is, in maps of heaps and in bars of their parts."""
USED_NEW, USED_ONCE, USED_LONG = "#B5D9F2", "#5B9BD0", "#1B2A6B"
"""Of a collector's heap: used memory that has survived no collection, one, or several."""
DEAD, DEAD_LONG = VERMILION, "#7A2E00"
WORKER, UNTOUCHED = "#9A9A9A", "#F4F4F4"
NOT_SAID = "#D9D9D9"
"""Resident memory of which only a malloc itself knows what it is."""

HEAT = "cividis"
"""matplotlib's name of the scale of heat maps, which also colour-blind readers and grey print keep in order."""
HEAT_STEPS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")
"""The same scale at equal distances."""

VERDICTS = {
    Verdict.REGRESSION: (VERMILION, "s"),
    Verdict.PASS: (GREEN, "o"),
    Verdict.INCONCLUSIVE: (ORANGE, "D"),
    Verdict.ADVICE: (BLUE, "^"),
    Verdict.SHOWN: (GREY, "x"),
    Verdict.INCOMPARABLE: (GREY, "x"),
}
"""(colour, marker) of each verdict."""
