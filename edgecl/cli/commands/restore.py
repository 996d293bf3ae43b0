"""`edgecl restore`: the store of a backup."""

from __future__ import annotations

from pathlib import Path

import click

from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import print_json, printable


@click.command(
    epilog=example(
        "edgecl restore kitchen.backup kitchen",
        "edgecl restore kitchen.backup kitchen --require-signature key.pub",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@store_argument
@click.option(
    "--require-signature",
    metavar="PUBLIC_KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refuse what this Ed25519 key (PEM) has not signed; extra [sign].",
)
@click.option("--overwrite", is_flag=True, help="Replace STORE: what it has learnt since is lost.")
@json_option
def command(file: Path, store: Path, require_signature: Path | None, overwrite: bool, as_json: bool) -> None:
    """Make the store of a backup.

    FILE is what `edgecl backup` wrote. STORE is made whole or not at all: a file that is damaged, changed, or not of an
    intact store is refused. A digest shows damage, not malice: for a file that others could change, require a
    signature. An old backup verifies as well as a new one.
    """
    from edgecl.operations.backup import restore

    made = restore(file, store, require_signature=require_signature, overwrite=overwrite)
    if as_json:
        told = {"store": str(store), "revision": made.revision, "sha256": made.digest, "key": made.signature.get("key")}
        print_json({**told, "verified": require_signature is not None})
        return
    click.echo(f"{printable(str(store))} is restored: revision {made.revision} is live")
    if made.signature and require_signature is None:
        click.echo("Its signature was not verified: give --require-signature PUBLIC_KEY.")
