"""An ordinary user of this machine with a podman of his own, and `paude` as he runs it.

What rootless containers need and this machine may lack (a shared root of the mounts, a tunnel device for everybody) is
given in a mount namespace of its own, and goes with it; so does the way to a Python and a checkout that may lie where
only root comes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from laptop import Laptop
from podman_machine import BASE, build_images, settings

CHECKOUT = Path(__file__).parents[1]
NAME = "paude-rootless"
_RANGE = "--add-subuids=700000-765535", "--add-subgids=700000-765535"
_SETTINGS = '[storage]\ndriver = "overlay"\n'
# The namespace is made with private mounts: nothing of this is seen outside of it.
_PREPARE = """\
set -eu
mount --make-rshared /
mount --bind {prefix} {work}/python
mount --bind {packages} {work}/packages
mount --bind {checkout} {work}/checkout
mknod -m 666 {work}/tun c 10 200
mount --bind {work}/tun /dev/net/tun
echo ready
exec sleep infinity
"""


@dataclass
class User(Laptop):
    """His machine; `enter` are the words that make a command his."""

    uid: int = 0
    enter: tuple[str, ...] = ()

    def workspace(self, name: str, files: dict[str, str] | None = None) -> Path:  # type: ignore[override]
        directory = super().workspace(name, files)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self.uid, self.uid)
        return directory

    def podman(self, *words: str, check: bool = True) -> str:
        """What his podman prints."""
        done = subprocess.run(
            [*self.enter, "podman", *words], env=self.env, capture_output=True, text=True, timeout=120, cwd="/"
        )
        assert done.returncode == 0 or not check, f"podman {words}: {done.stderr}"
        return done.stdout.strip()

    def reboot(self) -> None:
        """What a reboot leaves of him: his files; nothing that runs, and nothing in memory."""
        _end_all(self.uid)
        for one in (self.home / ".r").iterdir():
            # What is mounted there goes with the processes that had mounted it.
            shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink()

    def things(self) -> list[str]:
        """Every container, volume and secret that he has."""
        found = self.podman("ps", "--all", "--format", "{{.Names}}").split()
        found += self.podman("volume", "ls", "--format", "{{.Name}}").split()
        return found + self.podman("secret", "ls", "--format", "{{.Name}}").split()


@contextmanager
def ordinary_user() -> Iterator[User]:
    """The user, with paude's images in his storage; nothing is left of him afterwards."""
    work = Path(tempfile.mkdtemp(prefix="pr-"))
    work.chmod(0o755)
    _remove()  # of a test that was killed
    subprocess.run(["useradd", "--no-create-home", f"--home-dir={work}/home", NAME], check=True)
    uid = pwd.getpwnam(NAME).pw_uid
    try:
        if NAME not in Path("/etc/subuid").read_text():
            subprocess.run(["usermod", *_RANGE, NAME], check=True)
        _lay_out(work, uid)
        with _namespace(work) as pid:
            yield _with_images(_user(work, uid, pid), work)
    finally:
        _remove()
        # What his containers wrote belongs to users of his own range.
        shutil.rmtree(work, ignore_errors=True)


def _lay_out(work: Path, uid: int) -> None:
    for name in ("python", "packages", "checkout"):
        (work / name).mkdir()
    (work / "tun").unlink(missing_ok=True)
    for name in ("home", "home/.s", "home/.r", "home/.k", "home/.config", "home/.config/containers"):
        (work / name).mkdir(mode=0o700)
        os.chown(work / name, uid, uid)
    (work / "home/.config/containers/storage.conf").write_text(_SETTINGS)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = work / f"venv/lib/{version}/site-packages"
    own.mkdir(parents=True)
    (own / "paude.pth").write_text(f"{work}/checkout/src\n{work}/packages\n")
    # This version's interpreter of the system where there is one: others may look for their libraries at old places.
    system = Path(f"/usr/bin/{version}")
    home = system.parent if system.exists() else work / "python/bin"
    (work / "venv/pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    (work / "venv/bin").mkdir()
    (work / "venv/bin/python").symlink_to(home / version)


@contextmanager
def _namespace(work: Path) -> Iterator[int]:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    script = _PREPARE.format(prefix=sys.base_prefix, packages=packages, checkout=CHECKOUT, work=work)
    words = ["unshare", "--mount", "--propagation=private", "bash", "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            yield holder.pid
        finally:
            holder.kill()


def _user(work: Path, uid: int, pid: int) -> User:
    home = work / "home"
    enter = (
        "nsenter", f"--mount=/proc/{pid}/ns/mnt", "setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups",
    )  # fmt: skip
    env = {
        **settings(),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "USER": NAME,
        "XDG_STATE_HOME": str(home / ".s"),
        "XDG_RUNTIME_DIR": str(home / ".r"),
        "XDG_CACHE_HOME": str(home / ".k"),
        "PAUDE_BASE_IMAGE": BASE,
        "PAUDE_BUILD_NETWORK": "host",
    }
    program = (*enter, str(work / "venv/bin/python"), "-m", "paude")
    return User(home, home / ".s", env, program, uid, enter)


def _with_images(user: User, work: Path) -> User:
    """Those of root's storage: to build them once more would show nothing and take minutes."""
    names = build_images({**os.environ, "PAUDE_BASE_IMAGE": BASE, "PAUDE_BUILD_NETWORK": "host"})
    archive = work / "images.tar"
    save = ["podman", "save", "--quiet", "--multi-image-archive", f"--output={archive}", *names]
    subprocess.run(save, check=True, capture_output=True, timeout=120)
    archive.chmod(0o644)
    user.podman("load", "--quiet", f"--input={archive}")
    archive.unlink()
    return user


def _remove() -> None:
    """End whatever runs as him, or as a user of his range, and take him away."""
    try:
        uid = pwd.getpwnam(NAME).pw_uid
    except KeyError:
        return
    _end_all(uid)
    # Those that were killed a moment ago may still be on their way out.
    subprocess.run(["userdel", "--force", NAME], check=True, capture_output=True)


def _end_all(uid: int) -> None:
    ranges = [line.split(":") for line in Path("/etc/subuid").read_text().splitlines()]
    his = [range(int(first), int(first) + int(size)) for name, first, size in ranges if name == NAME]
    listed = subprocess.run(["ps", "-e", "-o", "pid=,uid="], capture_output=True, text=True, check=True).stdout
    for pid, owner in (line.split() for line in listed.splitlines()):
        if int(owner) == uid or any(int(owner) in one for one in his):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
