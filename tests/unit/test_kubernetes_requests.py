"""What is asked of an API server, in which order, and what becomes of its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api_server import FORBIDDEN, VERSION, Answer, connection, serving
from paude.backends.kubernetes import listing, rights
from paude.errors import Forbidden

pytestmark = pytest.mark.anyio


async def test_sessions_that_may_not_be_listed_are_an_error_of_paudes(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, VERSION) if path.startswith("/version") else (403, FORBIDDEN)

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            with pytest.raises(Forbidden):
                await listing.sessions(cluster)


async def test_rights_that_may_not_be_asked_for_are_an_error_of_paudes(tmp_path: Path) -> None:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, VERSION) if path.startswith("/version") else (403, FORBIDDEN)

    with serving(answer) as url:
        async with connection(url, tmp_path) as cluster:
            with pytest.raises(Forbidden):
                await rights.missing(cluster, rights.NEEDED)
