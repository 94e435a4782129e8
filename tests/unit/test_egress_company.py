"""Settings for a company's network: what is taken, what is refused, and what a private host may not lead to."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.egress import policies, squid
from paude.egress.allowlist import Allowlist
from paude.egress.company import Company, Parent, PrivateHost
from paude.egress.ranges import PRIVATE
from paude.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://proxy.corp.test:3128", "proxy.corp.test", 3128),
        ("proxy:8080", "proxy", 8080),
        ("http://10.1.2.3:80/", "10.1.2.3", 80),
        ("http://[fd00::1]:3128", "fd00::1", 3128),
    ],
)
def test_a_parent_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert Parent.of(text) == Parent(host, port)
    assert Parent.of(str(Parent.of(text))) == Parent(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://proxy",
        "https://proxy:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy:99999",
        "http://a b:3128",
        "http://proxy:3128\nhttp_access allow all",
        "http://user:hunter2@proxy:3128",
    ],
)
def test_anything_else_is_no_parent_and_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Parent.of(text)
    assert "hunter2" not in f"{refused.value} {refused.value.why} {refused.value.hint}"


@given(st.text(max_size=30))
def test_no_parent_can_add_a_line_or_a_word_to_the_configuration(text: str) -> None:
    try:
        parent = Parent.of(f"http://{text}:3128")
    except SettingsError:
        return
    lines = squid.configuration(Allowlist(("a.test",)), squid.Options(parent=parent)).splitlines()
    (line,) = [one for one in lines if one.endswith("name=company")]
    assert len(line.split()) == 10


@pytest.mark.parametrize(
    "text",
    [
        "models.test",
        "models.test=",
        "=10.0.0.0/8",
        "models.test=everything",
        "models.test=0.0.0.0/0",
        "models.test=198.51.100.0/24",
        "models.test=127.0.0.0/8",
        "models.test=169.254.169.254",
        "models.test=fc00::/7",
        "models.test=10.0.0.0/8,10.1.0.0/16",
        "10.0.0.1=10.0.0.0/8",
        "models.test=10.1.2.3/8",
    ],
)
def test_a_private_host_leads_to_private_networks_of_a_company_only(text: str) -> None:
    with pytest.raises(SettingsError):
        PrivateHost.of(text)


NETWORKS = st.sampled_from(["10.20.0.0/16", "10.0.0.0/8", "192.168.7.9/32", "100.64.0.0/10", "fd12:3456::/32"])


@given(st.lists(NETWORKS, min_size=1, max_size=3, unique=True), st.sampled_from(PRIVATE), st.integers(0, 2**32 - 1))
def test_every_private_address_but_its_own_is_elsewhere(networks: list[str], private: str, offset: int) -> None:
    (one,) = Company.of(None, [f"models.test={network}" for network in networks]).private
    address = ip_network(private)[offset % ip_network(private).num_addresses]
    mine = any(address in ip_network(network) for network in networks)
    assert any(address in ip_network(network) for network in one.elsewhere) is not mine


def test_what_is_remembered_comes_back_and_what_is_set_now_counts_more() -> None:
    before = Company.of("http://old.test:1", ["a.test=10.0.0.0/8"])
    assert Company.from_json(before.as_json(with_bundle=True)) == before
    assert Company.from_json("") == Company()
    now = Company.of("http://new.test:2").over(before)
    assert (str(now.parent), now.private) == ("http://new.test:2", before.private)
    for damaged in ("[]", "{", '{"parent_proxy": 1}'):
        with pytest.raises(SettingsError):
            Company.from_json(damaged)


def test_of_a_bundle_only_the_certificates_travel(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(pem), "-out", str(tmp_path / "ca.crt"), "-subj", "/CN=x", "-days", "2"]
    subprocess.run([*words, *files], check=True, capture_output=True)
    pem.write_text("# ours\n" + (tmp_path / "ca.crt").read_text() + pem.read_text())
    bundle = Company.of(ca_bundle=pem).ca_bundle
    assert bundle == (tmp_path / "ca.crt").read_text()
    assert "PRIVATE" not in Company.of(ca_bundle=pem).as_json(with_bundle=True)
    assert Company.of(ca_bundle=pem).as_json(with_bundle=False) == ""
    (tmp_path / "none.pem").write_text("nothing")
    for name in ("none.pem", "missing.pem"):
        with pytest.raises(SettingsError):
            Company.of(ca_bundle=tmp_path / name)


# --- what becomes of it ----------------------------------------------------------------------------------------------


def access(company: Company) -> list[str]:
    text = squid.configuration(Allowlist(("a.test", "m.test")), squid.Options.of(company))
    rules = [line.removeprefix("http_access ") for line in text.splitlines() if line.startswith("http_access ")]
    return rules[rules.index("deny !listed") + 1 : rules.index("allow listed")]


def test_the_order_of_the_rules_for_addresses() -> None:
    host = "m.test=10.0.0.0/8"
    assert access(Company()) == ["deny !resolved", "deny private"]
    assert access(Company.of(None, [host])) == [
        "deny !resolved",
        "deny lead0 astray0",
        "allow leads",
        "deny private",
    ]
    assert access(Company.of("http://p.test:1")) == [], "the parent resolves, and nobody here"
    assert access(Company.of("http://p.test:1", [host])) == [
        "deny leads !resolved",
        "deny lead0 astray0",
        "allow leads",
    ]


def test_another_company_is_another_proxy() -> None:
    allowlist = Allowlist(("a.test",))
    companies = (Company(), Company.of("http://p.test:1"), Company.of(None, ["a.test=10.0.0.0/8"]))
    assert len({squid.identity(allowlist, squid.Options.of(one)) for one in companies}) == 3


def reaches(company: Company, address: str, port: int) -> bool:
    for rule in policies.proxy("a" * 12, "work", {}, company=company)["spec"]["egress"]:
        if {"protocol": "TCP", "port": port} not in rule["ports"]:
            continue
        for block in (peer["ipBlock"] for peer in rule.get("to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])):
            within = ip_address(address) in ip_network(block["cidr"])
            if within and not any(ip_address(address) in ip_network(out) for out in block.get("except", [])):
                return True
    return False


def test_the_policy_of_a_proxy_opens_what_the_company_needs_and_no_more() -> None:
    led = Company.of(None, ["m.test=10.20.0.0/16"])
    assert [reaches(led, *to) for to in (("10.20.1.1", 443), ("10.21.0.1", 443), ("198.51.100.1", 443))] == [
        True,
        False,
        True,
    ]
    behind = Company.of("http://10.9.9.9:8080")
    assert reaches(behind, "10.9.9.9", 8080)
    assert not reaches(behind, "10.9.9.8", 8080)
    assert not reaches(behind, "198.51.100.1", 443), "past the parent nothing is public"
    assert reaches(Company.of("http://proxy.test:8080"), "10.9.9.9", 8080), "a name has no address that is known here"
