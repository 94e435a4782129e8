"""The places where sessions run, as the contract tests use them: a laptop on each, a session there, its verbs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

import podman_machine
from canaries import KINDS
from laptop import Admin, Laptop
from paude.cli.app import app

CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Place:
    """A backend: a laptop that uses it, and what its administrator sees without the laptop.

    `things` are the objects of a session by its name, `told` is what they say: all but what the gate alone may read.
    `enter` gives what a shell command prints in a container of a session.
    """

    laptop: Laptop
    things: Callable[[str], set[str]]
    enter: Callable[[str, str, str], str]
    told: Callable[[str], str]


@dataclass(frozen=True)
class Session:
    """A session for these tests, and its workspace."""

    place: Place
    name: str
    workspace: Path

    def inside(self, command: str) -> str:
        """What a shell command of the agent's prints."""
        return self.place.laptop.inside(self.name, command).strip()

    def connects(self, host: str) -> str:
        """What the proxy answers when the agent asks for a host: 200, or 403."""
        ask = f"curl -sk -o /dev/null -m 10 -w '%{{http_connect}}' https://{host}/ || true"
        return self.inside(ask)

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What a verb prints for programs."""
        found: dict[str, Any] = json.loads(self.place.laptop.paude(*words, "-o", "json", code=code).stdout)
        return found


@contextmanager
def on_podman(cache: Path) -> Iterator[Place]:
    """This machine's Podman."""
    with podman_machine.machine(cache) as laptop:
        laptop.env["PAUDE_BACKEND"] = "podman"
        yield Place(laptop, podman_machine.things, podman_machine.enter, podman_machine.told)


@contextmanager
def on_a_cluster(cache: Path) -> Iterator[Place]:
    """The test cluster, whose user is `dev` in the namespace `proj-a`."""
    done = subprocess.run([CHECKOUT / "scripts/cluster", "env"], capture_output=True, text=True, check=True)
    lines = (line.removeprefix("export ") for line in done.stdout.splitlines() if line.startswith("export "))
    env = {key: value for key, _, value in (line.partition("=") for line in lines) if key != "PATH"}
    with podman_machine.machine(cache) as laptop:
        login = laptop.home / "auth.json"
        token = base64.b64encode(b"dev:token123").decode()
        login.write_text(json.dumps({"auths": {env["PAUDE_TEST_REGISTRY"]: {"auth": token}}}))
        laptop.env |= {
            **env,
            "PAUDE_BACKEND": "kubernetes",
            "KUBECONFIG": f"{env['PAUDE_TEST_STATE']}/dev.kubeconfig",
            "REGISTRY_AUTH_FILE": str(login),
            "PAUDE_REGISTRY": f"{env['PAUDE_TEST_REGISTRY']}/dev",
            "PAUDE_REGISTRY_CA": env["PAUDE_TEST_CA"],
            "PAUDE_RESOURCES_REQUESTS_CPU": "250m",  # the one node of the test cluster is small
            "PAUDE_RESOURCES_REQUESTS_MEMORY": "512Mi",
        }

        admin = Admin(f"{env['PAUDE_TEST_STATE']}/admin.kubeconfig")

        def things(name: str) -> set[str]:
            return {one for one in admin.names() if name in one}

        def enter(name: str, part: str, command: str) -> str:
            return admin("exec", f"paude-{name}-0", "-c", part, "--", "sh", "-c", command)

        def told(name: str) -> str:
            objects = json.loads(admin("get", KINDS, "-l", f"paude.io/session={name}", "-o", "json"))["items"]
            others = [one for one in objects if one["metadata"]["name"] != f"paude-{name}-kept"]
            pods = (f"paude-{name}-0", "-l=paude.io/role=proxy")
            logs = (admin("logs", pod, "--all-containers", "--tail=-1") for pod in pods)
            return json.dumps(others) + "".join(logs)

        yield Place(laptop, things, enter, told)


def start_session(place: Place, *words: str) -> Session:
    """A session whose workspace is a repository of one commit."""
    workspace = place.laptop.workspace("project", {"README": "hello\n", "src/a.py": "a = 1\n"})
    git(workspace, "init", "-q", "-b", "main")
    git(workspace, "config", "user.name", "Dev")
    git(workspace, "config", "user.email", "dev@example.test")
    git(workspace, "add", ".")
    git(workspace, "commit", "-q", "-m", "begin")
    return Session(place, place.laptop.start(workspace, "--timeout", "250", *words), workspace)


def git(workspace: Path, *words: str) -> str:
    """What git prints in the workspace."""
    who = ("-c", "user.name=Dev", "-c", "user.email=dev@example.test")
    return subprocess.run(["git", *who, *words], cwd=workspace, check=True, capture_output=True, text=True).stdout


@cache
def every_verb() -> frozenset[str]:
    """The verbs that `paude --help` lists, and those within them, as they are typed."""
    return frozenset(_verbs(get_command(app)))


def verb_of(words: Sequence[str]) -> str:
    """The verb that a command line begins with; empty without one."""
    return max((one for one in every_verb() if [*words[: one.count(" ") + 1]] == one.split()), key=len, default="")


def _verbs(command: Any, *names: str) -> Iterator[str]:
    if not hasattr(command, "list_commands"):
        yield " ".join(names)
        return
    context = command.make_context("paude", ["-"], resilient_parsing=True)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if not inner.hidden:
            yield from _verbs(inner, *names, name)
