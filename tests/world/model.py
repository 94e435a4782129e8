"""A model's API, and the service that makes access tokens for it, as small as a coding agent needs them.

The answer to a prompt says by which token it was asked for, so that it cannot be mistaken for the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs

TOKENS, VERTEX, API = "oauth2.test", "us-east5-aiplatform.test", "api.model.test"
REVOKED = "a-login-that-was-revoked"
_LIFE = re.compile(r"lives-([0-9]+)-seconds")
_LIFE_S = 3600


@dataclass(frozen=True)
class Reply:
    """What an origin answers, and what of the request is worth remembering."""

    body: bytes
    kind: str = "application/json"
    status: str = "200 OK"
    notes: Mapping[str, Any] = field(default_factory=dict)


class Stub:
    """Tokens are numbered. A client called `lives-N-seconds` gets tokens of that life, any other of an hour."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def answer(self, sni: str | None, path: str, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """The reply of one of these origins; None when the request is not for them."""
        if sni == TOKENS:
            return self._token(parse_qs(body.decode("latin-1")))
        if sni in {VERTEX, API} and body:
            return _message(path, headers, json.loads(body))
        return None

    def _token(self, form: Mapping[str, list[str]]) -> Reply:
        if form.get("refresh_token") == [REVOKED]:
            return Reply(b'{"error": "invalid_grant", "error_description": "revoked"}', status="400 Bad Request")
        token = f"ya29.short-lived-{next(self._numbers)}"
        named = _LIFE.fullmatch(form.get("client_id", [""])[0])
        life = int(named[1]) if named else _LIFE_S
        text = {"access_token": token, "expires_in": life, "token_type": "Bearer", "scope": "cloud-platform"}
        return Reply(json.dumps(text).encode(), notes={"token": token, "life": life})


def _message(path: str, headers: Mapping[str, str], asked: Mapping[str, Any]) -> Reply:
    bearer = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
    prompt = _last_prompt(asked.get("messages") or [])
    notes = {"bearer": bearer, "prompt": prompt}
    if "count_tokens" in path:
        return Reply(b'{"input_tokens": 7}', notes=notes)
    text = f"answered to {bearer}"
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": str(asked.get("model", "stub")),
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1},
    }  # fmt: skip
    if not (asked.get("stream") or path.endswith(":streamRawPredict")):
        whole = {**message, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
        return Reply(json.dumps(whole).encode(), notes=notes)
    events = (
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    stream = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Reply(stream.encode(), "text/event-stream", notes=notes)


def _last_prompt(messages: list[Any]) -> str:
    """The user's own words: the last text of the last message that is his."""
    mine = [one["content"] for one in messages if one.get("role") == "user"]
    if not mine:
        return ""
    if isinstance(mine[-1], str):
        return mine[-1]
    texts = [str(block["text"]) for block in mine[-1] if block.get("type") == "text"]
    return texts[-1] if texts else ""
