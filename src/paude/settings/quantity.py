"""Amounts in Kubernetes' words: `4`, `500m`, `8Gi` (apimachinery, resource.Quantity). Pure."""

from __future__ import annotations

import re

from paude.errors import SettingsError

_UNITS = {
    "m": 0.001,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)},
}
PATTERN = rf"[0-9]+(\.[0-9]+)?({'|'.join(_UNITS)})?"
"""A decimal number and a unit, as a regular expression."""


def amount(quantity: str) -> float:
    """A quantity as a number. Raises SettingsError."""
    if not re.fullmatch(PATTERN, quantity):
        raise SettingsError(f"{quantity[:40]!a} is no amount", hint="for example 4, 500m, 8Gi")
    number = quantity.rstrip("mkKMGTPEi")
    return float(number) * _UNITS.get(quantity.removeprefix(number), 1.0)
