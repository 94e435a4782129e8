"""The manual page, as `scripts/man` prints it, judged by mandoc."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    assert shutil.which("mandoc"), "mandoc is not installed: scripts/lib/prerequisites does that"
    return subprocess.run(
        [CHECKOUT / "scripts/man"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def mandoc(*words: str, page: str) -> str:
    done = subprocess.run(["mandoc", *words], input=page, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_it_is_sound(page: str) -> None:
    assert mandoc("-T", "lint", "-W", "warning", page=page) == ""


def test_a_fault_in_it_would_be_noticed(page: str) -> None:
    assert "unknown" in mandoc("-T", "lint", "-W", "warning", page=f"{page}.XX\n")


def test_a_reader_finds_verbs_options_exit_codes_and_settings(page: str) -> None:
    read = re.sub(".\b", "", mandoc("-T", "utf8", "-O", "width=200", page=page))  # bold is a letter struck twice
    for words in ("paude start", "--allow-network", "EXIT STATUS", "work would be lost", "PAUDE_REGISTRY"):
        assert words in read, words
