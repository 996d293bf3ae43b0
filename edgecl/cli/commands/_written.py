"""What `edgecl export` prints of the file that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli.text import counted, listed, print_json, printable
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


def print_written(out: Path, written: int, more: dict[str, Any], *, as_json: bool) -> None:
    """Print what was written of a store."""
    if as_json:
        print_json({"file": str(out), "bytes": written, **more})
    else:
        click.echo(f"{printable(str(out))} is written, {format_bytes(written)}, of revision {more['revision']}")


def print_made(out: Path, contract: Contract, *, sign: Path | None, as_json: bool) -> None:
    """Print what an extractor takes, and sign its file where a key is given."""
    written = out.stat().st_size
    signature = None
    if sign is not None:
        from edgecl.signatures import sign_file

        signature = str(sign_file(out, key=sign))
    if as_json:
        names = "modality sample_rate_hz channels units window_samples hop_samples pool_frames clip_samples dimension"
        told = {name: getattr(contract, name) for name in f"{names} source licence adapted".split()}
        print_json({"file": str(out), "bytes": written, **told, "signature": signature})
        return
    name = printable(str(out))
    channels = f"{counted(len(contract.channels), 'channel')} ({listed(contract.channels, most=9)})"
    if contract.is_picture:
        channels = f"{contract.picture_size}x{contract.picture_size} pixels ({listed(contract.channels, most=9)})"
    seconds = contract.clip_samples / contract.sample_rate_hz if contract.sample_rate_hz else 0.0
    window = f" at {contract.sample_rate_hz:g} Hz, {seconds:.3g} s of it" if seconds else ""
    click.echo(
        f"{name} is written, {format_bytes(written)}: "
        f"{contract.modality}, {channels}{window} to {contract.dimension} latents"
    )
    if signature:
        click.echo(f"{printable(signature)} is its signature")
    click.echo(f"Next:\n  edgecl init STORE --extractor {name}")
