"""One session of the daemon per session of paude: make it, wait for it, ask it, end it.

Events come from `sync monitor`, which prints the state whenever it changes; nothing here asks again and again.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.streams.text import TextReceiveStream

from paude import report
from paude.errors import CommandFailed, ConnectionLost, NotFound, PaudeError
from paude.process import started
from paude.settings import Paths
from paude.sync import daemon
from paude.sync.limits import Limits
from paude.sync.selection import Outgoing
from paude.sync.state import HALTED, SyncState, parse, parse_list

POD_WORKSPACE = "/vol/workspace"
_NET_S = 120
_TAKEN = "taken_over"
_AS_JSON = ("--template", "{{json .}}\n")


class SyncHalted(PaudeError):
    """The sync stopped for safety: one side was emptied, deleted or replaced."""

    exit_code = 9


def endpoint(name: str) -> str:
    """The pod's side of the session, as mutagen is told of it."""
    return f"gate.{name}.paude:{POD_WORKSPACE}"


async def define(
    paths: Paths,
    name: str,
    workspace: Path,
    outgoing: Outgoing,
    *,
    fresh: bool = False,
    beta: str = "",
    limits: Limits | None = None,
) -> None:
    """Make the session, which connects when it is resumed; one with the same ends and rules stays as it is.

    `fresh` says that the volume is new: what an earlier session of that name remembered must not meet it, or all that
    is missing there would look deleted. `beta` is the other end, the pod's by default. Raises CommandFailed.
    """
    other, allowed = beta or endpoint(name), limits or Limits()
    known = await _find(paths, name)
    if known is not None and (fresh or not await _same(paths, known, workspace, outgoing, allowed)):
        await terminate(paths, name)
        known = None
    if known is None:
        options = _options(name, outgoing, allowed)
        await daemon.command(paths, "sync", "create", *options, str(workspace), other)
        known = await _find(paths, name)
    assert known is not None
    await anyio.to_thread.run_sync(_write, _file(paths, "limits", known), allowed.to_json())


async def change_rules(paths: Paths, name: str, outgoing: Outgoing) -> SyncState:
    """Let the session go on with other rules of what stays here; both sides are merged anew. Returns how it stands.

    Nothing changes unless both sides are in step first: what one has deleted would come back. Raises as `flush`, and
    SyncHalted when something waits for the user's choice.
    """
    state = await flush(paths, name)
    if state.halted or state.brakes or state.fence:
        raise SyncHalted("sync has stopped, and its rules cannot change now", why=state.message)
    known = await _found(paths, name)
    limits = await anyio.to_thread.run_sync(_file(paths, "limits", known).read_text)
    ends = [(known.get(end) or {}).get("path", "") for end in ("alpha", "beta")]
    host = (known.get("beta") or {}).get("host", "")
    await terminate(paths, name)
    await define(paths, name, Path(ends[0]), outgoing, beta=f"{host}:{ends[1]}", limits=Limits.from_json(limits))
    await resume(paths, name)
    return await first_cycle(paths, name)


def _options(name: str, outgoing: Outgoing, limits: Limits) -> tuple[str, ...]:
    probe = "probe" if sys.platform == "darwin" else "assume"
    return (
        "--paused",
        f"--name={_session(name)}",
        f"--label=paude={name}",
        "--no-global-configuration",
        "--mode=two-way-safe",
        "--symlink-mode=portable",
        "--ignore-vcs",
        # Changes are noticed by the daemon's own watchers. This is the net below them, and costs a look at every file.
        "--watch-mode=force-poll",
        f"--watch-polling-interval={_NET_S}",
        # In the pod the group may write, as in the first content and what the agent makes: on OpenShift a later pod
        # may have another user of the same group.
        "--default-file-mode-alpha=0644",
        "--default-directory-mode-alpha=0755",
        "--default-file-mode-beta=0664",
        "--default-directory-mode-beta=0775",
        f"--probe-mode-alpha={probe}",
        "--probe-mode-beta=assume",
        f"--max-entry-count={limits.entries}",
        f"--max-staging-file-size={limits.file_bytes}",
        *(f"--ignore={_csv(pattern)}" for pattern in outgoing.ignores),
    )


