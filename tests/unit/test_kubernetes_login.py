"""Who somebody is to a cluster: what the kubeconfig has, what a plug-in brings, and what becomes of refusals."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest

from paude.backends.kubernetes.kubeconfig import Target, choose
from paude.backends.kubernetes.login import Credentials, Login, credentials
from paude.errors import LoginExpired
from paude.settings import Paths

pytestmark = pytest.mark.anyio
API = "client.authentication.k8s.io/v1"


def target(directory: Path, user: dict[str, Any], **cluster: Any) -> Target:
    """The kubeconfig with this user, read."""
    file = directory / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://api.test", **cluster}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return choose([file])


def plugin(directory: Path, script: str, **more: Any) -> dict[str, Any]:
    """A user whose plug-in is this script, named as lying beside the kubeconfig."""
    program = directory / "bin" / "plugin"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return {"exec": {"apiVersion": API, "command": "bin/plugin", **more}}


def brings(**what: str) -> str:
    """The words of a script that brings it."""
    return f"echo '{json.dumps({'kind': 'ExecCredential', 'status': what})}'"


async def test_a_token_counts_more_than_a_plug_in(tmp_path: Path) -> None:
    user = {"token": "written", **plugin(tmp_path, brings(token="brought"))}
    assert await credentials(target(tmp_path, user)) == Credentials("written")


async def test_a_plug_in_brings_a_token_or_a_certificate(tmp_path: Path) -> None:
    assert await credentials(target(tmp_path, plugin(tmp_path, brings(token="brought")))) == Credentials("brought")
    pair = brings(clientCertificateData="CERT", clientKeyData="KEY")
    assert await credentials(target(tmp_path, plugin(tmp_path, pair))) == Credentials("", (b"CERT", b"KEY"))


async def test_a_plug_in_is_told_its_words_its_variables_and_of_the_cluster_if_it_wants(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f'printf "%s\\n" "$1" "$MINE" "$KUBERNETES_EXEC_INFO" > {seen}; {brings(token="t")}'
    more = {"args": ["get-token"], "env": [{"name": "MINE", "value": "7"}]}
    for wanted, told in ((False, {}), (True, {"cluster": {"server": "https://api.test", "tls-server-name": "api"}})):
        user = plugin(tmp_path, script, **more, provideClusterInfo=wanted)
        await credentials(target(tmp_path, user, **{"tls-server-name": "api"}))
        word, own, about = seen.read_text().splitlines()
        assert (word, own) == ("get-token", "7")
        assert json.loads(about) == {
            "apiVersion": API,
            "kind": "ExecCredential",
            "spec": {"interactive": False, **told},
        }


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ({"exec": {"apiVersion": API, "command": "no-such-plugin", "installHint": "get it"}}, "not installed"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "true"}}, "v1beta1"),
        ({"exec": {"apiVersion": API, "command": "true"}}, "neither a token"),
        ({"exec": {"apiVersion": API, "command": "echo", "args": ['{"status": []}']}}, "neither a token"),
        ({"exec": {"apiVersion": API, "command": "echo", "args": 7, "env": 7}}, "neither a token"),
        ({"exec": {"apiVersion": API, "command": "sh", "args": ["-c", "echo gone >&2; exit 3"]}}, "ended with 3: gone"),
        ({"auth-provider": {"name": "gcp"}}, "oidc"),
        ({"username": "me", "password": "hidden"}, "1.19"),
    ],
)
async def test_what_brings_no_login_is_told(tmp_path: Path, user: dict[str, Any], why: str) -> None:
    with pytest.raises(LoginExpired, match="way of logging in failed") as caught:
        await credentials(target(tmp_path, user))
    assert why in caught.value.why
    assert "hidden" not in str(caught.value)


async def test_the_token_of_an_oidc_provider_is_taken(tmp_path: Path) -> None:
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": "mine"}}}
    assert await credentials(target(tmp_path, user)) == Credentials("mine")


async def test_refused_credentials_are_made_again_once_for_all_who_were_refused(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    count = f'echo run >> {runs}; echo "{{\\"status\\": {{\\"token\\": \\"t$(wc -l < {runs})\\"}}}}"'
    login = Login(target(tmp_path, plugin(tmp_path, count)), Paths(*[tmp_path] * 4))
    found: list[str] = []

    async def asked(renew: bool) -> None:
        found.append((await login.access(renew)).headers["Authorization"])

    for renew in (False, True):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(asked, renew)
    assert found == ["Bearer t1"] * 5 + ["Bearer t2"] * 5
    with pytest.raises(LoginExpired, match="does not accept"):
        await login.access(renew=True)  # not again at once


async def test_a_certificate_that_cannot_be_used_is_told_and_no_trace_of_its_key_is_left(tmp_path: Path) -> None:
    pair = brings(clientCertificateData="CERT", clientKeyData="KEY")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    login = Login(target(tmp_path, plugin(tmp_path, pair)), Paths(tmp_path, runtime, tmp_path, tmp_path))
    with pytest.raises(Exception, match="certificates in the kubeconfig"):
        await login.access()
    assert list(runtime.iterdir()) == []


async def test_the_trust_stays_the_same_when_credentials_change(tmp_path: Path) -> None:
    login = Login(target(tmp_path, {"token": "one"}), Paths(*[tmp_path] * 4))
    first = await login.access()
    target(tmp_path, {"token": "two"})
    second = await login.access(renew=True)
    assert isinstance(first.ssl, ssl.SSLContext)
    assert second.ssl is first.ssl
    assert second.headers["Authorization"] == "Bearer two"
    assert "two" not in repr(second)
