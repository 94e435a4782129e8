"""What the user set: flags over environment over files, in frozen values; and the directories that paude may use.

Reading settings happens here; nobody else looks at the environment or at XDG variables for them. `table` is the one
list of settings: whoever needs another adds a field there and reads it from `Settings`; files, environment, schema
and documents follow by themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from paude.settings.paths import Paths

if TYPE_CHECKING:
    from paude.settings.reading import Found, Settled, read
    from paude.settings.table import Settings

__all__ = ["Found", "Paths", "Settings", "Settled", "read"]


def __getattr__(name: str) -> object:
    """What takes its time to load, when it is asked for: who comes back to a terminal needs the directories first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'table' if name == 'Settings' else 'reading'}"), name)