def _csv(pattern: str) -> str:
    """The option takes a list in CSV: a pattern with a comma or a quote must be quoted."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([pattern])
    return out.getvalue()


def _session(name: str) -> str:
    return f"paude-{name}"


async def _same(paths: Paths, known: dict[str, Any], workspace: Path, outgoing: Outgoing, limits: Limits) -> bool:
    rules = tuple((known.get("ignore") or {}).get("paths") or ())
    where = (known.get("alpha") or {}).get("path")
    made_with = await anyio.to_thread.run_sync(_read, _file(paths, "limits", known))
    options = made_with.get("options", Limits().options)
    return rules == outgoing.ignores and where == str(workspace) and options == limits.options


async def first_cycle(paths: Paths, name: str) -> SyncState:
    """Wait until both sides have been compared and brought together; returns how it stands then.

    Tells the files under way as progress. Raises SyncHalted, and as `watch`.
    """
    async with aclosing(watch(paths, name)) as states:
        async for found in states:
            if found.halted:
                what, choices = HALTED[found.status]
                raise SyncHalted("sync has stopped for safety", why=what, hint=choices)
            if found.settled:
                return found
            if found.staging is not None:
                report.progress(found.staging.files, found.staging.expected_files or None, "files")
    raise AssertionError("a watch does not end")


async def watch(paths: Paths, name: str) -> AsyncGenerator[SyncState, None]:
    """The state now and whenever it changes. Raises NotFound when the session is gone, ConnectionLost when the daemon
    ends.
    """
    argv = (str(daemon.binary()), "sync", "monitor", f"--label-selector=paude={name}", *_AS_JSON)
    async with started(argv, env=daemon.environment(paths)) as child:
        assert child.stdout is not None
        rest = ""
        async for text in TextReceiveStream(child.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in filter(None, lines):
                yield await _state_in(paths, name, line)
    raise ConnectionLost("the sync daemon ended", hint=f"see {paths.state / 'sync.log'}")


async def watch_all(paths: Paths) -> AsyncGenerator[tuple[SyncState, ...], None]:
    """The states of all sessions of paude now and whenever one changes, until the daemon ends."""
    argv = (str(daemon.binary()), "sync", "monitor", "--label-selector=paude", *_AS_JSON)
    async with started(argv, env=daemon.environment(paths)) as child:
        assert child.stdout is not None
        rest = ""
        async for text in TextReceiveStream(child.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in filter(None, lines):
                yield tuple(parse(one, {}) for one in parse_list(line))


async def _state_in(paths: Paths, name: str, line: str) -> SyncState:
    found = parse_list(line)
    if not found:
        raise NotFound(f"session {name} has no sync", hint="`paude start` makes it again")
    return await _with_report(paths, dict(found[0]))


async def state(paths: Paths, name: str) -> SyncState:
    """How the sync of session `name` stands. Raises NotFound when it has none."""
    return await _with_report(paths, await _found(paths, name))


async def rules(paths: Paths, name: str) -> tuple[str, ...]:
    """The patterns of what stays on the laptop, as the running session has them. Raises NotFound when it has none."""
    found = await _found(paths, name)
    return tuple((found.get("ignore") or {}).get("paths") or ())


async def flush(paths: Paths, name: str) -> SyncState:
    """Bring both sides together now and wait for it; conflicts and problems are in the state that is returned.

    Raises ConnectionLost when the sides are not connected.
    """
    try:
        await daemon.command(paths, "sync", "flush", _session(name))
    except CommandFailed as exc:
        raise ConnectionLost("the workspace could not be synced", why=_reason(exc), hint="`paude sync status`") from exc
    return await state(paths, name)


async def allow_deletions(paths: Paths, name: str) -> SyncState:
    """Let the deletions happen for which the sync has stopped, as many as it told of. Nothing happens without any."""
    known = await _found(paths, name)
    brakes = (await _with_report(paths, known)).brakes
    if brakes:
        word = json.dumps({one.side: one.files for one in brakes})
        await anyio.to_thread.run_sync(_write, _file(paths, "allowed", known), word)
    return await flush(paths, name)


async def pause(paths: Paths, name: str) -> None:
    """Stop syncing until it is resumed; nothing is lost."""
    await daemon.command(paths, "sync", "pause", _session(name))


async def resume(paths: Paths, name: str) -> None:
    """Sync again, or connect now and not at the next attempt. Raises ConnectionLost when the pod cannot be reached."""
    try:
        await daemon.command(paths, "sync", "resume", _session(name))
    except CommandFailed as exc:
        raise ConnectionLost("the sync cannot reach the pod", why=_reason(exc), hint="`paude sync status`") from exc


async def reset(paths: Paths, name: str) -> None:
    """Forget what both sides last agreed on, and merge them again: files that differ become conflicts."""
    await daemon.command(paths, "sync", "reset", _session(name))


async def terminate(paths: Paths, name: str) -> None:
    """End the session for good; the files of both sides stay as they are. Nothing happens when there is none."""
    found = await _find(paths, name)
    if found is None:
        return
    await daemon.command(paths, "sync", "terminate", _session(name))
    await released(paths, name)
    for kind in ("reports", "limits", "allowed"):
        await anyio.to_thread.run_sync(_remove, _file(paths, kind, found))


def _reason(exc: CommandFailed) -> str:
    lines = exc.stderr.strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else ""


async def _find(paths: Paths, name: str) -> dict[str, Any] | None:
    listing = await daemon.command(paths, "sync", "list", f"--label-selector=paude={name}", *_AS_JSON)
    found = parse_list(listing.text)
    return dict(found[0]) if found else None


async def _found(paths: Paths, name: str) -> dict[str, Any]:
    found = await _find(paths, name)
    if found is None:
        raise NotFound(f"session {name} has no sync", hint="`paude start` makes it again")
    return found


def _file(paths: Paths, kind: str, one: dict[str, Any]) -> Path:
    """A file that the daemon and paude share about one session: of `kind` reports, limits or allowed."""
    return paths.sync / kind / f"{one.get('identifier')}.json"


def _taken(paths: Paths, name: str) -> Path:
    """Who has the sync of a session instead of this laptop; the daemon does not read it."""
    return paths.sync / "taken" / f"{name}.json"


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


async def taken_over(paths: Paths, name: str, told: str) -> None:
    """Stop syncing because another laptop does so now, of which `told` tells."""
    await anyio.to_thread.run_sync(_write, _taken(paths, name), json.dumps({_TAKEN: told}))
    await pause(paths, name)


async def released(paths: Paths, name: str) -> None:
    """Forget that another laptop had the sync."""
    await anyio.to_thread.run_sync(_remove, _taken(paths, name))


async def _with_report(paths: Paths, one: dict[str, Any]) -> SyncState:
    name = str((one.get("labels") or {}).get("paude", ""))
    files = (_file(paths, "reports", one), _taken(paths, name))
    report, taken = [await anyio.to_thread.run_sync(_read, file) for file in files]
    return parse(one, {**report, _TAKEN: taken.get(_TAKEN)})


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
