"""From what the user typed to what the steps need: decided once, before anything is made.

Reads this machine (records, credentials, images' hashes come later); opens no connection.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paude.backends.base import KUBERNETES, PODMAN
from paude.backends.kubernetes.manifests import Identity, Resources
from paude.backends.podman.containers import Identity as PodmanIdentity
from paude.backends.podman.containers import Limits, amount
from paude.backends.podman.start import Request as PodmanRequest
from paude.egress.allowlist import Allowlist
from paude.errors import NameTaken, UsageError
from paude.images.agents import agent as find_agent
from paude.images.build import BuildSettings
from paude.images.reference import RegistryTarget
from paude.plans.laptop import Laptop
from paude.sessions import names, records
from paude.sessions.records import Record, Unreadable
from paude.settings import Paths
from paude.sync import selection

if TYPE_CHECKING:
    from paude.backends.kubernetes.start import Request

_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Wishes:
    """What the user typed for `paude start`."""

    workspace: Path = Path()
    arguments: tuple[str, ...] = ()
    name: str | None = None
    agent: str = "claude"
    context: str | None = None
    namespace: str | None = None
    kubeconfig: Path | None = None
    create_namespace: bool = False
    registry: str | None = None
    registry_ca: Path | None = None
    pull_secret: str | None = None
    allow: tuple[str, ...] = ()
    walled: bool = True
    resources: Resources = field(default_factory=Resources)
    storage_class: str | None = None
    runtime_class: str | None = None
    backend: str | None = None
    agreed: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Gift:
    """What the session is given to work with: the files of its Secret, its environment, the hosts that it needs."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Both ends of a start, ready to be planned; `stale` is an earlier start of that name that was killed."""

    cluster: Request | PodmanRequest
    laptop: Laptop
    stale: Record | None


def prepare(wishes: Wishes, paths: Paths, gift: Gift) -> Prepared:
    """Decide everything that can be decided on this machine.

    Raises UsageError, SettingsError or NameTaken.
    """
    workspace = selection.check_workspace(wishes.workspace)
    known = _known(wishes, workspace, paths)
    stale = known if known is not None and not known.committed else None
    resumed = known if stale is None else None
    name = known.name if known is not None else names.validate(wishes.name or names.derive(workspace))
    uid = resumed.uid if resumed is not None else secrets.token_hex(8)
    build = BuildSettings.of(os.environ, cache=paths.cache, runtime=paths.runtime)
    agent = find_agent(wishes.agent, build.platform, build.claude_version)
    allowlist = _allowlist(wishes, gift, resumed)
    backend = _backend(wishes, resumed)
    record = Record(
        name=name,
        uid=uid,
        backend=backend,
        workspace=str(workspace),
        agent=wishes.agent,
        created_at=resumed.created_at if resumed is not None else records.now(),
        allowlist=allowlist.digest,
        hosts=allowlist.hosts,
        pod=f"paude-{name}-0" if backend == KUBERNETES else f"paude-{name}-agent",
        committed=resumed is not None,
    )
    laptop = Laptop(record, resumed is None, paths, wishes.agreed)
    if backend == PODMAN:
        return Prepared(_on_podman(wishes, gift, record, allowlist, build, laptop.fresh), laptop, stale)
    from paude.backends.kubernetes.start import Request

    request = Request(
        identity=Identity(name, uid, owner()),
        fresh=resumed is None,
        kubeconfigs=_kubeconfigs(wishes, resumed),
        context=wishes.context,
        namespace=wishes.namespace,
        workspace=workspace,
        agent=wishes.agent,
        command=(*agent.program, *wishes.arguments),
        allowlist=allowlist,
        walled=wishes.walled,
        gate_image=build.image("gate"),
        agent_image=build.image("agent", wishes.agent),
        proxy_image=build.image("proxy"),
        registry=RegistryTarget(wishes.registry, ca_file=wishes.registry_ca) if wishes.registry else None,
        build=build,
        credentials=gift.files,
        environment={**agent.environment, **gift.environment},
        resources=wishes.resources,
        storage_class=wishes.storage_class,
        pull_secret=wishes.pull_secret,
        create_namespace=wishes.create_namespace,
        runtime_class=wishes.runtime_class,
        resumes=resumed,
    )
    return Prepared(request, laptop, stale)


