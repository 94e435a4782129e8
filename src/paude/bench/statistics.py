"""Numbers of a few dozen measurements: median, 95th percentile, and how sure they are. Pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Statistic = Callable[[Sequence[float]], float]
RESAMPLES = 2000


@dataclass(frozen=True)
class Summary:
    """A sample in a few figures; `low` and `high` enclose the true median with 95 % confidence."""

    count: int
    median: float
    p95: float
    p99: float
    low: float
    high: float
    least: float
    most: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the sample lies, linear between neighbours.

    Raises ValueError for an empty sample.
    """
    if not values:
        raise ValueError("an empty sample has no percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    # Not `below + (above - below) * part`: rounding must not leave the sample's range.
    return below if below == above else min(max(below + (above - below) * (place % 1), below), above)


def median(values: Sequence[float]) -> float:
    """The middle of the sample."""
    return percentile(values, 0.5)


def p95(values: Sequence[float]) -> float:
    """What 95 % of the sample stay below; of fewer than 20 values nearly the greatest."""
    return percentile(values, 0.95)


def bootstrap_interval(
    values: Sequence[float], statistic: Statistic = median, *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Where `statistic` of the whole population lies with that `confidence`, by resampling; repeatable by its seed."""
    chance = random.Random(seed)
    found = [statistic(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)]
    return percentile(found, (1 - confidence) / 2), percentile(found, (1 + confidence) / 2)


def ratio_interval(
    above: Sequence[float], below: Sequence[float], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Where the ratio of the two populations' medians lies with that `confidence`."""
    chance = random.Random(seed)
    found = [
        median(chance.choices(above, k=len(above))) / median(chance.choices(below, k=len(below)))
        for _ in range(RESAMPLES)
    ]
    return percentile(found, (1 - confidence) / 2), percentile(found, (1 + confidence) / 2)


def summarize(values: Sequence[float]) -> Summary:
    """The figures of a sample; raises ValueError when it is empty."""
    low, high = bootstrap_interval(values) if values else (0.0, 0.0)
    return Summary(
        len(values), median(values), p95(values), percentile(values, 0.99), low, high, min(values), max(values)
    )
