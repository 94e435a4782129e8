"""The real Claude Code in a session, answered by a stub of its API: it gets access tokens, and not what makes them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from canaries import found
from laptop import Laptop
from pictures import looking, same_picture
from places import Place
from waiting import eventually
from world import model
from world.alone import alone
from world.client import World

LIFE_S = 8
TMUX = "tmux -S /run/paude/tmux.sock"
WORDS = 'say "it\'s $HOME", twice'


@dataclass(frozen=True)
class Claude:
    """A session with Claude Code at work in it, the world that it reaches, and its developer's long-lived login.

    What the agent shows and is told goes past the laptop, so that this one may be off.
    """

    place: Place
    world: World
    canary: str = field(repr=False)
    name: str
    begun: float

    @property
    def alone(self) -> bool:
        """Whether this session has the world for itself."""
        return "PAUDE_PODMAN_NETWORK" in self.laptop.env

    @property
    def laptop(self) -> Laptop:
        """The developer's machine."""
        return self.place.laptop

    def in_agent(self, command: str) -> str:
        """What a shell command prints in the agent's container."""
        return self.place.enter(self.name, "agent", command)

    def type(self, text: str) -> None:
        """Type a line, with Enter."""
        self.in_agent(f"{TMUX} send-keys -t agent -l '{text}'")
        self.shows(text)
        self.in_agent(f"{TMUX} send-keys -t agent Enter")

    def shows(self, text: str) -> None:
        """Wait for it on the screen."""
        screen = f"{TMUX} capture-pane -p -S -500 -t agent"
        eventually(lambda: text in self.in_agent(screen), 60, f"{text!r} on the agent's screen")

    def asked(self, host: str) -> list[dict[str, Any]]:
        """What has arrived at a host of the world since there is this session."""
        return [one for one in self.world.seen().asked(host) if one["at"] >= self.begun]

    def answered(self, prompt: str) -> dict[str, Any]:
        """Wait for the request for an answer to that prompt; gives the token that it came with, as it was made."""
        calls = eventually(lambda: self._calls(prompt), 90, f"{prompt!r} at the API")
        self.shows(f"answered to {calls[-1]['bearer']}")
        return next(one for one in self.asked(model.TOKENS) if one.get("token") == calls[-1]["bearer"])

    def _calls(self, prompt: str) -> list[dict[str, Any]]:
        return [one for one in self.asked(model.VERTEX) if one.get("prompt") == prompt]

    def process(self) -> str:
        """The number of Claude Code's process."""
        return self.in_agent("pgrep -x claude | head -1").strip()


@pytest.fixture(scope="module")
def claude(place: Place) -> Iterator[Claude]:
    laptop, canary = place.laptop, f"long-lived-{secrets.token_hex(16)}"
    put(laptop.home / ".claude/CLAUDE.md", "my own instructions\n")
    put(laptop.home / ".claude/settings.json", json.dumps({"hooks": {"Stop": []}, "env": {"X": canary}}))
    put(laptop.home / ".claude/.credentials.json", json.dumps({"claudeAiOauth": {"refreshToken": canary}}))
    with internet(laptop) as world:
        laptop.env |= login(laptop.home, canary) | {"PAUDE_EGRESS_CA_BUNDLE": str(world.ca_path)}
        workspace, begun = laptop.workspace("project"), time.time()
        laptop.paude("start", str(workspace), "--detach", "--timeout", "280", "--", WORDS)
        made = Claude(place, world, canary, str(laptop.records()[str(workspace)]["name"]), begun)
        yield made
        laptop.paude("stop", made.name, "--discard")


@contextmanager
def internet(laptop: Laptop) -> Iterator[World]:
    """The fake one that the laptop's sessions reach: the cluster's, or on Podman one of their own."""
    if laptop.env["PAUDE_BACKEND"] != "podman":
        yield World()
        return
    with alone() as own:
        laptop.env["PAUDE_PODMAN_NETWORK"] = f"ns:{own.namespace}"
        yield own.world


def login(home: Path, token: str) -> dict[str, str]:
    """A developer who uses Vertex: his long-lived login, and what his Claude Code is told by its environment."""
    put(adc_of(home), adc(token, LIFE_S))
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "demo-project",
        "CLOUD_ML_REGION": "us-east5",
        "ANTHROPIC_VERTEX_BASE_URL": f"https://{model.VERTEX}/v1",
    }


def adc_of(home: Path) -> Path:
    return home / ".config/gcloud/application_default_credentials.json"


def adc(token: str, life_s: int) -> str:
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
    assert claude.answered(WORDS)["token"].startswith("ya29.short-lived-")


