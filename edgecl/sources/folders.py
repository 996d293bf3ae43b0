"""Folders of `<label>/<file>` or `<label>/<speaker>/<file>`, in name order."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecl.errors import DataError
from edgecl.notes import Logger
from edgecl.sources.labels import are_known, clean_label
from edgecl.sources.samples import Skip, UnusableError

logger = Logger(__name__)
DEEPEST = 8
MOST_LEVELS, MOST_FOLDERS = 4, 5_000  # folders below each other, and of all of them, among which labels are looked for
SAME_FOLDERS = 0.5  # share of all folders within others from which on these hold the same ones
# Files that can be given themselves; named when they lie in a folder where they are not read.
GIVEN_ALONE = (".npz", ".csv", ".jsonl")

# Parts of a set that are no labels; these patterns are compiled where they are needed, which takes a millisecond.
_SPLIT = (
    r"(train|training|test|testing|val|valid|validation|dev|eval|evaluation|holdout|extra)"
    r"([ _-]?(set|data|clips|files|samples|audio|clean|other|val|\d+))*"
    r"|(fold|split|cv|part|partition|run)[ _-]?\d+|pos|neg|positive|negative"
)
_SPLIT_BEGINS = (
    "train", "test", "val", "dev", "eval", "holdout", "extra", "fold", "split", "cv", "part", "run", "pos", "neg",
)  # fmt: skip
# Names that are no labels either where all folders have such names, and folders of the same names below.
_PART_AT_END = r".+[ _-](train|training|test|testing|val|validation|dev|eval)"
_PERSON = r"(subject|subj|speaker|spk|participant|person|user|s|p|u)[ _-]?\d+"
_SESSION = r"(session|day)[ _-]?\d+"
_DATE = r"(19|20)\d\d([-_.]?)\d\d\2\d\d([ t_-].*)?"  # of a recording, which names no label
CONVERTED = (
    ".m4a", ".aac", ".wma", ".webm", ".mp4", ".3gp", ".amr", ".caf", ".au", ".w64", ".wv", ".mka", ".mkv", ".mov",
    ".oga", ".spx",
)  # fmt: skip
CONVERT = "ffmpeg -i FILE -ac 1 FILE.wav"
# What systems, archives and network drives write beside the files of people, in lower case: bins, indices, thumbnails
_SYSTEM = frozenset(
    {"$recycle.bin", "#recycle", "@recycle", "@eadir", "#snapshot", "lost+found", "system volume information"}
    | {"__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
PICTURES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp")
CONVERTED_PICTURES = (".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jp2", ".dng", ".svg")
CONVERT_PICTURE = "ffmpeg -i FILE FILE.png"


def require_file(path: Path) -> None:
    """Raise OSError unless a path is a file with bytes of its own: opening a pipe or device may never end.

    A file of /proc or /sys has no length, though reading it gives bytes: it counts as empty.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise OSError(errno.EINVAL, f"it is {kind} and no file")
    require_data(path)


def require_data(path: Path) -> None:
    """Raise OSError for a file of /proc or /sys, which may never end; what is followed live may be a pipe or device."""
    status = path.stat()
    if stat.S_ISREG(status.st_mode) and status.st_size == 0 and path.resolve().parts[1:2] in (("proc",), ("sys",)):
        raise OSError(errno.EINVAL, "it is made by the system and no file")


