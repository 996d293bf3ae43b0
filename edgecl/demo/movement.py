"""Simulated movement: what a sensor on a wrist would report during exercises. No person moved.

An arm of two links hangs from a shoulder. An exercise is a table of joint angles at both ends of its
movement; the joints go to and fro between them. The sensor's orientation and place follow from the
angles, acceleration and rotation from how these change: gravity turns with the wrist, as it does in
earnest. People differ in reach, tempo, arm length, posture and how the watch sits; repetitions differ too.

Axes: world x forward, y to the left, z up. With the arm hanging, the sensor's z points up the forearm.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.samples import Sample

RATE_HZ = 50.0
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = ("m/s2", "m/s2", "m/s2", "rad/s", "rad/s", "rad/s")
WINDOW = 100  # samples: 2 s
HOP = 50
GRAVITY = 9.81  # m/s2
TRUNK_M = 0.5  # hip to shoulder
UNSTEADINESS = (2.5, 2.5, 2.5, 2.5, 4.0, 1.5)  # degrees, joint by joint
SENSOR_NOISE = (0.15, 0.15, 0.15, 0.03, 0.03, 0.03)  # in UNITS


@dataclass(frozen=True)
class Exercise:
    """Joint angles in degrees at both ends of a repetition: (start, end)."""

    flexion: tuple[float, float] = (5, 5)
    # upper arm forward and up, from the trunk
    abduction: tuple[float, float] = (8, 8)
    # upper arm sideways and up
    twist: tuple[float, float] = (0, 0)
    # upper arm about its length; 90: the elbow bends sideways and up instead of forward
    elbow: tuple[float, float] = (15, 15)
    # 0: straight
    forearm: tuple[float, float] = (0, 0)
    # about its length; 90: palm forward
    lean: tuple[float, float] = (0, 0)
    # trunk forward
    rise_m: tuple[float, float] = (0, 0)
    # height of the shoulder
    period_s: float = 2.6


EXERCISES = {
    "biceps curl": Exercise(elbow=(15, 130), forearm=(80, 80)),
    "lateral raise": Exercise(abduction=(8, 80)),
    "shoulder press": Exercise(abduction=(75, 155), twist=(90, 90), elbow=(100, 20)),
    "bent row": Exercise(flexion=(45, -20), elbow=(15, 90), lean=(50, 50)),
    "squat": Exercise(flexion=(80, 110), lean=(5, 35), rise_m=(0, -0.4), period_s=3.2),
    "rest": Exercise(),
}
NEW_EXERCISES = {"front raise": Exercise(flexion=(5, 80))}
TEACHING_SUBJECTS = tuple(range(12))
TESTING_SUBJECTS = tuple(range(100, 108))
USER = 200


@dataclass(frozen=True)
class _Person:
    """What one subject brings to every exercise."""

    tempo: float
    # factor on the period
    reach: float
    # factor on the range of every joint
    posture: NDArray[np.float64]
    # (6,) degrees added to every joint
    upper_arm_m: float
    forearm_m: float
    mounting: NDArray[np.float64]
    # (3, 3) rotation: how the watch sits on the wrist
    bias: NDArray[np.float64]
    # (6,) of the sensor, in UNITS


def windows(names: Iterable[str], subjects: Iterable[int], *, seconds: float, seed: int = 0) -> list[Sample]:
    """Windows of every exercise by every subject, each cut from one recording of `seconds`.

    Parameters
    ----------
    names
        Of `EXERCISES` or `NEW_EXERCISES`.
    subjects
        Numbers; a number always stands for the same body and habits. `TEACHING_SUBJECTS`,
        `TESTING_SUBJECTS` and `USER` are all different people.
    seconds
        Length of each recording; a window of 2 s begins every second.
    seed
        Another seed gives other repetitions by the same subjects.

    Returns
    -------
    list[Sample]
        Signals (100, 6) float32 in the order and units of `CHANNELS`; `group` names the subject.
    """
    samples = []
    for name, subject in product(names, tuple(subjects)):
        signal = recording(name, subject, seconds=seconds, seed=seed)
        for start in range(0, len(signal) - WINDOW + 1, HOP):
            whole = f"demo/{name}/{subject}"
            source = f"{whole}@{start / RATE_HZ:g}s"
            samples.append(Sample(source, name, signal[start : start + WINDOW], str(subject), recording=whole))
    return samples


def recording(name: str, subject: int, *, seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """One recording (n, 6) at 50 Hz of a subject doing an exercise: the same for the same arguments.

    Raises
    ------
    DataError
        There is no such exercise.
    """
    exercise = {**EXERCISES, **NEW_EXERCISES}.get(name)
    if exercise is None:
        raise DataError(f"there is no exercise {name!r} in the demo, wanted {', '.join(EXERCISES)}")
    person = _person(np.random.default_rng([1, subject]))
    rng = np.random.default_rng([2, seed, subject, zlib.crc32(name.encode())])
    phase = _phase(round(seconds * RATE_HZ), exercise.period_s * person.tempo, rng)
    start, end = np.array(_joints(exercise)).T
    angles = start + person.posture + np.outer(phase, person.reach * (end - start))
    angles += _wander(len(phase), rng) * UNSTEADINESS
    height = np.interp(phase, (0, 1), exercise.rise_m) * person.reach
    noise = person.bias + rng.normal(0, 1, (len(phase), 6)) * SENSOR_NOISE
    return (_sensed(np.radians(angles), height, person) + noise).astype(np.float32)


def _joints(exercise: Exercise) -> tuple[tuple[float, float], ...]:
    e = exercise
    return e.flexion, e.abduction, e.twist, e.elbow, e.forearm, e.lean


def _person(rng: np.random.Generator) -> _Person:
    return _Person(
        tempo=rng.uniform(0.75, 1.35),
        reach=rng.uniform(0.7, 1.1),
        posture=rng.normal(0, 1, 6) * (6, 5, 8, 5, 20, 5),
        upper_arm_m=rng.uniform(0.26, 0.34),
        forearm_m=rng.uniform(0.22, 0.28),
        mounting=_rotation(*np.radians(rng.normal(0, 1, 3) * (6, 6, 20))),
        bias=rng.normal(0, 1, 6) * (0.1, 0.1, 0.1, 0.01, 0.01, 0.01),
    )


def _phase(n_samples: int, period_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Position of each sample in the repetition (n,): 0 at the start, about 1 at the far end."""
    count = int(n_samples / RATE_HZ / period_s * 2) + 4
    periods = period_s * rng.normal(1, 0.06, count).clip(0.8, 1.2)
    depths = rng.normal(1, 0.05, count).clip(0.85, 1.15)
    starts = np.concatenate(([0], np.cumsum(periods)))
    time = np.arange(n_samples) / RATE_HZ + rng.uniform(0, period_s)
    index = np.searchsorted(starts, time, side="right") - 1
    turn = (time - starts[index]) / periods[index]
    turn += rng.uniform(-0.05, 0.1) * np.sin(2 * np.pi * turn)  # up at another speed than down
    return np.asarray(depths[index] * (1 - np.cos(2 * np.pi * turn)) / 2)


