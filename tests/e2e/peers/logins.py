"""Logins that end while they are in use: tokens of the cluster's own, each bound to an object that can be deleted."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from laptop import Admin
from peers.waiting import eventually


@dataclass
class Logins:
    """An account that may what the user may."""

    admin: Admin
    account: str
    bound: dict[str, str] = field(default_factory=dict)

    def token(self) -> str:
        """A new one, by TokenRequest."""
        name = f"{self.account}-{secrets.token_hex(3)}"
        self.admin("create", "secret", "generic", name)
        token = self.admin("create", "token", self.account, "--bound-object-kind=Secret", f"--bound-object-name={name}")
        self.bound[token.strip()] = name
        return token.strip()

    def revoke(self, token: str) -> None:
        """End it, and return when the API server, which remembers good ones for a while, refuses it."""
        nobody = Admin("/dev/null")
        server, authority = self._server()
        words = (f"--server={server}", f"--certificate-authority={authority}", f"--token={token}", "get", "pods")
        assert nobody(*words)
        self.admin("delete", "secret", self.bound.pop(token))
        eventually(lambda: not nobody(*words, check=False), 30, "the end of a login")

    def _server(self) -> tuple[str, str]:
        config = self.admin("config", "view", "--raw", "--minify", "-o", "json")
        cluster = yaml.safe_load(config)["clusters"][0]["cluster"]
        return str(cluster["server"]), self.admin.kubeconfig.replace("admin.kubeconfig", "pki/ca.crt")


@contextmanager
def short_lived(admin: Admin) -> Iterator[Logins]:
    """Logins of an account that is gone afterwards."""
    account = f"visitor-{secrets.token_hex(3)}"
    admin("create", "serviceaccount", account)
    admin("create", "rolebinding", account, "--clusterrole=edit", f"--serviceaccount=proj-a:{account}")
    logins = Logins(admin, account)
    try:
        yield logins
    finally:
        admin("delete", "rolebinding,serviceaccount", account)
        for name in logins.bound.values():
            admin("delete", "secret", name)


@contextmanager
def logged_in(kubeconfig: str) -> Iterator[Callable[[str], None]]:
    """Gives what puts another login into the kubeconfig, for the same names; it is as it was afterwards."""
    file = Path(kubeconfig)
    before = file.read_text()

    def log_in(token: str) -> None:
        config = yaml.safe_load(before)
        for user in config["users"]:
            user["user"] = {"token": token}
        file.write_text(yaml.safe_dump(config))

    try:
        yield log_in
    finally:
        file.write_text(before)
