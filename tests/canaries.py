"""Random strings that are planted where secrets lie, and looked for everywhere that they must not be, in every form."""

from __future__ import annotations

import base64
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from laptop import Admin, Laptop
from world.client import Seen, World

KINDS = "all,configmaps,secrets,events,networkpolicies,persistentvolumeclaims"
VARIABLE = "CANARY_API_KEY"
_MOST = 1 << 20
# How gzip and zlib begin (RFC 1952, 1950), as they are, as base64 and as hex.
_PACKED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
_AS_BASE64 = re.compile(rb"(?:H4sI|eA[E-H]|eF[4-7]|eJ[w-z]|eN[o-r])[A-Za-z0-9+/_-]{12,}")
_AS_HEX = re.compile(rb"(?:1f8b08|7801|785e|789c|78da)(?:[0-9a-f]{2}){8,}", re.IGNORECASE)


def forms(text: str) -> list[bytes]:
    """How a string may look to somebody who hides it, or just sends it on."""
    raw = text.encode()
    shifted = (base64.b64encode(b"." * n + raw)[4:-4] for n in range(3))
    base32 = base64.b32encode(raw).decode().rstrip("=")
    return [
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        base64.b64encode(raw).rstrip(b"="),
        *shifted,
        base32.encode(),
        base32.lower().encode(),
        base64.b85encode(raw),
        "".join(f"%{byte:02x}" for byte in raw).encode(),
        "".join(f"%{byte:02X}" for byte in raw).encode(),
        raw[::-1],
    ]


def found(text: str, where: bytes) -> bool:
    """Whether it is there in any form."""
    readable = _readable(where)
    return any(form in readable for form in forms(text))


@lru_cache(maxsize=8192)
def _readable(where: bytes) -> bytes:
    """With what was compressed there as well. Dots do not hide anything: labels of names are joined by them."""
    parts = [where, where.replace(b".", b""), *_unpacked(where)]
    for run in _AS_BASE64.findall(where):
        text = run.translate(bytes.maketrans(b"-_", b"+/"))
        parts += _unpacked(base64.b64decode(text[: len(text) // 4 * 4]))
    for run in _AS_HEX.findall(where):
        parts += _unpacked(bytes.fromhex(run.decode()))
    return b"\n".join(parts)


def _unpacked(data: bytes) -> Iterator[bytes]:
    for begin in _PACKED.finditer(data):
        try:
            yield zlib.decompressobj(wbits=47).decompress(data[begin.start() :], _MOST)
        except zlib.error:
            continue


def sinks(before: Seen, after: Seen) -> bytes:
    """What arrived in the fake internet between two looks: names, paths, and the bytes that were sent."""
    named = [after.questions[len(before.questions) :], after.requests[len(before.requests) :]]
    sent = [one for part in (after.requests[len(before.requests) :], after.heard[len(before.heard) :]) for one in part]
    return json.dumps(named).encode() + b"".join(b"\n" + bytes.fromhex(one.get("hex", "")) for one in sent)


def processes() -> tuple[set[bytes], set[bytes]]:
    """The arguments of every process of this machine, and the environments of those in sessions' containers."""
    arguments, inside = set(), set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments.add((entry / "cmdline").read_bytes())
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"PAUDE_SESSION=" in environment:
                inside.add(environment)
    return arguments, inside


def files_below(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file there, and what is in it."""
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def kubeconfig_key(laptop: Laptop) -> str:
    """A line of the developer's own login to the cluster."""
    text = Path(laptop.env["KUBECONFIG"]).read_text()
    key = base64.b64decode(text.split("client-key-data:")[1].split("}")[0].strip()).decode()
    return key.splitlines()[2]


@dataclass(frozen=True)
class Planted:
    """What is planted on every laptop of the end-to-end tests; `check` looks for it before its sessions go."""

    laptop: Laptop
    login: str = field(repr=False)
    before: Seen = field(default_factory=lambda: World().seen(), repr=False)
    environment: str = field(default_factory=lambda: secrets.token_hex(16))

    @classmethod
    def on(cls, laptop: Laptop) -> Planted:
        """A secret in the environment of everything that runs there, beside those that the developer has anyway."""
        planted = cls(laptop, kubeconfig_key(laptop))
        laptop.env[VARIABLE] = planted.environment
        return planted

    def check(self, admin: Admin) -> None:
        """Raise AssertionError when any of it has got anywhere."""
        arguments, inside = processes()
        objects = json.loads(admin("get", KINDS, "-l", "app.kubernetes.io/managed-by=paude", "-o", "json"))["items"]
        words = ("logs", "-l", "app.kubernetes.io/managed-by=paude", "--all-containers", "--tail=-1")
        logs = admin(*words, "--max-log-requests=100", check=False).encode()
        places = {
            "what arrived in the internet": [sinks(self.before, World().seen())],
            "arguments": arguments,
            "environments in containers": inside,
            "objects": [json.dumps(one).encode() for one in objects],
            "logs": [logs],
        }
        kept = self.laptop.state / "paude/sessions"
        keys = [file.read_text().splitlines()[2] for name in ("id_gate", "id_agent") for file in kept.glob(f"*/{name}")]
        for canary in (self.environment, self.login):
            _assert_nowhere(canary, places)
        # The keys of a session are kept for its user's other laptops, in a Secret that no pod mounts, and nowhere else.
        places["objects"] = [json.dumps(one).encode() for one in objects if not _for_other_laptops(one)]
        for canary in keys:
            _assert_nowhere(canary, places)
        written = [path for path, data in files_below(self.laptop.state) if found(self.environment, data)]
        assert not written, f"a canary is in {written}"


def _for_other_laptops(one: dict[str, Any]) -> bool:
    return one["kind"] == "Secret" and one["metadata"]["name"].endswith("-laptop")


def _assert_nowhere(canary: str, places: Mapping[str, Iterable[bytes]]) -> None:
    held = [name for name, texts in places.items() if any(found(canary, text) for text in texts)]
    assert not held, f"a canary is in {held}"
