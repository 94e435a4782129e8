"""Fixtures for the tests of the pod's own side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from podside.images import available, build
from podside.owned import swept
from podside.pod import ARBITRARY, FIXED, NewPod, Pod, ready


@pytest.fixture(scope="session")
def pod_images() -> Iterator[dict[str, str]]:
    if not available():
        pytest.skip("needs podman and the base image")
    with swept():
        yield {"gate": build("gate"), "agent": build("agent")}


@pytest.fixture
def new_pod(tmp_path: Path, pod_images: dict[str, str]) -> Iterator[NewPod]:
    """Makes pods; they are gone when the test is over."""
    for directory in (tmp_path, *tmp_path.parents):  # the container's user has to get through
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(0o755)
    made: list[Pod] = []

    def make(user: str = ARBITRARY) -> Pod:
        directory = tmp_path / f"pod{len(made)}"
        directory.mkdir(mode=0o755)
        made.append(Pod(directory, pod_images, user))
        return made[-1]

    yield make
    for pod in made:
        pod.close()


@pytest.fixture
def gate(new_pod: NewPod) -> Pod:
    """A pod whose gate is up, without a fence."""
    return ready(new_pod())


@pytest.fixture(params=[ARBITRARY, FIXED])
def gate_of_any_user(new_pod: NewPod, request: pytest.FixtureRequest) -> Pod:
    return ready(new_pod(request.param))
