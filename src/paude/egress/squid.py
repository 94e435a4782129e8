"""The proxy's configuration: which requests squid answers, which tunnels it opens, and to where.

One process has two doors. The outer one (3128) is what sessions talk to: a plain proxy port, so that a refusal is an
HTTP 403 that every client shows. Whatever it permits goes to the inner one on loopback, which looks at the TLS
ClientHello (never deeper: nothing is decrypted) and only then connects to the host.

The order of the rules is part of the protection. Nothing is looked up in the DNS before the name is known to be on the
list, for a look-up alone carries data out; and the addresses of a permitted name are judged before they are dialled.
Source of the directives: squid 5's own reference, each tried with Debian's squid-openssl 5.7.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from paude.egress.allowlist import Allowlist
from paude.egress.company import Company, Parent, PrivateHost
from paude.egress.hosts import FENCE_HOST, base, is_wildcard
from paude.egress.ranges import PRIVATE

PROXY_PORT = 3128
CANARY_PORT = 3129
INNER_PORT = 3130

"""Where the ConfigMap of `files` is mounted."""
RUN_DIRECTORY = "/run/squid"
"""Written by the proxy's entrypoint before squid starts: `inner.pem` (a certificate and its key, made anew each time,
shown to nobody: squid wants one for a port that looks at TLS) and `errors/ERR_FENCE` (JSON: resolvers, allowlist), to
which a link in the image's directory of error pages points."""
MOST_TUNNELS = 1000
"""Of one client at a time: a proxy is shared, and each tunnel takes four file descriptors of it."""
HELPER = "/opt/paude/bin/paude-sni"
"""Of the image: says whether a ClientHello names a server."""


@dataclass(frozen=True)
class Options:
    """What differs between networks: `private` are further ones (CIDR) that no name may lead to, `leads` are the hosts
    that may lead to private addresses all the same, `parent` is the proxy beyond this one.
    """

    private: tuple[str, ...] = ()
    leads: tuple[PrivateHost, ...] = ()
    parent: Parent | None = None

    @classmethod
    def of(cls, company: Company) -> Options:
        """What a company's network needs."""
        return cls(leads=company.private, parent=company.parent)


def files(allowlist: Allowlist, options: Options | None = None) -> dict[str, str]:
    """The data of the proxy's ConfigMap: `squid.conf`, and `allowlist` whose first line is `# DIGEST`."""
    return {
        "squid.conf": configuration(allowlist, options),
        "allowlist": "\n".join([f"# {identity(allowlist, options)}", *allowlist.hosts]) + "\n",
    }


def identity(allowlist: Allowlist, options: Options | None = None) -> str:
    """12 hex digits in the name of the proxy: `allowlist.digest`, unless options change what it runs."""
    if options is None or options == Options():
        return allowlist.digest
    return hashlib.sha256(configuration(allowlist, options).encode("ascii")).hexdigest()[:12]


