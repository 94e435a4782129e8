"""The proxy's configuration: what any list of hosts can do to it, and the order that protects."""

from __future__ import annotations

import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from paude.egress import squid
from paude.egress.allowlist import GENERATION, PRESETS, Allowlist
from paude.egress.ranges import PRIVATE
from paude.errors import SettingsError

WILD = st.sampled_from(["", "*."])
HOST = st.builds(
    lambda mark, labels: mark + ".".join([*labels, "test"]),
    WILD,
    st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True), min_size=2, max_size=4),
)


def lines(*hosts: str) -> list[str]:
    return squid.configuration(Allowlist(hosts)).splitlines()


def place(configuration: list[str], line: str) -> int:
    return configuration.index(line)


@given(st.text(max_size=40), st.lists(HOST, max_size=3))
def test_no_host_string_can_add_a_line_or_a_word(text: str, others: list[str]) -> None:
    try:
        configuration = squid.configuration(Allowlist((text, *others)))
    except SettingsError:
        return
    assert configuration.isascii()
    assert all(character.isprintable() or character == "\n" for character in configuration)
    shape = {re.sub(r"\S*\.\S*", "X", line) for line in configuration.splitlines()}
    kinds = (("b0.test",), ("*.w.test",), ("b0.test", "a.w.test", "*.w.test"))  # rules depend on which kinds there are
    known = {re.sub(r"\S*\.\S*", "X", line) for some in kinds for line in lines(*some, *others)}
    assert {re.sub(r"\d+", "N", line) for line in shape} <= {re.sub(r"\d+", "N", line) for line in known}


@given(st.lists(HOST, min_size=1, max_size=5, unique=True))
def test_every_host_is_spliced_only_for_its_own_name(hosts: list[str]) -> None:
    configuration = lines(*hosts)
    splices = [line for line in configuration if line.startswith("ssl_bump splice")]
    assert len(splices) == len(hosts)
    for line in splices:
        match = re.fullmatch(r"ssl_bump splice hello to(\w+) sni(\w+) named", line)
        assert match is not None
        assert match[1] == match[2]
    assert configuration[place(configuration, splices[-1]) + 1] == "ssl_bump terminate all"


@given(st.lists(HOST, max_size=5))
def test_nothing_is_looked_up_before_the_name_is_known_to_be_listed(hosts: list[str]) -> None:
    access = [line for line in lines(*hosts) if line.startswith("http_access")]
    resolving = [index for index, line in enumerate(access) if re.search(r"\b(private|resolved)$", line)]
    if not hosts:
        assert resolving == []
        return
    assert min(resolving) > place(access, "http_access deny !listed")
    assert max(resolving) < place(access, "http_access allow listed")


@given(st.lists(HOST, max_size=5))
def test_every_name_is_compared_without_a_reverse_look_up(hosts: list[str]) -> None:
    compared = [line for line in lines(*hosts) if re.match(r"acl \S+ (dstdomain|dstdom_regex)", line)]
    assert compared
    assert all(re.match(r"acl \S+ \S+ -n ", line) for line in compared)


def test_the_order_of_the_rules() -> None:
    access = [line.removeprefix("http_access ") for line in lines("a.test") if line.startswith("http_access")]
    assert access == [
        "deny get fence",
        "deny outer crowd",
        "deny manager",
        "deny !CONNECT",
        "deny !https",
        "deny address",
        "deny !name",
        "deny !listed",
        "deny !resolved",
        "deny private",
        "allow listed",
        "deny all",
    ]


def test_an_empty_list_permits_nothing() -> None:
    configuration = lines()
    assert not [line for line in configuration if "allow" in line and line.startswith("http_access")]
    assert not [line for line in configuration if "splice" in line]
    assert "http_access deny all" in configuration


def test_nothing_is_ever_decrypted() -> None:
    kinds = {line.split()[1] for line in lines("a.test", "*.b.test") if line.startswith("ssl_bump")}
    assert kinds == {"peek", "splice", "terminate"}
    assert "on_unsupported_protocol respond all" in lines("a.test"), "and what is not TLS is answered, not passed on"


def test_what_comes_to_the_outer_door_goes_through_the_inner_one_and_nowhere_else() -> None:
    direct = [line for line in lines("a.test") if re.match(r"(never|always)_direct .* outer", line)]
    assert direct == ["never_direct allow outer", "always_direct deny outer"]


def test_only_the_proxy_itself_says_for_whom_it_asks() -> None:
    followed = [line for line in lines("a.test") if line.startswith("follow_x_forwarded_for")]
    assert followed == ["follow_x_forwarded_for allow inner self", "follow_x_forwarded_for deny all"]


def test_private_networks_are_refused_and_more_can_be_named() -> None:
    configuration = squid.configuration(
        Allowlist(("a.test",)), squid.Options(private=("203.0.113.0/24", "2001:db8::/32"))
    )
    for network in (*PRIVATE, "203.0.113.0/24", "2001:db8::/32"):
        assert f"acl private dst {network}" in configuration.splitlines()


def test_mapped_addresses_are_not_listed_for_that_would_refuse_all_of_ipv4() -> None:
    assert not any("ffff" in network for network in PRIVATE)


def test_the_list_file_begins_with_the_digest() -> None:
    allowlist = Allowlist(("b.test", "a.test"))
    assert squid.files(allowlist)["allowlist"] == f"# {allowlist.digest}\na.test\nb.test\n"


def test_options_give_the_proxy_another_name() -> None:
    allowlist = Allowlist(("a.test",))
    options = squid.Options(private=("203.0.113.0/24",))
    assert squid.identity(allowlist) == squid.identity(allowlist, squid.Options()) == allowlist.digest
    assert squid.identity(allowlist, options) != allowlist.digest
    assert squid.files(allowlist, options)["allowlist"].startswith(f"# {squid.identity(allowlist, options)}\n")


def test_a_changed_generator_has_a_new_generation() -> None:
    """A proxy's name must say what it runs: raise GENERATION, then record the new pair here."""
    text = squid.configuration(Allowlist((*Allowlist.of(PRESETS).hosts, "*.w.test")))
    assert (GENERATION, hashlib.sha256(text.encode()).hexdigest()[:12]) == (3, "991f4e46e097")
