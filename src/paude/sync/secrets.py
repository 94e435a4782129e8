"""What looks like a secret and therefore stays on the laptop unless the user releases it. Pure."""

from __future__ import annotations

import re

# Names, in any case. The exceptions are the examples that people commit on purpose.
NAMES = (
    ".env",
    ".env.*",
    ".env-*",
    ".env_*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".s3cfg",
    ".boto",
    ".dockercfg",
    ".vault-token",
    ".terraformrc",
    "terraform.rc",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
    "*.tfvars.json",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.asc",
    "*.gpg",
    "*.ovpn",
    "*.mobileprovision",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "*_rsa",
    "*_ed25519",
    "kubeconfig",
    "kubeconfig.*",
    "*.kubeconfig",
    "credentials",
    "credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "serviceaccount*.json",
    "application_default_credentials.json",
    "secrets.yml",
    "secrets.yaml",
    "secrets.json",
    "secrets.toml",
    "*.secret",
    "*.secrets",
    "vault.yml",
    "auth.json",
    ".ssh/",
    ".gnupg/",
    ".aws/",
    ".azure/",
    ".gcloud/",
    ".kube/",
    ".docker/",
    ".password-store/",
)
EXCEPTIONS = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults", "example.env", "*.pub")

SNIFF_BYTES = 64 * 1024
_SNIFFED_NAMES = re.compile(r"\.(json|ya?ml|txt|conf|cfg|ini|toml)$", re.IGNORECASE)
_EXCEPTED = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in EXCEPTIONS), re.IGNORECASE)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def patterns() -> tuple[str, ...]:
    """The names as ignore patterns in mutagen's syntax, in any case."""
    return tuple(_any_case(name) for name in NAMES) + tuple("!" + _any_case(name) for name in EXCEPTIONS)


def is_excepted(name: str) -> bool:
    """Whether a file of this name looks secret to nobody, although it has the name of one."""
    return _EXCEPTED.fullmatch(name) is not None


def _any_case(name: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.islower() else c for c in name)


def name_worth_a_look(name: str) -> bool:
    """Whether the content of a file of this name may say that it is one, if it is no larger than `SNIFF_BYTES`."""
    return _SNIFFED_NAMES.search(name) is not None


def in_content(data: bytes) -> bool:
    """Whether a file holds a private key, as PEM or as the key file of a cloud's service account."""
    return _PRIVATE_KEY.search(data.replace(b"\\n", b"\n")) is not None
