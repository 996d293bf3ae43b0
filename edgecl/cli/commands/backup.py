"""`edgecl backup`: a store as one file."""

from __future__ import annotations

from pathlib import Path

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, out_option, store_argument
from edgecl.cli.text import print_json, printable
from edgecl.units import format_bytes


@click.command(
    epilog=example(
        "edgecl backup kitchen -o kitchen.backup",
        "edgecl backup kitchen -o kitchen.backup --sign key.pem",
        "edgecl restore kitchen.backup kitchen2",
    )
)
@store_argument
@out_option
@click.option(
    "--sign",
    metavar="KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private Ed25519 key (PEM) to sign it with; extra [sign].",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE where it is there already.")
@json_option
def command(store: Path, out: Path, sign: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write a store to one file, signed where a key is given.

    A tar archive with every kept revision, the journal and a digest of the whole, readable by its owner alone: it has
    what the store has. Recordings that wait in the inbox are not in it. What `edgecl forget` removes stays in earlier
    backups.
    """
    with warn.opened(store) as learner:
        made = learner.backup(out, sign=sign, overwrite=overwrite)
    if as_json:
        told = {"file": str(out), "bytes": made.bytes, "revision": made.revision, "sha256": made.digest}
        print_json({**told, "key": made.signature.get("key")})
        return
    by = f", signed by the key {made.signature['key'][:16]}..." if made.signature else ""
    click.echo(f"{printable(str(out))} is written, {format_bytes(made.bytes)}, of revision {made.revision}{by}")