def configuration(allowlist: Allowlist, options: Options | None = None) -> str:
    """The text of squid.conf for this list."""
    chosen = options or Options()
    parts = (
        _doors(chosen),
        _names(allowlist),
        _kinds(),
        _private(chosen),
        _access(allowlist, chosen),
        _inner(allowlist),
        _log(),
        _nothing_else(),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _doors(options: Options) -> Iterator[str]:
    yield f"http_port {PROXY_PORT} name=outer"
    yield (
        f"http_port 127.0.0.1:{INNER_PORT} name=inner ssl-bump generate-host-certificates=off"
        f" tls-cert={RUN_DIRECTORY}/inner.pem"
    )
    yield "acl outer myportname outer"
    yield "acl inner myportname inner"
    yield f"cache_peer 127.0.0.1 parent {INNER_PORT} 0 no-query no-digest no-netdb-exchange connect-fail-limit=1000000"
    # squid asks its parent for a sign of life before it listens itself; without a second try it takes the inner door
    # for dead, and the first request of all fails.
    yield "connect_retries 5"
    yield "never_direct allow outer"
    yield "always_direct deny outer"
    yield from _beyond(options.parent, options.leads) if options.parent else ("always_direct allow all",)
    yield "nonhierarchical_direct off"


def _beyond(parent: Parent, leads: tuple[PrivateHost, ...]) -> Iterator[str]:
    """The company's proxy connects to whatever is not a host of the company's own, and never is it gone round."""
    yield "cache_peer_access 127.0.0.1 allow outer"
    yield "cache_peer_access 127.0.0.1 deny all"
    yield (
        f"cache_peer {parent.host} parent {parent.port} 0 no-query no-digest no-netdb-exchange"
        " connect-fail-limit=1000000 name=company"
    )
    yield from _leads(leads)
    if leads:
        yield "cache_peer_access company deny leads"
    # Not "allow inner": what squid makes of a spliced tunnel belongs to no port (seen).
    yield "cache_peer_access company deny outer"
    yield "cache_peer_access company allow all"
    if leads:
        yield "always_direct allow leads"
    # Where no rule fits, squid does the opposite of the last one.
    yield "always_direct deny all"
    yield "never_direct allow all"


def _leads(leads: tuple[PrivateHost, ...]) -> Iterator[str]:
    for number, one in enumerate(leads):
        yield f"acl lead{number} {_comparison(one.host)}"
    if leads:
        yield f"acl leads any-of {' '.join(f'lead{number}' for number in range(len(leads)))}"


def _comparison(host: str) -> str:
    return f"dstdom_regex -n {_below(base(host))}" if is_wildcard(host) else f"dstdomain -n {host}"


def _names(allowlist: Allowlist) -> Iterator[str]:
    """`-n` forbids the reverse look-up by which the owner of an address could claim an allowed name."""
    for host in allowlist.exact:
        yield f"acl allowed dstdomain -n {host}"
    for name in allowlist.wildcards:
        yield f"acl below dstdom_regex -n {_below(name)}"
    if allowlist.hosts:
        yield f"acl listed any-of {' '.join(_kinds_of(allowlist))}"


def _kinds_of(allowlist: Allowlist) -> list[str]:
    return [kind for kind, used in (("allowed", allowlist.exact), ("below", allowlist.wildcards)) if used]


def _below(name: str) -> str:
    return rf"^[a-z0-9.-]+\.{re.escape(name).replace(chr(92) + '-', '-')}$"


def _kinds() -> Iterator[str]:
    """Only what looks like a public name passes: that refuses addresses in every notation, and squid's own pages."""
    yield f"acl fence dstdomain -n {FENCE_HOST}"
    yield "acl get method GET"
    yield f"acl crowd maxconn {MOST_TUNNELS}"
    yield "acl https port 443"
    yield r"acl address dstdom_regex -n -i ^[0-9.]+$ : ^0x (^|\.)[0-9][^.]*$"
    yield r"acl name dstdom_regex -n -i ^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$"


def _private(options: Options) -> Iterator[str]:
    """IPv4-mapped IPv6 addresses need no line: squid takes them for the IPv4 addresses that they are."""
    for network in (*PRIVATE, *options.private):
        yield f"acl private dst {ip_network(network)}"
    yield "acl resolved dst all"
    if options.parent is None:
        yield from _leads(options.leads)
    for number, one in enumerate(options.leads):
        for elsewhere in one.elsewhere:
            yield f"acl astray{number} dst {elsewhere}"


def _access(allowlist: Allowlist, options: Options) -> Iterator[str]:
    yield "http_access deny get fence"
    # At the outer door only: at the inner one everybody comes from loopback.
    yield "http_access deny outer crowd"
    yield "http_access deny manager"
    yield "http_access deny !CONNECT"
    yield "http_access deny !https"
    yield "http_access deny address"
    yield "http_access deny !name"
    if allowlist.hosts:
        yield "http_access deny !listed"
        yield from _addresses(options)
        yield "http_access allow listed"
    yield "http_access deny all"
    yield "deny_info ERR_FENCE fence"
    yield f"deny_info ERR_PAUDE_NAME {' '.join(['listed', *_kinds_of(allowlist)]) if allowlist.hosts else 'all'}"
    astray = "".join(f" astray{number}" for number in range(len(options.leads)))
    yield f"deny_info ERR_PAUDE crowd manager CONNECT https address name resolved private{astray}"


def _addresses(options: Options) -> Iterator[str]:
    """Where a listed name may lead. Beyond a parent proxy only that one knows, and nobody here has to."""
    beyond = options.parent is not None
    if options.leads or not beyond:
        yield f"http_access deny {'leads ' if beyond else ''}!resolved"
    for number in range(len(options.leads)):
        yield f"http_access deny lead{number} astray{number}"
    if options.leads:
        yield "http_access allow leads"
    if not beyond:
        yield "http_access deny private"


def _inner(allowlist: Allowlist) -> Iterator[str]:
    """A tunnel goes on only if the client asks, in its ClientHello, for the very host that it asked the proxy for.

    squid takes a missing server name for the name of the CONNECT, and some front ends then choose the site by a
    header that nobody here can see; so a helper refuses a missing one. Without it (dead, absent) nothing passes.
    """
    if allowlist.hosts:
        yield (
            "external_acl_type sni ttl=3600 negative_ttl=3600 cache=4096 children-max=2 children-startup=1"
            f" %ssl::>sni {HELPER}"
        )
        yield "acl named external sni"
    yield "acl hello at_step SslBump2"
    yield "acl start at_step SslBump1"
    yield "ssl_bump peek start"
    for number, host in enumerate(allowlist.exact):
        yield f"acl to{number} dstdomain -n {host}"
        yield f"acl sni{number} ssl::server_name --client-requested {host}"
        yield f"ssl_bump splice hello to{number} sni{number} named"
    for number, name in enumerate(allowlist.wildcards):
        yield f"acl tobelow{number} dstdom_regex -n {_below(name)}"
        yield f"acl snibelow{number} ssl::server_name_regex --client-requested {_below(name)}"
        yield f"ssl_bump splice hello tobelow{number} snibelow{number} named"
    yield "ssl_bump terminate all"
    yield "on_unsupported_protocol respond all"


def _log() -> Iterator[str]:
    """One JSON object a line. `#` writes every byte that is not plain as %XX, so no request can forge a line."""
    fields = {
        "time": "%ts.%03tu",
        "client": "%>a",
        "door": "%lp",
        "method": "%#rm",
        "host": "%#>rd",
        "port": "%#>rP",
        "sni": "%#ssl::>sni",
        "tls": "%ssl::bump_mode",
        "result": "%Ss",
        "status": "%>Hs",
        "ms": "%tr",
        "sent": "%>st",
        "received": "%<st",
    }
    body = ",".join(f'"{key}":"{code}"' for key, code in fields.items())
    yield f"logformat paude {{{body}}}"
    yield "acl asked has request"
    yield "access_log stdio:/dev/stdout logformat=paude asked !fence"
    yield "cache_log /dev/stderr"
    yield "cache_store_log none"
    yield "logfile_rotate 0"
    yield "buffered_logs off"
    yield "strip_query_terms on"
    # Their defaults hold the client's name, for which squid would ask the resolver at each new client.
    yield 'url_rewrite_extras "%>a"'
    yield 'store_id_extras "%>a"'


def _nothing_else() -> Iterator[str]:
    yield from (
        "visible_hostname paude-proxy",
        "httpd_suppress_version_string on",
        "email_err_data off",
        "via off",
        # The outer door tells the inner one for whom it asks, so that refusals there have a client as well. A tunnel
        # carries no headers, so nobody outside sees it; and what the client itself claims is replaced.
        "forwarded_for truncate",
        "acl self src 127.0.0.1",
        "follow_x_forwarded_for allow inner self",
        "follow_x_forwarded_for deny all",
        "acl_uses_indirect_client off",
        "log_uses_indirect_client on",
        "cache deny all",
        "cache_mem 0 MB",
        "memory_cache_shared off",
        "sslproxy_session_cache_size 0",
        "global_internal_static off",
        "icp_port 0",
        "htcp_port 0",
        "snmp_port 0",
        "pinger_enable off",
        "digest_generation off",
        "netdb_filename none",
        "query_icmp off",
        "hosts_file none",
        "dns_multicast_local off",
        "dns_timeout 10 seconds",
        "positive_dns_ttl 5 minutes",
        "negative_dns_ttl 10 seconds",
        "connect_timeout 10 seconds",
        "forward_timeout 20 seconds",
        "request_header_max_size 16 KB",
        "shutdown_lifetime 0 seconds",
        "pid_filename none",
        "coredump_dir none",
        "workers 1",
    )
