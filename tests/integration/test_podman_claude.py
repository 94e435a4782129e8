"""The real Claude Code in a session, answered by a stub of its API: it gets access tokens, and not what makes them."""

from __future__ import annotations

import base64
import json
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from laptop import Laptop
from podman_machine import available, machine, podman
from waiting import eventually
from world import model
from world.alone import alone
from world.client import World

pytestmark = pytest.mark.podman

CANARY = "long-lived-canary-5ec4e7f00d"
LIFE_S = 8
TMUX = "tmux -S /run/paude/tmux.sock"
WORDS = 'say "it\'s $HOME", twice'


@dataclass(frozen=True)
class Claude:
    """A session with Claude Code at work in it, and the world that it reaches."""

    laptop: Laptop
    world: World
    name: str

    def screen(self) -> str:
        """What the agent's terminal shows."""
        return self.laptop.inside(self.name, f"{TMUX} capture-pane -p -S -500 -t agent")

    def type(self, text: str) -> None:
        """Type a line, with Enter."""
        quoted = "'" + text.replace("'", "'\\''") + "'"
        self.laptop.inside(
            self.name, f"{TMUX} send-keys -t agent -l {quoted}; sleep 0.3; {TMUX} send-keys -t agent Enter"
        )

    def shows(self, text: str) -> None:
        """Wait for it on the screen."""
        eventually(lambda: text in self.screen(), 60, f"{text!r} on the screen:\n{self.screen()}")

    def calls(self, prompt: str) -> list[dict[str, Any]]:
        """The requests for an answer to that prompt, as they arrived."""
        return [one for one in self.world.seen().asked(model.VERTEX) if one.get("prompt") == prompt]

    def tokens(self) -> list[dict[str, Any]]:
        """What the token service gave."""
        return [one for one in self.world.seen().asked(model.TOKENS) if "token" in one]


@pytest.fixture(scope="module")
def claude() -> Iterator[Claude]:
    if not available():
        pytest.skip("needs podman and the base image")
    with alone() as place, tempfile.TemporaryDirectory(prefix="pc-") as cache, machine(Path(cache)) as laptop:
        put(laptop.home / ".claude/CLAUDE.md", "my own instructions\n")
        put(laptop.home / ".claude/settings.json", json.dumps({"hooks": {"Stop": []}, "env": {"X": CANARY}}))
        put(laptop.home / ".claude/.credentials.json", json.dumps({"claudeAiOauth": {"refreshToken": CANARY}}))
        laptop.env |= _login(laptop.home) | {
            "PAUDE_PODMAN_NETWORK": f"ns:{place.namespace}",
            "PAUDE_EGRESS_CA_BUNDLE": str(place.world.ca_path),
        }
        name = "claude"
        workspace = laptop.workspace("project")
        laptop.paude("start", str(workspace), "--name", name, "--detach", "--timeout", "280", "--", WORDS)
        yield Claude(laptop, place.world, name)


def _login(home: Path) -> dict[str, str]:
    """A developer who uses Vertex: his long-lived login, and what his Claude Code is told by its environment."""
    put(home / ".config/gcloud/application_default_credentials.json", _adc(CANARY, LIFE_S))
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "demo-project",
        "CLOUD_ML_REGION": "us-east5",
        "ANTHROPIC_VERTEX_BASE_URL": f"https://{model.VERTEX}/v1",
    }


def _adc(token: str, life_s: int) -> str:
    return json.dumps(
        {
            "type": "authorized_user",
            "client_id": f"lives-{life_s}-seconds",
            "client_secret": f"secret-{token}",
            "refresh_token": token,
            "token_uri": f"https://{model.TOKENS}/token",
        }
    )


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_it_answers_the_words_that_were_typed_and_asks_nothing_before(claude: Claude) -> None:
    eventually(lambda: claude.calls(WORDS), 90, "the prompt at the API")
    claude.shows("answered to ya29.short-lived-")


def test_its_token_is_renewed_while_it_runs(claude: Claude) -> None:
    claude.type("first question")
    first = eventually(lambda: claude.calls("first question"), 60, "the first question at the API")[-1]
    given = next(one for one in claude.tokens() if one["token"] == first["bearer"])
    over = given["at"] + given["life"]
    eventually(lambda: _now(claude) > over, 2 * LIFE_S + 20, "the end of the first token")
    before = _pid(claude)

    claude.type("second question")
    second = eventually(lambda: claude.calls("second question"), 60, "the second question at the API")[-1]

    renewed = next(one for one in claude.tokens() if one["token"] == second["bearer"])
    assert renewed["at"] > given["at"]
    assert second["bearer"] != first["bearer"]
    claude.shows(f"answered to {second['bearer']}")
    assert _pid(claude) == before, "it is the same program"


