"""Tables as text: rows of cells, the first row the header; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Rows = Sequence[Sequence[str]]


def markdown(rows: Rows) -> str:
    """Return a table in Markdown.

    >>> print(markdown([["set", "right"], ["fsdd", "97 %"]]))
    | set | right |
    |---|---|
    | fsdd | 97 % |
    """
    header, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([header, "|" + "---|" * len(rows[0]), *body])


def of_records(records: Sequence[Mapping[str, object]]) -> str:
    """Return records with the same members as a table in Markdown, whose cells end at a bar.

    >>> print(of_records([{"set": "fsdd", "said": "a|b"}]))
    | set | said |
    |---|---|
    | fsdd | a\\|b |
    """
    cells = [[str(one).replace("|", "\\|") for one in record.values()] for record in records]
    return markdown([list(records[0]), *cells])


def plain(rows: Rows) -> str:
    """Return a table for a terminal, its columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def titled_markdown(tables: Mapping[str, Rows]) -> str:
    """Return the tables that have rows in Markdown, each under its title."""
    return "\n".join(f"## {title}\n\n{markdown(rows)}\n" for title, rows in tables.items() if rows)


def titled_plain(tables: Mapping[str, Rows]) -> str:
    """Return the tables that have rows for a terminal, each under its title."""
    return "\n".join(f"{title}\n\n{plain(rows)}\n" for title, rows in tables.items() if rows)


def yes(met: bool) -> str:
    """Return how a table says whether a target is met."""
    return "yes" if met else "NO"
