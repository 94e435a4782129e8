"""The words of `paude forward`."""

from __future__ import annotations

import pytest

from paude.cli.forward import ports
from paude.errors import UsageError


@pytest.mark.parametrize(("words", "both"), [("3000", (3000, 3000)), ("8080:3000", (8080, 3000)), ("0:22", (0, 22))])
def test_one_port_is_both_and_two_are_here_and_there(words: str, both: tuple[int, int]):
    assert ports(words) == both


@pytest.mark.parametrize("words", ["", "0", "65536", "http", "a:1", "1:", "70000:1", "-1", "1:2:3", "٣"])
def test_what_is_no_port_is_a_usage_error(words: str):
    with pytest.raises(UsageError):
        ports(words)
