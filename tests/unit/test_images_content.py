"""What names an image: references, targets, content hashes, contexts."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.errors import ImageError, PaudeError, SettingsError
from paude.images import agents, context, npm
from paude.images.build import BuildSettings
from paude.images.content import Entry, Memory, content_hash, tag
from paude.images.context import ImageSpec, Source, assemble, image_tag
from paude.images.reference import ImageReference, Login, RegistryTarget
from paude.settings.table import Build, Settings

ENTRIES = st.lists(st.builds(Entry, st.text(), st.booleans(), st.text()), max_size=6)
FACTS = st.dictionaries(st.text(), st.text(), max_size=4)


@given(ENTRIES, FACTS, st.randoms())
def test_the_order_of_files_and_facts_does_not_matter(
    entries: list[Entry], facts: dict[str, str], dice: object
) -> None:
    shuffled, turned = list(entries), list(facts.items())
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    dice.shuffle(turned)  # type: ignore[attr-defined]

    assert content_hash(shuffled, dict(turned)) == content_hash(entries, facts)


@given(ENTRIES, FACTS, ENTRIES, FACTS)
def test_different_content_has_a_different_hash(
    some: list[Entry], facts: dict[str, str], other: list[Entry], more: dict[str, str]
) -> None:
    def key(entries: list[Entry], named: dict[str, str]) -> object:
        return sorted((e.path, e.executable, e.digest) for e in entries), named

    same = key(some, facts) == key(other, more)

    assert (content_hash(some, facts) == content_hash(other, more)) is same


def test_a_tag_is_twelve_hex_digits() -> None:
    assert tag(content_hash([], {})) == content_hash([], {})[:12]
    assert len(tag(content_hash([], {}))) == 12


def memory(directory: Path) -> Memory:
    return Memory(directory / "memory" / "digests.json")


def old(path: Path, content: bytes, when: int = 1_000_000_000) -> Path:
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def test_a_file_that_looks_the_same_is_not_read_again(tmp_path: Path) -> None:
    file = old(tmp_path / "big", b"one")
    first = memory(tmp_path)
    digest = first.digest(file)
    first.save()

    handle = os.open(file, os.O_WRONLY)
    os.write(handle, b"two")
    os.close(handle)
    os.utime(file, (1_000_000_000, 1_000_000_000))

    assert memory(tmp_path).digest(file) == digest, "it was read"
    assert Memory(tmp_path / "other").digest(file) != digest


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = old(tmp_path / "big", b"one")
    first = memory(tmp_path)
    digest = first.digest(file)
    first.save()

    assert memory(tmp_path).digest(old(file, b"two", 1_000_000_001)) != digest


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "fresh"
    file.write_bytes(b"one")
    first = memory(tmp_path)
    first.digest(file)
    first.save()

    assert not (tmp_path / "memory" / "digests.json").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"x": 1}', b'{"x": [1, 2, 3]}', b"\xff"])
def test_a_broken_memory_only_costs_time(content: bytes, tmp_path: Path) -> None:
    file = old(tmp_path / "file", b"one")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "digests.json").write_bytes(content)

    assert memory(tmp_path).digest(file).startswith("sha256:")


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("in the way")
    kept = memory(tmp_path)
    digest = kept.digest(old(tmp_path / "file", b"one"))

    kept.save()

    assert memory(tmp_path).digest(tmp_path / "file") == digest
    assert (tmp_path / "memory").read_text() == "in the way"


def spec(*sources: Source) -> ImageSpec:
    return ImageSpec("paude-x", (Source("Containerfile", text=b"FROM scratch\n"), *sources))


def test_everything_that_makes_an_image_changes_its_tag(tmp_path: Path) -> None:
    file = old(tmp_path / "a", b"1")
    one = spec(Source("a", file=file))
    versions = [npm.NpmFile("p", version, "package/p") for version in ("1.0.0", "1.0.1")]
    others = [
        replace(one, base="other"),
        replace(one, platform="linux/arm64"),
        replace(one, name="paude-y"),
        spec(Source("b", file=file)),
        spec(Source("a", executable=True, file=file)),
        spec(Source("a", text=b"2")),
        *(spec(Source("a", fetched=version)) for version in versions),
    ]

    tags = {image_tag(image, memory(tmp_path)) for image in (one, *others)}

    assert len(tags) == 1 + len(others)
    assert image_tag(one, memory(tmp_path)) in tags


def test_a_missing_file_is_an_error_of_the_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        image_tag(spec(Source("a", file=tmp_path / "none")), memory(tmp_path))


@pytest.mark.anyio
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
async def test_a_context_looks_the_same_whatever_the_umask_and_the_file_were(umask: int, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    file.chmod(0o640)
    image = spec(Source("sub/dir/run", executable=True, file=file), Source("sub/text", text=b"2"))
    (tmp_path / "context").mkdir()
    before = os.umask(umask)
    try:
        await assemble(image, tmp_path / "context", tmp_path)
    finally:
        os.umask(before)

    found = {p.relative_to(tmp_path / "context").as_posix(): p.stat() for p in (tmp_path / "context").rglob("*")}
    modes = {name: stat.S_IMODE(status.st_mode) for name, status in found.items()}
    assert modes == {"Containerfile": 0o644, "sub": 0o755, "sub/dir": 0o755, "sub/dir/run": 0o755, "sub/text": 0o644}
    assert {status.st_mtime for status in found.values()} == {0}
    assert stat.S_IMODE(file.stat().st_mode) == 0o640, "the source was changed"


def test_the_shell_adds_nothing_and_claude_ends_the_containerfile() -> None:
    shell, claude = agents.agent("shell", "linux/amd64"), agents.agent("claude", "linux/amd64")

    assert (shell.lines, dict(shell.files)) == ((), {})
    assert context._containerfile("agent", shell) == context._containerfile("agent", None)
    assert context._containerfile("agent", claude).endswith(b"\nCOPY claude /usr/local/bin/claude\n")
    assert claude.files["claude"].identity.startswith("npm:@anthropic-ai/claude-code-linux-x64@")


@pytest.mark.parametrize(
    ("name", "platform", "version"),
    [
        ("vim", "linux/amd64", ""), ("claude", "linux/s390x", ""), ("claude", "linux/amd64", "latest"),
        ("claude", "linux/amd64", "1.2.3 --registry=x"), ("claude", "linux/amd64", "../1.2.3"), ("", "linux/amd64", ""),
    ],
)  # fmt: skip
def test_an_agent_that_does_not_exist_is_refused(name: str, platform: str, version: str) -> None:
    with pytest.raises(SettingsError):
        agents.agent(name, platform, version)


@pytest.mark.parametrize(
    "wanted",
    [
        Settings(base="--privileged"),
        Settings(base="a b"),
        Settings(base="debian\nRUN x"),
        Settings(platform="windows/amd64"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wanted: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        BuildSettings.of(wanted, cache=tmp_path)


def test_what_the_user_set_is_what_is_built(tmp_path: Path) -> None:
    wanted = Settings(base="localhost/base:1", build=Build(network="host"), claude_version="9.8.7")

    settings = BuildSettings.of(wanted, cache=tmp_path)

    assert (settings.base, settings.network, settings.claude_version) == ("localhost/base:1", "host", "9.8.7")
    assert BuildSettings.of(Settings(), cache=tmp_path).base == "docker.io/library/debian:bookworm-slim"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("registry.test:5000", "registry.test:5000/paude-gate:t"),
        ("registry.test:5000/team/x_y", "registry.test:5000/team/x_y/paude-gate:t"),
        ("localhost", "localhost/paude-gate:t"),
        ("[::1]:5000/a", "[::1]:5000/a/paude-gate:t"),
        ("10.0.0.1", "10.0.0.1/paude-gate:t"),
    ],
)
def test_an_image_lies_below_its_target(words: str, expected: str) -> None:
    assert str(RegistryTarget(words).reference("paude-gate", "t")) == expected


def test_nodes_may_pull_by_another_name() -> None:
    target = RegistryTarget("public.test/ns", pull_from="image-registry.internal.svc:5000/ns")

    assert str(target.reference("a", "b")) == "public.test/ns/a:b"
    assert str(target.pull_reference("a", "b")) == "image-registry.internal.svc:5000/ns/a:b"


@pytest.mark.parametrize(
    "words",
    [
        "", "https://registry.test", "registry.test/", "registry.test/Upper", "registry.test/a:tag",
        "registry.test/a b", "registry.test:port", "registry.test/../x", "-x.test", "--tls-verify=false",
        "registry.test\n", "a@b/c", "user:pass@registry.test/x", "registry.test/" + "a" * 300,
        "\x1b[31m", "registry.test//x", "registry.test?x",
    ],
)  # fmt: skip
def test_what_is_no_registry_is_refused_with_an_example(words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RegistryTarget(words)

    assert "--registry" in caught.value.hint
    assert str(caught.value).isprintable()
    assert "pass" not in str(caught.value)


@given(st.text(), st.text(), st.text())
def test_a_reference_is_never_an_option_or_two_words(host: str, repository: str, version: str) -> None:
    try:
        shown = str(ImageReference(host, repository, version))
    except PaudeError:
        return
    assert shown.isascii()
    assert not shown.startswith("-")
    assert " " not in shown


def test_a_login_does_not_show_its_password() -> None:
    target = RegistryTarget("registry.test", Login("me", "canary"))

    assert "canary" not in f"{target!r} {target}"
