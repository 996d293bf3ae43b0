"""Streams evaluated as `listen` listens: the same events at every threshold, words in them and words mixed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError, ModelError, SettingError
from edgecl.learner import Learner
from edgecl.live import evaluating, mixing, scorer
from edgecl.live.evaluating import THRESHOLDS
from edgecl.live.inputs.chunks import Halt, Piece
from edgecl.live.inputs.sound_file import sound_file, sound_seconds
from edgecl.live.mixing import Place, excerpts, gain_of, mixed, placed
from edgecl.live.options import Listening
from edgecl.sources.samples import Sample
from edgecl.sources.spans import Span

from ..support.commands import RATE, clips, edgecl, noise, write_clips, write_wav
from ..support.listening import said

pytestmark = pytest.mark.native("plays streams many times over")
SOME = (0.02, 0.5, 0.9)


@pytest.fixture(scope="module")
def learner(kitchen: Path) -> Learner:
    return Learner.open(kitchen)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four words in 9 s and an odd sample."""
    sound = said("yes", "left", "stop", "right")
    return write_wav(tmp_path_factory.mktemp("evening") / "evening.wav", sound[: len(sound) - 77])


def pieces(learner: Learner, file: Path) -> Iterator[Piece]:
    return sound_file(file, learner.contract, halt=Halt())


@pytest.mark.parametrize("has_background", [True, False])
def test_the_events_at_a_threshold_are_those_that_listen_reports(
    learner: Learner, evening: Path, monkeypatch: pytest.MonkeyPatch, has_background: bool
) -> None:
    if not has_background:  # as of an extractor that ships no statistics
        monkeypatch.setattr(scorer, "background", lambda opened: None)
    found = learner.evaluate_stream(evening)
    different = []
    for threshold in SOME:
        events = list(learner.listen(pieces(learner, evening), how=Listening(threshold)))
        assert list(found.false[THRESHOLDS.index(threshold)]) == events
        different.append(events)
    assert different[0] != different[1]


def test_words_of_a_label_file_are_heard_or_missed_and_what_is_left_is_false(
    learner: Learner, evening: Path, tmp_path: Path
) -> None:
    events = list(learner.listen(pieces(learner, evening)))
    assert [one.label for one in events] == ["yes", "left", "stop", "right"]
    middles = [sum(one.span) / 2 for one in events]
    spans = [Span(one.label, at - 0.2, at + 0.2) for one, at in zip(events, middles, strict=True)][:3]
    silent = Span("right", 0.1, 0.3)
    found = learner.evaluate_stream(evening, words=[*spans, silent, Span("never", 1, 2), Span("_noise_", 1, 2)])
    at = THRESHOLDS.index(0.5)
    assert [one.heard[at] for one in found.words["recorded"]] == [True, True, True, False]
    assert [one.label for one in found.false[at]] == ["right"]
    assert found.never_taught == ("never",)
    assert found.per_class(at)["right"] == {"words": {"recorded": 1}, "missed": {"recorded": 1}, "false": 1}
    file = tmp_path / "labels.txt"
    file.write_text("".join(f"{one.begin}\t{one.end}\t{one.label}\n" for one in spans))
    assert learner.evaluate_stream(evening, words=file).points()[at].missed == {"recorded": 0.0}


def test_words_in_another_spelling_of_a_class_are_refused_or_settled(
    learner: Learner, evening: Path, tmp_path: Path
) -> None:
    spans = [Span("Yes", 0.1, 0.3), Span("never", 1, 2)]
    with pytest.raises(DataError, match="has the label 'Yes', and the class 'yes' is known"):
        learner.evaluate_stream(evening, words=spans)
    assert learner.evaluate_stream(evening, words=spans, label_case="lower").words["recorded"][0].label == "yes"
    assert learner.evaluate_stream(evening, words=[*spans, Span("stop", 2, 3)], label_case="keep").never_taught == (
        "Yes", "never",
    )  # fmt: skip
    file = tmp_path / "labels.txt"
    file.write_text("0.1\t0.3\tYes\n")
    command = ("eval", learner.path, "--stream", evening, "--words", file)
    done = edgecl(*command)
    assert (done.code, "the class 'yes' is known" in done.err, "--label-case" in done.err) == (4, True, True)
    assert edgecl(*command, "--label-case", "lower", "--json").value["never_taught"] == []
    clip = replace(clips("test", ["yes"], most=1)[0], label="YES")
    with pytest.raises(DataError, match="has the label 'YES', and the class 'yes' is known"):
        learner.evaluate_stream(evening, clips=[clip])


