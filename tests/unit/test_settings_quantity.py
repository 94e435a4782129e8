"""Amounts as Kubernetes writes them."""

from __future__ import annotations

import re

import pytest

from paude.errors import SettingsError
from paude.settings.quantity import PATTERN, amount


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("4", 4),
        ("0.5", 0.5),
        ("500m", 0.5),
        ("1k", 1000),
        ("1Ki", 1024),
        ("8Gi", 8 * 2**30),
        ("1.5M", 1.5e6),
        ("2Pi", 2 * 2**50),
        ("3E", 3e18),
    ],
)
def test_a_quantity_is_a_number(words: str, number: float) -> None:
    assert re.fullmatch(PATTERN, words)
    assert amount(words) == pytest.approx(number)


@pytest.mark.parametrize("words", ["", "Gi", "1e3", "-1", "1 Gi", "1KiB", "1i", "1mm", "1.", ".5", "x" * 100])
def test_what_is_none_is_refused_in_few_words(words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        amount(words)
    assert len(caught.value.what) < 80
