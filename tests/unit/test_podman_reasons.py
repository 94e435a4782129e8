"""What podman's complaints mean: its own words, as they were seen, in; what to do next, out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.podman import engine, reasons
from paude.errors import ConnectionLost, Forbidden, ImageError, NameTaken, NotFound, PaudeError, PodFailed, SessionGone
from paude.tunnel.base import TunnelLost

CHECKOUT = Path(__file__).parents[2]
NO_IDS = (
    'time="2026-11-24T13:18:48Z" level=error msg="cannot find UID/GID for user dev: no subuid ranges found for user'
    ' \\"dev\\" in /etc/subuid - check rootless mode in man pages."\n'
    "Error: chowning volume directory to 10001:0: potentially insufficient UIDs or GIDs available in user namespace\n"
)
NO_MACHINE = (
    "Cannot connect to Podman. Please verify your connection to the Linux system using `podman system connection list`,"
    " or try `podman machine init` and `podman machine start` to manage a new Linux VM\n"
    'Error: unable to connect to Podman socket: Get "http://d/v4.3.1/libpod/_ping": dial unix /run/podman.sock:'
    " connect: no such file or directory\n"
)
TAKEN = (
    'Error: creating container storage: the container name "paude-x-gate" is already in use by 0123. You have to'
    " remove that container to be able to reuse that name: that name is already in use"
)
FULL = "Error: adding volume to state: write /s/libpod/bolt_state.db: no space left on device"
SELINUX = "Error: SELinux relabeling of /home is not allowed"
PORT = "Error: rootlessport listen tcp 127.0.0.1:3128: bind: address already in use"
NO_CGROUPS = "Error: OCI runtime error: crun: the requested cgroup controller `pids` is not available"
TABLE = {
    "no range of user IDs (rootless)": NO_IDS,
    "the machine is not started": NO_MACHINE,
    "SELinux refuses": SELINUX,
    "the disk is full": FULL,
    "the name is taken": TAKEN,
    "the port is taken": PORT,
    "no control groups (rootless)": NO_CGROUPS,
}
COMPLAINTS = [
    (FULL, PaudeError, "make room"),
    ("Error: write /s/overlay/x: disk quota exceeded", PaudeError, "make room"),
    (NO_IDS, PaudeError, "--add-subuids"),
    ('Error: cannot set up namespace using "/usr/bin/newuidmap": should have setuid', PaudeError, "uidmap"),
    (NO_MACHINE, ConnectionLost, "podman machine start"),
    ("Error: volume with name paude-x already exists: volume already exists", NameTaken, "another --name"),
    (TAKEN, NameTaken, "another --name"),
    ("Error: paude-x-gate-0: secret name in use", NameTaken, "another --name"),
    (SELINUX, Forbidden, "ausearch"),
    (PORT, PaudeError, "port"),
    ("Error: paude-gate:1: image not known", ImageError, "built anew"),
    (NO_CGROUPS, PaudeError, "version 2"),
    ("Error: OCI runtime error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted", Forbidden, "podman run"),
    ("Error: database is locked", PaudeError, "try again"),
    ('Error: no container with name or ID "paude-x-gate" found: no such container', NotFound, ""),
]


@pytest.mark.parametrize(("said", "kind", "hint"), COMPLAINTS)
def test_a_complaint_becomes_the_error_that_says_what_to_do(said: str, kind: type[PaudeError], hint: str) -> None:
    error = reasons.error(said, "start the session's gate")
    assert type(error) is kind
    assert error.what == "podman cannot start the session's gate"
    assert hint in error.hint
    assert error.why
    assert "level=" not in error.why
    assert not error.why.startswith("Error:")


def test_a_warning_beside_the_failure_is_not_taken_for_its_reason() -> None:
    said = (
        "Resource limits are not supported and ignored on cgroups V1 rootless systems\n"
        'time="2026-11-24T13:18:48Z" level=warning msg="no space left on device, once"\n'
        "Error: volume with name paude-x already exists: volume already exists\n"
    )
    assert type(reasons.error(said, "start it")) is NameTaken


def test_the_table_of_the_document_says_what_the_errors_say() -> None:
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (.+) \|$", (CHECKOUT / "docs/PODMAN.md").read_text(), re.MULTILINE)
    too_old = reasons.version_error("4.2.9")
    assert too_old is not None
    meant = {"podman is not installed": engine.missing(), "podman is too old": too_old}
    meant |= {what: reasons.error(said, "start it") for what, said in TABLE.items()}
    assert {what: (int(code), hint) for what, code, hint in rows} == {
        what: (error.exit_code, error.hint) for what, error in meant.items()
    }


@given(st.text(max_size=2000))
def test_whatever_podman_says_becomes_an_error_of_few_plain_lines(said: str) -> None:
    error = reasons.error(said, "be used")
    assert error.why.count("\n") <= 3
    assert "\x1b" not in error.why


@pytest.mark.parametrize(
    ("version", "fits"),
    [("4.3.1", True), ("4.3", True), ("5.4.0-dev", True), ("10.0.0", True), ("4.2.9", False), ("3.4.4", False)],
)
def test_a_podman_that_is_too_old_is_refused_by_its_version(version: str, fits: bool) -> None:
    problem = reasons.version_error(version)
    assert (problem is None) is fits
    if problem is not None:
        assert version in problem.what
        assert "4.3" in problem.what


def test_a_version_that_cannot_be_read_is_given_a_try() -> None:
    assert reasons.version_error("") is None


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (125, 'Error: no container with name or ID "paude-x-agent" found: no such container', SessionGone),
        (255, "Error: can only create exec sessions on running containers: container state improper", TunnelLost),
        (137, "", TunnelLost),
    ],
)
def test_a_stream_that_ends_tells_whether_there_will_be_another(code: int, said: str, kind: type[Exception]) -> None:
    assert type(reasons.tunnel_failure(code, said)) is kind
    assert not isinstance(reasons.tunnel_failure(code, said), PodFailed)
