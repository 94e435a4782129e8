"""`paude verify`: prove the wall of a session now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from paude.cli import options
from paude.cli import output as printed
from paude.cli.app import in_loop, put, say
from paude.cli.verb import Verb
from paude.errors import EgressOpen, PaudeError

if TYPE_CHECKING:
    from paude.plans.verify import Proof

SCHEMA = 1
_WORDS = {
    "closed": "closed",
    "open": "OPEN",
    "warning": "reachable, as Kubernetes lets a pod reach its own node, or a socket that should not be had",
    "unproven": "not proven: it could not be tried",
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(cls=Verb)(verify)


def verify(name: options.Name = None, output: printed.Listing = "text") -> None:
    """Try every way out of a session, from inside its network, and say what each probe saw.

    Exit code 3 when one got out; the agent is parked then. Exit code 1 when something could not be proven.
    """
    output = printed.checked(output)
    proof = in_loop(lambda: _prove(name))
    facts = {"schema": SCHEMA, "session": proof.session, "probes": [asdict(probe) for probe in proof.probes]}
    if not printed.document(output, facts):
        _show(proof, output)
    _judge(proof)


async def _prove(name: str | None) -> Proof:
    from paude.cli.choose import record_of
    from paude.plans.verify import prove
    from paude.settings import Paths

    paths = Paths.from_environment()
    return await prove(record_of(name, paths), paths)


def _show(proof: Proof, output: str) -> None:
    if output == "name":
        for probe in proof.probes:
            put(probe.name)
        return
    rows = [(probe.name, probe.address, _WORDS.get(probe.result, probe.result)) for probe in proof.probes]
    printed.table(("PROBE", "TARGET", "RESULT"), rows)


def _judge(proof: Proof) -> None:
    if leaks := proof.seen("open"):
        raise EgressOpen(
            f"{proof.session} can reach what it must not",
            why="\n".join(f"{leak.name}: {leak.address}" for leak in leaks),
            hint="`paude status` says whether the agent is parked; does another policy open this pod?",
        )
    if unproven := proof.seen("unproven"):
        raise PaudeError(
            f"not everything about {proof.session} could be proven",
            why="\n".join(f"{one.name}: {one.address}" for one in unproven),
            hint="is its proxy up, and does the first host of `paude egress show` exist?",
        )
    say(f"nothing gets out of {proof.session} but calls to the hosts on its list: {len(proof.probes)} probes")
