"""From what the user typed to what the steps need: decided once, before anything is made.

Reads this machine (records, credentials, images' hashes come later); opens no connection.
"""

from __future__ import annotations

import getpass
import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from paude.backends import KUBERNETES, PODMAN
from paude.backends.request import Request
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company
from paude.errors import NameTaken, UsageError
from paude.images.agents import agent as find_agent
from paude.images.build import BuildSettings, Lay, nothing_leaves
from paude.images.project import Project, of_devcontainer, own_build
from paude.plans.laptop import Laptop
from paude.plans.owner import kept_elsewhere
from paude.plans.places import Place, place_of
from paude.sessions import names, records
from paude.sessions.records import Record, Unreadable
from paude.settings import Paths, Settings, Settled, kinds, read
from paude.settings.quantity import amount
from paude.sync import copied, decided, selection
from paude.sync.limits import Limits as SyncLimits
from paude.sync.shown import visible

TRUST_FILE = "ca-bundle.crt"
"""Among the files that the agent works with."""
_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Wishes:
    """What the user wants of `paude start`.

    `project` is what the user was shown of the workspace's files and agreed to; None reads them now. An agent at work
    may change those files at any time.
    """

    workspace: Path = Path()
    settled: Settled = field(default_factory=Settled)
    arguments: tuple[str, ...] = ()
    name: str | None = None
    registries: tuple[str, ...] = ()
    create_namespace: bool = False
    walled: bool = True
    mount: bool = False
    agreed: tuple[str, ...] | None = ()
    agreed_bytes: int | None = 0
    only: tuple[Path, ...] = ()
    project: Project | None = None

    @property
    def settings(self) -> Settings:
        """What is set, by flags, variables and files."""
        return self.settled.values

    def typed(self, name: str) -> bool:
        """Whether the setting was given as a flag of this very command."""
        return name in self.settled.typed

    @property
    def typed_hosts(self) -> tuple[str, ...]:
        """The hosts of this very command."""
        private = kinds.WORDS.parse(self.settled.typed.get("egress.private_allow", ()))
        return (*kinds.WORDS.parse(self.settled.typed.get("egress.allow", ())), *Company.of(None, private).hosts)

    @property
    def typed_registries(self) -> tuple[str, ...]:
        """The registries, where this very command asked for them."""
        return self.registries if self.typed("egress.registries") else ()


