"""The containers of a session as podman's words, from frozen facts. Pure.

One container holds the network, which has no device but its loopback; gate and agent join it. What comes to the
proxy's port there is carried to a socket that the proxy's container shares: there is no bridge, no gateway, no
resolver, no route and no neighbour that a rule would have to keep out. docs/backends.md says what was tried instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from paude import __version__
from paude.egress import clients
from paude.egress.squid import PROXY_PORT
from paude.settings.quantity import amount
from paude.settings.table import Lifecycle

USER = 10001
PROXY_PART, NEXT_PROXY, FORMER_PROXY = "proxy", "proxy-next", "proxy-was-"
"""The last part of the names of the session's proxy, of the one that is about to take its place, and (as a prefix) of
those that had it before: they keep their tunnels, and tell what they refused."""
ALLOWLIST, HOSTS, NETWORK = "paude.io/allowlist", "paude.io/hosts", "paude.io/network"
"""Labels of the proxy: the digest of its list, the list, and the network that it looks out on."""
PROXY = "127.0.0.1"
"""Where the proxy answers in a session's network."""
_POD = "/opt/paude/bin/paude-pod"
_SOCKETS = "/run/proxy"
_SECRETS = "/run/secrets"
_SOCKET = f"{_SOCKETS}/socket"
_HARD = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--no-hosts",
    "--pull=never",
)
# Empty, so that nothing tells the agent which resolvers this machine has; `dev` or it could not be read at all.
_NO_RESOLVER = "--mount=type=bind,src=/dev/null,dst=/etc/resolv.conf,ro=true,dev=true"
# Whatever the agent has logged, by asking for what is refused, is bounded; another driver would not do that.
_BOUNDED_LOG = ("--log-driver=k8s-file", "--log-opt=max-size=8mb")
# Both ends of the socket need one level of SELinux's; without it this says nothing.
_ONE_LEVEL = "--security-opt=label=level:s0"


@dataclass(frozen=True)
class Identity:
    """Whose session this is: `uid` is random and made once, `owner` is a label-safe form of the user's name."""

    name: str
    uid: str
    owner: str = ""


@dataclass(frozen=True)
class Limits:
    """What the agent may take, in Kubernetes' words (`4`, `500m`, `8Gi`)."""

    cpu: str = "4"
    memory: str = "8Gi"
    processes: int = 2000


@dataclass(frozen=True)
class Mount:
    """The developer's own directory in the agent's container, whose user is its owner then.

    `keep_id`: rootless, where the owner keeps his number in a user namespace of the session's.
    """

    directory: str
    uid: int
    gid: int
    keep_id: bool


@dataclass(frozen=True)
class Spec:
    """What the containers of a session are made of; `allowlist` is empty without a wall."""

    identity: Identity
    allowlist: str
    agent: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    life: Lifecycle = field(default_factory=Lifecycle)
    credentials: Sequence[str] = ()
    """The names of the files that the agent works with."""
    kept: Sequence[str] = ()
    """The names of those that only the gate has."""
    hosts: Sequence[str] = ()
    """The list itself."""
    mount: Mount | None = None

    @property
    def user(self) -> str:
        """Whose the processes of gate and agent are."""
        return f"{self.mount.uid}:{self.mount.gid}" if self.mount else f"{USER}:{USER}"

    @property
    def walled(self) -> bool:
        """Whether the session has no way out but its proxy."""
        return bool(self.allowlist)


def name_of(session: str, part: str = "") -> str:
    """The name of a thing of the session."""
    return f"paude-{session}-{part}" if part else f"paude-{session}"


def secret_name(identity: Identity, part: str, file: str) -> str:
    """The name of the secret that holds one file; podman allows letters, digits, `_`, `.` and `-`."""
    return f"paude-{identity.name}-{part}-{hashlib.sha256(f'{identity.uid}/{file}'.encode()).hexdigest()[:12]}"


def labels(identity: Identity, component: str, **more: str) -> list[str]:
    """The recommended labels, and paude's own, as options."""
    own = {"session": identity.name, "session-uid": identity.uid, "owner": identity.owner, **more}
    return [
        *_common(component),
        f"--label=app.kubernetes.io/instance={identity.name}",
        *(f"--label=paude.io/{key.replace('_', '-')}={value}" for key, value in own.items()),
    ]