def test_its_token_is_renewed_while_it_runs_and_the_laptop_is_off(claude: Claude) -> None:
    claude.laptop.paude("supervisor", "stop")
    claude.type("first question")
    first = claude.answered("first question")
    over = first["at"] + first["life"]
    eventually(lambda: time.time() > over, 2 * LIFE_S + 20, "the end of the first token")
    before = claude.process()

    claude.type("second question")
    second = claude.answered("second question")

    assert second["at"] > first["at"]
    assert second["token"] != first["token"]
    assert claude.process() == before, "it is the same program"
    assert not json.loads(claude.laptop.paude("supervisor", "status", "-o", "json").stdout)["running"]


def test_the_long_lived_login_is_nowhere_in_the_agents_container(claude: Claude) -> None:
    reach = (
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env; "
        "find / -xdev -type f -size -4M -not -path '/proc/*' -not -path '/sys/*' -not -path '/usr/*' -print0 "
        "| xargs -0 cat; find /workspace /home/paude /run /tmp /etc -type f -size -4M -print0 | xargs -0 cat; "
        "for path in '' '?recursive=true' instance/ project/project-id instance/service-accounts/default/ "
        "instance/service-accounts/default/token instance/service-accounts/default/email; do "
        "curl -s -H 'Metadata-Flavor: Google' http://127.0.0.1:2224/computeMetadata/v1/$path; done"
    )
    everything = base64.b64decode(claude.in_agent(f"({reach}) 2>/dev/null | base64 -w0"))
    assert b"ya29.short-lived-" in everything, "the control: what it may have is found this way"
    assert not found(claude.canary, everything)
    kept = claude.place.enter(
        claude.name, "gate", "cat /run/secrets/*.json /run/secrets/paude/*.json 2>/dev/null; true"
    )
    assert claude.canary in kept, "the control: the gate has it"


def test_the_long_lived_login_goes_to_its_own_service_alone(claude: Claude) -> None:
    requests = [one for one in claude.world.seen().requests if one["at"] >= claude.begun]
    with_it = [one for one in requests if found(claude.canary, bytes.fromhex(one.get("hex", "")))]
    assert {one["sni"] for one in with_it} == {model.TOKENS}
    proxies = {one["client"] for one in with_it}
    ours = [one for one in requests if claude.alone or one["client"] in proxies]
    assert {one["sni"] for one in ours} == {model.TOKENS, model.VERTEX}


def test_nobody_is_told_the_long_lived_login_but_the_gate(claude: Claude) -> None:
    told = claude.place.told(claude.name)
    assert claude.name in told
    assert not found(claude.canary, told.encode())


def test_the_users_instructions_are_there_and_his_hooks_and_login_are_not(claude: Claude) -> None:
    there = claude.laptop.inside(claude.name, "cd ~/.claude; cat CLAUDE.md; ls -A").split("\n")
    assert there[0] == "my own instructions"
    assert ".credentials.json" not in there
    assert "settings.json" not in there, "there was nothing harmless in it"


def test_a_renewed_login_counts_at_once_while_the_agent_runs(claude: Claude) -> None:
    put(adc_of(claude.laptop.home), adc(f"new-{claude.canary}", 3600))

    told = claude.laptop.paude("credentials", "refresh", claude.name)

    assert claude.canary not in told.stdout + told.stderr
    claude.type("third question")
    assert claude.answered("third question")["life"] == 3600
    status = json.loads(claude.laptop.paude("status", claude.name, "-o", "json").stdout)
    assert status["gate"]["credentials"]["kind"] == "authorized_user"
    assert status["gate"]["credentials"]["failure"] == ""


def test_a_login_that_was_revoked_is_told_without_showing_it(claude: Claude) -> None:
    file = adc_of(claude.laptop.home)
    before = file.read_text()
    put(file, adc(model.REVOKED, 3600))

    told = claude.laptop.paude("credentials", "refresh", claude.name, code=1)

    assert "invalid_grant" in told.stderr
    assert model.REVOKED not in told.stderr
    put(file, before)
    claude.laptop.paude("credentials", "refresh", claude.name)


async def test_it_looks_the_same_with_and_without_the_terminals_filter(claude: Claude, tmp_path: Path) -> None:
    paude = (*claude.laptop.program, "exec", claude.name, "--", *f"{TMUX} -u attach -t agent".split())
    async with looking(paude, claude.laptop.env) as user:  # what `exec` shows has passed no filter
        await user.sees(b"answered", 30)
        before = bytes(user.shown)
        user.shown.clear()
        user.type(b"mirror")  # one word: it draws its spaces by moving
        await user.sees(b"mirror", 30)
        user.type(b"\r")
        await user.sees(b"answered", 60)
        drawn = before + bytes(user.shown)
    assert "mirror" in await same_picture(tmp_path, drawn)


def test_the_conversation_goes_on_in_new_containers(claude: Claude) -> None:
    claude.laptop.paude("stop", claude.name, "--keep-workspace")
    claude.laptop.paude("start", str(claude.laptop.home / "project"), "--detach", "--", "--continue")

    claude.shows("third question")
    claude.type("fourth question")
    claude.answered("fourth question")
