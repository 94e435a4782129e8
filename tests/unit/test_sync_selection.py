from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from paude.errors import UsageError
from paude.sync import secrets, selection
from paude.sync.tree import entries


def make(root: Path, *names: str, **files: str) -> None:
    for name, content in {**dict.fromkeys(names, "x"), **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


async def sent(root: Path) -> set[str]:
    chosen = await selection.outgoing(root)
    found = list(entries(root, chosen.matcher()))
    assert chosen.seen is not None
    assert chosen.seen.paths == tuple(e.path for e in found)
    return {e.path for e in found if not e.is_directory}


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.test")
    subprocess.run(["git", "-C", root, *identity, *words], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["/", "~", "~/.."])
def test_a_workspace_that_holds_the_home_directory_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        selection.check_workspace(Path(name))


def test_a_workspace_must_be_a_directory_that_exists(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    for wrong in ("f", "missing"):
        with pytest.raises(UsageError):
            selection.check_workspace(tmp_path / wrong)
    (tmp_path / "link").symlink_to(tmp_path)
    assert selection.check_workspace(tmp_path / "link") == tmp_path


async def test_what_git_ignores_stays_at_home_by_every_file_of_rules(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, "a.o", "sub/b.tmp", "sub/deep/c.tmp", "d.tmp", "e.x", "kept/f.o", "plain")
    make(tmp_path, **{".gitignore": "*.o\n", "sub/.gitignore": "*.tmp\n", "kept/.gitignore": "!*.o\n"})
    (tmp_path / ".git" / "info" / "exclude").write_text("*.x\n")
    rules = {".gitignore", "sub/.gitignore", "kept/.gitignore"}
    assert await sent(tmp_path) == rules | {"d.tmp", "kept/f.o", "plain"}


async def test_a_tracked_file_travels_although_a_rule_matches_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, "a.o", "b.o", **{".gitignore": "*.o\n"})
    git(tmp_path, "add", "-f", "a.o")
    assert await sent(tmp_path) == {".gitignore", "a.o"}


async def test_a_rule_that_is_not_understood_still_keeps_back_what_is_there(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, "a1", "b", **{".gitignore": "a[[:digit:]]\n"})
    assert await sent(tmp_path) == {".gitignore", "b"}


async def test_the_rules_of_the_directories_above_hold_too(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, "w/a.o", "w/b", **{".gitignore": "*.o\n"})
    assert await sent(tmp_path / "w") == {"b"}


async def test_git_itself_never_travels_in_any_spelling_or_form(tmp_path: Path) -> None:
    make(tmp_path, ".git", "sub/.GIT/config", "deep/.hg/x", "f", **{".paudeignore": "!.git\n!.GIT\n!.hg\n"})
    assert await sent(tmp_path) == {".paudeignore", "f"}


SECRETS = [".env", ".ENV.local", "x/id_ed25519", "server.pem", "a.tfstate", ".npmrc", ".aws/credentials", "kubeconfig"]


async def test_what_was_seen_to_travel_is_what_the_rules_let_out(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, ".env.example", "x/dev.pub", "out/f", "out/g.pem", ".aws/f", "z", "k.txt")
    make(tmp_path, **{".gitignore": "out/\n", ".paudeignore": "!out/g.pem\nz\n"})
    assert "z" not in await sent(tmp_path)
    chosen = await selection.outgoing(tmp_path, ("x", "k.txt"))
    assert chosen.seen is not None
    assert chosen.seen.paths == tuple(e.path for e in entries(tmp_path, chosen.matcher()))


async def test_what_cannot_be_listed_and_a_link_that_leaves_are_not_seen_to_travel(tmp_path: Path) -> None:
    make(tmp_path, "f", "d/g")
    (tmp_path / "out").symlink_to("..")
    (tmp_path / "in").symlink_to("d/g")
    seen = (await selection.outgoing(tmp_path)).seen
    assert seen is not None
    assert (seen.paths, seen.unreadable) == (("d", "d/g", "f", "in"), ())


async def test_what_looks_secret_stays_and_is_listed(tmp_path: Path) -> None:
    make(tmp_path, *SECRETS, ".env.example", "id_rsa.pub", "f")
    make(tmp_path, **{"key.json": '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}', "fine.json": "{}"})
    chosen = await selection.outgoing(tmp_path)
    assert await sent(tmp_path) == {".env.example", "id_rsa.pub", "f", "fine.json"}
    assert set(chosen.held_back) == {*SECRETS, "key.json"} - {".aws/credentials"} | {".aws"}


async def test_gitignore_cannot_release_a_secret_and_paudeignore_can(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, ".env", "dev.pem", **{".gitignore": "!.env\n!dev.pem\n", ".paudeignore": "!dev.pem\n"})
    chosen = await selection.outgoing(tmp_path)
    assert await sent(tmp_path) == {".gitignore", ".paudeignore", "dev.pem"}
    assert chosen.held_back == (".env",)


async def test_what_is_no_secret_by_its_name_stays_all_the_same_where_git_ignores_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, ".env.example", "a/dev.pub", "b.pub/f", "c.pub", "sub/.env.dist")
    make(tmp_path, **{".gitignore": ".env*\n*.pub\n", "sub/.gitignore": "!.env.dist\n", ".paudeignore": "!c.pub\n"})
    chosen = await selection.outgoing(tmp_path)
    assert await sent(tmp_path) == {".gitignore", "sub/.gitignore", ".paudeignore", "c.pub", "sub/.env.dist"}
    assert chosen.held_back == ()