def test_the_long_lived_login_is_nowhere_in_the_agents_container(claude: Claude) -> None:
    reach = (
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env; "
        "find / -xdev -type f -size -4M -not -path '/proc/*' -not -path '/sys/*' -not -path '/usr/*' -print0 "
        "| xargs -0 cat; find /workspace /home/paude /run /tmp /etc -type f -size -4M -print0 | xargs -0 cat; "
        "for path in '' instance/ project/project-id instance/service-accounts/default/ "
        "instance/service-accounts/default/token instance/service-accounts/default/email; do "
        "curl -s -H 'Metadata-Flavor: Google' http://127.0.0.1:2224/computeMetadata/v1/$path; done"
    )
    found = claude.laptop.inside(claude.name, f"({reach}) 2>/dev/null | base64 -w0", code=None)
    everything = base64.b64decode(found)
    assert b"ya29.short-lived-" in everything, "the control: what it may have is found this way"
    for form in _forms(CANARY):
        assert form not in everything
    kept = podman("exec", f"paude-{claude.name}-gate", "cat", "/run/secrets/adc.json")
    assert CANARY in kept, "the control: the gate has it"


def test_the_long_lived_login_goes_to_its_own_service_alone(claude: Claude) -> None:
    requests = claude.world.seen().requests
    assert {one["sni"] for one in requests} == {model.TOKENS, model.VERTEX}
    for text in (json.dumps(podman("inspect", f"paude-{claude.name}-{part}")) for part in ("gate", "agent", "proxy")):
        assert CANARY not in text
    for part in ("gate", "agent", "proxy"):
        assert CANARY not in podman("logs", f"paude-{claude.name}-{part}")


def test_the_users_instructions_are_there_and_his_hooks_and_login_are_not(claude: Claude) -> None:
    there = claude.laptop.inside(claude.name, "cd ~/.claude; cat CLAUDE.md; ls -A").split("\n")
    assert there[0] == "my own instructions"
    assert ".credentials.json" not in there
    assert "settings.json" not in there, "there was nothing harmless in it"


def test_a_renewed_login_counts_at_once_while_the_agent_runs(claude: Claude) -> None:
    put(claude.laptop.home / ".config/gcloud/application_default_credentials.json", _adc(f"new-{CANARY}", 3600))

    told = claude.laptop.paude("credentials", "refresh", claude.name)

    assert CANARY not in told.stdout + told.stderr
    claude.type("third question")
    third = eventually(lambda: claude.calls("third question"), 60, "the third question at the API")[-1]
    given = next(one for one in claude.tokens() if one["token"] == third["bearer"])
    assert given["life"] == 3600
    status = json.loads(claude.laptop.paude("status", claude.name, "-o", "json").stdout)
    assert status["gate"]["credentials"]["kind"] == "authorized_user"
    assert status["gate"]["credentials"]["failure"] == ""


def test_a_login_that_was_revoked_is_told_without_showing_it(claude: Claude) -> None:
    file = claude.laptop.home / ".config/gcloud/application_default_credentials.json"
    before = file.read_text()
    put(file, _adc(model.REVOKED, 3600))

    told = claude.laptop.paude("credentials", "refresh", claude.name, code=1)

    assert "invalid_grant" in told.stderr
    assert model.REVOKED not in told.stderr
    put(file, before)
    claude.laptop.paude("credentials", "refresh", claude.name)


def test_the_conversation_goes_on_in_new_containers(claude: Claude) -> None:
    claude.laptop.paude("stop", claude.name, "--keep-workspace")
    claude.laptop.paude("start", str(claude.laptop.home / "project"), "--detach", "--", "--continue")

    claude.shows("third question")
    claude.type("fourth question")
    eventually(lambda: claude.calls("fourth question"), 60, "the fourth question at the API")


def _forms(text: str) -> list[bytes]:
    data = text.encode()
    shifted = [base64.b64encode(b"x" * shift + data)[4:-4] for shift in range(3)]
    return [data, data.hex().encode(), urllib.parse.quote(text).encode(), data[::-1], *shifted]


def _now(claude: Claude) -> float:
    return float(claude.laptop.inside(claude.name, "date +%s.%N"))


def _pid(claude: Claude) -> str:
    return claude.laptop.inside(claude.name, "pgrep -x claude | head -1").strip()
