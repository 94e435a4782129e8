"""What the documents tell a newcomer to type, typed as it stands on a machine that has podman and nothing else."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import typed
from laptop import Laptop
from podman_machine import available, machine, things

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    """With a project in a git repository where the documents have it. Its agent is a shell: no login is needed."""
    assert available(), "needs podman and the base image"
    with tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as made:
        made.env["PAUDE_AGENT"] = "shell"
        (made.home / "src").mkdir()
        project = made.workspace("src/my-project")
        for words in (["init", "-qb", "main"], ["add", "."], ["commit", "-qm", "begin"]):
            who = ["-c", "user.name=dev", "-c", "user.email=dev@example.test"]
            subprocess.run(["git", "-C", project, *who, *words], check=True)
        yield made


@pytest.mark.parametrize(
    ("document", "section"),
    [place for place, by in typed.TYPED.items() if by.endswith(Path(__file__).name)],
    ids=lambda value: value or "top",
)
def test_a_newcomer_can_type_what_the_document_says(laptop: Laptop, document: str, section: str) -> None:
    where = laptop.home / "src/my-project"
    for line in typed.lines(document, section):
        if line == "paude stop" or line.startswith("paude stop "):
            typed.types(laptop, "paude start", where)  # there has to be one
        done = typed.types(laptop, line, where)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    typed.types(laptop, "paude stop --all --discard", where)
    assert not [one for one in things() if "my-project" in one]