def is_hidden(name: str) -> bool:
    """Test whether a file or folder is passed over: its name begins with a dot, or it is of the system.

    >>> is_hidden(".git"), is_hidden("$RECYCLE.BIN"), is_hidden("recycle")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM


def is_store(folder: Path) -> bool:
    """Test whether a folder is a store, whose files are no recordings: learnt from, its inbox would be a class."""
    return (folder / "store.json").is_file() and (folder / "objects").is_dir()


def disguise(begins: bytes) -> str:
    """Return what a file is that is called sound or picture, from its first twelve bytes; nothing where that is open.

    >>> disguise(b"version http")
    'a pointer of Git LFS: fetch the file itself with `git lfs pull`'
    """
    if begins.startswith(b"version http"):
        return "a pointer of Git LFS: fetch the file itself with `git lfs pull`"
    if begins.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML: download the file itself"
    return "an archive: unpack it first" if begins.startswith((b"PK\3\4", b"\x1f\x8b")) else ""


class Found(NamedTuple):
    """A file to be read."""

    path: Path
    label: str | None
    group: str | None


def find_files(
    root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool, label_folder: int | None = None
) -> Iterator[Found | Skip]:
    """Find files under `root` that end in one of `suffixes`, with label and group from their path.

    The label is the first folder below `root` (or `label`, for the files of a flat folder). The group is the
    second folder, or else the file's stem up to its last `_`: `george_07.wav` is by `george`. With `label_folder` the
    label is the folder at that depth, 1 for the first.
    Names that begin with a dot and those of the system (`is_hidden`) are ignored; other files and stores become skips.

    Raises
    ------
    DataError
        The folder is empty or unreadable, or folders and `label` are both given, or neither.
    """
    _check_root(root, suffixes=suffixes, label=label, labelled=labelled)
    return _labelled_files(root, suffixes=suffixes, label=label, labelled=labelled, depth=label_folder or 1)


def named_suffixes(suffixes: tuple[str, ...]) -> str:
    """Return suffixes as a phrase.

    >>> named_suffixes((".wav", ".flac", ".mp3"))
    '.wav, .flac or .mp3'
    """
    *most, last = suffixes
    return f"{', '.join(most)} or {last}" if most else last


def require_labels_first(root: Path, known: Collection[str] = ()) -> None:
    """Refuse folders that are parts of a set or people, above the folders that are labels.

    Raises
    ------
    DataError
        All of them are called train, test, fold1 and the like, or two that are hold folders of the same names, or they
        are numbered from 1 and hold the same folders, or none of them is called like a class that is known, but some
        below them are, at any depth up to MOST_LEVELS.
    """
    below = {
        one.name: _folders(one)
        for one in sorted(root.iterdir())
        if one.is_dir() and not (one.name.startswith("_") or is_hidden(one.name) or is_store(one))
    }
    parts = [name for name in below if _is(_SPLIT, name)] or _numbered_parts(below) or _people(below)
    are_all = len(parts) == len(below) and (len(parts) > 1 or any(below.values()))
    signs = {"positive", "negative", "pos", "neg"}
    if are_all and {name.lower() for name in parts} <= signs and not any(below.values()):
        return  # two labels, with files in them
    share = any(
        len(below[one] & below[other]) >= (1 if other in parts else 2)
        for one in parts
        for other in below
        if one != other
    )
    levels = [] if are_known(below, known) else _levels(root, below)
    above = [name for name, inner in below.items() if are_known(inner, known)] if levels else []
    if not above and any(are_known(one, known) for one in levels[2:]):
        above = sorted(below)
    if above or (parts and (are_all or share)):
        of = above or parts
        inner = sorted(set().union(*(below[name] for name in of)))
        deeper = "".join(f", or {depth} ({_some(names)})" for depth, names in enumerate(levels[2:], start=3))
        what = "with known classes below them" if above else "that are called like parts of a set or people"
        raise DataError(
            f"{root} holds folders {what}, {_some(of)}: which folders are the labels? Give "
            f"the depth 1 for the first ones ({_some(sorted(below))})"
            + (f", or 2 for those below ({_some(inner)})" if inner else "")
            + f"{deeper}, or give the path of one part alone",
            parameter="label_folder",
        )
    depth = max(
        (at for at, names in enumerate(levels, start=1) if len(names) > 1 and not _are_people(names)), default=1
    )
    if depth > 2:
        logger.warning(
            "%s holds folders below each other: the first (%s) are taken as the labels, the next (%s) as people: if "
            "those at depth %d (%s) are the labels, say so (--label-folder %d)",
            root, _some(levels[0]), _some(levels[1]), depth, _some(levels[depth - 1]), depth,
        )  # fmt: skip
        return
    _name_alike(root, below, known)


def _levels(root: Path, below: Collection[str]) -> list[list[str]]:
    """Return the names of folders at each depth, in order; `below` are those of the first."""
    here, levels, left = [root / one for one in below], list[list[str]](), MOST_FOLDERS
    while here and len(levels) < MOST_LEVELS:
        levels.append(sorted({one.name for one in here}))
        left -= len(here)
        here = [one / name for one in here for name in _folders(one)] if left > 0 else []
    return levels


def _name_alike(root: Path, below: Mapping[str, set[str]], known: Collection[str]) -> None:
    """Warn where all folders hold mostly the same ones: people of each label, or labels of each part of a set.

    One folder alone is a label of some people, unless nothing is known: one label is no first lesson.
    """
    inner = set.intersection(*below.values()) if below else set[str]()
    if len(inner) < 2 or _are_people(inner) or are_known(below, known) or (len(below) == 1 and known):
        return
    if len(inner) >= SAME_FOLDERS * len(set().union(*below.values())):
        some = _some(sorted(below))
        logger.warning(
            "%s: the %s (%s), which are taken as people: if they are the labels, say so (--label-folder 2)",
            root,
            f"folder {some} holds folders" if len(below) == 1 else f"folders {some} hold the same folders",
            _some(sorted(inner)),
        )


def _is(kind: str, name: str) -> bool:
    """Test whether a folder is called like a part of a set, a person or a session."""
    if kind == _SPLIT and not name.lower().startswith(_SPLIT_BEGINS):
        return False
    return re.fullmatch(kind, name.lower()) is not None


def _are_people(names: Collection[str]) -> bool:
    """Test whether all folders are called like people, sessions or dates."""
    return all(any(_is(kind, name) for kind in (_PERSON, _SESSION, _DATE)) for name in names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _numbered_parts(below: Mapping[str, set[str]]) -> list[str]:
    """Return folders that are numbered from 1 without a gap and share two folders or more: folds, as a rule.

    Digits as labels with a folder for each speaker begin with 0.
    """
    numbers = sorted(int(name) for name in below if name.isdecimal())
    if len(numbers) < 2 or len(numbers) < len(below) or numbers != list(range(1, len(numbers) + 1)):
        return []
    return list(below) if len(set.intersection(*below.values())) > 1 else []


def _people(below: Mapping[str, set[str]]) -> list[str]:
    """Return folders that are called like people, sessions or parts, all of them."""
    kinds = (_PERSON, _SESSION, _PART_AT_END)
    alike = len(below) > 1 and all(any(_is(kind, name) for kind in kinds) for name in below)
    return list(below) if alike and set.intersection(*below.values()) else []


def _folders(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            names = [one.name for one in entries if one.is_dir() and not is_hidden(one.name)]
        return {one for one in names if not is_store(folder / one)}
    except OSError:
        return set()


def group_of(path: Path) -> str | None:
    """Return the speaker or subject in a file's name.

    >>> group_of(Path("go/3f2ab1_12.flac"))
    '3f2ab1'
    """
    return path.stem.rpartition("_")[0] or None


def _check_root(root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool) -> None:
    try:
        entries = sorted(entry for entry in root.iterdir() if not is_hidden(entry.name))
        folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(f"{root} can't be read: {error.strerror}") from error
    wanted = f"wanted <label>/<file>{suffixes[0]}"
    if is_store(root):
        raise DataError(f"{root} is a store of edgecl and holds no samples to read: give the path of the data")
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
        there = {entry.suffix.lower() for entry in entries}
        if ".wav" in suffixes and not there.isdisjoint(CONVERTED):
            hint = f"; convert them: {CONVERT}"
        if ".png" in suffixes and not there.isdisjoint(CONVERTED_PICTURES):
            hint = f"; convert them: {CONVERT_PICTURE}"
        raise DataError(f"{root} holds no {named_suffixes(suffixes)} file, {wanted}{hint}")
    if labelled and not folders and label is None:
        raise DataError(
            f"{root} contains files without a label: give their label, or sort them into <label>/ folders",
            parameter="label",
        )


def _labelled_files(
    root: Path, *, suffixes: tuple[str, ...], label: str | None, labelled: bool, depth: int
) -> Iterator[Found | Skip]:
    for path in _walk(root, suffixes=suffixes, trail=()):
        if isinstance(path, Skip):
            yield path
            continue
        *folders, _ = path.relative_to(root).parts
        try:
            found = clean_label(folders[depth - 1]) if len(folders) >= depth else label
        except UnusableError as error:
            yield error.skip(str(path))
            continue
        if found is None and labelled:
            yield Skip(str(path), "no label: it is next to the label folders, not in one")
            continue
        yield Found(path, found, _group(path, folders, depth))


def _group(path: Path, folders: list[str], depth: int) -> str | None:
    """Return the speaker or subject: the folder below the label, the nearest above if it is called so, or of the name.

    A session or a day above the label is a group only where no person stands above it. Where the file's name says
    nothing it is any folder above that is no part of a set.
    """
    if len(folders) > depth:
        return folders[depth]
    above = folders[: depth - 1][::-1]
    for kind in (_PERSON, _SESSION):
        for name in above:
            if _is(kind, name):
                return name
    parts = (_SPLIT, _PART_AT_END)
    others = (name for name in above if not any(_is(kind, name) for kind in parts))
    return group_of(path) or next(others, None)


def _walk(folder: Path, *, suffixes: tuple[str, ...], trail: tuple[tuple[int, int], ...]) -> Iterator[Path | Skip]:
    """Yield every file below `folder`, depth first; `trail` identifies the folders above."""
    try:
        identity = (folder.stat().st_dev, folder.stat().st_ino)
        entries = sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name))
    except OSError as error:
        yield Skip(str(folder), f"unreadable: {error.strerror}")
        return
    if is_store(folder):
        yield Skip(str(folder), "a store of edgecl: it holds no samples to read")
    elif identity in trail:
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
        to_do = f": convert it: {CONVERT}" if path.suffix.lower() in CONVERTED and ".wav" in suffixes else ""
        if path.suffix.lower() in CONVERTED_PICTURES and ".png" in suffixes:
            to_do = f": convert it: {CONVERT_PICTURE}"
        yield Skip(str(path), f"other file: not a {named_suffixes(suffixes)} file{to_do}")
    elif not stat.S_ISREG(mode):
        yield Skip(str(path), "not a regular file: a pipe, socket or device")
    else:
        yield path
