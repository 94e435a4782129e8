"""Nothing secret is printed: canaries in every form, and text without secrets as it was."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude import redaction
from paude.credentials.hidden import Hidden
from paude.images.reference import Login
from paude.redaction import HIDDEN, Redacted, hold, looks_secret, redact

PIECE = "q7R-x_" * 6
SHAPED = {
    "an Anthropic key": f"sk-ant-api03-{PIECE}",
    "a Google access token": f"ya29.{PIECE}",
    "a Google refresh token": f"1//0{PIECE}",
    "a Google client secret": f"GOCSPX-{PIECE}",
    "an OpenShift token": f"sha256~{PIECE}",
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a JWT": "eyJ" + "hbGciOiJSUzI1NiJ9.eyJ" + "zdWIiOiJ4In0xyz.c2lnbmF0dXJl",
    "a bearer": f"Authorization: Bearer {PIECE}",
    "a login in an address": "https://dev:hunter2@registry.test/v2/",
    "a private key": "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ\nAAAA\n-----END PRIVATE KEY-----",
}


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_held", set())
    redaction._known.cache_clear()


@pytest.mark.parametrize("kind", SHAPED)
def test_what_looks_like_a_secret_is_hidden(kind: str) -> None:
    text = f"before {SHAPED[kind]} after"
    shown = redact(text)
    assert looks_secret(text)
    assert HIDDEN in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert not any(part in shown for part in (PIECE, "hunter2", "MIIEvQ", "c2lnbmF0dXJl", "a1B2a1B2"))


ORDINARY = [
    "https://registry.test:5000/v2/dev/paude-agent",
    "sha256:4c325bc61a910e0f8f0c3c3d0a5b3ab1a2f0c9d8e7f6a5b4c3d2e1f0a9b8c7d6",
    "git@github.com:owner/project.git",
    "localhost/paude-agent:51c2a231a03b",
    "2026-11-24T12:44:22.123456+00:00 create pod: ready after 2.1 s",
    "paude start -- -p 'several words'",
    "basic usage of bearer tokens",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=":/-_.~@=")))
def test_text_without_marks_stays(text: str) -> None:
    if not looks_secret(text):
        assert redact(text) == text
    assert redact(redact(text)) == redact(text)


SECRETS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=12, max_size=60).map(
    "7{}".format
)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_a_secret_that_was_held_turns_up_in_no_form(secret: str, before: str, after: str) -> None:
    redaction._held.clear()
    hold(secret)
    data = secret.encode()
    forms = {
        "plain": f"{before}{secret}{after}",
        "in an address": f"https://x.test/?k={quote(secret, safe='')}",
        "in JSON": json.dumps({"k": secret}),
        "in hex": data.hex(),
        "in base64": base64.b64encode(data).decode(),
        "in longer base64": base64.b64encode(b"user:" + data + b"\n").decode(),
    }
    for form, text in forms.items():
        shown = redact(text)
        assert secret not in shown, form
        assert HIDDEN in shown, form


def test_the_inner_secrets_of_a_login_are_held_too() -> None:
    hold(json.dumps({"type": "authorized_user", "refresh_token": "canary-refresh-1", "client_secret": "canary-client"}))
    assert redact("canary-refresh-1, canary-client, authorized_user") == f"{HIDDEN}, {HIDDEN}, authorized_user"


def test_values_that_hide_themselves_are_held() -> None:
    Hidden(b"canary-of-a-value")
    Login("dev", "canary-of-a-login")
    assert redact("canary-of-a-value canary-of-a-login dev") == f"{HIDDEN} {HIDDEN} dev"


def test_a_stream_is_a_stream_but_for_that() -> None:
    inner = io.StringIO()
    hold("canary-in-a-stream")
    stream = Redacted(inner)
    print("a canary-in-a-stream b", file=stream)  # type: ignore[type-var]
    stream.writelines(["canary-in-a-stream"])
    stream.flush()
    assert inner.getvalue() == f"a {HIDDEN} b\n{HIDDEN}"
    assert stream.getvalue() == inner.getvalue()  # type: ignore[operator]
    assert stream.isatty() is False  # type: ignore[operator]


def written(pieces: list[str], *, flushed: bool) -> str:
    """What a stream shows of text that comes in pieces."""
    inner = io.StringIO()
    stream = Redacted(inner)
    for piece in pieces:
        stream.write(piece)
        if flushed:
            stream.flush()
    stream.flush()
    return inner.getvalue()


@given(st.sampled_from(sorted(SHAPED)), st.lists(st.integers(0, 120)))
def test_a_secret_that_comes_in_several_writes_is_hidden_as_if_it_came_in_one(kind: str, cuts: list[int]) -> None:
    text = f"one line\nbefore {SHAPED[kind]} after\nanother: line"
    ends = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[a:b] for a, b in pairwise(ends)]
    assert written(pieces, flushed=False) == redact(text)


def test_of_a_secret_that_is_flushed_in_the_middle_the_rest_is_hidden() -> None:
    secret = SHAPED["an Anthropic key"]
    assert written([f"a {secret[:12]}", f"{secret[12:]} b\n"], flushed=True) == f"a {secret[:12]}{HIDDEN} b\n"


def test_a_private_key_that_comes_line_by_line_is_hidden_and_what_follows_is_not() -> None:
    lines = [f"  {line}\n" for line in SHAPED["a private key"].split("\n")]
    head, tail = lines[0].strip(), lines[-1].strip()
    assert written([*lines, "hint: log in\n"], flushed=True) == f"  {head}{HIDDEN}{tail}\nhint: log in\n"
    assert written([*lines[:-1], "hint: log in\n"], flushed=True) == f"  {head}{HIDDEN}hint: log in\n"


@given(st.lists(st.text(alphabet="abc -\n:=", max_size=8)), st.booleans())
def test_text_that_comes_in_pieces_stays(pieces: list[str], flushed: bool) -> None:
    assert written(pieces, flushed=flushed) == "".join(pieces)


@pytest.mark.parametrize("words", [("stop", SHAPED["an Anthropic key"]), (SHAPED["a Google access token"],)])
def test_the_program_itself_prints_none(words: tuple[str, ...], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PAUDE_BACKEND": "kubernetes"}
    done = subprocess.run([sys.executable, "-m", "paude", *words], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert PIECE not in done.stdout + done.stderr
    assert HIDDEN in done.stdout + done.stderr


def test_a_word_that_somebody_took_for_a_password_is_not_hidden_everywhere() -> None:
    hold("openshift")
    assert redact("backends: podman, openshift") == "backends: podman, openshift"
