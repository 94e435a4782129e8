"""Which cluster, as whom: the rules of kubectl, and files that are not what they should be."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes import kubeconfig
from paude.backends.kubernetes.kubeconfig import Target, choose, files_from, find
from paude.errors import LoginExpired, SettingsError

SERVER = "https://api.one.test:6443"


def config(
    *,
    clusters: dict[str, Any] | None = None,
    users: dict[str, Any] | None = None,
    contexts: dict[str, Any] | None = None,
    current: str | None = "work",
) -> dict[str, Any]:
    clusters = {"one": {"server": SERVER}} if clusters is None else clusters
    users = {"me": {"token": "secret-token"}} if users is None else users
    contexts = {"work": {"cluster": "one", "user": "me", "namespace": "mine"}} if contexts is None else contexts
    return {
        "clusters": [{"name": k, "cluster": v} for k, v in clusters.items()],
        "users": [{"name": k, "user": v} for k, v in users.items()],
        "contexts": [{"name": k, "context": v} for k, v in contexts.items()],
        **({"current-context": current} if current is not None else {}),
    }


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_the_current_context_names_server_user_and_namespace(tmp_path: Path) -> None:
    target = choose([write(tmp_path / "c", config())])
    assert (target.server, target.user, target.namespace, target.context) == (SERVER, "me", "mine", "work")


def test_the_namespace_is_that_of_the_chosen_context_not_of_the_current_one(tmp_path: Path) -> None:
    contexts = {
        "work": {"cluster": "one", "user": "me", "namespace": "mine"},
        "other": {"cluster": "one", "user": "me", "namespace": "theirs"},
        "plain": {"cluster": "one", "user": "me"},
    }
    files = [write(tmp_path / "c", config(contexts=contexts))]
    assert choose(files, context="other").namespace == "theirs"
    assert choose(files, context="plain").namespace == "default"
    assert choose(files, context="other", namespace="flag").namespace == "flag"


def test_of_a_list_of_files_the_first_that_names_a_thing_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "a", config(users={"me": {"token": "first"}}, current=None))
    second = write(
        tmp_path / "b",
        config(
            clusters={"one": {"server": "https://wrong.test"}, "two": {"server": "https://two.test"}},
            users={"me": {"token": "second"}, "you": {"token": "yours"}},
            contexts={"work": {"cluster": "two", "user": "you"}, "far": {"cluster": "two", "user": "me"}},
            current="far",
        ),
    )
    third = write(tmp_path / "c", config(current="work"))
    far = choose([first, second, third])  # the first that sets a current context
    assert (far.context, far.server, far.user_entry["token"]) == ("far", "https://two.test", "first")
    work = choose([first, second, third], context="work")
    assert (work.server, work.user) == (SERVER, "me")


def test_missing_files_of_a_list_are_passed_over(tmp_path: Path) -> None:
    there = write(tmp_path / "c", config())
    assert choose([tmp_path / "missing", there]).server == SERVER


def test_an_empty_file_of_a_list_is_one_without_contexts(tmp_path: Path) -> None:
    assert choose([write(tmp_path / "empty", ""), write(tmp_path / "c", config())]).server == SERVER


def test_without_any_file_the_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        choose([tmp_path / "a", tmp_path / "b"])
    assert "kubeconfig" in caught.value.what
    assert str(tmp_path / "a") in caught.value.why
    assert str(tmp_path / "b") in caught.value.why
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_an_unknown_context_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere") as caught:
        choose([write(tmp_path / "c", config())], context="nowhere")
    assert "work" in caught.value.why


@pytest.mark.parametrize("current", [None, ""])
def test_without_a_current_context_one_has_to_be_chosen(tmp_path: Path, current: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        choose([write(tmp_path / "c", config(current=current))])
    assert "--context" in caught.value.hint


def test_a_context_with_a_user_that_does_not_exist_is_no_anonymous_login(tmp_path: Path) -> None:
    contexts = {"work": {"cluster": "one", "user": "gone"}}
    with pytest.raises(SettingsError, match="gone"):
        choose([write(tmp_path / "c", config(contexts=contexts))])


@pytest.mark.parametrize("cluster", [{}, {"server": ""}, {"server": "api.test"}, {"server": ["https://x"]}])
def test_a_cluster_without_an_address_is_refused(tmp_path: Path, cluster: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="one"):
        choose([write(tmp_path / "c", config(clusters={"one": cluster}))])


def test_a_record_is_found_by_server_and_user_after_contexts_were_renamed(tmp_path: Path) -> None:
    file = write(tmp_path / "c", config())
    before = choose([file])
    write(file, config(contexts={"renamed": {"cluster": "one", "user": "me", "namespace": "x"}}, current="renamed"))
    after = find([file], server=before.server, user=before.user, namespace=before.namespace)
    assert (after.server, after.user, after.namespace) == (before.server, before.user, "mine")
    assert after.user_entry["token"] == "secret-token"


def test_a_record_is_found_however_the_address_ends(tmp_path: Path) -> None:
    file = write(tmp_path / "c", config(clusters={"one": {"server": SERVER + "/"}}))
    chosen = choose([file])
    assert chosen.server == SERVER
    assert find([file], server=chosen.server, user="me", namespace="mine").server == SERVER


def test_a_record_whose_server_or_user_is_gone_asks_for_a_login(tmp_path: Path) -> None:
    file = write(tmp_path / "c", config())
    for server, user in (("https://elsewhere.test", "me"), (SERVER, "nobody")):
        with pytest.raises(LoginExpired) as caught:
            find([file], server=server, user=user, namespace="mine")
        assert caught.value.exit_code == 7
        assert user in caught.value.what
        assert server in caught.value.what


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner"
    file = write(
        inner / "c",
        config(
            clusters={"one": {"server": SERVER, "certificate-authority": "ca.crt"}},
            users={"me": {"client-certificate": "me.crt", "client-key": "me.key", "tokenFile": "token"}},
        ),
    )
    for name, text in {"ca.crt": "CA", "me.crt": "CERT", "me.key": "KEY", "token": " from-file\n"}.items():
        (inner / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for files in ([file], files_from(Path("inner/c")), files_from(None, {"KUBECONFIG": "inner/c"})):
        target = choose(files)
        monkeypatch.chdir("/")  # what was read is read again elsewhere: the supervisor runs in another directory
        assert target.certificate_authority == b"CA"
        assert kubeconfig.client_certificate(target.user_entry) == (b"CERT", b"KEY")
        assert target.user_entry["token"] == "from-file"
        assert all(f.is_absolute() for f in target.files)
        monkeypatch.chdir(tmp_path)


def test_a_token_file_counts_more_than_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("rotated")
    file = write(tmp_path / "c", config(users={"me": {"token": "old", "tokenFile": "token"}}))
    assert choose([file]).user_entry["token"] == "rotated"


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "c", config(users={"me": {"tokenFile": "missing"}}))
    with pytest.raises(SettingsError, match="missing"):
        choose([file])
    (tmp_path / "missing").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="no token"):
        choose([file])


def test_inline_data_counts_more_than_a_path(tmp_path: Path) -> None:
    cluster = {
        "server": SERVER,
        "certificate-authority": "missing",
        "certificate-authority-data": base64.b64encode(b"INLINE").decode(),
    }
    assert choose([write(tmp_path / "c", config(clusters={"one": cluster}))]).certificate_authority == b"INLINE"


def test_data_that_is_not_base64_is_refused(tmp_path: Path) -> None:
    cluster = {"server": SERVER, "certificate-authority-data": "a"}
    target = choose([write(tmp_path / "c", config(clusters={"one": cluster}))])
    with pytest.raises(SettingsError, match="certificate-authority-data"):
        _ = target.certificate_authority


def test_the_flag_counts_more_than_the_environment_and_that_more_than_home(tmp_path: Path) -> None:
    environment = {"KUBECONFIG": "/a:/b::/c", "HOME": "/home/me"}
    assert files_from(Path("/flag"), environment) == (Path("/flag"),)
    assert files_from(None, environment) == (Path("/a"), Path("/b"), Path("/c"))
    assert files_from(None, {"HOME": "/home/me"}) == (Path("/home/me/.kube/config"),)


def test_a_target_never_shows_its_secrets(tmp_path: Path) -> None:
    target = choose([write(tmp_path / "c", config())])
    assert "secret-token" not in repr(target)
    assert isinstance(target, Target)


BROKEN = {
    "no YAML": "clusters: [",
    "tabs": "clusters:\n\t- name: x\n",
    "a list": "- 1\n- 2\n",
    "a word": "hello",
    "an unsafe tag": "clusters: !!python/object/apply:os.system ['true']\n",
    "too deep": "[" * 5000 + "]" * 5000,
    "binary": "\x00\x01\x02",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named_and_its_lines_are_not_shown(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "c", f"# token: secret-token\n{text}")
    with pytest.raises(SettingsError) as caught:
        choose([file])
    assert str(file) in caught.value.what
    assert "secret-token" not in str(caught.value)


def test_a_token_in_a_broken_line_is_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "c", 'users: [{name: me, user: {token: "secret-token}}]\n')
    with pytest.raises(SettingsError) as caught:
        choose([file])
    assert "secret-token" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not text"):
        choose([file])


def test_a_directory_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no kubeconfig"):
        choose([tmp_path])


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "c"
    with file.open("wb") as out:
        out.truncate(1 << 40)
    with pytest.raises(SettingsError, match="too large"):
        choose([file])


def test_a_bomb_of_references_costs_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    lines += [
        "current-context: *a29",
        "contexts: [{name: work, context: {cluster: *a29, user: *a29}}]",
        "clusters: *a29",
    ]
    with pytest.raises(SettingsError):
        choose([write(tmp_path / "c", "\n".join(lines))], context="work")


def test_a_bomb_of_merge_keys_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {k: v, l: w}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)]
    with pytest.raises(SettingsError, match="cannot be read"):
        choose([write(tmp_path / "c", "\n".join(lines))])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "cluster", "user", "context", "server", "token", "tokenFile"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("clusters", "users", "contexts", "current-context", "preferences"), anything)
    )
)
def test_whatever_the_yaml_holds_the_answer_is_a_target_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    file = write(tmp_path_factory.getbasetemp() / "any", document)
    for ask in (lambda: choose([file]), lambda: find([file], server="https://x", user="me", namespace="n")):
        with suppress(SettingsError, LoginExpired):
            assert ask().server.startswith("http")
