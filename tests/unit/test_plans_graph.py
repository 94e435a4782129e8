"""Protection is an edge: every path through the graphs is walked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paude.backends.kubernetes.start import Start
from paude.backends.kubernetes.stop import Stop
from paude.backends.podman.start import Request as PodmanRequest
from paude.backends.podman.start import Start as PodmanStart
from paude.backends.podman.stop import Stop as PodmanStop
from paude.backends.podman.wall import Change as PodmanChange
from paude.engine import Node, Plan
from paude.plans import allow, handover, start, stop
from paude.plans.homecoming import Homecoming
from paude.plans.laptop import Laptop
from paude.plans.request import Gift, Wishes, prepare
from paude.sessions.records import Record
from paude.settings import Paths, read

CHECKOUT = Path(__file__).parents[2]
NOWHERE = Paths(*[Path("/nonexistent")] * 4)
RECORD = Record("x", "0" * 16, "kubernetes", "/x", "shell", "2026-01-01T00:00:00+00:00", server="https://x.test")


@pytest.fixture
def starting() -> Plan:
    return start.on_kubernetes(Start(None, NOWHERE), Laptop(RECORD, True, NOWHERE))  # type: ignore[arg-type]


@pytest.fixture
def starting_here() -> Plan:
    ready = prepare(
        Wishes(CHECKOUT / "docs", read(NOWHERE, None, {"agent": "shell", "backend": "podman"})), NOWHERE, Gift()
    )
    assert isinstance(ready.request, PodmanRequest)
    return start.on_podman(PodmanStart(ready.request, NOWHERE), Laptop(RECORD, True, NOWHERE))


@pytest.fixture(params=[True, False], ids=["kept", "deleted"])
def stopping_here(request: pytest.FixtureRequest) -> Plan:
    home = Homecoming(RECORD, NOWHERE)
    return stop.take_down_on_podman(PodmanStop(RECORD, NOWHERE), home, keep_volume=request.param)


@pytest.fixture
def denying_here() -> Plan:
    return allow.on_podman(PodmanChange(RECORD, NOWHERE, remove=("host.test",)))


@pytest.fixture(params=[True, False], ids=["kept", "deleted"])
def stopping(request: pytest.FixtureRequest) -> Plan:
    return stop.take_down(Stop(RECORD, NOWHERE), Homecoming(RECORD, NOWHERE), keep_volume=request.param)


def test_a_laptop_syncs_only_what_was_decided_and_only_once_the_gate_knows_it() -> None:
    plan = handover.plan_of(Stop(RECORD, NOWHERE), Laptop(RECORD, True, NOWHERE))
    before = {node.name for node in plan.ancestors(plan["first sync"])}
    assert {"take sync over", "choose what goes out", "write record"} <= before
    assert "choose what goes out" in {node.name for node in plan.ancestors(plan["take sync over"])}


@pytest.fixture
def homecoming() -> Plan:
    return stop.bring_home(Stop(RECORD, NOWHERE), Homecoming(RECORD, NOWHERE))[0]


def paths_to(node: Node[Any]) -> Iterator[tuple[str, ...]]:
    """Every path from a step without needs to this one."""
    if not node.needs:
        yield (node.name,)
    for need in dict.fromkeys(node.needs):
        for path in paths_to(need):
            yield (*path, node.name)


def before(plan: Plan, name: str) -> set[str]:
    return {node.name for node in plan.ancestors(plan[name])}


def in_order(plan: Plan, *steps: str) -> bool:
    """Whether some path goes through these steps one after the other."""
    for path in paths_to(plan[steps[-1]]):
        rest = iter(path)
        if all(step in rest for step in steps):
            return True
    return False


def test_the_wall_stands_before_there_is_a_pod(starting: Plan) -> None:
    assert in_order(starting, "apply baseline policy", "apply session policy", "create pod")
    assert {"apply baseline policy", "apply session policy"} <= before(starting, "create pod")


def test_whatever_reaches_the_pod_has_the_wall_behind_it(starting: Plan) -> None:
    """On every path to a step that has the pod, the pod was made, and so the wall stood."""
    reached = [node for node in starting if starting["create pod"] in starting.ancestors(node)]
    assert {"connect gate", "seed", "first sync", "release agent"} <= {node.name for node in reached}
    for node in reached:
        assert {"apply baseline policy", "apply session policy"} <= before(starting, node.name)


def test_the_agent_has_its_leave_when_all_that_guards_it_is_there(starting: Plan) -> None:
    needed = {
        "create pod", "apply baseline policy", "apply session policy", "roll out proxy",
        "seed", "first sync", "mark seeded", "send history", "announce image", "push agent image", "apply secrets",
    }  # fmt: skip
    assert needed <= before(starting, "release agent")
    assert in_order(starting, "create pod", "connect gate", "seed", "first sync", "mark seeded", "release agent")
    assert in_order(starting, "push agent image", "announce image", "release agent")
    assert in_order(starting, "roll out proxy", "release agent")


def test_nothing_comes_after_the_leave(starting: Plan) -> None:
    assert starting.dependents(starting["release agent"]) == []


def test_the_tree_is_marked_complete_only_when_both_sides_are_in_step(starting: Plan) -> None:
    assert in_order(starting, "seed", "first sync", "mark seeded")


def test_the_pod_does_not_wait_for_the_agents_image_or_the_proxy(starting: Plan) -> None:
    assert {"push agent image", "push proxy image", "roll out proxy"}.isdisjoint(before(starting, "create pod"))


def test_the_gate_does_not_wait_for_what_needs_no_gate(starting: Plan) -> None:
    assert {"pack history", "choose what goes out", "start supervisor"}.isdisjoint(before(starting, "connect gate"))


def test_a_session_is_noted_before_anything_of_it_is_made(starting: Plan) -> None:
    for step in ("create anchor", "make keys", "pack history", "claim volume", "create pod", "start supervisor"):
        assert "remember" in before(starting, step)
    assert "write record" in before(starting, "create anchor")
    made = {"reserve proxy address", "apply secrets", "claim volume", "create pod", "apply session policy"}
    for step in made:
        assert {"create anchor", "write record"} <= before(starting, step)


def test_the_pod_has_its_secrets_and_its_volume(starting: Plan) -> None:
    assert {"apply secrets", "claim volume", "find pull secret"} <= before(starting, "create pod")


@pytest.mark.parametrize("step", ["delete policy", "delete secrets", "delete proxy"])
def test_the_pod_is_gone_before_what_protected_it(stopping: Plan, step: str) -> None:
    for path in paths_to(stopping[step]):
        assert "delete pod" in path or path[0] == "connect"
    assert "delete pod" in before(stopping, step)


def test_the_volume_and_the_name_go_last_and_only_when_they_may() -> None:
    home, k = Homecoming(RECORD, NOWHERE), Stop(RECORD, NOWHERE)
    kept = {node.name for node in stop.take_down(k, home, keep_volume=True)}
    assert kept.isdisjoint({"delete volume", "delete anchor", "forget", "end sync"})
    bare = stop.take_down(k, home, keep_volume=True, keep_name=False)
    assert {node.name for node in bare} == {*kept, "delete anchor"}
    assert {"delete policy", "delete secrets", "delete proxy"} <= before(bare, "delete anchor")
    gone = stop.take_down(k, home, keep_volume=False)
    assert "delete pod" in before(gone, "delete volume")
    assert {"delete policy", "delete secrets", "delete proxy", "delete volume"} <= before(gone, "delete anchor")
    assert {"delete anchor", "end sync"} <= before(gone, "forget")
    assert gone.dependents(gone["forget"]) == []


def test_commits_come_home_while_the_agents_git_can_be_asked(homecoming: Plan) -> None:
    assert in_order(homecoming, "fetch history", "park agent", "flush sync")
    assert {"fetch history", "flush sync"} <= before(homecoming, "judge")


def test_every_plan_names_the_command_that_removes_what_it_leaves(starting: Plan, stopping: Plan) -> None:
    assert starting.remedy == "paude stop x --discard"
    assert stopping.remedy == "paude stop x --discard"


# --- Podman: the wall is the network that the containers join, so whatever runs in a session has it behind it.


def test_whatever_runs_in_a_session_joins_the_network_that_has_no_way_out(starting_here: Plan) -> None:
    """On every path to a step that has the gate or the agent, the network was made."""
    runs = {starting_here["run gate"], starting_here["run agent"]}
    reached = [node for node in starting_here if node in runs or runs & set(starting_here.ancestors(node))]
    assert {"connect gate", "send history", "seed", "first sync", "release agent"} <= {node.name for node in reached}
    for node in reached:
        assert "make network" in before(starting_here, node.name)
    assert starting_here["make network"] in starting_here["run gate"].needs


def test_the_agent_joins_the_network_of_its_gate_and_nothing_gives_it_another(starting_here: Plan) -> None:
    assert starting_here["run gate"] in starting_here["run agent"].needs
    assert in_order(starting_here, "make network", "run gate", "connect gate", "run agent", "release agent")


def test_the_agent_on_podman_has_its_leave_when_all_that_guards_it_is_there(starting_here: Plan) -> None:
    needed = {
        "make network", "open sockets", "run proxy", "run gate", "run agent", "make permits", "store secrets",
        "seed", "first sync", "mark seeded", "send history", "build agent image", "build proxy image",
    }  # fmt: skip
    assert needed <= before(starting_here, "release agent")
    assert in_order(starting_here, "run gate", "connect gate", "seed", "first sync", "mark seeded", "release agent")
    assert in_order(starting_here, "run proxy", "release agent")
    assert starting_here.dependents(starting_here["release agent"]) == []


def test_the_gate_has_the_permits_and_its_keys_before_it_runs(starting_here: Plan) -> None:
    assert {"make permits", "store secrets", "claim volume"} <= before(starting_here, "run gate")


def test_the_gates_doors_are_found_beside_the_network_and_before_the_gate_is_reached(starting_here: Plan) -> None:
    assert "find volume" in before(starting_here, "connect gate")
    assert "find volume" not in before(starting_here, "make network")


def test_on_podman_files_travel_before_the_agents_image_or_the_proxy_is_there(starting_here: Plan) -> None:
    for step in ("run gate", "connect gate", "seed", "first sync"):
        assert {"build agent image", "run agent", "build proxy image", "run proxy"}.isdisjoint(
            before(starting_here, step)
        )


def test_on_podman_a_session_is_noted_before_anything_of_it_is_made(starting_here: Plan) -> None:
    for step in ("claim volume", "make permits", "open sockets"):
        assert {"remember", "write record"} <= before(starting_here, step)
    for step in ("store secrets", "run proxy", "make network", "run gate", "run agent"):
        assert {"remember", "write record", "claim volume"} <= before(starting_here, step)


def test_on_podman_the_containers_are_gone_before_what_they_used(stopping_here: Plan) -> None:
    for step in {node.name for node in stopping_here} & {"delete secrets", "delete meeting places", "delete volume"}:
        assert "delete containers" in before(stopping_here, step)
        for path in paths_to(stopping_here[step]):
            assert "delete containers" in path or path[0] == "connect"


def test_on_podman_the_volume_and_the_name_go_last_and_only_when_they_may() -> None:
    home, p = Homecoming(RECORD, NOWHERE), PodmanStop(RECORD, NOWHERE)
    kept = {node.name for node in stop.take_down_on_podman(p, home, keep_volume=True)}
    assert kept.isdisjoint({"delete volume", "forget", "end sync"})
    gone = stop.take_down_on_podman(p, home, keep_volume=False)
    assert {"delete containers", "delete secrets", "delete meeting places"} <= before(gone, "delete volume")
    assert {"delete volume", "end sync"} <= before(gone, "forget")
    assert gone.dependents(gone["forget"]) == []


def test_the_old_proxy_goes_when_the_new_one_has_the_session_and_the_record_says_so_last(denying_here: Plan) -> None:
    assert in_order(denying_here, "run next", "await takeover", "retire old", "remember")
    assert "retire old" in before(denying_here, "await switch")


def test_what_is_mounted_is_neither_sent_nor_synced_and_the_rest_is_as_ever() -> None:
    ready = prepare(
        Wishes(CHECKOUT / "docs", read(NOWHERE, None, {"agent": "shell", "backend": "podman"})), NOWHERE, Gift()
    )
    assert isinstance(ready.request, PodmanRequest)
    mounted = Laptop(replace(RECORD, mounted=True), True, NOWHERE)
    plan = start.on_podman(PodmanStart(ready.request, NOWHERE), mounted)
    assert {"choose what goes out", "pack history", "send history", "seed", "first sync"}.isdisjoint(
        {node.name for node in plan}
    )
    needed = {"make network", "run proxy", "run gate", "run agent", "make permits", "store secrets", "mark seeded"}
    assert needed <= before(plan, "release agent")