def _on_podman(
    wishes: Wishes, gift: Gift, record: Record, allowlist: Allowlist, build: BuildSettings, fresh: bool
) -> PodmanRequest:
    agent = find_agent(wishes.agent, build.platform, build.claude_version)
    limits = Limits(wishes.resources.cpu, wishes.resources.memory)
    for quantity in (limits.cpu, limits.memory):
        amount(quantity)
    return PodmanRequest(
        identity=PodmanIdentity(record.name, record.uid, owner()),
        fresh=fresh,
        workspace=Path(record.workspace),
        agent=wishes.agent,
        command=(*agent.program, *wishes.arguments),
        allowlist=allowlist,
        walled=wishes.walled,
        gate_image=build.image("gate"),
        agent_image=build.image("agent", wishes.agent),
        proxy_image=build.image("proxy"),
        build=build,
        credentials=gift.files,
        environment={**agent.environment, **gift.environment},
        limits=limits,
        proxy_network=os.environ.get("PAUDE_PODMAN_NETWORK", ""),
    )


def _backend(wishes: Wishes, resumed: Record | None) -> str:
    """Where the session goes: where it is, else where the words and settings say, else to Podman where that is."""
    kinds = {PODMAN: PODMAN, KUBERNETES: KUBERNETES, "openshift": KUBERNETES}
    wanted = wishes.backend or os.environ.get("PAUDE_BACKEND") or ""
    if wanted and wanted not in kinds:
        raise UsageError(f"there is no backend {wanted[:40]!r}", hint="backends: podman, kubernetes, openshift")
    of_cluster = (wishes.context, wishes.namespace, wishes.kubeconfig, wishes.registry, wishes.runtime_class)
    if resumed is not None:
        if wishes.backend and kinds[wishes.backend] != resumed.backend:
            raise NameTaken(
                f"the session {resumed.name} of this workspace is on {resumed.backend}",
                hint=f"`paude stop {resumed.name}` first",
            )
        return resumed.backend
    if wanted:
        return kinds[wanted]
    return KUBERNETES if any(of_cluster) or shutil.which("podman") is None else PODMAN


def _kubeconfigs(wishes: Wishes, resumed: Record | None) -> tuple[Path, ...]:
    if wishes.kubeconfig is None and resumed is not None and resumed.kubeconfig:
        return tuple(Path(file) for file in resumed.kubeconfig)
    from paude.backends.kubernetes import kubeconfig

    return kubeconfig.files_from(wishes.kubeconfig)


def owner() -> str:
    """The user of this machine as the value of a label (at most 63 characters of a small set)."""
    plain = _NOT_IN_A_LABEL.sub("-", getpass.getuser())[:63].strip("-._")
    return plain or "user"


def _known(wishes: Wishes, workspace: Path, paths: Paths) -> Record | None:
    """The record that this start goes on with: that of the name, else that of the workspace."""
    if wishes.name is not None:
        record = records.load(paths, wishes.name)
        if isinstance(record, Unreadable):
            raise record.error()
        if record is not None and record.workspace != str(workspace):
            raise NameTaken(
                f"the session {record.name} works on {record.workspace}", hint="choose another --name for this one"
            )
        if record is not None:
            return record
    of_workspace = [r for r in records.load_all(paths) if isinstance(r, Record) and r.workspace == str(workspace)]
    if not of_workspace:
        return None
    if wishes.name is not None:
        other = of_workspace[0].name
        raise NameTaken(
            f"{workspace} belongs to the session {other}",
            why="one workspace is kept in step with one session",
            hint=f"`paude attach {other}`, or `paude stop {other}` first",
        )
    return max(of_workspace, key=lambda r: r.created)


def _allowlist(wishes: Wishes, gift: Gift, resumed: Record | None) -> Allowlist:
    """A session that is taken up again keeps its list: `paude allow` and `paude deny` made it what it is."""
    if resumed is not None:
        return Allowlist(resumed.hosts).with_(wishes.allow)
    presets = gift.presets if wishes.agent != "shell" else ()
    return Allowlist.of((*presets, *wishes.allow))
