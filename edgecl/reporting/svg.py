"""A small writer of SVG: shapes by coordinates, all text escaped, numbers short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from xml.sax.saxutils import quoteattr


def number(value: float) -> str:
    """Return a coordinate with at most one decimal.

    >>> number(12.0), number(0.25), number(-0.04)
    ('12', '0.2', '0')
    """
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def blue(share: float) -> str:
    """Return one hue from nearly white (0) to dark (1): a share is read by lightness alone."""
    return f"hsl(212 70% {96 - 58 * min(max(share, 0.0), 1.0):.0f}%)"


def hue(index: int, of: int) -> str:
    """Return the colour of one of several classes."""
    return f"hsl({360 * index / max(of, 1):.0f} 65% 42%)"


class Svg:
    """A picture; every method adds one shape and returns nothing.

    Parameters
    ----------
    width, height
        User units, which are pixels until the page is narrower.
    label
        What a screen reader says of the picture.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self._parts: list[str] = []
        self._width, self._height, self._label = width, height, label

    def rect(self, x: float, y: float, width: float, height: float, *, fill: str = "", title: str = "") -> None:
        """Add a rectangle; without `fill` it is a track, drawn in the page's own grey."""
        colour = f" fill={quoteattr(fill)}" if fill else ' class="track"'
        shape = f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"{colour}'
        self._add(shape, title, "rect")

    def circle(self, x: float, y: float, radius: float, *, fill: str, title: str = "") -> None:
        """Add a dot."""
        self._add(
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill={quoteattr(fill)}', title, "circle"
        )

    def dots(self, points: Iterable[tuple[float, float]], *, colour: str, size: float = 5, title: str = "") -> None:
        """Add many dots of one colour, in few bytes."""
        path = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
        shape = f'<path class="dots" stroke-width="{number(size)}" stroke={quoteattr(colour)} d="{path}"'
        self._add(shape, title, "path")

    def squares(self, points: Iterable[tuple[float, float]], side: float, *, fill: str, title: str = "") -> None:
        """Add many squares of one colour by their upper left corners."""
        s = number(side)
        path = "".join(f"M{number(x)} {number(y)}h{s}v{s}h-{s}z" for x, y in points)
        self._add(f'<path fill={quoteattr(fill)} d="{path}"', title, "path")

    def line(self, points: Sequence[tuple[float, float]], *, colour: str = "", title: str = "") -> None:
        """Add a line through points; without `colour` it is a rule of the page's own grey."""
        style = f" stroke={quoteattr(colour)}" if colour else ""
        kind = "line" if colour else "rule"
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._add(f'<polyline class="{kind}"{style} points="{path}"', title, "polyline")

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", on_dark: bool = False, turned: bool = False
    ) -> None:
        """Add a line of text; `turned` rises to the right from its beginning."""
        place = f'transform="translate({number(x)},{number(y)}) rotate(-50)"' if turned else ""
        place = place or f'x="{number(x)}" y="{number(y)}"'
        kind = ' class="light"' if on_dark else ""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f"<text {place}{at}{kind}>{escape(text)}</text>")

    def _add(self, shape: str, title: str, tag: str) -> None:
        end = f"><title>{escape(title)}</title></{tag}>" if title else "/>"
        self._parts.append(shape + end)

    def __str__(self) -> str:
        box = f"{number(self._width)} {number(self._height)}"
        head = f'<svg viewBox="0 0 {box}" width="{number(self._width)}" role="img" aria-label={quoteattr(self._label)}>'
        return head + "".join(self._parts) + "</svg>"
