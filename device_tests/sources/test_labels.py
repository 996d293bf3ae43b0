"""Labels: which are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import DataError, SettingError
from edgecl.sources.choices import Choices
from edgecl.sources.labels import Spellings, clean_label, warn_of_encoded, warn_of_labels
from edgecl.sources.reading import read_samples

from ..support.recordings import VOICE, WRIST, contract_of, put, samples_of, skips_of, tone, wav


@pytest.mark.parametrize(
    "cell",
    [
        "<NA>",
        "NaT",
        "#N/A",
        "-nan",
        "n.a.",
        " nan ",
        "#DIV/0!",
        "#WERT!",
        "#nv",
        "#N/D",
        "#VALEUR!",
        "#REF!",
        "\\N",
        "1.#QNAN",
        "(null)",
    ],
)
def test_cells_that_programs_write_for_a_missing_label_are_no_label(tmp_path: Path, cell: str) -> None:
    rows = ["timestamp,ax,ay,az,label"] + [f"{i / 50},1,2,{i},{cell if i < 20 else 'curl'}" for i in range(60)]
    path = put(tmp_path / "run.csv", "\n".join(rows))
    assert {one.label for one in samples_of(path, WRIST)} == {"curl"}
    assert {one.reason.split(":")[0] for one in skips_of(path, WRIST)} == {"no label"}


def test_labels_that_are_one_number_in_two_spellings_are_refused(tmp_path: Path) -> None:
    rows = ["timestamp,ax,ay,az,label"] + [f"{i / 50},1,2,{i},{'1' if i < 40 else '1.0'}" for i in range(80)]
    path = put(tmp_path / "run.csv", "\n".join(rows))
    with pytest.raises(DataError, match=r"the label '1\.0', and others have '1'") as raised:
        samples_of(path, WRIST)
    assert raised.value.parameter == "label_case"
    assert {one.label for one in samples_of(path, WRIST, how=Choices(label_case="lower"))} == {"1"}


@pytest.mark.parametrize(
    "label",
    [
        "b'lights off'",
        '"Lights off"',
        "'lights off '",
        "Lights Off",
        "lights  off",
        "lights\u00a0off",
        "\uff4cights off",
        "lights_off",
        "LIGHTS-OFF",
        "lights off\u200d",
    ],
)
def test_a_class_that_is_known_is_not_taught_in_another_spelling_unless_it_is_settled(label: str) -> None:
    known = {"lights off", "raise"}
    with pytest.raises(DataError, match="the class 'lights off' is known") as raised:
        Spellings(known).settled(label, "a clip")
    assert raised.value.parameter == "label_case"
    assert Spellings(known, case="lower").settled(label, "a clip") == "lights off"
    assert Spellings(known, case="keep").settled(label, "a clip") == label


def test_lower_case_keeps_the_separators_of_the_first_spelling() -> None:
    spellings = Spellings(case="lower")
    assert [spellings.settled(one, "a clip") for one in ("Lights_Off", "lights off", "Lights-off")] == [
        "lights_off"
    ] * 3


@pytest.mark.parametrize(
    ("one", "other"), [("-1", "1"), ("_yes", "yes"), ("a.b", "ab"), ("nowhere", "now here"), ("c", "c++")]
)
def test_labels_that_differ_in_more_than_a_separator_are_two(one: str, other: str) -> None:
    spellings = Spellings()
    assert [spellings.settled(label, "a clip") for label in (one, other)] == [one, other]


def test_a_known_class_keeps_its_own_spelling() -> None:
    assert Spellings({"Curl", "CURL"}).settled("CURL", "a clip") == "CURL"
    assert Spellings({"Curl"}, case="lower").settled("CURL", "a clip") == "Curl"


def test_what_settles_a_spelling_is_one_of_two_words() -> None:
    with pytest.raises(SettingError, match="'upper': wanted 'keep' or 'lower'"):
        Spellings(case="upper")


def test_a_label_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    rows = ["timestamp,ax,ay,az,label"] + [f"{i / 50},1,2,{i},geh\u00f6rt" for i in range(40)]
    path = put(tmp_path / "run.csv", "\n".join(rows).encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8: save the file as UTF-8"):
        samples_of(path, WRIST)


def test_label_is_stripped_and_normalised() -> None:
    assert clean_label(" cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize("label", ["Licht aus", "灯を消す", "می‌خواهم", "👩‍🍳", "_silence_", "a/b", "x" * 64])
def test_labels_of_any_script_are_allowed(label: str) -> None:
    assert clean_label(label) == label


@pytest.mark.parametrize("label", ["", "  ", "x" * 65, "a\nb", "a\x00b", ".hidden", "on\u202efdp", "\udc80"])
def test_label_that_can_do_harm_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(SettingError, match=r"the label .* can't be used"):
        read_samples(put(tmp_path / "clip.wav", wav(tone())), VOICE, label=label)


@pytest.mark.parametrize("label", ["noise", "Background Noise", "_Background_Noise_", "silence", "BACKGROUND"])
def test_words_that_are_called_like_background_are_named(caplog: pytest.LogCaptureFixture, label: str) -> None:
    warn_of_labels(["yes", label], 40, VOICE)
    assert f"{label!r}: taught like any other class; if it is background, call it _background_noise_" in caplog.text


@pytest.mark.parametrize(
    "label", ["_background_noise_", "_silence_", "_unknown_", "_noise_", "noisy", "backgrounds", "silence please"]
)
def test_background_and_words_are_left_alone(caplog: pytest.LogCaptureFixture, label: str) -> None:
    warn_of_labels(["yes", label], 40, VOICE)
    assert caplog.text == ""


def test_intents_and_exercises_may_be_called_so(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_labels(["unknown", "noise"], 40, contract_of("text", 0.0, ("utf-8",), 1, 1))
    assert caplog.text == ""


def test_many_labels_of_one_sample_each_are_ids(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_labels([f"{number}" for number in range(7)], 7, VOICE)
    warn_of_labels([f"{number}" for number in range(20)], 25, VOICE)
    assert caplog.text == ""
    warn_of_labels([f"{number}" for number in range(20)], 24, VOICE)
    assert "24 samples have 20 labels, such as '0', '1', '10': are these ids or texts?" in caplog.text


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("caf&eacute;", "café"),
        ("CAF&Eacute;", "Café"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("caf\u00c3\u00a9", "café"),
        ("\u00c3\u2030t\u00c3\u00a9", "Été"),
        ("\u043c\u0438\u0440".encode().decode("latin-1"), "мир"),
    ],
)
def test_a_label_as_html_or_in_a_wrong_encoding_is_named_where_the_other_is_a_class(
    label: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = f"{label!r} is {other!r} as HTML or in a wrong encoding, and a class of its own"
    for taught, known in (([label], [other]), ([other], [label]), ([other, label], ["yes"])):
        caplog.clear()
        warn_of_encoded(taught, known)
        assert caplog.text.count(said) == 1
    caplog.clear()
    warn_of_encoded(["yes"], [label, other])  # was named when it was taught
    warn_of_encoded([label], ["yes"])
    warn_of_encoded([other, "R&D", "R", "D", "naïve", "Ã", "cafe"], ["café au lait"])
    assert caplog.text == ""
