"""Pushes: podman writes the image as files, and paude sends what the registry lacks, several layers at once.

The login never leaves this process, and the way is the laptop's own: a podman in a virtual machine has another one.
A layer that arrived is not sent again, whatever is cut. One that was cut begins anew: docker's registry, on which
OpenShift's is built, throws an upload away when it does not have the size that was answered last (2.8, blobupload.go).
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import httpx

from paude import report
from paude.errors import ImageError, PaudeError
from paude.images import layout
from paude.images.layout import Blob, Layout
from paude.images.once import Once
from paude.images.reference import ImageReference, RegistryTarget
from paude.images.registry import Registry, connected, unreachable
from paude.images.tidy import alive

T = TypeVar("T")
Sent = Once[str]
"""The repository that a layer of this run went to, by registry and digest: the next image takes it from there."""

_PREFIX = "push-"
_ROOM = "make room on this machine"
_AT_ONCE = 4
_CHUNK = 1 << 20
_TRIES = 8
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_ANSWER_S = 300.0  # a registry puts a large layer away before it answers
# A registry that keeps its blobs in a store elsewhere says where, to HEAD too, once it knows that it has the blob
# (docker's registry, docs/spec/api.md, "Pulling a Layer"). Nobody needs to go there.
_THERE = (httpx.codes.OK, httpx.codes.TEMPORARY_REDIRECT)
_PASSING = (429, 502, 503, 504)
# Where layers that are new to a repository are likely to lie already: the images of one run stand on one base.
_SIBLINGS = ("paude-gate", "paude-proxy")


async def push(local: str, reference: ImageReference, target: RegistryTarget, cache: Path, sent: Sent) -> str:
    """Push the local image and return its digest; tells of bytes.

    `cache` is the user's directory for what can be made again; `sent` is shared by the pushes of one run.
    Raises LoginExpired, Forbidden, QuotaExceeded or ImageError (TLS, disk, unreachable).
    """
    with _directory(cache / "pushes") as directory:
        image = await layout.save(local, directory)
        async with connected(target) as registry:
            return await _Push(registry, reference, image, sent).run()


class _Push:
    """One image on its way."""

    def __init__(self, registry: Registry, reference: ImageReference, image: Layout, sent: Sent) -> None:
        self._registry = registry
        self._reference = reference
        self._image = image
        self._sent = sent
        self._moved: dict[str, int] = {}
        self._total = 0
        self._told = False
        self._repository = reference.repository
        self._sibling = self._beside(next(name for name in _SIBLINGS if not self._repository.endswith(name)))
        self._scopes = (f"repository:{self._repository}:pull,push",)

    def _beside(self, name: str) -> str:
        parent, slash, _ = self._repository.rpartition("/")
        return f"{parent}{slash}{name}"

    async def run(self) -> str:
        first, *others = blobs = self._image.blobs
        looks = [partial(self._again, partial(self._has, blob)) for blob in others]
        # One alone finds out whether there is a way, and gets the token that all others use.
        there = [await self._again(partial(self._has, first)), *await _several(looks)]
        missing = [blob for blob, found in zip(blobs, there, strict=True) if not found]
        self._total = sum(blob.size for blob in missing)
        if len(missing) < len(blobs):
            report.line(f"{len(blobs) - len(missing)} of {len(blobs)} layers are there already")
        await _several([partial(self._bring, blob) for blob in missing])
        return await self._again(self._name)

    async def _bring(self, blob: Blob) -> None:
        """Send the blob, unless another image of this run does: then take it from there."""
        send = partial(self._again, partial(self._send, blob, self._sibling))
        origin = await self._sent.of((self._registry.host, blob.digest), send)
        if origin != self._repository:
            await self._again(partial(self._send, blob, origin))

    async def _has(self, blob: Blob) -> bool:
        answer = await self._registry.ask("HEAD", self._place(f"blobs/{blob.digest}"), self._scopes)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        if answer.status_code in _THERE:
            return True
        raise self._refusal(answer)

    async def _send(self, blob: Blob, origin: str) -> str:
        """Let the registry take the blob from another repository, else send it; returns the repository."""
        self._move(blob, 0)
        if await self._has(blob):  # its answer may have been lost, and not the blob
            self._move(blob, blob.size)
            return self._repository
        query = f"mount={blob.digest}&from={origin}"
        scopes = (*self._scopes, f"repository:{origin}:pull")
        answer = await self._registry.ask("POST", self._place(f"blobs/uploads/?{query}"), scopes, content=b"")
        if answer.status_code == httpx.codes.ACCEPTED:
            place = answer.url.join(answer.headers.get("Location", ""))
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
            answer = await self._registry.ask(
                "PUT",
                place.copy_merge_params({"digest": blob.digest}),
                self._scopes,
                headers=headers,
                content=partial(self._content, blob),
                patience=_ANSWER_S,
            )
        if answer.status_code != httpx.codes.CREATED:
            raise self._refusal(answer)
        self._move(blob, blob.size)
        return self._repository

    async def _name(self) -> str:
        """Put the manifest: only now is there an image of that name."""
        wanted = f"sha256:{hashlib.sha256(self._image.manifest).hexdigest()}"
        answer = await self._registry.ask(
            "PUT",
            self._place(f"manifests/{self._reference.tag}"),
            self._scopes,
            headers={"Content-Type": self._image.media_type},
            content=self._image.manifest,
        )
        if answer.status_code != httpx.codes.CREATED:
            raise self._refusal(answer)
        found = answer.headers.get("Docker-Content-Digest", wanted)
        if found != wanted:
            raise ImageError(f"{self._registry.host} does not have what was pushed", why=f"{found} for {wanted}")
        return wanted

    async def _again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The attempt, made again after a while where the network or the registry failed it for now."""
        failures = 0
        while True:
            try:
                return await attempt()
            except (httpx.TransportError, _Passing) as exc:
                failures += 1
                final = exc.refused if isinstance(exc, _Passing) else unreachable(self._registry.host, exc)
                if failures == _TRIES or "CERTIFICATE_VERIFY_FAILED" in str(exc):
                    raise final from exc
                self._tell_once(final)
            longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**failures)
            await anyio.sleep(random.uniform(_FIRST_WAIT_S, longest))

    def _refusal(self, answer: httpx.Response) -> Exception:
        refused = self._registry.refusal(self._repository, answer, "push")
        return _Passing(refused) if answer.status_code in _PASSING else refused

    async def _content(self, blob: Blob) -> AsyncIterator[bytes]:
        async with await anyio.open_file(blob.file, "rb") as file:
            moved = 0
            while chunk := await file.read(_CHUNK):
                yield chunk
                moved += len(chunk)
                self._move(blob, moved)

    def _move(self, blob: Blob, moved: int) -> None:
        self._moved[blob.digest] = moved
        report.progress(sum(self._moved.values()), self._total, "bytes")

    def _tell_once(self, why: PaudeError) -> None:
        if not self._told:
            self._told = True
            report.line(f"{why}; trying again")

    def _place(self, below: str) -> str:
        return f"/v2/{self._repository}/{below}"


