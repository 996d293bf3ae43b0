"""`edgecl listen --camera`: where frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.stdin import descriptor, is_terminal

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.live.inputs.chunks import Arrival, Halt, Piece

PIPE = "ffmpeg -v error -f v4l2 -i /dev/video0 -r 2 -f mjpeg - | edgecl listen STORE --camera -"


def require_consistent(camera: str | None, frame: str | None, refractory: float | None) -> None:
    """Refuse options that a camera does not have, or that have no camera."""
    if frame is not None and camera != "-":
        raise click.UsageError("--frame is of raw RGB on stdin: add --camera -")
    if camera is not None and refractory is not None:
        raise click.UsageError("--refractory is in seconds, and frames come at no fixed rate: leave it out")


def require_alone(camera: str, *, is_alone: bool) -> None:
    """Refuse another input beside a camera, and a pipe that is none."""
    if not is_alone:
        raise click.UsageError("--camera is the input: leave out FILE, --microphone, --rate, --realtime, --wyoming")
    if camera == "-" and is_terminal():
        raise click.UsageError(f"nothing is piped to stdin: `{PIPE}`")


def frames(
    contract: Contract, camera: str | None, frame: str | None, *, halt: Halt, arrival: Arrival
) -> Iterator[Piece]:
    """Return the pieces of a camera; raises as they do."""
    from edgecl.live.inputs.camera import frame_size, mjpeg, raw_rgb, watched_folder

    if not contract.is_picture:
        raise click.UsageError(f"--camera is for pictures, the store takes {contract.modality}")
    if camera is None:
        raise click.UsageError("the store takes pictures: give --camera - (MJPEG on stdin) or --camera FOLDER")
    if camera != "-":
        return watched_folder(Path(camera), contract, halt=halt, arrival=arrival)
    if frame is not None:
        return raw_rgb(descriptor(), contract, size=frame_size(frame), halt=halt, arrival=arrival)
    return mjpeg(descriptor(), contract, halt=halt, arrival=arrival)
