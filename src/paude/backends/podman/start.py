"""The steps of `paude start` on Podman. Each does one thing; `plans/start.py` says in which order.

A session that is new takes back everything that bears its name when its start fails. One that was there before keeps
its volume in any case; its containers are made anew unless the very same ones run.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from paude import report
from paude.backends import request
from paude.backends.podman import containers, engine, ownership, ways
from paude.backends.podman.containers import NEXT_PROXY, PROXY_PART, Identity, Limits, Mount, Spec, name_of, secret_name
from paude.backends.podman.engine import Engine, labels_of
from paude.backends.podman.pods import Pod
from paude.egress import squid
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import Leftover, NameTaken, PaudeError, PodFailed
from paude.images.build import build, in_storage, local_name, tag_of
from paude.images.context import ImageSpec
from paude.settings import Paths
from paude.ssh.session_keys import SessionKeys

UNDO_S = 15.0
SPEC = "paude.io/spec"


@dataclass(frozen=True, kw_only=True)
class Request(request.Request):
    """What the user asked for of this machine: the workspace itself (`mount`), or a copy of it."""

    mount: Mount | None

    @property
    def identity(self) -> Identity:
        """Whose session this is."""
        return Identity(self.name, self.uid, self.owner)

    def spec(self) -> Spec:
        """The part that makes the containers."""
        return Spec(
            identity=self.identity,
            allowlist=self.serves if self.walled else "",
            agent=self.agent,
            command=self.command,
            environment=self.environment,
            limits=Limits(self.settings.resources.limits.cpu, self.settings.resources.limits.memory),
            life=self.settings.lifecycle,
            credentials=sorted(self.credentials),
            kept=sorted(self.kept),
            hosts=self.allowlist.hosts,
            mount=self.mount,
        )


@dataclass(frozen=True)
class Place:
    """The session's volume, and what stood there before: `remains` are containers by name."""

    engine: Engine
    remains: Mapping[str, Mapping[str, object]]


Watch = Callable[[], Coroutine[Any, Any, None]]
"""Does not return, and raises when what it watches has ended."""


