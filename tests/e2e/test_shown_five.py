"""Five sessions started at the same moment by five processes, and ended by one."""

from __future__ import annotations

import json

import pytest

from laptop import Admin, Laptop

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SMALL = ("--cpu-request", "50m", "--memory-request", "128Mi")
COUNT = 5


def test_five_processes_start_five_sessions_and_get_in_nobodys_way(laptop: Laptop, kubectl: Admin) -> None:
    workspaces = [laptop.workspace(f"project-{number}", {"mine.txt": f"{number}\n"}) for number in range(COUNT)]
    words = ("--agent", "shell", "--detach", "--allow", "allowed.test", "--progress", "plain", *SMALL)
    starts = [laptop.popen("start", str(workspace), *words) for workspace in workspaces]
    said = [start.communicate(timeout=400)[1] for start in starts]
    assert [start.returncode for start in starts] == [0] * COUNT, "\n".join(said)

    names = {str(laptop.records()[str(workspace)]["name"]): workspace for workspace in workspaces}
    assert len(names) == COUNT
    listed = {
        one["name"]: one["state"] for one in json.loads(laptop.paude("sessions", "-o", "json").stdout)["sessions"]
    }
    assert {listed.get(name) for name in names} == {"running"}
    for name, workspace in names.items():  # ssh configuration, keys, sync: each session is its own
        assert laptop.inside(name, "cat mine.txt") == (workspace / "mine.txt").read_text()
    shared = json.loads(laptop.paude("egress", "show", next(iter(names)), "-o", "json").stdout)["shared_by"]
    assert set(names) <= set(shared), "one list, one proxy"

    laptop.paude("stop", "--all")
    left = {one for one in kubectl.names() if any(name in one for name in names)}
    assert left == set()
