"""Every setting: its type, default, variable, flag and meaning. Frozen values, pure.

A field of these classes is a setting. `paude config show`, the JSON schema, docs/configuration.md, the variables and
the warnings about unknown names are made from them, and so is the reading: whoever needs a setting adds a field here,
and draws the documents anew with `PAUDE_UPDATE_DOCS=1 pytest tests/unit/test_settings.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from paude.settings import kinds
from paude.settings.kinds import Kind, Pairs, Toleration

T = TypeVar("T")
_ROW = "setting"


@dataclass(frozen=True)
class Setting:
    """One setting as the table has it.

    `default` is as JSON holds it. `personal`: not taken from a workspace's paude.json. `loosens`: it can let more out
    of this machine or of the session, or it decides what the session runs beside and how long: a value that a
    workspace's paude.json brings has to be agreed to. `adds`: what several places say is put together, where of others
    the first place wins.
    """

    name: str
    kind: Kind[Any]
    default: object
    variable: str
    flag: str
    words: str
    personal: bool
    loosens: bool
    adds: bool


def setting(
    kind: Kind[T],
    default: object,
    words: str,
    *,
    called: str = "",
    variable: str = "",
    flag: str = "",
    personal: bool = False,
    loosens: bool = False,
    adds: bool = False,
) -> T:
    """A field that is a setting; `called` is its name in files where Python keeps that word for itself."""
    row = Setting(called, kind, default, variable, flag, words, personal, loosens, adds)
    # dataclasses take the field, readers see its value.
    return field(default=kind.parse(default), metadata={_ROW: row})


@dataclass(frozen=True)
class Requests:
    """What the agent's container must find free on a node."""

    cpu: str = setting(kinds.QUANTITY, "1", "Processors that the agent must find free on a node.", flag="--cpu-request")
    memory: str = setting(
        kinds.QUANTITY, "4Gi", "Memory that the agent must find free on a node.", flag="--memory-request"
    )


@dataclass(frozen=True)
class Limits:
    """What the agent's container may use at most."""

    cpu: str = setting(kinds.QUANTITY, "4", "Processors that the agent may use.", flag="--cpu")
    memory: str = setting(kinds.QUANTITY, "8Gi", "Memory that the agent may use.", flag="--memory")


@dataclass(frozen=True)
class Resources:
    """What the agent may use."""

    requests: Requests = field(default_factory=Requests)
    limits: Limits = field(default_factory=Limits)
    scratch: str = setting(kinds.QUANTITY, "4Gi", "Room for what the agent writes outside of its volume.")
    gpu: int = setting(kinds.COUNT, 0, "Graphics processors for the agent.", flag="--gpu", loosens=True)
    gpu_resource: str = setting(
        kinds.TEXT, "nvidia.com/gpu", "The resource by which the cluster counts them.", loosens=True
    )


@dataclass(frozen=True)
class Storage:
    """Where the workspace's copy lies."""

    volume: str = setting(
        kinds.choice("claim", "emptydir"),
        "claim",
        "A claim outlives its pod; an emptydir dies with it, and needs no storage class.",
        flag="--volume",
    )
    size: str = setting(kinds.QUANTITY, "10Gi", "The size of the workspace's volume.", flag="--storage")
    storage_class: str = setting(
        kinds.TEXT, "", "Its StorageClass; else the cluster's default.", called="class", flag="--storage-class"
    )


@dataclass(frozen=True)
class Pod:
    """Where and how the pod of a session runs."""

    runtime_class: str = setting(
        kinds.TEXT, "", "A RuntimeClass, for gVisor or Kata.", flag="--runtime-class", loosens=True
    )
    node_selector: Pairs = setting(kinds.SELECTOR, {}, "Labels that the node must have.", loosens=True)
    tolerations: tuple[Toleration, ...] = setting(
        kinds.TOLERATIONS,
        [],
        "Taints that it bears: `KEY[=VALUE][:EFFECT]`, as `kubectl taint` writes them.",
        loosens=True,
    )
    labels: Pairs = setting(kinds.LABELS, {}, "More labels for everything that a session makes.", loosens=True)


@dataclass(frozen=True)
class ProxyRequests:
    """What the proxy must find free on a node."""

    cpu: str = setting(kinds.QUANTITY, "50m", "Processors that the proxy must find free on a node.")
    memory: str = setting(kinds.QUANTITY, "128Mi", "Memory that the proxy must find free on a node.")


@dataclass(frozen=True)
class ProxyLimits:
    """What the proxy may use at most."""

    cpu: str = setting(kinds.QUANTITY, "1", "Processors that the proxy may use.")
    memory: str = setting(kinds.QUANTITY, "512Mi", "Memory that the proxy may use.")


