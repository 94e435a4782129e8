"""`paude attach`: the agent's tmux in the user's terminal, over a link that may fail at any time.

Everything lives in one task group: nothing outlives `attach`. The state machine itself is in `attachment`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from paude.ssh.attachment import Attachment
from paude.ssh.outcome import AgentEnded, AttachResult, Detached, State, Tempo
from paude.ssh.remote import Identity, Remote
from paude.ssh.screen import OutputFilter, PassThrough
from paude.ssh.terminal import Terminal
from paude.tunnel.base import Dialer
from paude.tunnel.link import LOOK_ATTACHED_S, LinkMonitor, Senses

__all__ = ["AgentEnded", "AttachResult", "Detached", "Identity", "Remote", "State", "Tempo", "attach"]

_REMOTE, _TEMPO = Remote(), Tempo()


async def attach(
    dialer: Dialer,
    identity: Identity,
    terminal: Terminal,
    *,
    remote: Remote = _REMOTE,
    senses: Senses | None = None,
    tempo: Tempo = _TEMPO,
    output: Callable[[], OutputFilter] = PassThrough,
    told: Callable[[State], None] = lambda _: None,
    news: Callable[[Callable[[str], None]], Coroutine[Any, Any, None]] | None = None,
) -> AttachResult:
    """Show the agent's terminal until the user leaves or the agent ends; reconnects by itself for as long as it takes.

    `senses` lets it notice sleep and changes of network, `output` makes the filter for what the pod prints, `told`
    hears of each state, what `news` tells the function that it is given is shown for a while. Raises LoginExpired,
    Forbidden, SessionGone (no pod for `tempo.gone_after` seconds), HostKeyMismatch, Interrupted on SIGTERM, SIGINT or
    SIGHUP, UsageError without a terminal.
    """
    async with terminal.raw() as screen:
        attachment = Attachment(dialer, identity, screen, remote, tempo, output, told)
        async with anyio.create_task_group() as tasks:
            if senses is not None:
                tasks.start_soon(LinkMonitor(senses, attachment.link_changed, LOOK_ATTACHED_S).run)
            if news is not None:
                tasks.start_soon(news, attachment.announce)
            attachment.run(tasks)
    return attachment.result()
