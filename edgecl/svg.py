"""Line charts as plain SVG text, so that a plot needs no package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#666666")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 56, 150, 36, 44
TICKS = 5


def line_chart(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    marks: Mapping[str, Sequence[float]] | None = None,
    dots: bool = False,
) -> str:
    """Draw lines of points (x, y), with vertical marks, as a standalone SVG.

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
    >>> line_chart({"a": [(0, 0.5), (10, 1.0)]}, title="t", x_label="rows", y_label="share").startswith("<svg")
    True
    """
    points = [point for line in lines.values() for point in line] or [(0.0, 0.0), (1.0, 1.0)]
    places = [place for one in (marks or {}).values() for place in one]
    xs = _Axis.of([x for x, _ in points] + places, LEFT, WIDTH - RIGHT)
    ys = _Axis.of([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [*_frame(title, x_label, y_label), *_ticks(xs, ys)]
    legend = 0
    for legend, (name, line) in enumerate(lines.items()):
        parts += _line(line, xs, ys, COLOURS[legend % len(COLOURS)])
        parts += _dots(line, xs, ys, COLOURS[legend % len(COLOURS)]) if dots else []
        parts += _legend(name, legend, COLOURS[legend % len(COLOURS)], dashed=False)
    for at, (name, one) in enumerate((marks or {}).items(), legend + 1):
        parts += [_dashed(xs.place(x)) for x in one]
        parts += _legend(name, at, "#999999", dashed=True)
    body = "\n".join(parts)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return f"{opening}\n{body}\n</svg>\n"


class _Axis:
    """Values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self._start, self._end = low, high, start, end

    @staticmethod
    def of(values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        return _Axis(low, high if high > low else low + 1, start, end)

    def place(self, value: float) -> float:
        return round(self._start + (value - self.low) / (self.high - self.low) * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * at / (TICKS - 1) for at in range(TICKS)]


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{more}>{escape(text)}</text>'


def _frame(title: str, x_label: str, y_label: str) -> list[str]:
    middle = (LEFT + WIDTH - RIGHT) / 2
    turned = f' transform="rotate(-90 14 {HEIGHT / 2})"'
    return [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(middle, 20, title, size=14),
        _text(middle, HEIGHT - 8, x_label),
        _text(14, HEIGHT / 2, y_label, more=turned),
    ]


def _ticks(xs: _Axis, ys: _Axis) -> list[str]:
    parts = []
    for value in ys.ticks():
        y = ys.place(value)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:.3g}", anchor="end", size=10))
    parts += [_text(xs.place(value), HEIGHT - BOTTOM + 16, f"{value:,.0f}", size=10) for value in xs.ticks()]
    return parts


def _line(line: Sequence[tuple[float, float]], xs: _Axis, ys: _Axis, colour: str) -> list[str]:
    path = " ".join(f"{xs.place(x)},{ys.place(y)}" for x, y in line)
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'] if line else []


def _dots(line: Sequence[tuple[float, float]], xs: _Axis, ys: _Axis, colour: str) -> list[str]:
    return [f'<circle cx="{xs.place(x)}" cy="{ys.place(y)}" r="3.5" fill="{colour}"/>' for x, y in line]


def _dashed(x: float) -> str:
    return f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}" stroke="#999999" stroke-dasharray="4 3"/>'


def _legend(name: str, at: int, colour: str, *, dashed: bool) -> list[str]:
    x, y = WIDTH - RIGHT + 12, TOP + 18 * at
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    line = f'<line x1="{x}" y1="{y}" x2="{x + 18}" y2="{y}" stroke="{colour}" stroke-width="2"{dash}/>'
    return [line, _text(x + 24, y + 4, name, anchor="start", size=11)]
