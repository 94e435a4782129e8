"""Shared by all tests; that it lies here also puts the helpers beside it on the path."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