def _common(component: str) -> list[str]:
    known = {"name": "paude", "component": component, "part-of": "paude", "managed-by": "paude", "version": __version__}
    return [f"--label=app.kubernetes.io/{key}={value}" for key, value in known.items()]


def volume(identity: Identity, facts: Mapping[str, str], mount: Mount | None) -> list[str]:
    """The words that create the session's volume, whose existence is the session's name."""
    own = [f"--opt=o={_owner(mount)}", *labels(identity, "workspace", **facts)]
    return ["volume", "create", *own, name_of(identity.name)]


def _owner(mount: Mount | None) -> str:
    """Whose a volume is, in the numbers of podman's own namespace, where a rootless user is root."""
    if mount is None:
        return f"uid={USER},gid={USER}"
    return "uid=0,gid=0" if mount.keep_id else f"uid={mount.uid},gid={mount.gid}"


def permits(identity: Identity, mount: Mount | None) -> list[str]:
    """The words that create /run/gate: in memory, so that no permission survives the containers."""
    memory = f"--opt=o=mode=0755,{_owner(mount)},nosuid,nodev,noexec"
    own = ["--opt=type=tmpfs", "--opt=device=tmpfs", memory, *labels(identity, "permits")]
    return ["volume", "create", *own, name_of(identity.name, "run")]


def sockets(identity: Identity) -> list[str]:
    """The words that create the directory through which the session and its proxy meet."""
    own = [f"--opt=o=uid={USER},gid={USER}", *labels(identity, "sockets")]
    return ["volume", "create", *own, name_of(identity.name, "sockets")]


def network(spec: Spec, image: str) -> list[str]:
    """The container that holds the session's network: with a wall, a loopback and nothing else."""
    way = ["--network=none", f"--env=PAUDE_PROXY_SOCKET={_SOCKET}", _ONE_LEVEL] if spec.walled else []
    mounts = [f"--volume={name_of(spec.identity.name, 'sockets')}:{_SOCKETS}:nocopy"] if spec.walled else []
    kept = ["--restart=on-failure:20", "--pids-limit=200", "--memory=256m"]
    way += ["--userns=keep-id"] if spec.mount and spec.mount.keep_id else []
    return [*_named(spec, "net", "network"), *way, *mounts, *kept, image, _POD, "relay"]


def gate(spec: Spec, image: str, network: str) -> list[str]:
    """The gate, in the network of the container `network`."""
    known = {
        "PAUDE_SESSION": spec.identity.name,
        "PAUDE_SESSION_UID": spec.identity.uid,
        "PAUDE_FENCE": "on" if spec.walled else "off",
        "PAUDE_PROXY": PROXY if spec.walled else "",
        "PAUDE_AGENT_IMAGE": "local",
        "PAUDE_SECRETS": _SECRETS,
        "PAUDE_DOORS": "on",
        **spec.life.pod_environment,
    }
    return [
        *_named(spec, "gate", "gate"),
        *_inside(network, spec),
        *(f"--env={key}={value}" for key, value in known.items()),
        f"--volume={name_of(spec.identity.name)}:/vol:nocopy",
        f"--volume={name_of(spec.identity.name, 'run')}:/run/gate:nocopy,nosuid,nodev,noexec",
        *_keys(spec, "gate"),
        *_secrets(spec, "kept", spec.kept),
        *_writable("256m"),
        "--restart=on-failure:20",
        "--pids-limit=500",
        "--memory=1g",
        image,
        _POD,
        "gate",
    ]


def agent(spec: Spec, image: str, network: str, directory: str) -> list[str]:
    """The agent; `directory` is where podman keeps the session's volume, for it gets three parts of it only.

    It is never restarted by podman: that is for whoever asks for leave again.
    """
    at = spec.identity.name
    return [
        *_named(spec, "agent", "agent"),
        *_inside(network, spec),
        *(f"--env={key}={value}" for key, value in agent_environment(spec).items()),
        # Podman has no sub-directories of volumes before 5.4, and one mount for all is what lets the gate rename.
        f"--volume={spec.mount.directory if spec.mount else f'{directory}/workspace'}:/workspace:nosuid,nodev",
        f"--volume={directory}/home:/home/paude:nosuid,nodev",
        f"--volume={directory}/inbox:/run/inbox:ro,nosuid,nodev,noexec",
        f"--volume={name_of(at, 'run')}:/run/gate:ro,nocopy,nosuid,nodev,noexec",
        *_keys(spec, "agent"),
        *_secrets(spec, "credentials", spec.credentials),
        *_writable("2g"),
        "--restart=no",
        f"--pids-limit={spec.limits.processes}",
        f"--memory={amount(spec.limits.memory):.0f}",
        f"--cpus={amount(spec.limits.cpu):g}",
        image,
        _POD,
        "agent",
        "--",
        *spec.command,
    ]