class Start:
    """The steps, for one request."""

    def __init__(self, request: Request, paths: Paths) -> None:
        self._request = request
        self._spec = request.spec()
        self._paths = paths

    async def connect(self) -> Engine:
        """Find podman, and see that it works."""
        return await engine.usable()

    @asynccontextmanager
    async def claim_volume(self, podman: Engine) -> AsyncIterator[Place]:
        """Take the session's name: the volume that bears it is the session's workspace."""
        async with self._durable(partial(self._take_back, podman, self._name())):
            await self._claim(podman)
            yield Place(podman, await self._remains(podman))

    async def _claim(self, podman: Engine) -> None:
        wanted = self._request
        known = None if wanted.fresh else await podman.inspect("volume", self._name())
        if known is not None and labels_of(known).get(ownership.UID) == wanted.identity.uid:
            return
        facts = {
            "agent": wanted.agent,
            "workspace": str(wanted.workspace),
            "wall": "closed" if wanted.walled else "open",
        }
        try:
            await podman.run(
                *containers.volume(wanted.identity, facts, wanted.mount), doing="create the session's volume"
            )
        except NameTaken as exc:
            raise NameTaken(
                f"the name {wanted.identity.name} is taken on this machine", why=exc.why, hint="choose another --name"
            ) from exc

    async def _take_back(self, podman: Engine, volume: str) -> None:
        # Where podman was cut off nobody knows whether it made the volume, or was about to say that it is another's.
        await ownership.remove_volume(podman, volume, self._request.identity.uid)

    async def _remains(self, podman: Engine) -> Mapping[str, Mapping[str, object]]:
        if self._request.fresh:
            return {}
        identity = self._request.identity
        found = await ownership.containers_of(podman, identity.name, identity.uid)
        return {str(name): one for one in found for name in one.get("Names") or ()}

    @asynccontextmanager
    async def make_permits(self, podman: Engine) -> AsyncIterator[None]:
        """The directory in memory in which the gate keeps the agent's permission to run."""
        async with self._volume(podman, "run", containers.permits(self._request.identity, self._request.mount)):
            yield

    @asynccontextmanager
    async def open_sockets(self, podman: Engine) -> AsyncIterator[None]:
        """The directory through which the session and its proxy meet."""
        if not self._request.walled:
            yield
            return
        async with self._volume(podman, "sockets", containers.sockets(self._request.identity)):
            yield

    @asynccontextmanager
    async def _volume(self, podman: Engine, part: str, words: Sequence[str]) -> AsyncIterator[None]:
        name = self._name(part)
        async with self._durable(partial(self._take_back, podman, name)):
            if self._request.fresh or await podman.inspect("volume", name) is None:
                await podman.run(*words, doing=f"create the volume {name}")
            yield

    @asynccontextmanager
    async def store_secrets(self, place: Place, keys: SessionKeys) -> AsyncIterator[None]:
        """The ssh keys of both ends, and what the agent works with."""
        credentials = dict(self._request.credentials)
        contents = {
            "gate": keys.gate_secret(),
            "agent": keys.agent_secret(),
            "credentials": credentials,
            "kept": dict(self._request.kept),
        }
        async with self._stored(place, contents):
            yield

    @asynccontextmanager
    async def _stored(self, place: Place, contents: Mapping[str, Mapping[str, bytes]]) -> AsyncIterator[None]:
        """Files as podman's secrets: they go in by stdin."""
        identity = self._request.identity
        names = [secret_name(identity, part, file) for part, files in contents.items() for file in files]
        async with self._durable(partial(place.engine.remove, "secret", *names)):  # the uid is in their names
            if not self._request.fresh:
                await place.engine.remove("secret", *names)
            async with anyio.create_task_group() as tasks:
                for part, files in contents.items():
                    for file, data in files.items():
                        tasks.start_soon(store, place.engine, identity, part, file, data)
            yield

    async def build_gate_image(self, podman: Engine) -> str:
        """The gate's image in the local storage."""
        return await self._built(self._request.gate_image)

    async def build_agent_image(self, podman: Engine) -> str:
        """The agent's image in the local storage."""
        return await self._built(self._request.agent_image)

    async def build_proxy_image(self, podman: Engine) -> str:
        """The proxy's image in the local storage."""
        return await self._built(self._request.proxy_image) if self._request.walled else ""

    async def _built(self, image: ImageSpec) -> str:
        tag = await tag_of(image, self._request.build)
        name = local_name(image, tag)
        # To list them all takes longer, the more there are.
        return name if await in_storage(name) else await build(image, tag, self._request.build)

    @asynccontextmanager
    async def run_proxy(self, place: Place, image: str) -> AsyncIterator[Watch]:
        """The session's proxy, which answers a little later; gives what tells if it never does."""
        if not self._request.walled:
            yield anyio.sleep_forever
            return
        place = await self._with_one_proxy(place)
        files = proxy_files(self._request.allowlist, self._request.company)
        async with self._stored(place, {"proxy": files}):
            words = containers.proxy(self._spec, image, self._request.settings.podman.network)
            async with self._container(place, PROXY_PART, words) as made:
                yield partial(until_ended, place.engine, made)

    async def _with_one_proxy(self, place: Place) -> Place:
        """What stands there, without both proxies where a change of the list was killed: either may have the socket."""
        if self._name(NEXT_PROXY) not in place.remains:
            return place
        both = [self._name(part) for part in (PROXY_PART, NEXT_PROXY)]
        await place.engine.remove_containers(both)
        return replace(place, remains={name: one for name, one in place.remains.items() if name not in both})

    @asynccontextmanager
    async def make_network(self, place: Place, image: str) -> AsyncIterator[str]:
        """The session's network, which has no way out; gives the id of the container that holds it."""
        async with self._container(place, "net", containers.network(self._spec, image)) as made:
            yield made

    async def find_volume(self, place: Place) -> Path:
        """Where podman keeps the session's volume, remembered beside the record: the gate opens its doors there."""
        known = await place.engine.inspect("volume", self._name())
        if known is None:
            raise PaudeError(f"the volume {self._name()} has gone while the session was started")
        found, link = Path(str(known["Mountpoint"])), ways.link(self._request.identity.name, self._paths)
        link.unlink(missing_ok=True)
        link.symlink_to(found)
        return found

    @asynccontextmanager
    async def run_gate(self, place: Place, image: str, network: str, volume: Path) -> AsyncIterator[Pod]:
        """The gate, in that network."""
        async with self._container(place, "gate", containers.gate(self._spec, image, network)) as made:
            yield Pod(place.engine, self._request.identity.name, made, volume, network)

    @asynccontextmanager
    async def run_agent(self, place: Place, pod: Pod, image: str) -> AsyncIterator[None]:
        """The agent, which waits for its leave."""
        words = containers.agent(self._spec, image, pod.network, str(pod.volume))
        async with self._container(place, "agent", words):
            yield

    @asynccontextmanager
    async def _container(self, place: Place, part: str, words: Sequence[str]) -> AsyncIterator[str]:
        """A container of the session that runs; the very same one is left as it is."""
        name, identity = self._name(part), self._request.identity
        spec = containers.digest(words)
        known = place.remains.get(name, {})
        same = known.get("State") == "running" and labels_of(known).get(SPEC) == spec
        # A container whose monitor was killed is called running for ever.
        if same and await place.engine.works("exec", name, "true"):
            yield str(known["Id"])
            return
        async with self._durable(partial(ownership.remove_container, place.engine, identity.name, part, identity.uid)):
            if known:
                await place.engine.remove_containers([name])
            yield await run(place.engine, part, words)

    def _name(self, part: str = "") -> str:
        return name_of(self._request.identity.name, part)

    @asynccontextmanager
    async def _durable(self, undo: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """What stays; taken back when the plan of a new session fails before it is committed.

        `undo` removes what is this session's alone: when podman was cut off, or says that the name is taken, what bears
        the name can be another's.
        """
        try:
            yield
        except BaseException as exc:
            if not self._request.fresh:
                raise
            error = await self._undone(undo)
            if error is not None and not isinstance(exc, PaudeError):
                raise error from exc
            if error is not None and isinstance(exc, PaudeError):
                exc.leftovers += error.leftovers
            raise

    async def _undone(self, undo: Callable[[], Awaitable[None]]) -> PaudeError | None:
        name = self._request.identity.name
        with anyio.CancelScope(shield=True), anyio.move_on_after(UNDO_S):
            try:
                await undo()
            except PaudeError as error:
                report.line(str(error))
            else:
                return None
        left = PaudeError("not everything could be taken back", why=f"parts of {name} are still there")
        left.leftovers = (Leftover("session", name, f"paude stop {name} --discard"),)
        return left


async def store(podman: Engine, identity: Identity, part: str, file: str, data: bytes) -> None:
    """One file of the session as a secret of podman's."""
    own, name = containers.labels(identity, "secret", part=part), secret_name(identity, part, file)
    await podman.run("secret", "create", *own, name, "-", stdin=data, doing="store a secret")


async def run(podman: Engine, part: str, words: Sequence[str], name: str = "") -> str:
    """Start a container of the session, under its own name unless another is given; gives its id."""
    own = [f"--label={SPEC}={containers.digest(words)}"]
    if part == PROXY_PART:
        own.append(f"--env=PAUDE_PROXY_TURN={secrets.token_hex(8)}")
    called = [word for word in words if not (name and word.startswith("--name="))]
    said = await podman.run(
        "run", "--detach", *own, *([f"--name={name}"] if name else []), *called, doing=f"start the session's {part}"
    )
    return said[-64:]


def proxy_files(allowlist: Allowlist, company: Company) -> dict[str, bytes]:
    """The files of the proxy of that list."""
    files = squid.files(allowlist, squid.Options.of(company))
    return {name: text.encode() for name, text in files.items()}


async def until_ended(podman: Engine, proxy: str) -> None:
    """Watch a proxy. Does not return; raises PodFailed with its last words when it has ended."""
    await podman.run("wait", proxy, doing="watch the proxy")
    said: list[str] = []
    await podman.logs(proxy, said.append, follow=False)
    raise PodFailed("the proxy has ended", why="\n".join(said[-5:]), hint="`podman logs` of it tells more")
