"""Images against a real registry over TLS with a login: podman builds and pushes, the registry answers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from paude import report
from paude.errors import ConnectionLost, ImageError, LoginExpired, SettingsError
from paude.images import build as building
from paude.images.build import BuildSettings, in_storage, local_name, tag_of
from paude.images.context import ImageSpec, Source
from paude.images.ensure import ensure
from paude.images.push import push
from paude.images.reference import ImageReference, RegistryTarget
from paude.images.registry import present
from registry_server import AUTH, PASSWORD, USER, Registry, authority, call, free_port, serving
from relay import relay

pytestmark = [pytest.mark.podman, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of a megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    directory.mkdir(parents=True, exist_ok=True)
    call("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory))
    try:
        yield
    finally:
        call("umount", "--lazy", str(directory))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    directory = tmp_path_factory.mktemp("registry")
    authority(directory)
    (directory / "htpasswd").write_text(call("htpasswd", "-niB", USER, stdin=PASSWORD))
    with serving(directory, AUTH.format(directory)) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> BuildSettings:
    return BuildSettings(cache=tmp_path / "cache")


@pytest.fixture
def image(tmp_path: Path) -> Iterator[ImageSpec]:
    """An image from nothing, unlike every other run's."""
    (tmp_path / "data").write_bytes(os.urandom(2_000_000))
    spec = ImageSpec(
        "paude-test-tiny",
        (
            Source("Containerfile", text=b"ARG BASE\nFROM $BASE\nCOPY data /data\nCOPY sub/run /run\n"),
            Source("data", file=tmp_path / "data"),
            Source("sub/run", executable=True, text=b"#!/bin/sh\n"),
        ),
        base="scratch",
    )
    yield spec
    listed = call("podman", "images", "-q", "--filter", "reference=localhost/paude-test-tiny").split()
    subprocess.run(["podman", "rmi", "--force", *listed], check=False, capture_output=True)


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.units: set[str] = set()
        self.sent: list[tuple[int, int | None]] = []
        self.moved: Callable[[int], None] = lambda current: None
        self._waited: dict[str, anyio.Event] = {}

    async def said(self, text: str) -> None:
        """Wait for a line."""
        if text not in self.lines:
            await self._waited.setdefault(text, anyio.Event()).wait()

    def line(self, text: str) -> None:
        self.lines.append(text)
        if text in self._waited:
            self._waited[text].set()

    def progress(self, current: int, total: int | None, unit: str) -> None:
        self.units.add(unit)
        if unit == "bytes":
            self.sent.append((current, total))
            self.moved(current)


async def pushed(local: str, reference: ImageReference, target: RegistryTarget, settings: BuildSettings) -> str:
    return await push(local, reference, target, settings.cache, settings.sent)


def left_of_pushes(settings: BuildSettings) -> list[str]:
    return [left.name for left in (settings.cache / "pushes").iterdir()]


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_a_missing_image_is_built_and_pushed_and_a_present_one_costs_one_request(
    registry: Registry, image: ImageSpec, settings: BuildSettings, heard: Heard
) -> None:
    token = report.reporter.set(heard)
    first = await ensure(image, registry.target(), settings)
    assert heard.units == {"layers", "bytes"}
    asked, spoken = len(registry.asked()), len(heard.lines)

    again = await ensure(image, registry.target(), settings)

    report.reporter.reset(token)
    assert again == first
    (request,) = registry.asked()[asked:]
    assert '"HEAD /v2/team/paude-test-tiny/manifests/' in request
    assert len(heard.lines) == spoken, "something was built again"
    assert first.reference == f"{registry.address}/team/paude-test-tiny:{await tag_of(image, settings)}"