def proxy(spec: Spec, image: str, network: str) -> list[str]:
    """The session's proxy; `network` is podman's own unless the user named one.

    It is the session's alone: its list can change by taking another in its place, and its log is about nobody else.
    """
    return [
        *_named(spec, PROXY_PART, "proxy"),
        # The last word counts. Podman gives a tmpfs the mode of what it covers, and the image's is its group's.
        f"--user={USER}:0",
        f"--label={ALLOWLIST}={spec.allowlist}",
        f"--label={HOSTS}={','.join(spec.hosts)}",
        f"--label={NETWORK}={network}",
        *([f"--network={network}"] if network else []),
        _ONE_LEVEL,
        f"--env=PAUDE_PROXY_SOCKET={_SOCKET}",
        f"--volume={name_of(spec.identity.name, 'sockets')}:{_SOCKETS}:nocopy",
        *_files(spec.identity, "proxy", "/etc/paude/proxy/", ("squid.conf", "allowlist")),
        *(f"--tmpfs={path}:rw,notmpcopyup,mode=1777,size=64m,nosuid,nodev" for path in ("/run/squid", "/tmp")),
        "--restart=on-failure:20",
        "--pids-limit=200",
        "--memory=512m",
        image,
        _POD,
        "proxy",
    ]


def digest(words: Iterable[str]) -> str:
    """What tells whether a container that runs is the one that is wanted."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def agent_environment(spec: Spec) -> dict[str, str]:
    """The environment of the agent's container; nothing secret, nothing of the laptop."""
    known = {
        "PAUDE_SESSION": spec.identity.name,
        "PAUDE_SECRETS": _SECRETS,
        "HOME": "/home/paude",
        "USER": "paude",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **spec.life.pod_environment,
    }
    if spec.walled:
        known |= clients.environment(PROXY, PROXY_PORT)
    return {**known, **spec.environment}


def _named(spec: Spec, part: str, component: str) -> list[str]:
    name = f"--name={name_of(spec.identity.name, part)}"
    return [name, *labels(spec.identity, component), f"--user={spec.user}", *_HARD, *_BOUNDED_LOG]


def _inside(network: str, spec: Spec) -> list[str]:
    same = [f"--userns=container:{network}"] if spec.mount and spec.mount.keep_id else []
    return [f"--network=container:{network}", *same, *([_NO_RESOLVER] if spec.walled else [])]


def _keys(spec: Spec, part: str) -> list[str]:
    return _files(spec.identity, part, "/etc/paude/ssh/", ("ssh_host_ed25519_key", "authorized_keys"), _mode(spec))


def _secrets(spec: Spec, part: str, files: Iterable[str]) -> list[str]:
    # Podman makes no mount points on a read-only root; a directory of root's in memory lets it, and nobody else.
    place = f"--tmpfs={_SECRETS}:rw,notmpcopyup,mode=0755,size=1m,nosuid,nodev,noexec"
    return [place, *_files(spec.identity, part, f"{_SECRETS}/", files, _mode(spec))]


def _mode(spec: Spec) -> str:
    # Podman 4.3 counts the owner of a secret in its own namespace; the container has one user, who may read it.
    return "0444" if spec.mount else "0440"


def _files(identity: Identity, part: str, directory: str, files: Iterable[str], mode: str = "0440") -> list[str]:
    """Secrets as files."""
    access = f"uid={USER},gid={USER},mode={mode}"
    return [
        f"--secret={secret_name(identity, part, file)},type=mount,target={directory}{file},{access}" for file in files
    ]


def _writable(scratch: str) -> list[str]:
    sizes = {"/tmp": scratch, "/run/paude": "16m", "/var/lib/extrausers": "1m"}
    return [f"--tmpfs={path}:rw,notmpcopyup,mode=1777,size={size},nosuid,nodev" for path, size in sizes.items()]
