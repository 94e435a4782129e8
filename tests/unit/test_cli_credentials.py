"""How long credentials are good, as `paude sessions` says it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from paude.cli.sessions import left

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expires", "shown"),
    [
        ("", ""),
        ("2026-05-01T15:00:30+00:00", "3h"),
        ("2026-05-01T12:00:20+00:00", "20s"),
        ("2026-05-01T12:00:00+00:00", "expired"),
        ("2020-01-01T00:00:00+00:00", "expired"),
        ("nonsense", ""),
        ("2026-05-01T15:00:00", ""),
    ],
)
def test_how_long_credentials_are_good(expires: str, shown: str) -> None:
    assert left(expires, NOW) == shown