async def test_the_digest_is_what_the_registry_serves(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    pushed = await ensure(image, registry.target(), settings)

    reference = registry.target().reference(image.name, await tag_of(image, settings))
    assert await present(reference, registry.target()) == pushed.digest
    assert await present(replace(reference, tag="none"), registry.target()) is None


async def test_an_image_in_the_local_storage_is_pushed_without_a_build(
    registry: Registry, image: ImageSpec, settings: BuildSettings, heard: Heard
) -> None:
    tag = await tag_of(image, settings)
    await building.build(image, tag, settings)
    assert await in_storage(local_name(image, tag))
    token = report.reporter.set(heard)

    await ensure(image, registry.target(), settings)

    report.reporter.reset(token)
    assert not [line for line in heard.lines if line.startswith("STEP")]


async def test_the_same_files_give_the_same_image_on_another_day(
    image: ImageSpec, settings: BuildSettings, tmp_path: Path
) -> None:
    async def built() -> str:
        name = await building.build(image, "same", settings)
        shown = call("podman", "image", "inspect", name, "-f", "{{.Id}}")
        call("podman", "rmi", "--force", name)
        return shown

    first = await built()
    os.utime(tmp_path / "data", (1, 1))
    old = os.umask(0o077)
    try:
        assert await built() == first
    finally:
        os.umask(old)


async def test_a_wrong_password_is_a_login_that_expired(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    with pytest.raises(LoginExpired) as caught:
        await ensure(image, registry.target(password="wrong-canary"), settings)

    assert caught.value.exit_code == 7
    assert registry.address in caught.value.hint
    assert "wrong-canary" not in f"{caught.value}{caught.value.hint}{caught.value.__cause__!r}"
    assert not await in_storage(local_name(image, await tag_of(image, settings))), "built for nothing"


async def test_a_push_with_a_wrong_password_is_a_login_that_expired_too(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    local = await building.build(image, await tag_of(image, settings), settings)
    target = registry.target(password="wrong-canary")

    with pytest.raises(LoginExpired) as caught:
        await pushed(local, target.reference(image.name, "x"), target, settings)

    assert "wrong-canary" not in repr(caught.value) + str(caught.value)
    assert left_of_pushes(settings) == []


async def test_without_a_login_the_message_says_how_to_log_in(
    registry: Registry, image: ImageSpec, settings: BuildSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))

    with pytest.raises(LoginExpired) as caught:
        await ensure(image, replace(registry.target(), login=None), settings)

    assert f"podman login {registry.address}" in caught.value.hint


async def test_the_users_own_login_is_found_and_used(
    registry: Registry, image: ImageSpec, settings: BuildSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = ["podman", "login", "--username", USER, "--password-stdin", "--authfile", str(tmp_path / "auth.json")]
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes(registry.ca.read_bytes())
    call(*login, "--cert-dir", str(certs), registry.address, stdin=PASSWORD)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))

    assert await ensure(image, replace(registry.target(), login=None), settings)


async def test_a_ca_that_is_not_trusted_is_an_error_of_the_image(
    registry: Registry, image: ImageSpec, settings: BuildSettings, tmp_path: Path
) -> None:
    stranger = authority(tmp_path)
    target = registry.target(ca=stranger)
    local = await building.build(image, await tag_of(image, settings), settings)

    asking = present(target.reference("x", "y"), target)
    for attempt in (asking, pushed(local, target.reference("x", "y"), target, settings)):
        with pytest.raises(ImageError) as caught:
            await attempt
        assert caught.value.exit_code == 8
        assert "CA" in caught.value.hint


async def test_a_registry_that_is_not_there_is_said_to_be_so(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    nobody = f"localhost:{free_port()}"

    with pytest.raises(ImageError, match="cannot be reached"):
        await ensure(image, replace(registry.target(), host_and_path=nobody), settings)


async def test_a_ca_file_that_is_none_is_an_error_of_the_settings(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")

    for file in (tmp_path / "ca", tmp_path / "missing"):
        with pytest.raises(SettingsError):
            await present(registry.target().reference("a", "b"), replace(registry.target(), ca_file=file))


async def test_the_password_is_in_no_process_and_in_no_file(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    watch = Watch(settings.cache)
    with watch:
        await ensure(image, registry.target(), settings)

    assert watch.reads, "podman was never seen to read the image"
    assert watch.seen == set()
    assert left_of_pushes(settings) == []


async def test_what_a_killed_push_left_is_removed_by_the_next_and_that_of_a_living_one_stays(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    for pid in (int(call("sh", "-c", "echo $$")), os.getppid()):
        (settings.cache / f"pushes/push-{pid}-x").mkdir(parents=True)

    await ensure(image, registry.target(), settings)

    assert left_of_pushes(settings) == [f"push-{os.getppid()}-x"]


LAYERS, LAYER = 6, 3_000_000


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[ImageSpec]:
    """An image of several layers that nothing can make smaller, unlike every other run's."""
    sources = [Source(f"data{n}", file=tmp_path / f"data{n}") for n in range(LAYERS)]
    for source in sources:
        (tmp_path / source.path).write_bytes(os.urandom(LAYER))
    recipe = "".join(f"COPY {source.path} /{source.path}\n" for source in sources)
    containerfile = Source("Containerfile", text=f"ARG BASE\nFROM $BASE\n{recipe}".encode())
    yield ImageSpec("paude-test-layers", (containerfile, *sources), base="scratch")
    listed = call("podman", "images", "-q", "--filter", "reference=localhost/paude-test-layers").split()
    subprocess.run(["podman", "rmi", "--force", *listed], check=False, capture_output=True)


async def test_a_push_that_is_cut_goes_on_and_sends_no_layer_again_that_arrived(
    registry: Registry, layers: ImageSpec, settings: BuildSettings, heard: Heard
) -> None:
    name = await building.build(layers, "cut", settings)
    whole = LAYERS * LAYER
    async with relay(("127.0.0.1", registry.port)) as way:
        way.rate = 12_000_000

        def cut_once(current: int) -> None:
            if current > 0.6 * whole:
                heard.moved = lambda current: None
                way.cut()
                way.mend()

        heard.moved = cut_once
        target = replace(registry.target(), host_and_path=f"localhost:{way.port}/team")
        before = len(registry.asked())
        token = report.reporter.set(heard)
        digest = await pushed(name, target.reference("cut", "x"), target, settings)
        report.reporter.reset(token)

    assert await present(registry.target().reference("cut", "x"), registry.target()) == digest
    assert [line for line in heard.lines if line.endswith("trying again")], "the control: it was cut"
    # Four are on their way at once, and only those are begun anew; the first two had arrived.
    finished = Counter(line.split('"')[1] for line in registry.asked()[before:] if '"PUT /v2/team/cut/blobs' in line)
    assert len(finished) >= LAYERS
    assert way.moved < whole + 4.5 * LAYER, f"{way.moved - whole} bytes were sent again"
    assert heard.sent[-1][0] == heard.sent[-1][1], "everything is counted in the end"
    assert whole <= (heard.sent[-1][1] or 0) < 1.02 * whole


async def test_layers_that_are_there_are_not_sent_and_those_of_another_image_are_taken_from_it(
    registry: Registry, layers: ImageSpec, settings: BuildSettings, heard: Heard
) -> None:
    name = await building.build(layers, "shared", settings)
    target = registry.target()
    async with relay(("127.0.0.1", registry.port)) as way:
        through = replace(target, host_and_path=f"localhost:{way.port}/team")
        async with anyio.create_task_group() as tasks:
            for repository in ("one", "two", "three"):
                tasks.start_soon(pushed, name, through.reference(repository, "x"), through, settings)
        first, way.moved = way.moved, 0
        token = report.reporter.set(heard)
        await pushed(name, through.reference("two", "y"), through, settings)
        report.reporter.reset(token)

    assert first < 1.1 * LAYERS * LAYER, "three at once send what they share once"
    assert way.moved < 0.02 * LAYER
    assert f"{LAYERS + 1} of {LAYERS + 1} layers are there already" in heard.lines


STORE = "\nmiddleware: {storage: [{name: redirect, options: {baseurl: 'https://store.test/'}}]}\n"


async def test_layers_that_a_registry_keeps_in_a_store_elsewhere_are_there_and_nobody_goes_to_the_store(
    image: ImageSpec, settings: BuildSettings, heard: Heard, tmp_path: Path
) -> None:
    local = await building.build(image, "stored", settings)
    there = tmp_path / "there"
    there.mkdir()
    authority(there)
    (there / "htpasswd").write_text(call("htpasswd", "-niB", USER, stdin=PASSWORD))
    with serving(there, AUTH.format(there) + STORE) as elsewhere:
        target = elsewhere.target()
        await pushed(local, target.reference("stored", "x"), target, settings)
        first = elsewhere.asked()
        token = report.reporter.set(heard)
        digest = await pushed(local, target.reference("stored", "y"), target, settings)
        report.reporter.reset(token)
        again = elsewhere.asked()[len(first) :]
        assert await present(target.reference("stored", "y"), target) == digest

    assert any('"HEAD /v2/team/stored/blobs/' in line and '" 307 ' in line for line in again), "the control"
    assert not any('"PUT /v2/team/stored/blobs/' in line for line in again)
    assert any(line.endswith("layers are there already") for line in heard.lines)


async def test_a_registry_whose_disk_is_full_says_so(image: ImageSpec, settings: BuildSettings, tmp_path: Path) -> None:
    there = tmp_path / "there"
    with small_disk(there / "data"):
        authority(there)
        (there / "htpasswd").write_text(call("htpasswd", "-niB", USER, stdin=PASSWORD))
        with serving(there, AUTH.format(there)) as full, pytest.raises(ImageError) as caught:
            await ensure(image, full.target(), settings)

    assert caught.value.exit_code == 8
    assert f"{full.address} has no room for team/paude-test-tiny" in str(caught.value)
    assert caught.value.hint == f"make room on {full.address}"


async def test_a_laptop_whose_disk_is_full_says_so(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    local = await building.build(image, "full", settings)
    with small_disk(settings.cache / "pushes"), pytest.raises(ImageError) as caught:
        await pushed(local, registry.target().reference("full", "x"), registry.target(), settings)

    assert "no space left" in caught.value.why
    assert "paude prune" in caught.value.hint


async def test_a_build_that_fails_gives_the_last_lines(image: ImageSpec, settings: BuildSettings) -> None:
    broken = replace(image, sources=(Source("Containerfile", text=b"FROM scratch\nCOPY nothing /x\n"),))

    with pytest.raises(ImageError) as caught:
        await building.build(broken, "broken", settings)

    assert "nothing" in caught.value.why
    assert list((settings.cache / "contexts").iterdir()) == []


@pytest.fixture
def base() -> str:
    """A base image that can run a shell."""
    return os.environ.get("PAUDE_TEST_BASE_IMAGE", "localhost/paude-base:bookworm")


def working_containers() -> list[str]:
    """Those of builds of this process, by the mark that buildah keeps beside them."""
    storage = call("podman", "info", "--format", "{{.Store.GraphRoot}}").strip()
    kept = Path(storage).glob("*-containers/*/userdata/buildah.json")
    return [str(file) for file in kept if f'"PAUDE_BUILD":"{os.getpid()}-' in file.read_text()]


@pytest.mark.cluster  # its containers.conf lets podman run containers here, and it makes the base image
async def test_a_build_that_is_interrupted_or_fails_leaves_nothing(
    settings: BuildSettings, base: str, heard: Heard
) -> None:
    nonce = os.urandom(4).hex()
    token = report.reporter.set(heard)
    settings = replace(settings, network="host")

    def spec(run: str) -> ImageSpec:
        text = f"ARG BASE\nFROM $BASE\nRUN echo begun; : {nonce}; {run}\n".encode()
        return ImageSpec("paude-test-tiny", (Source("Containerfile", text=text),), base=base)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(building.build, spec("sleep 120"), nonce, settings)
        await heard.said("begun")
        assert working_containers()
        tasks.cancel_scope.cancel()
    report.reporter.reset(token)
    with pytest.raises(ImageError):
        await building.build(spec("false"), nonce, settings)

    assert working_containers() == []
    assert list((settings.cache / "contexts").iterdir()) == []


class Watch:
    """Looks at every process, and at the files of pushes, while the block runs."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen: set[str] = set()
        self.reads = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for process in Path("/proc").glob("[0-9]*"):
                self._process(process)
            with contextlib.suppress(OSError):  # the directory goes while it is looked through
                for file in self._cache.glob("pushes/**/*"):
                    if file.is_file() and file.stat().st_size < 100_000 and PASSWORD.encode() in file.read_bytes():
                        self.seen.add(str(file))

    def _process(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                content = (process / name).read_bytes()
                self.reads += b"podman\0save" in content
                if PASSWORD.encode() in content:
                    self.seen.add(f"{process.name} {name}")


@pytest.mark.parametrize(("name", "fits"), [("registry.inner.svc", True), ("another.inner.svc", False)])
async def test_a_way_to_a_registry_carries_all_of_a_push_and_is_believed_only_under_the_registrys_name(
    name: str, fits: bool, image: ImageSpec, settings: BuildSettings, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    authority(inner, "registry.inner.svc")
    (inner / "htpasswd").write_text(call("htpasswd", "-niB", USER, stdin=PASSWORD))
    dialled = []
    with serving(inner, AUTH.format(inner)) as running:

        async def way() -> ByteStream:
            dialled.append(1)
            return await anyio.connect_tcp("127.0.0.1", running.port)

        target = replace(running.target(), host_and_path=f"{name}:5000/team", way=way)
        if not fits:
            with pytest.raises(ImageError, match="is not trusted"):
                await ensure(image, target, settings)
            return
        pushed = await ensure(image, target, settings)
        there = running.target().reference(image.name, await tag_of(image, settings))
        assert await present(there, running.target()) == pushed.digest
        before = len(dialled)
        assert await ensure(image, target, settings) == pushed
        assert len(dialled) == before + 1


async def test_a_way_that_breaks_off_now_and_then_is_taken_again_and_one_that_never_holds_says_why(
    registry: Registry, image: ImageSpec, settings: BuildSettings
) -> None:
    tries = []

    async def way() -> ByteStream:
        tries.append(1)
        if len(tries) % 2:
            return await anyio.connect_tcp("127.0.0.1", registry.port)
        raise ConnectionLost("the relay is gone")

    async def never() -> ByteStream:
        raise ConnectionLost("no way", why="bash: connect: refused")

    there = replace(registry.target(), host_and_path=f"localhost:{registry.port}/broken")
    pushed = await ensure(image, replace(there, way=way), settings)
    assert await present(there.reference(image.name, await tag_of(image, settings)), there) == pushed.digest
    with pytest.raises(ImageError, match="cannot be reached") as failed:
        await present(there.reference("x", "1"), replace(there, host_and_path="r.inner.svc:5000/x", way=never))
    assert "bash: connect: refused" in failed.value.why
    assert "expose the registry's route" in failed.value.hint
