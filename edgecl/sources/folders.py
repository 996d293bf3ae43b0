"""Folders of `<label>/<file>` or `<label>/<speaker>/<file>`, in name order."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgecl.errors import DataError
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import Skip, UnusableError

DEEPEST = 8
# Files that can be given themselves; named when they lie in a folder where they are not read.
GIVEN_ALONE = (".npz", ".csv", ".jsonl")


class Found(NamedTuple):
    """A file to be read."""

    path: Path
    label: str | None
    group: str | None


def find_files(root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool) -> Iterator[Found | Skip]:
    """Find files under `root` that end in one of `suffixes`, with label and group from their path.

    The label is the first folder below `root` (or `label`, for the files of a flat folder). The group is the
    second folder, or else the file's stem up to its last `_`: `george_07.wav` is by `george`.
    Names that begin with a dot are ignored; other files become skips.

    Raises
    ------
    DataError
        The folder is empty or unreadable, or folders and `label` are both given, or neither.
    """
    _check_root(root, suffixes=suffixes, label=label, labelled=labelled)
    return _labelled_files(root, suffixes=suffixes, label=label, labelled=labelled)


def group_of(path: Path) -> str | None:
    """Return the speaker or subject in a file's name.

    >>> group_of(Path("go/3f2ab1_12.flac"))
    '3f2ab1'
    """
    return path.stem.rpartition("_")[0] or None


def _check_root(root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool) -> None:
    try:
        entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
        folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(f"{root} can't be read: {error.strerror}") from error
    wanted = f"wanted <label>/<file>{suffixes[0]}"
    if not entries:
        raise DataError(f"{root} is an empty folder, {wanted}")
    if folders and label is not None:
        named = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
        raise DataError(
            f"{root} holds folders ({named}), each of them a label: give no label of your own, "
            "or give the folder of a single label",
            parameter="label",
        )
    usable = any(entry.suffix.lower() in suffixes for entry in entries)
    if not folders and not usable:
        alone = [entry.name for entry in entries if entry.suffix.lower() in GIVEN_ALONE]
        hint = f"; to read {alone[0]}, give its own path" if alone else ""
        raise DataError(f"{root} holds no {' or '.join(suffixes)} file, {wanted}{hint}")
    if labelled and not folders and label is None:
        raise DataError(
            f"{root} contains files without a label: give their label, or sort them into <label>/ folders",
            parameter="label",
        )


def _labelled_files(
    root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool
) -> Iterator[Found | Skip]:
    for path in _walk(root, suffixes=suffixes, trail=()):
        if isinstance(path, Skip):
            yield path
            continue
        *folders, _ = path.relative_to(root).parts
        try:
            found = clean_label(folders[0]) if folders else label
        except UnusableError as error:
            yield Skip(str(path), str(error))
            continue
        if found is None and labelled:
            yield Skip(str(path), "no label: it is next to the label folders, not in one")
            continue
        yield Found(path, found, folders[1] if len(folders) > 1 else group_of(path))


def _walk(folder: Path, *, suffixes: tuple[str, ...], trail: tuple[tuple[int, int], ...]) -> Iterator[Path | Skip]:
    """Yield every file below `folder`, depth first; `trail` identifies the folders above."""
    try:
        identity = (folder.stat().st_dev, folder.stat().st_ino)
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        yield Skip(str(folder), f"unreadable: {error.strerror}")
        return
    if identity in trail:
        yield Skip(str(folder), "symlink loop: it leads back to a folder above itself")
    elif len(trail) > DEEPEST:
        yield Skip(str(folder), f"too deep: more than {DEEPEST} folders down")
    elif not entries:
        yield Skip(str(folder), "empty folder: no files in it")
    else:
        for entry in entries:
            yield from _entry(entry, suffixes=suffixes, trail=(*trail, identity))


def _entry(path: Path, *, suffixes: tuple[str, ...], trail: tuple[tuple[int, int], ...]) -> Iterator[Path | Skip]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield Skip(str(path), f"unreadable: {error.strerror}")
        return
    if stat.S_ISDIR(mode):
        yield from _walk(path, suffixes=suffixes, trail=trail)
    elif path.suffix.lower() not in suffixes:
        yield Skip(str(path), f"other file: not a {' or '.join(suffixes)} file")
    elif not stat.S_ISREG(mode):
        yield Skip(str(path), "not a regular file: a pipe, socket or device")
    else:
        yield path
