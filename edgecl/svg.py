"""Write SVG: shapes by coordinates, line charts; all text escaped, numbers short, no package needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from xml.sax.saxutils import quoteattr

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#666666")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 56, 150, 48, 44
TICKS = 5
MARK = "#8a8f96"
STYLE = (
    "svg{background:#fff;color-scheme:light dark}text{font:11px system-ui,sans-serif;fill:#222}"
    ".track{fill:#eceef1}.rule{fill:none;stroke:#ddd}.line{fill:none;stroke-width:1.5}.dashed{stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){svg{background:#16191d}text{fill:#ddd}.rule{stroke:#3a4049}}"
)
"""Of a file of its own; in a report the page's own style counts."""


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

    def dots(self, points: Iterable[tuple[float, float]], *, colour: str, title: str = "") -> None:
        """Add many dots of one colour, in few bytes."""
        path = "".join(f"M{number(x)} {number(y)}h0" for x, y in points)
        shape = f'<path class="dots" stroke-width="5" stroke={quoteattr(colour)} d="{path}"'
        self._add(shape, title, "path")

    def squares(self, points: Iterable[tuple[float, float]], side: float, *, fill: str) -> None:
        """Add many squares of one colour by their upper left corners."""
        s = number(side)
        path = "".join(f"M{number(x)} {number(y)}h{s}v{s}h-{s}z" for x, y in points)
        self._add(f'<path fill={quoteattr(fill)} d="{path}"', "", "path")

    def line(
        self, points: Sequence[tuple[float, float]], *, colour: str = "", title: str = "", dashed: bool = False
    ) -> None:
        """Add a line through points; without `colour` it is a rule of the page's own grey."""
        style = f" stroke={quoteattr(colour)}" if colour else ""
        kind = ("line" if colour else "rule") + " dashed" * dashed
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

    def standalone(self) -> str:
        """Return the text of a file of its own, with its style."""
        head = f'xmlns="http://www.w3.org/2000/svg" {self._head()}'
        return f"<svg {head}><style>{STYLE}</style>" + "\n".join(self._parts) + "</svg>\n"

    def __str__(self) -> str:
        return f"<svg {self._head()}>" + "".join(self._parts) + "</svg>"

    def _head(self) -> str:
        box = f"{number(self._width)} {number(self._height)}"
        width, label = number(self._width), quoteattr(self._label)
        return f'viewBox="0 0 {box}" width="{width}" role="img" aria-label={label}'


def line_chart(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    marks: Mapping[str, Sequence[float]] | None = None,
    dots: bool = False,
) -> Svg:
    """Draw lines of points (x, y), with vertical marks.

    Parameters
    ----------
    lines
        Name to points, in order of x; a line without points is left out.
    marks
        Name to places on the x axis.
    dots
        Mark every point, so that a line of one point shows.

    Examples
    --------
    >>> chart = line_chart({"a": [(0, 0.5), (10, 1.0)]}, title="t", x_label="rows", y_label="share")
    >>> chart.standalone().startswith("<svg xmlns=")
    True
    """
    points = [point for line in lines.values() for point in line] or [(0.0, 0.0), (1.0, 1.0)]
    places = [place for one in (marks or {}).values() for place in one]
    xs = _Axis.of([x for x, _ in points] + places, LEFT, WIDTH - RIGHT)
    ys = _Axis.of([y for _, y in points], HEIGHT - BOTTOM, TOP)
    picture = Svg(WIDTH, HEIGHT, title)
    picture.text((LEFT + WIDTH - RIGHT) / 2, 18, title, anchor="middle")
    picture.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, anchor="middle")
    picture.text(8, TOP - 14, y_label)
    _ticks(picture, xs, ys)
    for index, (name, line) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        if line:
            picture.line([(xs.place(x), ys.place(y)) for x, y in line], colour=colour, title=name)
        for x, y in line if dots else ():
            picture.circle(xs.place(x), ys.place(y), 3.5, fill=colour)
        _legend(picture, name, index, colour)
    for index, (name, one) in enumerate((marks or {}).items(), len(lines)):
        for x in one:
            picture.line([(xs.place(x), TOP), (xs.place(x), HEIGHT - BOTTOM)], colour=MARK, dashed=True)
        _legend(picture, name, index, MARK, dashed=True)
    return picture


class _Axis:
    """Values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self._start, self._end = low, high, start, end

    @staticmethod
    def of(values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        return _Axis(low, high if high > low else low + 1, start, end)

    def place(self, value: float) -> float:
        return self._start + (value - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * at / (TICKS - 1) for at in range(TICKS)]


def _ticks(picture: Svg, xs: _Axis, ys: _Axis) -> None:
    for value in ys.ticks():
        picture.line([(LEFT, ys.place(value)), (WIDTH - RIGHT, ys.place(value))])
        picture.text(LEFT - 6, ys.place(value) + 4, f"{value:.3g}", anchor="end")
    for value in xs.ticks():
        text = f"{value:,.0f}" if xs.high - xs.low >= TICKS else f"{value:.3g}"
        picture.text(xs.place(value), HEIGHT - BOTTOM + 16, text, anchor="middle")


def _legend(picture: Svg, name: str, index: int, colour: str, *, dashed: bool = False) -> None:
    x, y = WIDTH - RIGHT + 12, TOP + 18 * index
    picture.line([(x, y), (x + 18, y)], colour=colour, dashed=dashed)
    picture.text(x + 24, y + 4, name)
