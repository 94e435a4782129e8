"""What the documents say is so: verbs, links, diagrams, and nothing that belongs to one machine.

`PAUDE_UPDATE_DOCS=1 pytest tests/unit/test_docs.py` draws the diagrams anew.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

import typed
from commands import commands_in, parsed
from paude import errors
from paude.backends.kubernetes.renew import Renew
from paude.backends.kubernetes.start import Start
from paude.backends.kubernetes.stop import Stop
from paude.backends.kubernetes.wall import Change
from paude.backends.podman.start import Start as PodmanStart
from paude.backends.podman.stop import Stop as PodmanStop
from paude.backends.podman.wall import Change as PodmanChange
from paude.cli.app import VERBS
from paude.engine import Plan
from paude.plans import allow, handover, refresh, start, stop
from paude.plans.homecoming import Homecoming
from paude.plans.request import Gift, Wishes, prepare
from paude.settings import Paths, read

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("benchmarks/results/*.md")])
ARCHITECTURE = CHECKOUT / "docs/architecture.md"
COVERAGE = CHECKOUT / "docs/seed-coverage.md"  # it quotes what was asked for, also where it became something else
DIAGRAM = "<!-- plan: {title} -->\n```mermaid\n"


def _documents() -> list[pytest.param]:
    return [pytest.param(path, id=str(path.relative_to(CHECKOUT))) for path in DOCUMENTS]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [CHECKOUT / name for name in listed.split("\0") if name and (CHECKOUT / name).is_file()]


def _verbs_in(text: str) -> set[str]:
    return {words[0] for words in commands_in(text) if words and re.fullmatch("[a-z][a-z-]*", words[0])}


@pytest.mark.parametrize("document", [one for one in _documents() if one.values[0] != COVERAGE])
def test_every_command_in_a_document_is_one(document: Path) -> None:
    refused = {" ".join(words): said for words in commands_in(document.read_text()) if (said := parsed(words))}
    assert refused == {}


def test_what_is_no_command_is_noticed() -> None:
    text = "```sh\npaude start --nonsense   # x\npaude stop a b c && paude fly\n```\nand `paude attach -Z`"
    assert [bool(parsed(words)) for words in commands_in(text)] == [True] * 4


def test_every_verb_is_described() -> None:
    shown = {verb for verb, (_, words) in VERBS.items() if words}
    assert shown - _verbs_in((CHECKOUT / "docs/commands.md").read_text()) == set()


def test_every_exit_code_is_described_and_every_described_one_exists() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PaudeError)]
    described = re.findall(r"^\| (\d+) \|", (CHECKOUT / "docs/commands.md").read_text(), re.MULTILINE)
    assert {int(code) for code in described} == {0, *(kind.exit_code for kind in kinds)}


@pytest.mark.parametrize("document", _documents())
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", _documents())
def test_scripts_named_in_a_document_exist(document: Path) -> None:
    named = set(re.findall(r"\b((?:scripts|benchmarks)/[a-z-]+)\b", document.read_text()))
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


def test_the_markers_of_the_documents_exist(request: pytest.FixtureRequest) -> None:
    known = {line.partition(":")[0] for line in request.config.getini("markers")}
    assert {"integration", "e2e", "cluster", "podman", "slow"} <= known


ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<state>.+?) \| (?P<where>.*?) \| (?P<shown>.*?) \|$", re.MULTILINE)


def _asked_for() -> list[pytest.param]:
    rows = [row for row in ROW.finditer(COVERAGE.read_text()) if row["what"] not in {"criterion", "promise"}]
    return [pytest.param(row, id=row["what"]) for row in rows if set(row["what"]) != {"-"}]


@pytest.mark.parametrize("row", _asked_for())
def test_what_was_asked_for_is_where_it_is_said_to_be(row: re.Match[str]) -> None:
    """Done: a test that exists shows it. Replaced or missing: it is said why."""
    assert row["state"] in {"done", "replaced", "missing"}
    named = _named(row["where"] + row["shown"])
    if row["state"] == "done":
        assert any(path.startswith(("tests/", "scripts/")) for path in named), "nothing shows it"
    else:
        assert row["shown"].strip(), "no reason"


def _named(text: str) -> list[str]:
    """The files that are named, alone or with a test in them; all of them exist."""
    named = re.findall(r"`((?:src|tests|docs|scripts|containers)/[\w./-]+?)(?:::(\w+))?`", text)
    for path, test in named:
        assert (CHECKOUT / path).exists(), path
        assert not test or re.search(rf"^(?:async )?def {test}\b", (CHECKOUT / path).read_text(), re.MULTILINE), test
    return [path for path, _ in named]


BAD_INPUT = re.findall(r"^\| (\d+) \| .+ \| (.+?) \|$", (CHECKOUT / "docs/bad-input.md").read_text(), re.MULTILINE)


def test_there_are_as_many_groups_of_bad_input_as_are_said_to_be() -> None:
    assert [int(group) for group, _ in BAD_INPUT] == list(range(1, 35))


@pytest.mark.parametrize(("group", "shown"), BAD_INPUT)
def test_each_group_of_bad_input_has_its_tests(group: str, shown: str) -> None:
    assert all(path.startswith("tests/") for path in _named(shown))
    assert _named(shown), group


def test_every_command_of_the_documents_is_typed_by_a_test_or_it_is_said_why_not() -> None:
    found = list(typed.blocks())
    assert len(found) > 40
    assert [one for one in found if one[:2] not in typed.TYPED and one[2] not in typed.LEFT_OUT] == []
    assert set(typed.TYPED) - {one[:2] for one in found} == set()
    assert set(typed.LEFT_OUT) - {line for *_, line in found} == set()
    assert all(
        _named(why)
        for why in (
            *typed.LEFT_OUT.values(),
            *(f"`{by}`" for by in typed.TYPED.values()),
        )
    )


def test_the_readme_names_the_two_commands() -> None:
    text = (CHECKOUT / "README.md").read_text()
    for command in ("scripts/demo", "scripts/test"):
        assert re.search(rf"^{command}\b", text, re.MULTILINE)
        assert os.access(CHECKOUT / command, os.X_OK)


def test_every_module_says_what_it_is() -> None:
    sources = [path for path in _tracked() if path.suffix == ".py" and "src" in path.relative_to(CHECKOUT).parts]
    assert sources
    assert [str(path) for path in sources if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_every_package_is_in_the_table_of_packages() -> None:
    packages = {path.parent.name for path in (CHECKOUT / "src/paude").glob("*/__init__.py")}
    table = ARCHITECTURE.read_text().partition("## Packages")[2].partition("\n## ")[0]
    named = {
        word for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for word in re.findall(r"`([a-z_]+)", row)
    }
    assert packages - named == set()


def _registry_hosts() -> list[str]:
    """Put together here, so that this file does not name them either."""
    registries = [
        ("registry", "npmjs", "org"),
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("proxy", "golang", "org"),
    ]
    registries += [
        ("sum", "golang", "org"),
        ("registry", "yarnpkg", "com"),
        ("static", "crates", "io"),
        ("rubygems", "org"),
    ]
    return [".".join(parts) for parts in registries]


def test_no_tracked_file_names_a_package_registry() -> None:
    hosts = [host.encode() for host in _registry_hosts()]
    found = [(path, host) for path in _tracked() for host in hosts if host in path.read_bytes()]
    assert found == []


def test_no_tracked_file_names_a_place_of_one_machine() -> None:
    """Homes of people, and where this checkout happens to lie."""
    homes = (("home", "user"), ("home", "ubuntu"), ("Users",))
    places = [b"/" + b"/".join(part.encode() for part in parts) + b"/" for parts in homes]
    if len(CHECKOUT.parts) > 2:
        places.append(str(CHECKOUT).encode() + b"/")
    words = re.compile(b"(?<![\\w.}/*~])/" + b"work/|" + b"|".join(map(re.escape, places)))
    found = [(path, match[0]) for path in _tracked() if (match := words.search(path.read_bytes()))]
    assert found == []


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Plan]:
    for variable in ("STATE", "RUNTIME", "CACHE", "CONFIG"):
        name = f"XDG_{variable}_DIR" if variable == "RUNTIME" else f"XDG_{variable}_HOME"
        monkeypatch.setenv(name, str(tmp_path / variable.lower()))
    monkeypatch.setenv("PAUDE_BACKEND", "kubernetes")
    (tmp_path / "project").mkdir()
    paths = Paths.from_environment()
    settled = read(paths, None, {"agent": "shell", "registry": "registry.test/me"})
    ready = prepare(Wishes(tmp_path / "project", settled), paths, Gift())
    recorded = ready.laptop.record
    k, home = Stop(recorded, paths), Homecoming(recorded, paths)
    there = {
        "start": start.on_kubernetes(Start(ready.request, paths), ready.laptop),
        "bring the work home": stop.bring_home(k, home)[0],
        "stop": stop.take_down(k, home, keep_volume=False),
        "deny": allow.on_kubernetes(Change(recorded, paths, remove=("host.test",))),
        "credentials refresh": refresh.refresh(Renew(recorded, paths, {}), refresh.BothEnds(recorded, paths, Gift())),
        "take over": handover.plan_of(k, ready.laptop),
    }
    settled = read(paths, None, {"agent": "shell", "backend": "podman"})
    here = prepare(Wishes(tmp_path / "project", settled), paths, Gift())
    record = here.laptop.record
    return {
        **there,
        "start on podman": start.on_podman(PodmanStart(here.request, paths), here.laptop),
        "stop on podman": stop.take_down_on_podman(PodmanStop(record, paths), home, keep_volume=False),
        "deny on podman": allow.on_podman(PodmanChange(record, paths, remove=("host.test",))),
    }


def test_the_diagrams_are_the_plans(plans: dict[str, Plan]) -> None:
    text = ARCHITECTURE.read_text()
    drawn = text
    for title, plan in plans.items():
        head, opening, rest = drawn.partition(DIAGRAM.format(title=title))
        assert opening, f"docs/architecture.md has no diagram of the plan {title!r}"
        drawn = f"{head}{opening}{plan.mermaid()}\n```{rest.partition('```')[2]}"
    if os.environ.get("PAUDE_UPDATE_DOCS"):
        ARCHITECTURE.write_text(drawn)
    assert ARCHITECTURE.read_text() == drawn, "draw them anew: PAUDE_UPDATE_DOCS=1 pytest tests/unit/test_docs.py"
