"""Merged is central: sums over devices, in any order and history, and what can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from edgecl.learning.forgetting import without_classes
from edgecl.learning.loop import take_in
from edgecl.learning.resizing import resized
from edgecl.model.head import whitened_cosine
from edgecl.model.model import MemoryObjects, Model, factor_of
from edgecl.model.share import Share
from edgecl.model.shares import with_others
from edgecl.sharing.checks import is_positive
from edgecl.sharing.merging import NEW, OLDER, SAME, judged, merged, named, newest
from edgecl.sharing.sums import Sums

from ..support.learning import FileObjects, Words, as_lesson, known, reloaded, settings

TOLERANCE = 1e-6  # of a head's weights, over the largest
WORDS = 5


def own_model(latents, objects):
    """A model that was taught these latents, under the closed form."""
    new = Model(settings(dimension=next(iter(latents.values())).shape[1]))
    return _headed(take_in(new, as_lesson(new, latents), objects=objects), objects)


def _headed(model, objects):
    head = whitened_cosine(factor_of(model))
    return replace(model, head=head, digests={**model.digests, "head": objects.put(head.arrays())})


def share_of(model, device, revision=1):
    own = {label: one for label in model.labels if (one := model.own_of(label)) is not None}
    return Share(device, device, revision, f"{device}-{revision}", own)


def weights(model):
    return np.column_stack([model.head.weights, model.head.bias])


def assert_same_head(one, other, tolerance=TOLERANCE):
    assert one.head.labels == other.head.labels
    assert np.abs(weights(one) - weights(other)).max() <= tolerance * np.abs(weights(other)).max()


def joined(*lessons):
    labels = sorted({label for one in lessons for label in one})
    return {label: np.concatenate([one[label] for one in lessons if label in one]) for label in labels}


def merge(model, others, objects):
    return merged(model, others, combine="sum", objects=objects, distinct=model.distinct)


@pytest.mark.parametrize("devices", [1, 4, 20])
def test_merged_is_as_taught_with_the_samples_of_all_devices(devices):
    words, objects = Words(WORDS), MemoryObjects()
    lessons = [words.lesson(6) for _ in range(devices + 1)]
    model = own_model(lessons[0], objects)
    others = {f"{n:02d}": share_of(own_model(one, objects), f"{n:02d}") for n, one in enumerate(lessons[1:])}
    assert_same_head(merge(model, others, objects), own_model(joined(*lessons), objects))


def test_streamed_sums_are_those_of_a_merge_and_a_device_can_leave_them():
    words, objects = Words(WORDS), MemoryObjects()
    models = [own_model(words.lesson(6), objects) for _ in range(4)]
    total, rest = Sums(), Sums()
    for model in models:
        total.add(model.statistics)
    for model in models[1:]:
        rest.add(model.statistics)
    whole = merge(models[0], {str(n): share_of(one, str(n)) for n, one in enumerate(models[1:])}, objects)
    for label, one in total.statistics().items():
        np.testing.assert_allclose(one.scatter, whole.statistics[label].scatter, rtol=1e-5, atol=1e-5)
        left = total.without(models[0].statistics)[label]
        np.testing.assert_allclose(left.scatter, rest.statistics()[label].scatter, rtol=1e-5, atol=1e-5)
        assert (one.count, left.count) == (24, 18)


def test_twice_is_once_and_an_older_share_changes_nothing():
    words, objects = Words(WORDS), MemoryObjects()
    first, later = (share_of(own_model(words.lesson(6), objects), "bath", n) for n in (1, 2))
    held, became = newest({}, [first])
    assert became["bath"].what == NEW
    again, became = newest(held, [first])
    assert (again, became["bath"].what) == (held, SAME)
    held, became = newest(held, [later])
    assert (held["bath"].revision, became["bath"].what, became["bath"].reason) == (2, NEW, "")
    again, became = newest(held, [first])
    assert (again, became["bath"].what) == (held, OLDER)


def test_without_a_device_is_bit_for_bit_as_if_it_was_never_merged():
    words, objects = Words(WORDS), MemoryObjects()
    model = own_model(words.lesson(6), objects)
    bath, attic = (share_of(own_model(words.lesson(6), objects), name) for name in ("bath", "attic"))
    both = merge(model, {"bath": bath, "attic": attic}, objects)
    alone = merge(both, {"bath": bath}, objects)
    never = merge(model, {"bath": bath}, objects)
    assert np.array_equal(weights(alone), weights(never))
    assert np.array_equal(weights(merge(both, {}, objects)), weights(model))


def test_forgotten_after_a_merge_is_bit_for_bit_as_never_merged():
    words, objects = Words(WORDS), MemoryObjects()
    model = own_model(words.lesson(6), objects)
    share = share_of(own_model(words.lesson(6), objects), "bath")
    gone = words.labels[2]
    after = without_classes(merge(model, {"bath": share}, objects), [gone], objects=objects)
    never = merge(without_classes(model, [gone], objects=objects), {"bath": share.without([gone])}, objects)
    assert gone not in after.labels
    assert np.array_equal(weights(after), weights(never))
    assert gone not in after.others["bath"].statistics
    for label in after.labels:
        assert np.array_equal(after.statistics[label].scatter, never.statistics[label].scatter)


def test_a_lesson_after_a_merge_is_shared_as_ones_own_alone():
    words, objects = Words(WORDS), MemoryObjects()
    first, second, third = (words.lesson(6) for _ in range(3))
    model = merge(own_model(first, objects), {"b": share_of(own_model(second, objects), "b")}, objects)
    model = _headed(take_in(model, as_lesson(model, third), objects=objects), objects)
    assert_same_head(model, own_model(joined(first, second, third), objects))
    alone = own_model(joined(first, third), objects)
    for label, one in share_of(model, "a").statistics.items():
        assert one.count == 12
        np.testing.assert_allclose(one.scatter, alone.statistics[label].scatter, rtol=1e-4, atol=1e-5)


def test_a_merged_model_is_read_again_as_it_was_written(tmp_path):
    words, objects = Words(WORDS), FileObjects(tmp_path)
    share = share_of(own_model(words.lesson(6), objects), "bath")
    model = merge(own_model(words.lesson(6, words.labels[:3]), objects), {"bath": share}, objects)
    again = reloaded(model, objects)
    assert again.body() == model.body()
    assert again.own_of(words.labels[4]) is None
    assert again.own_of(words.labels[0]).count == 6
    assert again.others["bath"].statistics[words.labels[4]].count == 6


def test_a_new_name_that_is_like_a_known_class_is_asked_about():
    words, objects = Words(WORDS, apart=9.0), MemoryObjects()
    model = known(words, objects, 12)
    label = words.labels[0]
    bath = share_of(own_model(words.lesson(12, [label, words.labels[1]]), objects), "bath")
    called = {"word zero": bath.statistics[label], words.labels[1]: bath.statistics[words.labels[1]]}
    others = {"bath": replace(bath, statistics=called)}
    (ask,) = named(model, others).asks
    assert (ask.label, ask.like) == ("word zero", label)
    same = named(model, others, same_as=[label])
    assert set(same.others["bath"].statistics) == {label, words.labels[1]}
    apart = named(model, others, distinct=True)
    assert apart.asks == ()
    made = merged(model, apart.others, combine="sum", objects=objects, distinct=apart.distinct)
    assert named(made, others).asks == ()
    held, _ = newest(same.others, [replace(others["bath"], revision=2, digest="later")])
    assert set(held["bath"].statistics) == {label, words.labels[1]}


def _called(share, device, *names, members=()):
    """A share of some names, whose classes are far from each other."""
    classes = list(share.statistics.values())
    return replace(share, device=device, members=members, statistics=dict(zip(names, classes, strict=False)))


def test_a_spelling_of_a_name_that_is_itself_a_known_class_becomes_that_class():
    words, objects = Words(WORDS, apart=9.0), MemoryObjects()
    model = known(words, objects, 12)
    label = words.labels[0]
    bath = share_of(own_model(words.lesson(12, [label]), objects), "bath")
    attic = share_of(own_model(words.lesson(12, [words.labels[2]]), objects), "attic")
    others = {"bath": _called(bath, "bath", "Word Zero"), "attic": _called(attic, "attic", "word zero")}
    assert {(one.label, one.like) for one in named(model, others).asks} == {
        ("Word Zero", label),
        ("word zero", "Word Zero"),
    }
    settled = named(model, others, same_as=[label, "Word Zero"])
    assert settled.asks == ()
    assert {tuple(one.statistics) for one in settled.others.values()} == {(label,)}


@pytest.mark.parametrize(("members", "is_asked"), [((), False), (("a", "b"), True)])
def test_two_spellings_are_told_apart_by_a_device_that_has_both_and_not_by_a_sum(members, is_asked):
    words, objects = Words(WORDS, apart=9.0), MemoryObjects()
    model = known(words, objects, 12)
    share = share_of(own_model(words.lesson(12, words.labels[:2]), objects), "all")
    others = {
        "x": _called(share, "x", "yes"),
        "y": _called(share, "y", "Yes"),
        "both": _called(share, "both", "Yes", "yes", members=members),
    }
    asked = {(one.label, one.like) for one in named(Model(model.settings), others).asks}
    assert (("Yes", "yes") in asked) is is_asked


EVENTS = ["learn", "share", "older", "leave", "forget"]
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["learn", "share", "older", "leave", "forget"]), st.integers(0, 3), st.integers(0, WORDS - 1)
    ),
    min_size=1,
    max_size=12,
)


@limits(max_examples=25, deadline=None)
@given(HISTORIES)
def test_after_any_history_a_device_is_as_taught_with_what_it_has(history):
    words, objects = Words(WORDS, seed=1), MemoryObjects()
    taught = [words.lesson(4, words.labels[:2])] + [{} for _ in range(3)]
    model, shares, inside = own_model(taught[0], objects), {}, {}
    for step, (what, who, which) in enumerate(history, 1):
        label, device = words.labels[which], f"device {who}"
        if what == "learn":
            lesson = words.lesson(4, [label])
            taught[who] = joined(taught[who], lesson)
            if who == 0:
                model = take_in(model, as_lesson(model, lesson), objects=objects)
        elif what == "share" and who and taught[who]:
            shares.setdefault(device, []).append((share_of(own_model(taught[who], objects), device, step), taught[who]))
            inside[device] = shares[device][-1][1]
            model = merge(model, newest(model.others, [shares[device][-1][0]])[0], objects)
        elif what == "older" and device in inside:
            model = merge(model, newest(model.others, [shares[device][0][0]])[0], objects)
        elif what == "leave" and device in inside:
            model = merge(model, {name: one for name, one in model.others.items() if name != device}, objects)
            del inside[device]
        elif what == "forget" and label in model.labels and len(model.labels) > 2:
            model = without_classes(model, [label], objects=objects)
            taught[0] = {name: rows for name, rows in taught[0].items() if name != label}
            inside = {name: {k: v for k, v in rows.items() if k != label} for name, rows in inside.items()}
            inside = {name: rows for name, rows in inside.items() if rows}
        assert_same_head(_headed(model, objects), own_model(joined(taught[0], *inside.values()), objects), 2e-5)


def test_narrower_statistics_keep_devices_apart():
    words, objects = Words(WORDS), MemoryObjects()
    share = share_of(own_model(words.lesson(6), objects), "bath")
    wide = merge(own_model(words.lesson(6), objects), {"bath": share}, objects)
    narrow = resized(wide, replace(wide.settings, projection=16), objects=objects)
    assert {one.dimension for one in narrow.others["bath"].statistics.values()} == {16}
    assert {narrow.own_of(label).dimension for label in narrow.labels} == {16}
    left = with_others(narrow, {}, combine="sum", objects=objects)
    assert all(left.statistics[label].count == 6 for label in left.labels)


@pytest.mark.parametrize("scale", [1, 1e4])
def test_what_others_have_of_a_class_with_a_single_sample_has_no_scatter_at_all(scale):
    """In a difference of sums it is rounding, which may be negative, and a store would refuse it."""
    words, objects = Words(WORDS), MemoryObjects()
    for _ in range(10):
        one, other = (
            own_model({label: rows * np.float32(scale) for label, rows in words.lesson(count).items()}, objects)
            for count in (5, 1)
        )
        total = Sums()
        for model in (one, other):
            total.add(model.statistics)
        for label, rest in total.without(one.statistics).items():
            assert (rest.count, float(np.abs(rest.scatter).max())) == (1, 0)
            np.testing.assert_allclose(rest.mean, other.statistics[label].mean, rtol=1e-9, atol=1e-9 * scale)
            assert is_positive(replace(rest, scatter=rest.scatter - np.float32(1e-17)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rare_classes_of_more_columns_than_samples_are_judged_as_if_each_had_not_been_taught(seed):
    """Most of the scatter of a rare class is that of the very sample that is left out."""
    draw, dimension, objects = np.random.default_rng(seed), 60, MemoryObjects()
    means = 4 * draw.standard_normal((8, dimension)) / np.sqrt(dimension)
    labels = [f"word {n}" for n in range(8)]

    def lesson():
        sizes = [(60, 0.1)] * 4 + [(4, 1.0)] * 4  # samples of a class, and how far they spread
        pairs = zip(labels, means, sizes, strict=True)
        return {
            label: (mean + spread * draw.standard_normal((count, dimension))).astype(np.float32)
            for label, mean, (count, spread) in pairs
        }

    lessons = [lesson() for _ in range(4)]
    model = own_model(lessons[0], objects)
    others = {f"{n}": share_of(own_model(one, objects), f"{n}") for n, one in enumerate(lessons[1:])}
    verdict = judged(model, merge(model, others, objects))
    for label in labels[4:]:
        rows = lessons[0][label]
        without = [{**lessons[0], label: np.delete(rows, row, axis=0)} for row in range(len(rows))]
        answers = [own_model(one, MemoryObjects()).predict(rows[row : row + 1]) for row, one in enumerate(without)]
        assert verdict.classes[label].before == np.mean([one.labels[0] == label for one in answers])
    assert verdict.accepted  # what others have taught makes none worse
