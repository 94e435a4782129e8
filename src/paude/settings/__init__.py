"""What the user set: flags over environment over files, in frozen values; and the directories that paude may use.

Reading settings happens here; nobody else looks at the environment or at XDG variables for them. `table` is the one
list of settings: whoever needs another adds a field there and reads it from `Settings`; files, environment, schema
and documents follow by themselves.
"""

from __future__ import annotations

from paude.settings.paths import Paths
from paude.settings.read import Found, Settled, read
from paude.settings.table import Settings

__all__ = ["Found", "Paths", "Settings", "Settled", "read"]
