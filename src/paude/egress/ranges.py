"""Addresses that no name on an allowlist may lead to: the proxy's squid and its network policy refuse the same list.

Source of the ranges: the IANA special-purpose address registries (RFC 6890 and its updates), less the documentation
blocks (RFC 5737, RFC 3849), which nobody routes and in which the tests' internet lives. `::ffff:0:0/96` is left out on
purpose: squid keeps IPv4 addresses in that form, so listing it would refuse all of IPv4; mapped addresses are judged as
the IPv4 addresses that they are.
"""

from __future__ import annotations

PRIVATE_V4: tuple[str, ...] = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
PRIVATE_V6: tuple[str, ...] = (
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
PRIVATE = PRIVATE_V4 + PRIVATE_V6
