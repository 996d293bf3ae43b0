"""How words sound, by espeak-ng."""

from __future__ import annotations

import subprocess


def phonemes(words: list[str]) -> dict[str, str]:
    """Return what espeak-ng says of each word, in letters of the IPA without stress and length."""
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us"]
    text = "\n".join(words).encode()
    lines = subprocess.run(command, check=True, capture_output=True, input=text).stdout.decode().split("\n")
    found = [line.strip().translate(str.maketrans("", "", "ˈˌː ")) for line in lines if line.strip()]
    assert len(found) == len(words), "one line a word is wanted"
    return dict(zip(words, found, strict=True))


def within_one(first: str, second: str) -> bool:
    """Test whether one letter, added, left out or replaced, makes a text of the other.

    >>> within_one("mango", "mangos"), within_one("mango", "tango"), within_one("mango", "mangled")
    (True, True, False)
    """
    if abs(len(first) - len(second)) > 1:
        return False
    same = 0
    while first[same : same + 1] == second[same : same + 1] != "":
        same += 1
    longer, shorter = sorted((first[same:], second[same:]), key=len, reverse=True)
    return longer[1:] == (shorter[1:] if len(longer) == len(shorter) else shorter)