def test_a_word_that_is_mixed_in_is_heard_as_in_the_whole_stream_with_it(
    learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "LEAST_PLACES", 2)
    file = write_wav(tmp_path / "room.wav", 0.1 * noise(14.0, seed=3))
    lesson = clips("test", ["yes"], most=2)
    found = learner.evaluate_stream(file, clips=lesson, levels_db=(25, 5), seed=4)
    sound = np.concatenate([one.signal for one in pieces(learner, file)])
    rms = float(np.sqrt(np.square(sound, dtype=np.float64).mean()))
    heard = set()
    for place, quiet in zip(found.words["25 dB"], found.words["5 dB"], strict=True):
        assert (place.label, place.begin, place.source) == (quiet.label, quiet.begin, quiet.source)
        clip = next(one for one in lesson if one.source == place.source)
        for word, level_db in ((place, 25), (quiet, 5)):
            whole = with_clip(learner, sound, clip, first=round(word.begin * RATE), rms=rms, level_db=level_db)
            for threshold in SOME[:2]:
                events = learner.listen([whole], how=Listening(threshold))
                near = [one for one in events if word.begin - 0.5 <= sum(one.span) / 2 <= word.end + 0.5]
                is_heard = any(one.label == "yes" for one in near)
                assert word.heard[THRESHOLDS.index(threshold)] == is_heard
                heard.add((level_db, is_heard))
    assert (25, True) in heard
    assert (5, False) in heard


def with_clip(
    learner: Learner, sound: NDArray[np.float32], clip: Sample, *, first: int, rms: float, level_db: float
) -> NDArray[np.float32]:
    """The whole stream with a clip in it."""
    place = Place("yes", "", clip.signal, first)
    gain = gain_of(clip.signal, learner.contract, stream_rms=rms, level_db=level_db)
    whole, is_clipped = mixed(place, 0, sound, gain=gain)
    assert not is_clipped
    return whole


def test_an_excerpt_is_the_stream_about_a_place_and_begins_with_a_hop(learner: Learner) -> None:
    contract, rng = learner.contract, np.random.default_rng(0)
    stream = rng.normal(size=(40 * RATE, 1)).astype(np.float32)
    samples = [Sample("", "yes", np.ones((length, 1), np.float32), None) for length in (900, 16_000, 41 * RATE)]
    places = [*placed(samples, len(stream), rng), Place("yes", "", samples[0].signal, len(stream) - 900)]
    blocks = (Piece(stream[at : at + 1300]) for at in range(0, len(stream), 1300))
    for place, start, excerpt in excerpts(blocks, sorted(places, key=lambda one: one.first), contract):
        assert start % contract.hop_samples == 0
        assert np.array_equal(excerpt, stream[start : start + len(excerpt)])
        assert start == 0 or place.first - start >= contract.clip_samples
        assert start + len(excerpt) == len(stream) or start + len(excerpt) - place.last >= contract.clip_samples


def test_the_same_seed_gives_the_same_places_and_another_one_others(
    learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "LEAST_PLACES", 2)
    file = write_wav(tmp_path / "room.wav", 0.1 * noise(6.0))
    places = [
        [one["begin"] for one in learner.evaluate_stream(
            file, clips=clips("test", ["yes"], most=2), levels_db=(20,), seed=seed).as_dict()["places"]]
        for seed in (1, 1, 2)
    ]  # fmt: skip
    assert places[0] == places[1] != places[2]


def test_no_more_clips_are_held_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "MOST_CLIPS", 5)
    many = (Sample(str(at), "ab"[at % 2], np.zeros((1, 1), np.float32), None) for at in range(100))
    kept = mixing.drawn(many, np.random.default_rng(0))
    assert [one.label for one in kept] == ["a"] * 5 + ["b"] * 5
    assert max(int(one.source) for one in kept) > 30


def test_streams_and_words_that_cannot_be_used_are_refused(learner: Learner, evening: Path, tmp_path: Path) -> None:
    short = write_wav(tmp_path / "short.wav", noise(0.5))
    silent = write_wav(tmp_path / "silent.wav", np.zeros(5 * RATE))
    word = clips("test", ["yes"], most=1)
    for file, given, why in [
        (short, {}, r"0.50 s, too short to listen to: wanted 1.42 s"),
        (tmp_path / "gone.wav", {}, "can't be read"),
        (silent, {"clips": word}, "digital silence"),
        (evening, {"words": [Span("yes", 900.0, 901.0)]}, "is at 900 s, but .* are the labels of another file"),
        (evening, {"words": [Span("coffee", 1.0, 2.0)]}, "none of the words is taught: they are coffee; .* left"),
        (evening, {"clips": word, "preset": "picovoice"}, r"one false accept in 10 h, .*10 h or more \(30 h without"),
        (evening, {"clips": word, "preset": "mlperf-tiny"}, r"8 false accepts in 0.333 h, .*0.00 h.*wanted 0.333 h or"),
    ]:
        with pytest.raises(DataError, match=why):
            learner.evaluate_stream(file, **given)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="give a label file or clips"):
        learner.evaluate_stream(evening, words=[Span("yes", 1.0, 2.0)], clips=word)
    with pytest.raises(SettingError, match="no preset x"):
        learner.evaluate_stream(evening, preset="x")


