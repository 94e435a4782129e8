"""What may stand on an allowlist, and how."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from paude.egress.allowlist import PRESETS, Allowlist
from paude.egress.hosts import FENCE_HOST
from paude.errors import SettingsError, UsageError

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
TOP = st.from_regex(r"[a-z]{2,8}", fullmatch=True)
HOST = st.builds(lambda labels, top: ".".join([*labels, top]), st.lists(LABEL, min_size=1, max_size=4), TOP).filter(
    lambda host: host.rpartition(".")[2] not in {"invalid", "local", "localhost", "onion", "alt", "arpa"}
)
NASTY = st.text(alphabet=string.printable + "\x00\x85\u2028\u202e\u3002\uff0e*éß", max_size=60)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("api。example。com", "api.example.com"),
        ("*.Example.com", "*.example.com"),
        ("1.example.com", "1.example.com"),
    ],
)
def test_names_are_kept_in_one_spelling(written: str, kept: str) -> None:
    assert Allowlist((written,)).hosts == (kept,)


@pytest.mark.parametrize(
    "entry",
    [
        '""',
        ".",
        "..",
        ",",
        "*",
        "*.",
        "*.com",
        "*.co.uk",
        "*.test",
        "com",
        "localhost",
        ".example.com",
        "a..b.example",
        "-a.example",
        "a-.example",
        "a_b.example",
        "a.*.example",
        "*a.example",
        "**.example.com",
        "*.*.example.com",
        "192.0.2.1",
        "192.0.2.1.",
        "3405803781",
        "0xcb007105",
        "0313.0.0161.5",
        "203.113.5",
        "203.0.113.0x05",
        "127.1",
        "[::1]",
        "::1",
        "2001:db8::1",
        "[::ffff:203.0.113.5]",
        "10.0.0.0/8",
        "https://a.example",
        "a.example:443",
        "a.example/",
        "a.example/path",
        "user@a.example",
        "a.example?x",
        "a.example#x",
        "a\\b.example",
        "printer.local",
        "a.localhost",
        "a.onion",
        "1.0.0.127.in-addr.arpa",
        "fence.paude.invalid",
        "x.invalid",
        "%61.example",
    ],
)
def test_what_is_no_host_name_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError):
        Allowlist((entry,))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        " a.example",
        "a.example ",
        "a.example\n",
        "a.example\nhttp_access allow all",
        "a.example\x00.b.example",
        "a.example\x1b[31m",
        '"a.example"',
        "a.example b.example",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5) + ".example",
        "\u202ea.example",
    ],
)
def test_blanks_control_characters_and_long_names_are_refused_and_not_repeated_raw(entry: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Allowlist((entry,))
    assert str(refused.value).isprintable()


@given(NASTY)
@example("a.example\nacl all")
def test_whatever_is_accepted_is_plain(text: str) -> None:
    try:
        (host,) = Allowlist((text,)).hosts
    except SettingsError:
        return
    assert set(host.removeprefix("*.")) <= set(string.ascii_lowercase + string.digits + ".-")
    assert len(host) <= 255


@given(st.lists(HOST, max_size=6), st.randoms())
def test_the_digest_depends_on_the_names_and_not_on_how_they_were_written(names: list[str], random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = Allowlist(tuple(name.upper() + "." for name in shuffled + names))
    assert again == Allowlist(tuple(names))
    assert again.digest == Allowlist(tuple(names)).digest


@given(st.lists(HOST, max_size=4), HOST)
def test_another_list_has_another_digest(names: list[str], more: str) -> None:
    before = Allowlist(tuple(names))
    assume(more not in before.hosts)
    assert before.with_([more]).digest != before.digest
    assert before.with_([more]).without([more]) == before


def test_the_digest_stays_the_same_from_release_to_release() -> None:
    assert Allowlist().digest == "261482eec723"
    assert Allowlist(("a.example", "*.b.example")).digest == "ecc651af394e"


def test_an_empty_list_allows_nothing() -> None:
    assert not Allowlist().allows("api.anthropic.com")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("api.example.com", True),
        ("API.example.com.", True),
        ("x.api.example.com", False),
        ("xapi.example.com", False),
        ("api.example.com.evil.test", False),
        ("wild.test", False),
        ("a.wild.test", True),
        ("a.b.wild.test", True),
        ("notwild.test", False),
        ("*.wild.test", False),
        ("203.0.113.5", False),
    ],
)
def test_a_name_is_allowed_exactly_or_below_a_wildcard(name: str, allowed: bool) -> None:
    assert Allowlist(("api.example.com", "*.wild.test")).allows(name) is allowed


def test_presets_are_exact_hosts_without_a_warning() -> None:
    everything = Allowlist.of(PRESETS)
    assert everything.warnings == ()
    assert everything.wildcards == ()
    assert not everything.allows("storage.googleapis.com")


def test_vertex_means_the_regional_names_too() -> None:
    vertex = Allowlist.of(["vertex"])
    for host in ("us-east5-aiplatform.googleapis.com", "aiplatform.googleapis.com", "oauth2.googleapis.com"):
        assert vertex.allows(host)
    assert not vertex.allows("x-us-east5-aiplatform.googleapis.com")


def test_a_word_that_is_no_preset_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsError) as refused:
        Allowlist.of(["vertx"])
    assert "vertex" in refused.value.hint


@pytest.mark.parametrize(
    "entry",
    ["*.example.com", "github.com", "storage.googleapis.com", "*.googleapis.com", "*.windows.net", "b.github.io"],
)
def test_an_entry_that_can_carry_data_out_is_warned_of(entry: str) -> None:
    (line,) = Allowlist((entry, "api.example.org")).warnings
    assert line.startswith(entry)


def test_the_fence_can_never_be_allowed() -> None:
    assert not Allowlist(("a.example",)).allows(FENCE_HOST)


def test_only_a_host_that_is_listed_can_be_taken_off() -> None:
    here = Allowlist.of(["a.test", "b.test"])

    here.check_listed(["A.test."])
    with pytest.raises(UsageError, match=r"c\.test is not on the list") as refused:
        here.check_listed(["a.test", "c.test"])
    assert refused.value.why == "allowed: a.test, b.test"
