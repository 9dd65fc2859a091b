"""Finishes pictures for the screen, for print or for slides, on light or dark paper.

Every picture is drawn on white, with colours of the same order of lightness everywhere. A dark version inverts its
greys and lightens dark colours. Colour scales and the text on them do not change.
"""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Theme = Literal["light", "dark"]
Purpose = Literal["screen", "print", "slides"]
THEMES: tuple[Theme, ...] = ("light", "dark")
PURPOSES: tuple[Purpose, ...] = ("screen", "print", "slides")
DPI = {"screen": 200, "print": 300, "slides": 200}
_SMALLER = 0.76
"""Size of a figure for slides: letters and lines keep their points, and so are relatively larger."""
_LETTERS_IN_INCH = 12
_PAPER, _INK = 0.09, 0.93
_GREY = 0.12
"""Saturation below which a colour counts as grey."""
_DARK = 0.45
"""Lightness below which a colour cannot be seen on dark paper."""


def finish(figure: Figure, theme: Theme, purpose: Purpose) -> None:
    """Change a drawn figure for its theme and purpose."""
    if purpose == "slides":
        width, height = figure.get_size_inches()
        figure.set_size_inches(width * _SMALLER, height * _SMALLER)
        _wrap(figure)
    if theme == "dark":
        for artist in _artists(figure):
            _recolour(artist)


def _wrap(figure: Figure) -> None:
    """Break the text around the axes into lines that fit the figure."""
    width, height = (round(_LETTERS_IN_INCH * inches) for inches in figure.get_size_inches())
    for axes in figure.axes:
        grid = axes.get_gridspec()
        rows, columns = (1, 1) if grid is None else (grid.nrows, grid.ncols)
        axes.set_xlabel(_filled(axes.get_xlabel(), width // columns))
        if axes.yaxis.label.get_rotation() == 90:
            axes.set_ylabel(_filled(axes.get_ylabel(), height // rows))
    for legend in figure.legends:
        for text in legend.get_texts():
            text.set_fontsize(float(text.get_fontsize()) * _SMALLER)
    if figure.get_supxlabel():
        figure.supxlabel(_filled(figure.get_supxlabel(), width), x=0.01, ha="left", fontsize=8, color="0.3")
    figure.suptitle(_filled(figure.get_suptitle(), width), fontsize=10)


def _filled(text: str, letters: int) -> str:
    return "\n".join(textwrap.fill(line, max(letters, 16), break_on_hyphens=False) for line in text.split("\n"))


def _artists(figure: Figure) -> Iterator[Any]:
    """Yield everything that has its own colour, but not what is on a colour scale or names its colours."""
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    scales = [axes for axes in figure.axes if any(isinstance(collection, QuadMesh) for collection in axes.collections)]
    fixed = {id(text) for axes in scales for text in axes.texts}
    if any(axes.images for axes in figure.axes):
        fixed |= {id(patch) for legend in figure.legends for patch in legend.get_patches()}
    for artist in figure.findobj():
        # The backgrounds of a figure and its axes are patches.
        if artist is figure or isinstance(artist, Axes) or id(artist) in fixed:
            continue
        yield artist
        box: Patch | None = artist.get_bbox_patch() if isinstance(artist, Text) else None
        if box is not None:
            yield box


def _recolour(artist: Any) -> None:  # noqa: ANN401  # of matplotlib
    if getattr(artist, "get_array", lambda: None)() is not None:
        return  # the colours of a colour scale
    for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
        read: Callable[[], Any] | None = getattr(artist, f"get_{name}", None)
        write: Callable[[Any], None] | None = getattr(artist, f"set_{name}", None)
        if read is None or write is None or (name == "color" and hasattr(artist, "get_facecolor")):
            continue
        turned = _turned_all(read())
        if turned is not None:
            write(turned)


def _turned_all(colour: Any) -> Any:  # noqa: ANN401  # one colour or several, as matplotlib has them
    from matplotlib.colors import is_color_like, to_rgba, to_rgba_array

    if colour is None or (isinstance(colour, str) and colour in ("none", "auto")):
        return None
    if is_color_like(colour):
        rgba = to_rgba(colour)
        return _turned(rgba) if rgba[3] else None
    colours = to_rgba_array(colour)
    return [_turned(tuple(colour)) for colour in colours.tolist()] if len(colours) else None


def _turned(rgba: tuple[float, ...]) -> tuple[float, float, float, float]:
    """Return a colour for dark paper: greys are inverted, and other colours are lightened if they are too dark."""
    red, green, blue, alpha = rgba
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if max(red, green, blue) - min(red, green, blue) < _GREY:
        level = _INK + (_PAPER - _INK) * lightness
        return level, level, level, alpha
    lifted = max(lightness, _DARK + 0.25 * (lightness - _DARK) + 0.05) if lightness < _DARK else lightness
    return (*colorsys.hls_to_rgb(hue, lifted, saturation), alpha)
