from __future__ import annotations

import json

from paude.credentials.anthropic import ApiKey
from paude.credentials.found import Found
from paude.credentials.hidden import Hidden
from paude.credentials.onboarding import claude


def found(variable: str = "ANTHROPIC_API_KEY") -> Found:
    return Found(api_key=ApiKey(variable, Hidden(b"sk-ant-0123456789abcdefghijklmnop"), "the environment"))


def test_the_first_screen_is_the_prompt() -> None:
    answers = json.loads(claude(Found(), consent=True)["home..claude.json"])
    assert answers["hasCompletedOnboarding"]
    assert answers["projects"]["/workspace"]["hasTrustDialogAccepted"]
    assert "customApiKeyResponses" not in answers


def test_only_the_tail_of_an_agreed_key_is_approved() -> None:
    written = claude(found(), consent=True)["home..claude.json"]
    assert json.loads(written)["customApiKeyResponses"]["approved"] == ["6789abcdefghijklmnop"]
    assert b"sk-ant" not in written
    assert b"6789" not in claude(found(), consent=False)["home..claude.json"]
    assert b"6789" not in claude(found("CLAUDE_CODE_OAUTH_TOKEN"), consent=True)["home..claude.json"]