class _Passing(Exception):
    """A refusal that need not last."""

    def __init__(self, refused: PaudeError) -> None:
        super().__init__(str(refused))
        self.refused = refused


async def _several(makers: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """What each of them makes, in their order, some at once; the first failure is raised as it is."""
    made: dict[int, T] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def one(number: int, make: Callable[[], Awaitable[T]]) -> None:
        async with limit:
            made[number] = await make()

    try:
        async with anyio.create_task_group() as tasks:
            for number, make in enumerate(makers):
                tasks.start_soon(one, number, make)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    return [made[number] for number in sorted(made)]


@contextmanager
def _directory(pushes: Path) -> Iterator[Path]:
    """A directory of this process; those that killed processes left are removed on the way."""
    try:
        pushes.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(pushes)
        directory = Path(tempfile.mkdtemp(dir=pushes, prefix=f"{_PREFIX}{os.getpid()}-"))
    except OSError as exc:
        raise ImageError("there is no place for an image to be pushed", why=str(exc), hint=_ROOM) from exc
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(pushes: Path) -> None:
    for left in pushes.glob(f"{_PREFIX}[0-9]*-*"):
        owner = int(left.name.removeprefix(_PREFIX).partition("-")[0])
        if not alive(owner):
            shutil.rmtree(left, ignore_errors=True)
