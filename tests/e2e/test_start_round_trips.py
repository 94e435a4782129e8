"""How many round trips to the cluster a start waits for one after the other, counted at 80 ms and 10 Mbit/s, not timed.

The steps are run one by one, so that what is counted during a step is its own; what waits for what is then the plan's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from peers.cluster import API, kubeconfig_through

from laptop import Laptop
from paude.bench.session import started
from paude.engine import Plan, StepEvent
from paude.engine.events import Emit, Event
from paude.engine.timing import measure
from paude.plans.request import Wishes
from paude.settings import Paths, read
from relay import Relay, relay

pytestmark = pytest.mark.cluster

RTT_S = 0.08
# Seen: 43 and 45. A pod that comes up slowly is dialled more than once, and each time costs two or three.
MOST = 50


def counting(link: Relay, events: list[StepEvent]) -> Callable[[Plan], AbstractContextManager[Emit]]:
    """A display that keeps each step's events, with the round trips made so far as their time."""

    def keep(event: Event) -> None:
        if isinstance(event, StepEvent):
            events.append(replace(event, at=link.trips))

    @contextmanager
    def display(plan: Plan) -> Iterator[Emit]:
        yield keep

    return display


async def test_a_start_waits_for_few_round_trips(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = laptop.workspace("far")
    laptop.start(workspace)  # the images are there from now on
    laptop.paude("stop", "--all", "--discard")
    laptop.paude("supervisor", "stop")
    for name, value in laptop.env.items():
        monkeypatch.setenv(name, value)
    events: list[StepEvent] = []
    async with relay(API) as link:
        link.delay, link.rate = RTT_S / 2, 10e6 / 8
        way = kubeconfig_through(link, laptop.env["KUBECONFIG"], laptop.home / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(way))
        paths = Paths.from_environment()
        wishes = Wishes(Path(workspace), read(paths, None, {"agent": "shell"}))
        async with started(wishes, paths, counting(link, events), limit_s=120, sequential=True) as session:
            timing = measure(session.plan, events)
            steps = {one.step: int(one.seconds) for one in timing.steps}
            print("\n".join(f"{number:>3} {name}" for name, number in steps.items() if number))  # noqa: T201
            print(f"{int(timing.critical_s)} one after the other: {', '.join(timing.critical_path)}")  # noqa: T201
            assert 0 < timing.critical_s <= MOST
