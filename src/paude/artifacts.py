"""Where the files lie that come with paude: container contexts, sshd settings and the binaries built from Go.

In a wheel they are under `paude/_artifacts`; in a checkout `containers/` and `sshd/` are beside `src/`
and the binaries are built into `src/paude/_artifacts` by `hatch_build.py`. No other file is looked up here.
"""

from __future__ import annotations

from pathlib import Path

from paude.errors import SettingsError

_PACKAGE = Path(__file__).parent
_BUILT = _PACKAGE / "_artifacts"
_CHECKOUT = _PACKAGE.parent.parent


def path(relative: str) -> Path:
    """The file or directory `relative`: `containers/gate`, `sshd/gate.conf`, `bin/linux_amd64/paude-pod`, …

    Raises SettingsError when this installation does not have it.
    """
    for root in (_BUILT, _CHECKOUT):
        found = root / relative
        if found.exists():
            return found
    raise SettingsError(
        f"this installation of paude has no {relative}",
        hint="reinstall paude, or in a checkout run `python hatch_build.py`",
    )
