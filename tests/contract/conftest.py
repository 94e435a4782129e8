"""A laptop on each backend, for tests that both have to pass."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import podman_machine
from places import Place, on_a_cluster, on_podman, verb_of


@pytest.fixture(scope="session")
def cache_home() -> Iterator[Path]:
    """One cache for all laptops, so that hashes and downloads are made once."""
    with tempfile.TemporaryDirectory(prefix="pc-") as name:
        yield Path(name)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(on_podman, marks=pytest.mark.podman, id="podman"),
        pytest.param(on_a_cluster, marks=pytest.mark.cluster, id="kubernetes"),
    ],
)
def place(request: pytest.FixtureRequest, cache_home: Path) -> Iterator[Place]:
    if not podman_machine.available():
        pytest.skip("needs podman and the base image")
    with request.param(cache_home) as made:
        yield made


@pytest.fixture(autouse=True)
def a_test_runs_the_verbs_that_it_is_marked_with(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that `test_every_verb_is_run_on_both_backends` can trust the marks."""
    mark = request.node.get_closest_marker("verbs")
    if mark is None:
        yield
        return
    asked = request.getfixturevalue("place").laptop.asked
    before = len(asked)
    yield
    assert set(mark.args) <= {verb_of(words) for words in asked[before:]}
