"""Shared by all tests; that it lies here also puts the helpers beside it on the path."""

from __future__ import annotations

import pytest
from hypothesis import settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# The machines that run the tests are slow and shared: a deadline in wall time would judge them, not the code.
settings.register_profile("paude", deadline=None)
settings.load_profile("paude")
