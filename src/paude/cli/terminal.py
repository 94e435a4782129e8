"""The terminal of a session, for the verbs that open one; `paude attach` alone has a way to it past the parser.

Importing this must stay cheap: every verb does.
"""

from __future__ import annotations

from collections.abc import Sequence

from paude.cli.loop import framed, in_loop, say
from paude.errors import AgentEnded, PaudeError


def opened_at_once(words: Sequence[str]) -> bool:
    """Be `paude attach` or `paude attach NAME` when that is all that was asked of a session that is ready here.

    To load the parser and what all verbs share takes a fifth of the time until the prompt is shown. Whatever else is
    asked, or is wrong, is the parser's, and the answer False.
    """
    verb, *rest = words or [""]
    if verb != "attach" or len(rest) > 1 or any(one.startswith("-") for one in rest):
        return False
    name = _ready(rest[0] if rest else None)
    if name is None:
        return False
    framed(lambda: open_terminal(name))
    return True


def _ready(name: str | None) -> str | None:
    from paude.cli.choose import record_of
    from paude.settings import Paths

    try:
        record = record_of(name, Paths.from_environment())
    except PaudeError:
        return None
    return record.name if record.committed and not record.guest else None


def open_terminal(name: str, clipboard: bool | None = None) -> None:
    """Show the session's terminal until the user leaves it; `clipboard` as in the settings when it is None."""
    from paude.plans.attach import open_shell
    from paude.settings import Paths, remembered
    from paude.ssh.outcome import AgentEnded as Ended

    paths = Paths.from_environment()
    settled = remembered.clipboard(paths)  # whatever was asked: an error in the settings is told before all else
    allowed = settled if clipboard is None else clipboard
    result = in_loop(lambda: open_shell(name, paths, clipboard=allowed))
    if isinstance(result, Ended):
        code = "" if result.code is None else f" with {result.code}"
        raise AgentEnded(f"the agent of {name} has ended{code}", hint=f"`paude stop {name}` brings its work home")
    say(f"detached; the agent goes on. `paude attach {name}` comes back to it")
