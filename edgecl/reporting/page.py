"""One HTML file: figures with their tables, no scripts, nothing that is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LARGEST = 100_000
"""Bytes of a report."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = (
    ":root{--ink:#222;--soft:#59616b;--paper:#fff;--line:#ddd;--track:#eceef1}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--soft:#a2abb6;--paper:#16191d;--line:#3a4049;--track:#2b3037}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:68rem;margin:2rem auto;"
    "padding:0 1rem}h1{margin-bottom:0;overflow-wrap:anywhere}h2{margin-top:2.2rem}p.note,caption{color:var(--soft)}"
    "figure{margin:0 0 1rem}figcaption,caption{text-align:left;font-weight:600;margin-bottom:.3rem;color:var(--ink)}"
    "svg{max-width:100%;height:auto}svg text{font-size:11px;fill:var(--ink)}svg text.light{fill:#fff}"
    ".track{fill:var(--track)}.rule{fill:none;stroke:var(--line)}.line{fill:none;stroke-width:2}"
    ".dots{fill:none;stroke-linecap:round;stroke-opacity:.6}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92em}td,th{text-align:left;vertical-align:top;"
    "padding:.2em .9em .2em 0;border-bottom:1px solid var(--line);overflow-wrap:break-word;max-width:30rem}"
    "th,td:first-child{white-space:nowrap}td.n,th.n{text-align:right}"
    "details{margin:.5rem 0 1rem}summary{cursor:pointer;color:var(--soft)}"
)


def document(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """Return a whole file."""
    made = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f'<body><h1>{escape(title)}</h1><p class="note">{escape(subtitle)}</p>{"".join(sections)}</body></html>\n'
    )
    return made.encode("utf-8", "backslashreplace").decode()  # names of files may hold bytes that are no text


def section(title: str, *parts: str, note: str = "") -> str:
    """Return a heading, a sentence on how to read what follows, and what follows."""
    explained = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{explained}{''.join(parts)}</section>"


def figure(picture: object, caption: str = "") -> str:
    """Return a picture with its caption; wide ones scroll."""
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure>{told}<div class="wide">{picture}</div></figure>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, folded: str = "", most: int = 200) -> str:
    """Return a table; numbers stand on the right.

    Parameters
    ----------
    folded
        The text to click at where the table is hidden at first.
    most
        Rows; what is left out is told.
    """
    rows = list(rows)
    shown = rows[:most]
    numeric = [bool(shown) and all(_is_number(row[at]) for row in shown) for at in range(len(header))]
    kind = [' class="n"' if one else "" for one in numeric]
    head = "".join(f'<th scope="col"{one}>{escape(text)}' for text, one in zip(header, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{one}>{escape(cell)}" for cell, one in zip(row, kind, strict=True)) for row in shown
    )
    left = f'<p class="note">and {len(rows) - most} more</p>' if len(rows) > most else ""
    made = f'<div class="wide"><table><thead><tr>{head}</thead><tbody>{body}</tbody></table></div>{left}'
    return f"<details><summary>{escape(folded)}</summary>{made}</details>" if folded else made


def _is_number(text: str) -> bool:
    return not text.strip("0123456789.,+-−% ") or text in ("–", "")