def _wander(n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow unsteadiness of the six joints (n, 6), 0.1 to 0.8 Hz, mean square 1."""
    time = np.arange(n_samples)[:, None, None] / RATE_HZ
    frequency, offset = rng.uniform(0.1, 0.8, (6, 6)), rng.uniform(0, 1, (6, 6))
    return np.asarray(np.sin(2 * np.pi * (frequency * time + offset)).sum(axis=1) / np.sqrt(3))


def _sensed(angles: NDArray[np.float64], height: NDArray[np.float64], person: _Person) -> NDArray[np.float64]:
    """Specific force and rotation (n, 6) at the wrist, for joint angles (n, 6) in radians."""
    flexion, abduction, twist, elbow, forearm, lean = angles.T
    none = np.zeros_like(lean)
    trunk = _rotation(none, lean, none)
    upper = trunk @ _rotation(abduction, none, none) @ _rotation(none, -flexion, none) @ _rotation(none, none, twist)
    lower = upper @ _rotation(none, -elbow, none)
    wrist = TRUNK_M * trunk[..., 2] - person.upper_arm_m * upper[..., 2] - person.forearm_m * lower[..., 2]
    wrist[:, 2] += height
    sensor = lower @ _rotation(none, none, forearm) @ person.mounting
    acceleration = np.gradient(np.gradient(wrist, axis=0), axis=0) * RATE_HZ**2
    force = np.einsum("nji,nj->ni", sensor, acceleration + np.array((0, 0, GRAVITY)))
    # R^T dR/dt is the cross-product matrix of the rotation in the sensor's own axes.
    cross = np.einsum("nji,njk->nik", sensor, np.gradient(sensor, axis=0)) * RATE_HZ
    return np.column_stack((force, cross[:, 2, 1], cross[:, 0, 2], cross[:, 1, 0]))


def _rotation(
    x: NDArray[np.float64] | float, y: NDArray[np.float64] | float, z: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Rotation about x, then y, then z (extrinsic), in radians: (3, 3), or (n, 3, 3) for arrays (n,)."""
    cx, cy, cz = np.cos(x), np.cos(y), np.cos(z)
    sx, sy, sz = np.sin(x), np.sin(y), np.sin(z)
    rows = (
        (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz),
        (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz),
        (-sy, sx * cy, cx * cy),
    )
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))
