"""Bad input and failure: one clear message with what to do next, its exit code, and nothing half-made left behind."""

from __future__ import annotations

import base64
import http.server
import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import failing
from failing import Here
from laptop import Admin, Laptop

pytestmark = pytest.mark.cluster


@pytest.fixture
def here(shared_laptop: Laptop, kubectl: Admin) -> Here:
    return failing.of(shared_laptop, kubectl, "proj-b")


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


def test_a_workspace_that_may_not_be_read_is_refused(here: Here) -> None:
    closed = here.laptop.workspace("closed")
    closed.chmod(0)
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root as others are: bound by modes
    argv = [*as_others, sys.executable, "-m", "paude", "start", str(closed), "--agent", "shell"]
    done = subprocess.run(argv, env=here.laptop.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"error: {closed} cannot be read and written by you" in done.stderr
    here.leaves_nothing()


# --- the registry ---


def login(path: Path, registry: str, words: str) -> str:
    auth = base64.b64encode(words.encode()).decode()
    path.write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return str(path)


def test_a_wrong_password_for_the_registry_asks_for_a_login(here: Here, cluster_env: Mapping[str, str]) -> None:
    registry = cluster_env["PAUDE_TEST_REGISTRY"]
    wrong = login(here.laptop.home / "wrong.json", registry, "dev:wrong")
    stderr = here.refused(
        code=7, says=(f"error: {registry} does not accept the login", "hint: log in"), REGISTRY_AUTH_FILE=wrong
    )
    assert "dev:wrong" not in stderr


def test_a_registry_that_does_not_answer_is_an_image_error(here: Here) -> None:
    here.refused("--registry", "127.0.0.1:1/dev", code=8, says=("127.0.0.1:1 cannot be reached", "hint: "))


def test_a_registry_whose_certificate_nobody_vouches_for_is_an_image_error(here: Here, tmp_path: Path) -> None:
    stranger = strangers_certificate(tmp_path)
    says = ("error: the certificate of registry.test:5000 is not trusted", "--registry-ca")
    here.refused(code=8, says=says, PAUDE_REGISTRY_CA=str(stranger / "crt"))


# --- a cluster that is too old ---


def strangers_certificate(directory: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody knows."""
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=stranger"
    files = ["-keyout", directory / "key", "-out", directory / "crt", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    return directory


@contextmanager
def old_cluster(directory: Path) -> Iterator[Path]:
    """A kubeconfig of a server that says that it is Kubernetes 1.28."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                b'{"major": "1", "minor": "28+", "gitVersion": "v1.28.9"}'
                if self.path.strip("/") == "version"
                else b"{}"
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    strangers_certificate(directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "crt", directory / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        config = {
            "clusters": [
                {
                    "name": "old",
                    "cluster": {
                        "server": f"https://127.0.0.1:{server.server_port}",
                        "certificate-authority": str(directory / "crt"),
                    },
                }
            ],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "old", "context": {"cluster": "old", "user": "me"}}],
            "current-context": "old",
        }
        (directory / "kubeconfig").write_text(json.dumps(config))
        try:
            yield directory / "kubeconfig"
        finally:
            server.shutdown()
            thread.join()


def test_a_kubernetes_that_is_too_old_is_refused_in_one_line(here: Here, tmp_path: Path) -> None:
    with old_cluster(tmp_path) as kubeconfig:
        stderr = here.refused(
            code=1, says=("error: Kubernetes 1.28 is too old: paude needs 1.29",), KUBECONFIG=str(kubeconfig)
        )
    assert stderr.count("too old") == 1
