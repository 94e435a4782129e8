"""Bad input and failure: one clear message with what to do next, its exit code, and nothing half-made left behind."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster

SPACE = "proj-b"


@dataclass(frozen=True)
class Here:
    """A laptop, a workspace, and the namespace in which starts of it are tried."""

    laptop: Laptop
    admin: Admin
    workspace: Path
    space: str

    def start(self, *words: str, **env: str) -> list[str]:
        return ["start", str(self.workspace), "--agent", "shell", "--detach", "-n", self.space, *words]

    def refused(self, *words: str, code: int, says: tuple[str, ...], **env: str) -> str:
        """A start that ends with `code` and these words (what, why, hint), and leaves nothing."""
        done = self.laptop.paude(*self.start(*words), code=code, **env)
        for word in says:
            assert re.search(word, done.stderr), f"no {word!r} in:\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert done.stderr.count("error: ") == 1, done.stderr
        assert done.stdout == ""
        self.leaves_nothing()
        return done.stderr

    def leaves_nothing(self) -> None:
        """No object of the session, no record, no temporary file, no sync, no ssh alias."""
        assert self.objects() == set()
        paude = self.laptop.state / "paude"
        assert self.laptop.records() == {}
        assert names(paude / "sessions") == set()
        assert names(paude / "sync" / "sessions") == set()
        assert names(self.laptop.home / ".t") == set()
        runtime = names(self.laptop.home / ".r" / "paude")
        assert {name for name in runtime if not name.endswith((".sock", ".lock", ".pid"))} == set()
        aliases = paude / "ssh_config"
        assert not aliases.exists() or "Host " not in aliases.read_text()
        self.is_untouched()

    def objects(self) -> set[str]:
        """What the namespace holds of sessions: shared things (baseline, proxies) are none of them."""
        found = self.admin.names("-l", "paude.io/session-uid", namespace=self.space)
        return found

    def is_untouched(self) -> None:
        assert (self.workspace / "README").read_text() == "hello\n"


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


@pytest.fixture
def here(laptop: Laptop, kubectl: Admin) -> Iterator[Here]:
    """A project of this laptop, and `proj-b`."""
    temporary = laptop.home / ".t"
    temporary.mkdir()
    laptop.env["TMPDIR"] = str(temporary)
    yield Here(laptop, kubectl, laptop.workspace("project"), SPACE)


# --- which cluster, as whom ---


def test_without_a_kubeconfig_the_place_that_was_looked_at_is_named(here: Here) -> None:
    missing = str(here.laptop.home / "none")
    here.refused(code=2, says=("error: there is no kubeconfig", missing, "hint: log in"), KUBECONFIG=missing)


def test_an_unknown_context_is_refused_with_those_that_are_known(here: Here) -> None:
    here.refused("--context", "nowhere", code=2, says=("no context 'nowhere'", "known contexts: .*dev", "hint: "))


def test_an_expired_token_asks_for_a_login(here: Here, cluster_env: Mapping[str, str]) -> None:
    words = ("--kubeconfig", cluster_env["KUBECONFIG"], "--context", "expired")
    here.refused(*words, code=7, says=("error: the cluster does not accept your login", "hint: log in again"))


def test_missing_rights_are_named_by_verb_and_resource(here: Here, cluster_env: Mapping[str, str]) -> None:
    words = ("--kubeconfig", cluster_env["KUBECONFIG"], "--context", "nobody")
    says = (r"error: you may not create (configmaps|networkpolicies\.networking\.k8s\.io)", "hint: ask for the right")
    here.refused(*words, code=6, says=says)


def test_a_missing_namespace_is_said_with_the_ways_out(here: Here, cluster_env: Mapping[str, str]) -> None:
    words = ("--kubeconfig", cluster_env["KUBECONFIG"], "--context", "local", "-n", "nowhere")
    here.refused(*words, code=4, says=("error: there is no namespace nowhere", "-n.*--create-namespace"))


def test_who_may_not_make_namespaces_is_told_so(here: Here) -> None:
    says = (r"error: you may not (create|make).*(namespace|projectrequest)", "hint: ")
    here.refused("-n", "nowhere", "--create-namespace", code=6, says=says)


def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_remedy(
    here: Here, cluster_env: Mapping[str, str]
) -> None:
    noca = f"{cluster_env['PAUDE_TEST_STATE']}/noca.kubeconfig"
    says = ("error: the certificate of https://127.0.0.1:6443 is not trusted", "certificate-authority-data")
    here.refused(code=2, says=says, KUBECONFIG=noca)


# --- the workspace ---


def test_a_home_directory_or_the_root_is_no_workspace(here: Here) -> None:
    for directory in (str(here.laptop.home), "/", "~", f"{here.workspace}/.."):
        done = here.laptop.paude("start", directory.replace("~", str(here.laptop.home)), "--agent", "shell", code=2)
        assert "error: " in done.stderr
        assert "hint: " in done.stderr
    here.leaves_nothing()


def test_what_is_no_readable_directory_is_no_workspace(here: Here) -> None:
    file = here.workspace / "README"
    for path, word in ((here.workspace / "missing", "missing|no such"), (file, "directory")):
        done = here.laptop.paude("start", str(path), "--agent", "shell", code=2)
        assert str(path) in done.stderr
        assert re.search(word, done.stderr)
    here.leaves_nothing()


# --- the registry ---


def login(path: Path, registry: str, words: str) -> str:
    auth = base64.b64encode(words.encode()).decode()
    path.write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return str(path)


def test_a_wrong_password_for_the_registry_asks_for_a_login(here: Here, cluster_env: Mapping[str, str]) -> None:
    registry = cluster_env["PAUDE_TEST_REGISTRY"]
    wrong = login(here.laptop.home / "wrong.json", registry, "dev:wrong")
    stderr = here.refused(code=7, says=(f"error: {registry} does not accept the login", "hint: log in"),
                          REGISTRY_AUTH_FILE=wrong)
    assert "dev:wrong" not in stderr


def test_a_registry_that_does_not_answer_is_an_image_error(here: Here) -> None:
    here.refused("--registry", "127.0.0.1:1/dev", code=8, says=("127.0.0.1:1 cannot be reached", "hint: "))
