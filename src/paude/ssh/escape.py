"""Keystrokes between the user and the pod: `~` at the beginning of a line speaks to paude. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

HOLD_LIMIT = 4096

HELP = (
    "~.   leave; the agent goes on",
    "~R   connect anew now",
    "~^Z  suspend paude",
    "~~   send one ~",
    "~?   this list",
)


class Command(Enum):
    """What the user may ask of paude itself."""

    LEAVE = b"."
    RECONNECT = b"R"
    SUSPEND = b"\x1a"
    HELP = b"?"


@dataclass(frozen=True)
class Keys:
    """Bytes for the pod."""

    data: bytes


class Escapes:
    """Splits what is typed into bytes for the pod and commands for paude; remembers where a line begins."""

    def __init__(self) -> None:
        self._line_begins = True
        self._tilde = False

    def feed(self, typed: bytes) -> Iterator[Keys | Command]:
        """The parts of `typed`, in order; a lone `~` waits for the key after it."""
        plain = bytearray()
        for number in typed:
            key = bytes((number,))
            command = self._step(key, plain)
            if command is not None:
                if plain:
                    yield Keys(bytes(plain))
                    plain.clear()
                yield command
        if plain:
            yield Keys(bytes(plain))

    def _step(self, key: bytes, plain: bytearray) -> Command | None:
        if self._tilde:
            self._tilde = False
            command = _COMMANDS.get(key)
            if command is not None:
                self._line_begins = True
                return command
            plain += key if key == b"~" else b"~" + key
        elif key == b"~" and self._line_begins:
            self._tilde = True
            return None
        else:
            plain += key
        self._line_begins = key in b"\r\n"
        return None


class Held:
    """Keys typed while nobody takes them: at most 4 KiB, `refused` counts what came on top."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: bytes) -> None:
        """Keep `keys`; ^C instead drops all, itself too."""
        if b"\x03" in keys:
            self.drop()
            keys = keys[keys.rindex(b"\x03") + 1 :]
        room = HOLD_LIMIT - len(self._keys)
        self._keys += keys[:room]
        self.refused += max(0, len(keys) - room)

    def drop(self) -> int:
        """Forget them; how many they were."""
        count = len(self._keys)
        self.take()
        return count

    def take(self) -> bytes:
        """All of them, in order, once."""
        keys = bytes(self._keys)
        self._keys.clear()
        self.refused = 0
        return keys


_COMMANDS = {command.value: command for command in Command}