@dataclass(frozen=True)
class Proxy:
    """The proxy's resources."""

    requests: ProxyRequests = field(default_factory=ProxyRequests)
    limits: ProxyLimits = field(default_factory=ProxyLimits)


@dataclass(frozen=True)
class Egress:
    """What may be reached from a session."""

    allow: tuple[str, ...] = setting(
        kinds.WORDS,
        [],
        "Hosts that the agent may reach, besides those it needs.",
        flag="--allow",
        loosens=True,
        adds=True,
    )
    registries: bool = setting(
        kinds.FLAG,
        False,
        "Also the package registries that this machine's own clients are set to.",
        flag="--allow-registries",
        personal=True,
    )
    parent_proxy: str = setting(
        kinds.TEXT,
        "",
        "The company's proxy, to which the session's proxy goes: `http://HOST:PORT`.",
        flag="--parent-proxy",
        personal=True,
    )
    ca_bundle: str = setting(
        kinds.FILE,
        "",
        "The company's CA certificates (PEM), which the agent's programs then trust.",
        flag="--egress-ca",
        personal=True,
    )
    private_allow: tuple[str, ...] = setting(
        kinds.WORDS,
        [],
        "Hosts at private addresses that the agent may reach: `HOST=NETWORK`, port 443 only.",
        flag="--private-allow",
        loosens=True,
        adds=True,
    )
    firewall: bool = setting(
        kinds.FLAG,
        False,
        "An EgressFirewall for all pods of the namespace, where the cluster has such a thing.",
        flag="--egress-firewall",
        loosens=True,
    )


@dataclass(frozen=True)
class Build:
    """How images are built."""

    containerfile: str = setting(
        kinds.TEXT, "", "A Containerfile of the workspace: what the agent's image is built on.", loosens=True
    )
    context: str = setting(kinds.TEXT, "", "Its context, below the workspace; else the workspace.", loosens=True)
    target: str = setting(kinds.TEXT, "", "The stage of it to take; else the last.", loosens=True)
    args: Pairs = setting(kinds.PAIRS, {}, "Its build arguments.", loosens=True)
    network: str = setting(
        kinds.choice("", "host"),
        "",
        "`host`: the network of builds, where a container has none.",
        variable="PAUDE_BUILD_NETWORK",
        personal=True,
    )


@dataclass(frozen=True)
class Lifecycle:
    """When a session ends by itself, and what `paude stop` leaves. Times are seconds; 0 means never."""

    idle_timeout: float = setting(
        kinds.DURATION,
        "4h",
        "The agent is parked when it has had no output, no process at work and no traffic for so long.",
        flag="--idle-timeout",
        loosens=True,
    )
    max_age: float = setting(
        kinds.DURATION,
        "24h",
        "The agent is parked when so much time has passed since `paude start`.",
        flag="--max-age",
        loosens=True,
    )
    warning: float = setting(kinds.DURATION, "10m", "So long before, the terminal is told.")
    keep: bool = setting(kinds.FLAG, False, "Neither limit counts.", flag="--keep", loosens=True)
    keep_workspace: bool = setting(
        kinds.FLAG, False, "`paude stop` keeps the volume; `paude start` resumes the session.", flag="--keep-workspace"
    )

    @property
    def pod_environment(self) -> dict[str, str]:
        """The limits as the programs in the pod read them."""
        if self.keep:
            return {}
        limits = {"PAUDE_IDLE_TIMEOUT": self.idle_timeout, "PAUDE_MAX_AGE": self.max_age}
        given = {variable: f"{limit:.3f}s" for variable, limit in limits.items() if limit}
        return given | {"PAUDE_LIFE_WARNING": f"{self.warning:.3f}s"} if given else {}


@dataclass(frozen=True)
class Podman:
    """Sessions on this machine."""

    network: str = setting(
        kinds.TEXT, "", "The network in which the proxy's container lies; else podman's own.", personal=True
    )


@dataclass(frozen=True)
class Sync:
    """What travels between both sides."""

    max_file_size: str = setting(kinds.QUANTITY, "8Gi", "A file that is larger does not travel.", loosens=True)
    max_entries: int = setting(
        kinds.COUNT, 2_000_000, "More files and directories than that on either side stop the sync.", loosens=True
    )
    max_size: str = setting(
        kinds.QUANTITY, "64Gi", "More bytes than that in the pod's workspace stop the sync.", loosens=True
    )
    max_deletes: int = setting(
        kinds.COUNT,
        1000,
        "More files than that are not removed at once without your word; nor half of all.",
        loosens=True,
    )
    bandwidth: str = setting(kinds.QUANTITY, "0", "Bytes of file content in a second, each way; 0 does not limit it.")
    ask_above: str = setting(kinds.QUANTITY, "1Gi", "A start asks before it sends more than that.", loosens=True)
    max_history: str = setting(
        kinds.QUANTITY, "200M", "Of a larger git history only the last commits are sent.", loosens=True
    )


