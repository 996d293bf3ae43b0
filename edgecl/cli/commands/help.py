"""`edgecl help`: the documents that ship with edgecl."""

from __future__ import annotations

import sys
from importlib.resources import files

import click

from edgecl.cli.options import example, json_option
from edgecl.cli.text import pairs, print_json

SUFFIX = ".md"


@click.command(epilog=example("edgecl help", "edgecl help python"))
@click.argument("topic", required=False)
@json_option
def command(topic: str | None, as_json: bool) -> None:
    """Read the documents: data, Python, JSON, devices and more.

    Lists the topics, or prints one. `edgecl COMMAND --help` describes a command.
    """
    titles = _titles()
    if topic is None:
        _list(titles, as_json=as_json)
        return
    if topic not in titles:
        raise click.UsageError(_unknown(topic, list(titles)))
    text = read(topic)
    if as_json:
        print_json({"topic": topic, "text": text})
    elif sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


def topics() -> list[str]:
    """Return the names of all documents, in alphabetical order."""
    found = files("edgecl").joinpath("docs").iterdir()
    return sorted(one.name.removesuffix(SUFFIX) for one in found if one.name.endswith(SUFFIX))


def read(topic: str) -> str:
    """Return the text of one document."""
    return files("edgecl").joinpath("docs", topic + SUFFIX).read_text(encoding="utf-8")


def _titles() -> dict[str, str]:
    """Return each topic with the heading of its document."""
    return {topic: read(topic).partition("\n")[0].removeprefix("# ") for topic in topics()}


def _list(titles: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json({"topics": titles})
        return
    click.echo(f"Topics:\n{pairs(titles)}\n\nRead one: edgecl help TOPIC")


def _unknown(topic: str, known: list[str]) -> str:
    from edgecl.cli.app import COMMANDS

    hint = f"; for the command: `edgecl {topic} --help`" if topic in COMMANDS else ""
    return f"there is no topic {topic!a}, choose one of {', '.join(known)}{hint}"