@dataclass(frozen=True)
class Gift:
    """What the session is given to work with: the files of its Secrets, its environment, the hosts that it needs.

    `kept` is for the gate alone. `expires` (UTC, ISO 8601) is when the agent can no longer work with it, if ever.
    """

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    kept: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    expires: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    presets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Both ends of a start, ready to be planned; `stale` is an earlier start of that name that was killed."""

    request: Request
    laptop: Laptop
    stale: Record | None


def prepare(wishes: Wishes, paths: Paths, gift: Gift) -> Prepared:
    """Decide everything that can be decided on this machine.

    Raises UsageError, SettingsError or NameTaken.
    """
    workspace = selection.check_workspace(wishes.workspace)
    known = _known(wishes, workspace, paths)
    resumed, stale = (known, None) if known is not None and known.committed else (None, known)
    name = known.name if known is not None else names.validate(wishes.name or names.derive(workspace))
    asked = _asked(wishes, paths, gift, workspace, name, resumed)
    record = _record(wishes, asked, gift, resumed)
    laptop = Laptop(
        record,
        asked.fresh,
        paths,
        wishes.agreed,
        wishes.agreed_bytes,
        sync_limits(asked.settings),
        only_below(workspace, wishes.only),
    )
    return Prepared(place_of(record.backend).request(asked, wishes, record, resumed), laptop, stale)


def _asked(wishes: Wishes, paths: Paths, gift: Gift, workspace: Path, name: str, resumed: Record | None) -> Request:
    """What is asked of any place."""
    settings = wishes.settings
    if resumed is not None:  # its files are where they are
        settings = replace(settings, storage=replace(settings.storage, volume=resumed.volume))
    project = wishes.project if wishes.project is not None else project_of(workspace, wishes.settled)
    build = build_of(settings, project, paths, _what_leaves(wishes, workspace, paths))
    agent = find_agent(settings.agent, build.platform)
    company = _company(settings).over(Company.from_json(resumed.company) if resumed is not None else Company())
    given = trusting(_set_up(gift, project), company)
    return Request(
        name=name,
        uid=resumed.uid if resumed is not None else secrets.token_hex(8),
        owner=owner(),
        fresh=resumed is None,
        workspace=workspace,
        agent=settings.agent,
        command=(*agent.program, *wishes.arguments),
        allowlist=_allowlist(wishes, gift, resumed),
        company=company,
        walled=wishes.walled,
        gate_image=build.image("gate"),
        agent_image=build.image("agent", settings.agent),
        proxy_image=build.image("proxy"),
        build=build,
        settings=settings,
        credentials=given.files,
        kept=given.kept,
        environment={**agent.environment, **given.environment},
    )


def _set_up(gift: Gift, project: Project) -> Gift:
    """The gift with what the project says of its container."""
    script = {"setup.sh": project.script} if project.script else {}
    return replace(gift, files={**gift.files, **script}, environment={**project.environment, **gift.environment})


def _record(wishes: Wishes, asked: Request, gift: Gift, resumed: Record | None) -> Record:
    """What this machine will know of the session before it is anywhere."""
    backend = _backend(wishes, resumed)
    place = place_of(backend)
    return Record(
        name=asked.name,
        uid=asked.uid,
        backend=backend,
        workspace=str(asked.workspace),
        agent=asked.agent,
        created_at=resumed.created_at if resumed is not None else records.now(),
        allowlist=asked.serves,
        hosts=asked.allowlist.hosts,
        company=asked.company.as_json(with_bundle=True),
        pod=place.pod(asked.name),
        volume=asked.settings.storage.volume if place.remote else "claim",
        committed=resumed is not None,
        mounted=_mounted(wishes, place, resumed),
        expires=gift.expires,
        claimed=resumed is not None and resumed.claimed,
    )


def _what_leaves(wishes: Wishes, workspace: Path, paths: Paths) -> Lay:
    """What a build may see of the workspace is what the sync would send: an image is pushed, and the agent reads it."""

    async def lay(source: Path, into: Path) -> None:
        chosen, more = await decided.decide(paths, workspace, only_below(workspace, wishes.only))
        decided.check(more, wishes.agreed)
        await copied.copy(workspace, source, chosen, into)

    return lay


def project_of(workspace: Path, settled: Settled) -> Project:
    """What the project wants of its image and container: paude.json over devcontainer.json. Raises SettingsError."""
    settings, brought = settled.values, settled.brought.get("base")
    of = settings.build
    build = own_build(workspace, of.containerfile, of.context, of.target, dict(of.args)) if of.containerfile else None
    base = settings.base if settings.base and settings.base == brought else ""
    said = Project(base=base, build=build, packages=settings.packages, setup=settings.setup)
    whole = said.over(of_devcontainer(workspace) if settings.devcontainer else Project())
    return replace(whole, asks={**whole.asks, **_recipe(workspace, whole)})


def _recipe(workspace: Path, project: Project) -> dict[str, str]:
    """The Containerfile by its content: whoever agreed to build it agreed to what it said then."""
    if project.build is None:
        return {}
    name = project.build.containerfile.relative_to(workspace.resolve()).as_posix()
    # Never the name alone: a file may be called like a setting, and would stand in its place.
    return {f"what {visible(name)} says": f"sha256:{hashlib.sha256(project.build.recipe).hexdigest()}"}


def build_of(settings: Settings, project: Project, paths: Paths, lay: Lay = nothing_leaves) -> BuildSettings:
    """How the images are built; `lay` copies what a build of the project's may see.

    Raises SettingsError for words that a builder cannot be given.
    """
    # What the workspace says of a base is for the agent's image; the gate stands on what the user says.
    own = replace(settings, base=read(paths, None).values.base)
    return BuildSettings.of(own, cache=paths.cache, project=project, lay=lay)


def sync_limits(settings: Settings) -> SyncLimits:
    """The limits of the sync as numbers."""
    sync = settings.sync
    return SyncLimits(
        entries=sync.max_entries,
        file_bytes=int(amount(sync.max_file_size)),
        tree_bytes=int(amount(sync.max_size)),
        deletes=sync.max_deletes,
        bytes_per_second=int(amount(sync.bandwidth)),
        ask_above=int(amount(sync.ask_above)),
        history_bytes=int(amount(sync.max_history)),
    )


def only_below(workspace: Path, wanted: tuple[Path, ...]) -> tuple[str, ...] | None:
    """The paths of `--only` from the workspace's top; None when none was given, empty for the whole.

    Raises UsageError for one that is not in the workspace.
    """
    if not wanted:
        return None
    found = []
    for path in wanted:
        below = (path if path.is_absolute() else workspace / path).resolve()
        if not below.is_relative_to(workspace) or not below.exists():
            raise UsageError(f"there is no {path} in {workspace}", hint="--only names a path of the workspace")
        found.append(below.relative_to(workspace).as_posix())
    return () if "." in found else tuple(sorted(set(found)))


def _mounted(wishes: Wishes, place: Place, resumed: Record | None) -> bool:
    """Whether the agent works on the directory itself. Raises UsageError where that cannot be."""
    if wishes.mount and place.remote:
        raise UsageError("--mount is for sessions on Podman: a cluster's nodes do not have your directory")
    if wishes.mount and resumed is not None and not resumed.mounted:
        raise UsageError(
            f"the session {resumed.name} works on a copy that is kept in step",
            hint=f"`paude stop {resumed.name}` first",
        )
    return wishes.mount or (resumed is not None and resumed.mounted)


def _backend(wishes: Wishes, resumed: Record | None) -> str:
    """Where the session goes: where it is, else where the words and settings say, else to Podman where that is."""
    settings = wishes.settings
    if resumed is None:
        return backend_of(settings)
    if wishes.typed("backend") and settings.backend and backend_of(settings) != resumed.backend:
        raise NameTaken(
            f"the session {resumed.name} of this workspace is on {resumed.backend}",
            hint=f"`paude stop {resumed.name}` first",
        )
    return resumed.backend


def backend_of(settings: Settings) -> str:
    """Where a new session would go."""
    if settings.backend:
        return PODMAN if settings.backend == PODMAN else KUBERNETES
    of_cluster = (
        settings.context,
        settings.namespace,
        settings.kubeconfig,
        settings.registry,
        settings.pod.runtime_class,
    )
    return KUBERNETES if any(of_cluster) or shutil.which("podman") is None else PODMAN


def owner() -> str:
    """The user of this machine as the value of a label (at most 63 characters of a small set)."""
    plain = _NOT_IN_A_LABEL.sub("-", getpass.getuser())[:63].strip("-._")
    return plain or "user"


def _known(wishes: Wishes, workspace: Path, paths: Paths) -> Record | None:
    """The record that this start goes on with: that of the name, else that of the workspace."""
    check_neighbours(workspace, paths)
    if wishes.name is not None:
        record = records.load(paths, wishes.name)
        if isinstance(record, Unreadable):
            raise record.error()
        if record is not None and record.guest:
            raise kept_elsewhere(record.name)
        if record is not None and record.workspace != str(workspace):
            raise NameTaken(
                f"the session {record.name} works on {record.workspace}", hint="choose another --name for this one"
            )
        if record is not None:
            return record
    of_workspace = [r for r in records.here(paths) if r.workspace == str(workspace)]
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


def check_neighbours(workspace: Path, paths: Paths) -> None:
    """Two sessions must not share files: what one agent writes would reach the other by way of the laptop."""
    for record in records.here(paths):
        other = Path(record.workspace)
        if other in workspace.parents or workspace in other.parents:
            raise NameTaken(
                f"{workspace} and the workspace of the session {record.name} lie one in the other",
                why=f"{record.name} works on {other}",
                hint=f"`paude stop {record.name}` first, or give this session a directory beside that one",
            )


def _allowlist(wishes: Wishes, gift: Gift, resumed: Record | None) -> Allowlist:
    """A session that is taken up again keeps its list: `paude allow` and `paude deny` made it what it is."""
    if resumed is not None:
        return Allowlist(resumed.hosts).with_((*wishes.typed_hosts, *wishes.typed_registries))
    presets = gift.presets if wishes.settings.agent != "shell" else ()
    named = _company(wishes.settings).hosts
    return Allowlist.of((*presets, *wishes.settings.egress.allow, *named, *wishes.registries))


def _company(settings: Settings) -> Company:
    """What is set of the company's network. Raises SettingsError."""
    of = settings.egress
    return Company.of(of.parent_proxy, of.private_allow, Path(of.ca_bundle) if of.ca_bundle else None)


def trusting(gift: Gift, company: Company) -> Gift:
    """The gift with the company's authorities, for the agent's programs and for the gate where it makes tokens."""
    if not company.ca_bundle:
        return gift
    trust = {TRUST_FILE: company.ca_bundle.encode()}
    return replace(gift, files={**gift.files, **trust}, kept={**gift.kept, **trust} if gift.kept else {})
