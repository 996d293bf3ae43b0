"""Read what a library or an object file is built for and what it needs, without running it or other programs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of the ELF header
_HEADER = struct.Struct("<4s2B10x2H4xQQQ4x6H")
_SECTION = struct.Struct("<2I4Q2I2Q")
_SYMTAB, _DYNSYM, _VERNEED, _VERSYM = 2, 11, 0x6FFFFFFE, 0x6FFFFFFF
_LOCAL = 0  # of one object file; the first entry, which is none, is one too


class _Section(NamedTuple):
    kind: int
    link: int
    content: bytes


def machine(content: bytes, size: int) -> str:
    """Return the machine a library is for, from its first 64 bytes and its size in the file system.

    Raises
    ------
    ValueError
        It is no 64-bit library, or cut short: its last part, the section table, ends beyond `size`. The loader
        of the system does not look, and a page that is not there ends the process.
    """
    if len(content) < _HEADER.size:
        raise ValueError("it is cut short")
    magic, bits, order, _, number, _, _, sections, *_, width, count, _ = _HEADER.unpack_from(content)
    if (magic, bits, order) != (b"\x7fELF", 2, 1):
        raise ValueError("it is no 64-bit ELF file")
    if not sections or sections + width * count > size:
        raise ValueError("it is cut short")
    return MACHINES.get(number, f"machine {number}")


class Symbols(NamedTuple):
    """What a library offers, and what it needs with the version it needs it in ("" where it names none)."""

    defined: frozenset[str]
    needed: dict[str, str]


def symbols(content: bytes) -> Symbols:
    """Return the dynamic symbols of a library, or the global ones of an object file.

    Raises
    ------
    ValueError
        It is neither.
    """
    machine(content, len(content))
    sections = _sections(content)
    by_kind = {section.kind: section for section in sections}
    table = by_kind.get(_DYNSYM) or by_kind.get(_SYMTAB)
    if table is None:
        raise ValueError("it has no symbols")
    versions = _versions(sections, by_kind)
    names = sections[table.link].content
    defined: set[str] = set()
    needed: dict[str, str] = {}
    for index, (name, kind, where) in enumerate(struct.iter_unpack("<IBxH16x", table.content)):
        if kind >> 4 == _LOCAL:
            continue
        if where:
            defined.add(_text(names, name))
        else:
            needed[_text(names, name)] = versions.get(index, "")
    return Symbols(frozenset(defined), needed)


def _sections(content: bytes) -> list[_Section]:
    _, _, _, _, _, _, _, start, *_, width, count, _ = _HEADER.unpack_from(content)
    found: list[_Section] = []
    for index in range(count):
        _, kind, _, _, offset, size, link, *_ = _SECTION.unpack_from(content, start + index * width)
        found.append(_Section(kind, link, content[offset : offset + size]))
    return found


def _versions(sections: list[_Section], by_kind: dict[int, _Section]) -> dict[int, str]:
    """Version needed by each symbol, by its index in the table."""
    if _VERNEED not in by_kind:
        return {}
    need = by_kind[_VERNEED]
    names = dict(_needed_versions(need.content, sections[need.link].content))
    numbers = struct.iter_unpack("<H", by_kind[_VERSYM].content)
    return {index: names[number] for index, (number,) in enumerate(numbers) if number in names}


def _needed_versions(content: bytes, names: bytes) -> Iterator[tuple[int, str]]:
    entry, step = 0, -1
    while step:
        _, count, _, first, step = struct.unpack_from("<2H3I", content, entry)
        one = entry + first
        for _ in range(count):
            _, _, number, name, further = struct.unpack_from("<I2H2I", content, one)
            yield number, _text(names, name)
            one += further
        entry += step


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()
