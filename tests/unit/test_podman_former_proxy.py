"""What becomes of a session's former proxy on Podman."""

from __future__ import annotations

import pytest

from paude.backends.podman.wall import may_go_on
from paude.egress.allowlist import Allowlist


@pytest.mark.parametrize(
    ("had", "wanted", "goes_on"),
    [
        ("a.test", ("a.test", "b.test"), True),
        ("a.test,b.test", ("a.test",), False),
        ("a.test", ("b.test",), False),
        ("", ("a.test",), True),
        ("*.a.test", ("b.a.test",), False),
        ("b.a.test", ("*.a.test",), False),  # what a wildcard covers is not looked into: those tunnels reconnect
    ],
)
def test_a_proxy_goes_on_while_none_of_its_tunnels_can_lead_where_the_list_does_not(
    had: str, wanted: tuple[str, ...], goes_on: bool
) -> None:
    assert may_go_on(had, Allowlist(wanted)) is goes_on