@dataclass(frozen=True)
class Terminal:
    """What `paude attach` lets through."""

    clipboard: bool = setting(
        kinds.FLAG,
        False,
        "Programs of the agent may write to your clipboard.",
        variable="PAUDE_CLIPBOARD",
        flag="--clipboard",
        personal=True,
    )


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, with a value."""

    backend: str = setting(
        kinds.choice("", "podman", "kubernetes", "openshift"),
        "",
        "Where sessions run; else on Podman where that is, unless something of a cluster is set.",
        flag="--backend",
        loosens=True,
    )
    context: str = setting(
        kinds.TEXT, "", "The kubeconfig's context; else the current one.", flag="--context", loosens=True
    )
    namespace: str = setting(kinds.TEXT, "", "The namespace; else the context's.", flag="--namespace", loosens=True)
    kubeconfig: str = setting(
        kinds.FILE, "", "The kubeconfig file; else what KUBECONFIG says.", flag="--kubeconfig", personal=True
    )
    registry: str = setting(
        kinds.TEXT,
        "",
        "Where images are pushed to: `HOST[:PORT][/PATH]`; on OpenShift its own is found.",
        flag="--registry",
        loosens=True,
    )
    registry_ca: str = setting(
        kinds.FILE, "", "The registry's CA certificates; else the cluster's.", flag="--registry-ca", personal=True
    )
    pull_secret: str = setting(
        kinds.TEXT, "", "An existing Secret to pull images with.", flag="--pull-secret", loosens=True
    )
    agent: str = setting(kinds.TEXT, "claude", "The coding agent: `claude`, `codex` or `shell`.", flag="--agent")
    claude_version: str = setting(kinds.TEXT, "", "Another version of Claude Code.", variable="PAUDE_CLAUDE_VERSION")
    base: str = setting(
        kinds.TEXT,
        "",
        "What the images are built on: a Debian or Ubuntu image, also one of yours with your tools.",
        variable="PAUDE_BASE_IMAGE",
        loosens=True,
    )
    platform: str = setting(kinds.choice("linux/amd64", "linux/arm64"), "linux/amd64", "What the cluster's nodes are.")
    tunnel: str = setting(
        kinds.choice("websocket", "kubectl", "oc"),
        "websocket",
        "What carries the tunnels: paude, or a program's port-forward where a network lets no WebSocket through.",
        personal=True,
    )
    packages: tuple[str, ...] = setting(
        kinds.WORDS, [], "Debian packages that the agent's image gets.", loosens=True, adds=True
    )
    setup: tuple[str, ...] = setting(
        kinds.WORDS, [], "Shell commands, run once in the session's workspace before the agent starts."
    )
    devcontainer: bool = setting(kinds.FLAG, True, "Whether the workspace's devcontainer.json counts.")
    build: Build = field(default_factory=Build)
    resources: Resources = field(default_factory=Resources)
    storage: Storage = field(default_factory=Storage)
    pod: Pod = field(default_factory=Pod)
    proxy: Proxy = field(default_factory=Proxy)
    egress: Egress = field(default_factory=Egress)
    sync: Sync = field(default_factory=Sync)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    podman: Podman = field(default_factory=Podman)
    terminal: Terminal = field(default_factory=Terminal)


def rows(group: type[Any] = Settings, prefix: str = "") -> Iterator[Setting]:
    """The table: every setting under its full name, groups in the order of the classes."""
    for each in dataclasses.fields(group):
        row = each.metadata.get(_ROW)
        if row is None:
            yield from rows(_group_of(each), f"{prefix}{each.name}.")
            continue
        name = prefix + (row.name or each.name)
        variable = row.variable or "PAUDE_" + name.replace(".", "_").upper()
        yield dataclasses.replace(row, name=name, variable=variable)


def values_of(values: Mapping[str, object], group: type[Any] = Settings, prefix: str = "") -> Any:
    """The typed values of a group; `values` are as JSON holds them, by full name; else the defaults."""
    given: dict[str, object] = {}
    for each in dataclasses.fields(group):
        row = each.metadata.get(_ROW)
        name = prefix + (row.name or each.name if row is not None else each.name)
        if row is None:
            given[each.name] = values_of(values, _group_of(each), f"{name}.")
        elif name in values:
            given[each.name] = row.kind.parse(values[name])
    return group(**given)


def _group_of(each: dataclasses.Field[Any]) -> type[Any]:
    return cast(type[Any], each.default_factory)
