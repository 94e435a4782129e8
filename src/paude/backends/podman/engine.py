"""Podman as a child of paude: every call ends, every answer is parsed as data, every complaint becomes an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from paude import process
from paude.backends.base import Location
from paude.backends.podman import reasons
from paude.errors import CommandFailed, PaudeError
from paude.images.podman import environment

Object = dict[str, Any]
SERVER = "podman"
"""What records name as the place: there is one podman per user (or CONTAINER_HOST), and no address to pin."""


@dataclass(frozen=True)
class Engine:
    """The podman of this user; the calls know nothing of sessions."""

    version: str = ""

    @property
    def location(self) -> Location:
        """What pins it in a record."""
        return Location(SERVER)

    async def run(self, *words: str, doing: str, stdin: bytes | None = None) -> str:
        """What podman prints. Raises ToolMissing, or what its complaint means."""
        try:
            done = await process.run(("podman", *words), stdin=stdin, env=environment())
        except process.ToolMissing as exc:
            raise missing() from exc
        except CommandFailed as exc:
            raise reasons.error(exc.stderr, doing) from exc
        return done.text.strip()

    async def found(self, *words: str) -> str | None:
        """What podman prints about a thing, None when it does not exist."""
        try:
            done = await process.run(("podman", *words), env=environment(), check=False)
        except process.ToolMissing as exc:
            raise missing() from exc
        if done.returncode == 0:
            return done.text.strip()
        if reasons.is_absent(done.stderr):
            return None
        raise reasons.error(done.stderr, f"{' '.join(words[:2])}")

    async def works(self, *words: str) -> bool:
        """Whether podman can do it."""
        return (await process.run(("podman", *words), env=environment(), check=False)).returncode == 0

    async def objects(self, *words: str, doing: str) -> list[Object]:
        """A list that podman prints as JSON."""
        text = await self.run(*words, "--format", "json", doing=doing)
        return _listed(text, doing)

    async def inspect(self, kind: str, name: str) -> Object | None:
        """One thing (`container`, `volume`, `image`) as podman knows it."""
        text = await self.found(kind, "inspect", name)
        return None if text is None else next(iter(_listed(text, f"inspect {kind} {name}")), None)

    async def remove(self, kind: str, *names: str) -> None:
        """Remove volumes or secrets; those that are not there are no error."""
        for name in names:
            await self.found(kind, "rm", name)

    async def remove_containers(self, names: Sequence[str], *, grace_s: int = 1) -> None:
        """End and remove containers, with whatever stands in their network; absent ones are no error."""
        if not names:
            return
        await self._finish_creation(names)
        words = ("rm", "--force", "--ignore", "--depend", "--volumes", "--time", str(grace_s), *names)
        try:
            await self.run(*words, doing="remove the session's containers")
        except PaudeError:
            # One that ends by itself while it is ended is an error to podman; it has ended by the second time.
            await self.run(*words, doing="remove the session's containers")

    async def _finish_creation(self, names: Sequence[str]) -> None:
        """Let podman meet the processes of containers whose creation was cut off.

        A podman killed between the runtime's `create` and `start` leaves its monitor and the container's first process
        behind; it knows of neither, and `rm` (seen with 4.3) leaves them for ever. Initialising the container again
        fails at them and ends them.
        """
        listed = await self.objects("ps", "--all", "--filter", "status=created", doing="look for what was cut off")
        wanted = set(names)
        cut_off = [str(one["Id"]) for one in listed if wanted & {one["Id"], *(one.get("Names") or ())}]
        if cut_off:
            await self.works("init", *cut_off)

    async def logs(self, container: str, tell: Callable[[str], None], *, follow: bool) -> None:
        """Give `tell` each line that a container printed, on either of its streams. Raises NotFound."""
        words = ["podman", "logs", *(["--follow"] if follow else []), container]
        try:
            await process.run(words, env=environment(), on_stdout=tell, on_stderr=tell)
        except process.ToolMissing as exc:
            raise missing() from exc
        except CommandFailed as exc:
            raise reasons.error(exc.stderr, f"read the log of {container}") from exc

    async def events(self, filters: Sequence[str], tell: Callable[[str], None]) -> None:
        """Give `tell` each event that passes the filters, as JSON, from now on. Does not return."""
        try:
            await process.run(("podman", "events", *filters, "--format", "json"), env=environment(), on_stdout=tell)
        except process.ToolMissing as exc:
            raise missing() from exc
        except CommandFailed as exc:
            raise reasons.error(exc.stderr, "tell its events") from exc


async def usable() -> Engine:
    """The engine for what makes new things: it has been seen at work.

    Raises ToolMissing, or what podman's complaint means.
    """

    async def work() -> None:
        await Engine().run("volume", "ls", "--quiet", doing="be used on this machine")

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            found = await connect()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    return found


async def connect() -> Engine:
    """The engine, if it will do. Raises ToolMissing or PaudeError."""
    try:
        done = await process.run(("podman", "--version"), env=environment())
    except process.ToolMissing as exc:
        raise missing() from exc
    except CommandFailed as exc:
        raise reasons.error(exc.stderr, "tell its version") from exc
    version = done.text.strip().rpartition(" ")[2]
    if problem := reasons.version_error(version):
        raise problem
    return Engine(version)


def missing() -> PaudeError:
    """There is no podman."""
    return process.ToolMissing(
        "podman is not installed",
        hint="install podman 4.3 or newer (`apt install podman`), or name a cluster: --backend kubernetes",
    )


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a listed thing; podman leaves them out, or null, where there are none."""
    found = obj.get("Labels")
    return found if isinstance(found, dict) else {}


def _listed(text: str, doing: str) -> list[Object]:
    try:
        found = json.loads(text or "[]")
    except ValueError as exc:
        raise PaudeError(f"podman's answer is not understood: {doing}", why=repr(text[:200])) from exc
    return [one for one in found or () if isinstance(one, dict)]