def test_the_preset_of_mlperf_tiny_has_its_bounds_and_says_whether_they_are_kept(
    kitchen: Path, learner: Learner, evening: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = evaluating.PRESETS["mlperf-tiny"]
    assert (rules.false_per_hour, rules.missed, 3600 * rules.hours) == pytest.approx((24, 0.16, 1200))
    short = replace(rules, false=2, hours=sound_seconds(evening) / 3600)
    monkeypatch.setitem(evaluating.PRESETS, "mlperf-tiny", short)
    monkeypatch.setattr(mixing, "LEAST_PLACES", 2)
    labels = tmp_path / "said.csv"
    spans = [one.span for one in learner.listen(pieces(learner, evening))]
    rows = [f"{label},{begin + 0.5},{end - 0.5}" for label, (begin, end) in zip(("yes", "left"), spans, strict=False)]
    labels.write_text("\n".join(["label,begin,end", *rows]))
    done = edgecl("eval", kitchen, "--stream", evening, "--words", labels, "--preset", "mlperf-tiny")
    assert "mlperf-tiny (at most 16% missed" in done.out
    assert done.out.rstrip().endswith(": met")
    found = learner.evaluate_stream(evening, clips=clips("test", ["yes"], most=2), preset="mlperf-tiny")
    assert list(found.words) == ["0 dB"]
    assert (found.most_missed, found.wished_per_hour) == (0.16, short.false_per_hour)


def test_a_store_that_knows_nothing_is_refused(tmp_path: Path, evening: Path) -> None:
    with pytest.raises(ModelError, match="learnt nothing"):
        Learner.create(tmp_path / "empty", extractor="voice").evaluate_stream(evening)


def test_progress_is_reported_while_a_long_stream_is_played(learner: Learner, evening: Path) -> None:
    played: list[evaluating.Played] = []
    learner.evaluate_stream(evening, progress=played.append)
    times = [one.seconds for one in played]
    assert len(times) >= 6
    assert times == sorted(times)
    assert played[0].of_seconds == pytest.approx(sound_seconds(evening))


def test_the_command_prints_the_curve_and_the_command_that_sets_the_threshold(
    kitchen: Path, evening: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "LEAST_PLACES", 2)
    files = ("--plot", tmp_path / "curve.svg", "--curve", tmp_path / "curve.csv")
    done = edgecl("eval", kitchen, "--stream", evening, "--false-per-hour", 2000, *files)
    assert done.code == 0
    assert f"edgecl listen {kitchen} --threshold 0.5\n" in done.out
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == len(THRESHOLDS) + 1
    assert (tmp_path / "curve.svg").read_text().startswith("<svg xmlns=")
    words = write_clips(tmp_path / "words", clips("test", ["yes"], most=2))
    done = edgecl("eval", kitchen, "--stream", evening, "--words", words, "--level", 15)
    assert "2 words mixed in at 15 dB" in done.out
    assert "too short to show that rate" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("heldout",), "leave out PATH"),
        (("--at", 0.5), "leave out --at"),
        (("--words", "a.csv", "--level", 10), "are about clips"),
        (("--preset", "picovoice"), "are about clips"),
        (("--preset", "mlperf-tiny"), "about words: give a label file or clips"),
        (("--words", "clips", "--preset", "picovoice", "--false-per-hour", 1), "leave out --level, --false-per-hour"),
        (("--label", "yes"), "names the clips of --words"),
    ],
)
def test_options_that_contradict_are_refused(kitchen: Path, options: tuple[object, ...], said: str) -> None:
    done = edgecl("eval", kitchen, "--stream", "x.wav", *options)
    assert done.code == 2
    assert said in done.err.replace("\n", " ")


def test_options_of_a_stream_without_one_are_refused(kitchen: Path) -> None:
    done = edgecl("eval", kitchen, "heldout", "--words", "a.csv", "--plot", "x.svg")
    assert done.code == 2
    assert "--words, --plot is about a recording: add --stream" in done.err
    assert "Missing argument 'PATH'" in edgecl("eval", kitchen).err
