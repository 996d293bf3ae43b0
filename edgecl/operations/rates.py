"""Whether angular rates come in the unit that the extractor was calibrated by: nothing else fixes their scale.

A movement extractor of `edgecl export imu` ends with the deviation of each channel, and its contract has the mean of
these on the windows that it was calibrated by. Turning and acceleration go together: the deviation of the rates over
that of their calibration is about what it is of the acceleration, and 57 times that with degrees in place of radians.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np

from edgecl.errors import DataError
from edgecl.extractors.base import Extractor
from edgecl.extractors.contract import Contract
from edgecl.metrics import median
from edgecl.sources.odd_rows import has_lost_rows
from edgecl.sources.samples import Sample, Skip
from edgecl.sources.scales import channel_stem
from edgecl.units import sensor_unit

JUDGED = 32  # samples at the beginning
OF_LABEL = 8  # samples of each label
LARGEST, SMALLEST = 12.0, 0.09
BEYOND = 1e6  # of a value: it is skipped by name
MOST_DEGREES = 4000.0  # per second, which sensors measure at most
MOVES = 0.1  # of the calibration: below it noise is compared with noise
CALIBRATED = "random convolutions"  # what the contract of an extractor that ends with deviations begins with
RATES = re.compile(r".*(gyr|rotation|angular).*|w_?[xyz]", re.IGNORECASE)
ACCELERATIONS = re.compile(r".*acc.*|a_?[xyz]", re.IGNORECASE)


def in_calibrated_units(items: Iterable[Sample | Skip], extractor: Extractor) -> Iterator[Sample | Skip]:
    """Pass samples; the first ones, and of each label, are compared with the calibration, unless they were scaled.

    Raises
    ------
    DataError
        When their angular rates are in degrees where the calibration was in radians, or the other way round.
    """
    rest = iter(items)
    held = list(islice(rest, JUDGED))
    first = [one for one in held if isinstance(one, Sample) and _is_judged(one)]
    check_rates(first, extractor)
    labels = {one.label for one in first}
    judged = labels if len(labels) == 1 else set()
    waiting: defaultdict[str | None, list[Sample]] = defaultdict(list)
    for item in chain(held, rest):
        if isinstance(item, Sample) and item.label not in judged and _is_judged(item):
            waiting[item.label].append(item)
            if len(waiting[item.label]) == OF_LABEL:
                check_rates(waiting.pop(item.label), extractor)
                judged.add(item.label)
        yield item
    for few in waiting.values():
        check_rates(few, extractor)


def _is_judged(sample: Sample) -> bool:
    signal = sample.signal
    return not sample.is_scaled and signal.ndim == 2 and bool(np.abs(signal).max(initial=0) < BEYOND)


def check_rates(samples: list[Sample], extractor: Extractor) -> None:
    """Refuse samples whose angular rates are of another unit than the calibration; raises as above.

    Rows that were lost, which are zero, make the acceleration vary more: samples with such are not judged.
    """
    contract = extractor.contract
    samples = [one for one in samples if not has_lost_rows(one.signal, contract)]
    turning, moving = _channels(contract, RATES), _channels(contract, ACCELERATIONS)
    levels = contract.mean[-len(contract.channels) :]
    if not (samples and turning and moving and contract.source.startswith(CALIBRATED) and (levels > 0).all()):
        return
    frames = np.array([extractor.frames(one.signal)[-1, -len(levels) :] for one in samples]) / levels
    rates, accelerations = frames[:, turning].mean(axis=1), frames[:, moving].mean(axis=1)
    rate, acceleration = median(rates), median(accelerations)
    still = [one[0] for one, level in ((turning, rate), (moving, acceleration)) if level == 0]
    if len(still) == 1 and rate + acceleration > MOVES:
        name = contract.channels[still[0]]
        raise DataError(
            f"{samples[0].source}: {name} and the like never change while the others do: is the sensor recorded, and "
            f"not stuck? Record it; or give the factors of channels, such as {channel_stem(name)}=1, which takes the "
            "values as they are",
            parameter="scale",
        )
    is_large = rate > MOVES and rate > LARGEST * acceleration
    is_small = acceleration > MOVES and rate < SMALLEST * acceleration
    if not (is_large or is_small):
        return
    looks, factor = ("degrees", math.pi / 180) if is_large else ("radians", 180 / math.pi)
    name = contract.channels[turning[0]]
    if is_large and max(float(np.abs(one.signal[:, turning]).max()) for one in samples) > MOST_DEGREES:
        unit = contract.units[turning[0]]
        factor = 1e-3 if sensor_unit(unit) == "deg/s" else math.pi / 180e3
        raise DataError(
            f"{samples[0].source}: {name} and the like are beyond {MOST_DEGREES:g}, which no sensor measures: are they "
            f"counts of it, or thousandths of a degree? Give the factors of channels that lead to {unit}, such as "
            f"{channel_stem(name)}={factor:.3g} of thousandths of a degree",
            parameter="scale",
        )
    raise DataError(
        f"{samples[0].source}: {name} and the like vary {rate / max(acceleration, 1e-9):.3g} times as much, compared "
        f"with the acceleration, as where the extractor was calibrated: are they in {looks} per second? Convert them, "
        f"or give the factors of channels, such as {channel_stem(name)}={factor:.6g}; a factor of 1 takes the values "
        "as they are",
        parameter="scale",
    )


def _channels(contract: Contract, names: re.Pattern[str]) -> list[int]:
    return [index for index, name in enumerate(contract.channels) if names.fullmatch(name)]
