"""The wall of a running session on Podman: what it lets through, and how that changes while the agent works.

A changed list is another proxy, which takes over the socket between both containers once it answers. The old one keeps
its tunnels until they end by themselves, or ends at once, with all of them, when its list has a host that the new one
has not; either way it stays to tell what it refused. A change that was killed on the way is repeated or ended by the
next command: there are two proxies then, and neither counts as settled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from paude.backends import change
from paude.backends.podman import containers, engine, listing, ownership, pods
from paude.backends.podman.containers import (
    ALLOWLIST,
    FORMER_PROXY,
    HOSTS,
    NETWORK,
    NEXT_PROXY,
    PROXY_PART,
    Identity,
    Spec,
    name_of,
)
from paude.backends.podman.engine import Engine, Object, labels_of
from paude.backends.podman.pods import Pod
from paude.backends.podman.start import Watch, proxy_files, run, store, until_ended
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import NotFound, UsageError
from paude.sessions.records import Record

KEPT = 3
"""So many former proxies stay at most; with an older one go what it refused and its last tunnels."""


@dataclass(frozen=True)
class Standing:
    """The wall as podman has it: the list, the session's proxies (one, unless a change was killed), the containers.

    Without a proxy the session is stopped and kept, and the list is the one that it will be given. `formers` are
    proxies that had the session before, the latest first.
    """

    engine: Engine
    session: str
    allowlist: Allowlist
    company: Company
    proxies: Sequence[Object]
    pod: Pod | None
    address: str = containers.PROXY
    formers: Sequence[Object] = ()

    @property
    def serves(self) -> str:
        """The digest of the list that the proxy serves; empty without one, or while a change was killed on its way."""
        settled = [_name(one) for one in self.proxies] == [name_of(self.session, PROXY_PART)]
        return self._label(ALLOWLIST) if settled else ""

    @property
    def stopped(self) -> bool:
        """Whether no proxy has it."""
        return not self.proxies

    def _label(self, key: str) -> str:
        return labels_of(self.proxies[0]).get(key, "") if self.proxies else ""


async def standing(podman: Engine, record: Record) -> Standing:
    """Read it. Raises NotFound when the session has gone, UsageError when it has no wall."""
    volume = await podman.inspect("volume", name_of(record.name))
    if volume is None or labels_of(volume).get(ownership.UID) != record.uid:
        raise NotFound(f"the session {record.name} is not on this machine any more")
    if labels_of(volume).get("paude.io/wall") == "open":
        raise UsageError(f"{record.name} has no wall (--allow-network): everything is allowed there already")
    found = await listing.containers_of(podman, record.uid)
    names = {name_of(record.name, part) for part in (PROXY_PART, NEXT_PROXY)}
    proxies = [one for one in found if _name(one) in names]
    formers = [one for one in found if _name(one).startswith(name_of(record.name, FORMER_PROXY))]
    return Standing(
        podman,
        record.name,
        Allowlist(_hosts(proxies, record)),
        Company.from_json(record.company),
        sorted(proxies, key=_name),
        await pods.running(podman, record),
        formers=sorted(formers, key=lambda one: -float(one.get("Created") or 0)),
    )


def _hosts(proxies: Sequence[Object], record: Record) -> tuple[str, ...]:
    """The hosts of every proxy that is there: while two are, whatever either lets through."""
    if not proxies:
        return record.hosts
    return tuple(dict.fromkeys(host for one in proxies for host in labels_of(one).get(HOSTS, "").split(",") if host))


def _name(container: Mapping[str, object]) -> str:
    names = container.get("Names")
    return str(names[0]) if isinstance(names, list) and names else ""


@dataclass(frozen=True)
class Next:
    """The proxy of the new list: its container, and what tells when it has ended."""

    container: str
    until_ended: Watch


@dataclass(frozen=True)
class Change(change.Change):
    """The steps by which a session gets another list."""

    async def connect(self) -> Engine:
        """Find podman."""
        return await engine.connect()

    async def look(self, podman: Engine) -> Standing:
        """How the wall stands. Raises UsageError for a host to deny that is not on the list."""
        return self.checked(await standing(podman, self.record))

    async def run_next(self, now: Standing) -> Next | None:
        """The proxy of the new list, beside the old one until it answers."""
        if self.idle(now):
            return None
        name = name_of(self.record.name, NEXT_PROXY)
        await now.engine.remove_containers([name])
        who = Identity(self.record.name, self.record.uid, labels_of(now.proxies[0]).get("paude.io/owner", ""))
        for file, data in proxy_files(self.wanted(now), now.company).items():
            # A container keeps the files that it was made with.
            await now.engine.remove("secret", containers.secret_name(who, "proxy", file))
            await store(now.engine, who, "proxy", file, data)
        spec = Spec(who, self.digest(now), "", (), hosts=self.wanted(now).hosts)
        before = now.proxies[0]
        words = containers.proxy(spec, str(before["Image"]), labels_of(before).get(NETWORK, ""))
        made = await run(now.engine, "proxy", words, name)
        return Next(made, partial(until_ended, now.engine, made))

    async def give_up(self, now: Standing) -> None:
        """Take the new proxy away, which has not taken over."""
        await now.engine.remove_containers([name_of(self.record.name, NEXT_PROXY)])

    async def retire_old(self, now: Standing, following: Next | None) -> None:
        """End every proxy whose tunnels may lead where the list does not any more; the new one gets its name."""
        if following is None:
            return
        own = name_of(self.record.name, PROXY_PART)
        old = [one for one in now.proxies if _name(one) == own]
        for one in (*old, *now.formers):
            if not may_go_on(labels_of(one).get(HOSTS, ""), self.wanted(now)):
                # Stopped and not killed: podman would start it again.
                await now.engine.run("stop", "--time", "0", str(one["Id"]), doing="end the former proxy")
        for one in old:
            former = name_of(self.record.name, f"{FORMER_PROXY}{str(one['Id'])[:12]}")
            await now.engine.run("rename", str(one["Id"]), former, doing="put the former proxy aside")
        await now.engine.run("rename", following.container, own, doing="name the new proxy")
        await now.engine.remove_containers([str(one["Id"]) for one in now.formers[KEPT - len(old) :]], grace_s=0)


def may_go_on(hosts: str, wanted: Allowlist) -> bool:
    """Whether no tunnel of a proxy with these hosts can lead where the wanted list does not. Pure."""
    return {host for host in hosts.split(",") if host} <= set(wanted.hosts)
