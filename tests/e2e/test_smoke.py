"""The main job, once around."""

from __future__ import annotations

import pytest

from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster


def test_nothing_of_a_session_is_left_after_a_stop(laptop: Laptop, kubectl: Admin) -> None:
    before = kubectl.names()
    name = laptop.start(laptop.workspace("project"))
    assert {one for one in kubectl.names() - before if name in one}
    laptop.paude("stop", name)
    left = {one for one in kubectl.names() - before if name in one}
    assert left == set()
    assert laptop.records() == {}