async def test_rules_that_send_more_than_before_are_told_by_path(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "b", **{".paudeignore": "*.log\n"})
    before = await selection.outgoing(tmp_path)
    (tmp_path / ".paudeignore").write_text("")
    now = await selection.outgoing(tmp_path)
    assert await selection.newly_sent(tmp_path, before, now) == ("a.log",)
    assert await selection.newly_sent(tmp_path, now, before) == ()


async def test_the_size_counts_only_what_travels(tmp_path: Path) -> None:
    make(tmp_path, ".env", **{"a": "12345", "d/b": "678"})
    assert (await selection.look(tmp_path, await selection.outgoing(tmp_path))).size == selection.Size(2, 8)


async def test_what_is_included_travels_but_for_secrets_in_it_and_rules_are_not_read_again(tmp_path: Path) -> None:
    make(tmp_path, "out/a.js", "out/deep/b.js", "out/.env", "out/x.pem", "out/.git/config", "other/c", "kept.pem")
    make(tmp_path, **{".gitignore": "out/\nother/\n", "out/key.txt": "-----BEGIN PRIVATE KEY-----"})
    before = await selection.outgoing(tmp_path)
    (tmp_path / ".gitignore").write_text("")  # by an agent, since the start
    after = await selection.including(tmp_path, before, ("out",), ())
    more = await selection.newly_sent(tmp_path, before, after)
    assert set(more) == {"out", "out/a.js", "out/deep", "out/deep/b.js"}
    assert {"out/.env", "out/x.pem", "out/key.txt", "kept.pem"} <= set(after.held_back)
    agreed = await selection.including(tmp_path, after, ("out/x.pem",), ("out/x.pem",))
    assert await selection.newly_sent(tmp_path, after, agreed) == ("out/x.pem",)
    # A start reads the rules anew, and what was included stays included.
    (tmp_path / ".gitignore").write_text("out/\nother/\n")
    anew = await selection.outgoing(tmp_path, (), agreed.included, agreed.agreed)
    assert await selection.newly_sent(tmp_path, agreed, anew) == ()
    assert await selection.newly_sent(tmp_path, anew, agreed) == ()


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (".env", True),
        ("a/.ssh/config", True),
        ("SERVER.KEY", True),
        ("k.txt", True),
        ("plain.txt", False),
        ("gone", False),
    ],
)
def test_a_path_looks_secret_by_its_name_a_directory_or_its_content(tmp_path: Path, path: str, secret: bool) -> None:
    make(tmp_path, **{"k.txt": "-----BEGIN RSA PRIVATE KEY-----", "plain.txt": "x"})
    assert selection.looks_secret(tmp_path, path) is secret


def test_the_sync_daemon_is_measured_with_the_rules_of_a_plain_workspace() -> None:
    kept = Path(__file__).parents[2] / "containers/mutagen/ignores/testdata/patterns"
    rules = (*selection.BY_DEFAULT, *secrets.patterns(), *selection.NEVER)
    assert kept.read_text().splitlines() == list(rules)
