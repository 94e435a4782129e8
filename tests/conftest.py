"""Shared by all tests; that it lies here also puts the helpers beside it on the path."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_configure() -> None:
    """Ctrl-C counts in every test: what a shell starts in the background ignores it, and hands that down."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The directories are markers too: `pytest -m integration`, `pytest -m e2e`."""
    for item in items:
        for kind in ("integration", "e2e"):
            if kind in item.path.parts:
                item.add_marker(kind)


# The machines that run the tests are slow and shared: a deadline in wall time would judge them, not the code.
settings.register_profile("paude", deadline=None)
settings.load_profile("paude")
