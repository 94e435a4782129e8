"""Takes one defence away at a time, in a copy of the checkout, and says which test noticed.

A defence whose loss no test notices is not defended: then this fails.

Usage: python -m world.defences [--full] [WORD...]: those whose name holds a word. The short form asks tests that need
no container; the long form takes every defence, and the tests that judge at the sink.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "tests", "containers", "sshd", "scripts", "docs", "pyproject.toml", "hatch_build.py")
LIMIT_S = 900
SQUID, POLICIES = "src/paude/egress/squid.py", "src/paude/egress/policies.py"
PROXY = ("pytest", "tests/integration/test_proxy.py", "-k")
OUT = (*PROXY, "does_not_get_out")
UNIT_POLICIES = ("pytest", "tests/unit/test_egress_policies.py")
FAMILIES = ("pytest", "tests/e2e/test_wall_ipv6.py")
COMPANY = ("pytest", "tests/integration/test_proxy_company.py")
UNIT_SQUID = ("pytest", "tests/unit/test_egress_squid.py")
UNIT_COMPANY = ("pytest", "tests/unit/test_egress_company.py")
GATE = ("pytest", "tests/integration/test_pod_gate_ssh.py")
SSHD = ("pytest", "tests/integration/test_sshd_options.py")
GUARD = ("pytest", "tests/unit/test_sync_guard.py")
GRAPH = ("pytest", "tests/unit/test_plans_graph.py", "tests/unit/test_egress_change.py")
PODS = ("pytest", "tests/unit/test_kubernetes_manifests.py")
PLAN, MANIFESTS = "src/paude/plans/start.py", "src/paude/backends/kubernetes/manifests.py"
FENCE = ("containers/pod", "go", "test", "./internal/fence")
LEASE = ("containers/pod", "go", "test", "./internal/lease")
FENCED = ("pytest", "tests/integration/test_pod_fence.py", "-k")
HISTORY = ("pytest", "tests/integration/test_history_round_trip.py", "-k")
GATE_LOOP, GATE_STATE = "containers/pod/internal/gate/main.go", "containers/pod/internal/gate/state.go"
ALLOW = "src/paude/plans/allow.py"
PROGRAMS = "src/paude/_artifacts"
SYNC = ("containers/mutagen", "go", "test", "-tags", "mutagencli", "./guard", "./endpoint")


@dataclass(frozen=True)
class Defence:
    """What is taken away (a pattern in a file, and what stands there instead), and the tests that should notice.

    `quick` are tests without containers that should notice it too, for the short form.
    """

    name: str
    file: str
    pattern: str
    instead: str
    tests: tuple[str, ...]
    full: bool = False
    quick: tuple[str, ...] = ()

    @property
    def is_built(self) -> bool:
        """Whether its tests run programs that have to be compiled anew."""
        return self.file.startswith("containers/") and self.tests[0] == "pytest"

    def asked(self, *, full: bool) -> tuple[str, ...]:
        """The tests of this form; none when it is for the long form only."""
        needs_containers = any("integration" in word for word in self.tests) and self.tests != SSHD
        if full or not (self.full or needs_containers):
            return self.tests
        return self.quick


def rule(name: str, line: str, tests: tuple[str, ...] = OUT) -> Defence:
    """One of squid's rules, as the generator writes it."""
    return Defence(f"squid: {name}", SQUID, rf'yield "{re.escape(line)}"', "pass", tests, quick=UNIT_SQUID)


def option(name: str, line: str, instead: str) -> Defence:
    """One or more lines of the gate's sshd, as somebody who breaks in would find them gone."""
    return Defence(f"sshd: {name}", "sshd/gate.conf", line, instead, GATE, full=True, quick=SSHD)


def options(server: str) -> Iterator[Defence]:
    """Every line of an sshd that its test wants, by itself."""
    for line in (ROOT / f"sshd/{server}.conf").read_text().splitlines():
        name = line.partition(" ")[0]
        if name.isalpha() and name not in NOT_DEFENCES:
            yield Defence(f"sshd of the {server}: {name}", f"sshd/{server}.conf", rf"^{name} .*\n", "", SSHD, full=True)


# What is there for the journey, not against somebody.
NOT_DEFENCES = frozenset(
    {"Port", "PidFile", "LogLevel", "StrictModes", "MaxStartups", "MaxSessions", "TCPKeepAlive", "PrintMotd"}
    | {"PrintLastLog", "Compression", "AcceptEnv"}
)


DEFENCES = (
    rule("only listed names", "http_access deny !listed"),
    rule("no private addresses", "http_access deny private"),
    rule("only tunnels", "http_access deny !CONNECT"),
    rule("only port 443", "http_access deny !https"),
    rule("the end of the ssl rules", "ssl_bump terminate all"),
    rule(
        "no management pages", "http_access deny manager", ("pytest", "tests/unit/test_egress_squid.py", "-k", "order")
    ),
    rule("the last rule", "http_access deny all", ("pytest", "tests/unit/test_egress_squid.py", "-k", "order")),
    rule(
        "a client's own limit of tunnels",
        "http_access deny outer crowd",
        ("pytest", "tests/integration/test_proxy_load.py", "-k", "five_thousand"),
    ),
    # The two say the same of different notations, so one alone is missed by the order only.
    rule("no addresses", "http_access deny address", UNIT_SQUID),
    rule("names only", "http_access deny !name", UNIT_SQUID),
    rule("the fence's own page", "http_access deny get fence", UNIT_SQUID),
    Defence("squid: only what resolves", SQUID, r"'leads ' if beyond else ''\}!resolved", "''}all", UNIT_COMPANY),
    # By itself it opens nothing: what is no request is refused at the inner door as well.
    Defence("squid: not TLS", SQUID, r"on_unsupported_protocol respond", "on_unsupported_protocol tunnel", UNIT_SQUID),
    Defence("squid: the server name of the tunnel", SQUID, r" sni\{number\} named", " named", OUT, quick=UNIT_SQUID),
    Defence("squid: the host of the tunnel", SQUID, r"hello to\{number\} sni", "hello sni", OUT, quick=UNIT_SQUID),
    Defence("squid: a server name at all", SQUID, r" named\"", '"', OUT, quick=UNIT_SQUID),
    Defence(
        "squid: nothing past the inner door",
        SQUID,
        r'    yield "never_direct allow outer"\n    yield "always_direct deny outer"\n',
        "",
        OUT,
        quick=UNIT_SQUID,
    ),
    Defence(
        "squid: who may speak for another client",
        SQUID,
        r"follow_x_forwarded_for allow inner self",
        "follow_x_forwarded_for allow all",
        (*PROXY, "has_its_client"),
        quick=UNIT_SQUID,
    ),
    Defence(
        "company: nothing past the parent proxy",
        SQUID,
        r'    yield "always_direct deny all"\n',
        "",
        (*COMPANY, "-k", "without_its_parent"),
    ),
    Defence(
        "company: a private host's own networks only",
        SQUID,
        r"deny lead\{number\} astray",
        "allow lead{number} astray",
        (*COMPANY, "-k", "nowhere_else"),
        quick=UNIT_COMPANY,
    ),
    Defence(
        "company: private networks of a company only",
        "src/paude/egress/company.py",
        r"    if not any\(found\.version == one\.version and found\.subnet_of\(one\).*",
        "    if False:",
        UNIT_COMPANY,
    ),
    Defence(
        "company: no login in a readable place",
        "src/paude/egress/company.py",
        r"url\.username is not None or url\.password is not None",
        "False",
        UNIT_COMPANY,
    ),
    Defence(
        "company: the parent's address only",
        POLICIES,
        r'\{"to": \[\{"ipBlock": \{"cidr": network\}\}\]\} if network else \{\}',
        "{}",
        UNIT_COMPANY,
    ),
    Defence(
        "registries: the user's, not the workspace's",
        "src/paude/egress/registries.py",
        r"env=environ, cwd=home,",
        'env=environ, cwd=home / "project",',
        ("pytest", "tests/unit/test_egress_registries.py"),
    ),
    Defence(
        "firewall: private networks",
        "src/paude/egress/firewall.py",
        r"\*map\(_deny, PRIVATE\), ",
        "",
        ("pytest", "tests/unit/test_egress_firewall.py"),
    ),
    Defence(
        "firewall: everything else",
        "src/paude/egress/firewall.py",
        r", \*map\(_deny, EVERYTHING\)\]",
        "]",
        ("pytest", "tests/unit/test_egress_firewall.py"),
    ),
    Defence(
        "squid: no reverse look-ups",
        SQUID,
        r"allowed dstdomain -n",
        "allowed dstdomain",
        (*PROXY, "an_address or order or reverse", "tests/unit/test_egress_squid.py"),
        quick=UNIT_SQUID,
    ),
    Defence(
        "squid: who asked, at the inner door",
        SQUID,
        r"log_uses_indirect_client on",
        "log_uses_indirect_client off",
        (*PROXY, "has_its_client"),
    ),
    Defence(
        "squid: what a client claims of itself",
        SQUID,
        r"forwarded_for truncate",
        "forwarded_for transparent",
        (*PROXY, "has_its_client"),
    ),
    Defence(
        "squid: log lines that cannot be forged", SQUID, r'"%#ssl::>sni"', '"%ssl::>sni"', (*PROXY, "cannot_forge")
    ),
    Defence("ranges: shared address space", "src/paude/egress/ranges.py", r' *"100\.64\.0\.0/10",\n', "", OUT),
    Defence("ranges: link-local addresses", "src/paude/egress/ranges.py", r' *"169\.254\.0\.0/16",\n', "", OUT),
    Defence(
        "allowlist: wildcards of one owner only",
        "src/paude/egress/hosts.py",
        r"    if wild:\n        _check_width\(text, labels\)\n",
        "",
        ("pytest", "tests/unit/test_egress_allowlist.py"),
    ),
    Defence(
        "allowlist: addresses are no names",
        "src/paude/egress/hosts.py",
        r"not _ALPHABETIC\.match\(labels\[-1\]\)",
        "False",
        ("pytest", "tests/unit/test_egress_allowlist.py"),
    ),
    Defence(
        "allowlist: warnings",
        "src/paude/egress/hosts.py",
        r"    if reason is not None:",
        "    if False:",
        ("pytest", "tests/unit/test_egress_allowlist.py"),
    ),
    Defence(
        "policy: the baseline denies egress",
        POLICIES,
        r'\{WALL: "closed"\}, ingress=\[\], egress=\[\]',
        '{WALL: "closed"}, ingress=[], egress=[{}]',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: the baseline denies ingress",
        POLICIES,
        r'\{WALL: "closed"\}, ingress=\[\], egress=\[\]',
        '{WALL: "closed"}, ingress=[{}], egress=[]',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: nothing reaches a session",
        POLICIES,
        r"selector, ingress=\[\], egress=\[to\]",
        "selector, ingress=[{}], egress=[to]",
        UNIT_POLICIES,
    ),
    Defence(
        "policy: a session's own pod only",
        POLICIES,
        r'\{SESSION: name, SESSION_UID: uid, WALL: "closed"\}',
        '{WALL: "closed"}',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: the proxy reaches port 443 only",
        POLICIES,
        r'\{"to": _public\(private\), "ports": \[_port\("TCP", 443\)\]\}',
        '{"to": _public(private)}',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: the proxy asks resolvers only",
        POLICIES,
        r'\{"ports": \[_port\(protocol, port\) for port in DNS_PORTS.*\]\},',
        "{},",
        UNIT_POLICIES,
    ),
    Defence(
        "policy: the canary is for agents only",
        POLICIES,
        r'\{"from": \[_pods\(\{ROLE: "agent"\}\)\], "ports"',
        '{"ports"',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: a company's hosts on port 443 only",
        POLICIES,
        r'\{"to": blocks, "ports": \[_port\("TCP", 443\)\]\}',
        '{"to": blocks}',
        UNIT_COMPANY,
    ),
    Defence(
        "policy: both directions",
        POLICIES,
        r'"policyTypes": \["Ingress", "Egress"\]',
        '"policyTypes": ["Ingress"]',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: a session's own proxy only",
        POLICIES,
        r'_pods\(\{ROLE: "proxy", ALLOWLIST: digest\}\) for',
        '_pods({ROLE: "proxy"}) for',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: the proxy's port only",
        POLICIES,
        r'"to": proxies, "ports": \[_port\("TCP", PROXY_PORT\)\]',
        '"to": proxies',
        UNIT_POLICIES,
    ),
    Defence(
        "policy: a proxy's users only",
        POLICIES,
        r'_pods\(\{USES: digest, ROLE: "agent"\}\)',
        '_pods({ROLE: "agent"})',
        UNIT_POLICIES,
    ),
    Defence("policy: public addresses only", POLICIES, r'"to": _public\(private\), ', "", UNIT_POLICIES),
    Defence(
        "policy: the baseline denies IPv6",
        POLICIES,
        r'\{WALL: "closed"\}, ingress=\[\], egress=\[\]',
        '{WALL: "closed"}, ingress=[], egress=[{"to": [{"ipBlock": {"cidr": "::/0"}}]}]',
        FAMILIES,
        full=True,
        quick=UNIT_POLICIES,
    ),
    Defence(
        "policy: public IPv6 addresses only",
        POLICIES,
        r"v6 = \[\*PRIVATE_V6, ",
        "v6 = [",
        FAMILIES,
        full=True,
        quick=UNIT_POLICIES,
    ),
    Defence(
        "policy: a session's proxy only, by IPv6",
        POLICIES,
        r"ingress=\[\], egress=\[to\]\)",
        'ingress=[], egress=[to, {"to": [{"ipBlock": {"cidr": "::/0"}}]}])',
        FAMILIES,
        full=True,
        quick=UNIT_POLICIES,
    ),
    Defence(
        "policy: others' rules for egress",
        "src/paude/egress/others.py",
        r"return bool\(rules\)",
        "return False and bool(rules)",
        ("pytest", "tests/unit/test_egress_others.py"),
    ),
    Defence(
        "blocked: only one's own",
        "src/paude/egress/blocked.py",
        r'client not in \{None, entry\["client"\]\} or ',
        "",
        ("pytest", "tests/unit/test_egress_blocked.py"),
    ),
    Defence(
        "blocked: no control characters",
        "src/paude/egress/blocked.py",
        r"character if character\.isprintable\(\) else \"\?\"",
        "character",
        ("pytest", "tests/unit/test_egress_blocked.py"),
    ),
    Defence(
        "fence: two clean rounds",
        "containers/pod/internal/fence/judge.go",
        r"cleanRounds = 2",
        "cleanRounds = 1",
        FENCE,
    ),
    Defence(
        "fence: an open way is a leak",
        "containers/pod/internal/fence/judge.go",
        r"if saw\(round, Open\) \{",
        "if false {",
        FENCE,
    ),
    Defence(
        "fence: a probe that was not sent",
        "containers/pod/internal/fence/judge.go",
        r"if saw\(round, Unproven\) \{",
        "if false {",
        FENCE,
    ),
    Defence(
        "fence: without a proxy nothing is proven",
        "containers/pod/internal/fence/judge.go",
        r"if round\.Answer == nil \{\n\t\tj\.Rounds = 0\n\t\treturn Unreachable",
        "if false {\n\t\tj.Rounds = 0\n\t\treturn Unreachable",
        FENCE,
    ),
    Defence(
        "fence: the gate looks again and again",
        GATE_LOOP,
        r"go watchFence\(ctx, settings, state\)",
        "_ = watchFence",
        (*FENCED, "first_hole"),
        full=True,
    ),
    Defence(
        "fence: a way out takes leave away",
        GATE_STATE,
        r"case s\.verdict\.State == fence\.Leak:",
        "case false:",
        (*FENCED, "first_hole"),
        full=True,
    ),
    Defence(
        "fence: probes that cannot be sent take leave away",
        GATE_STATE,
        r"case s\.unproven >= unprovenLimit:",
        "case false:",
        (*FENCED, "no_proof"),
        full=True,
    ),
    Defence("fence: before the agent", MANIFESTS, r"\[_gate\(spec\), _fence\(spec\)\]", "[_gate(spec)]", PODS),
    Defence(
        "leave: it is over by itself", "containers/pod/internal/lease/lease.go", r"int64\(now\) < end && ", "", LEASE
    ),
    Defence(
        "leave: one of another clock",
        "containers/pod/internal/lease/lease.go",
        r" && end <= int64\(now\)\+int64\(Term\)",
        "",
        LEASE,
    ),
    Defence(
        "leave: the agent's first process asks until when",
        "containers/pod/internal/agent/main.go",
        r"func\(\) bool \{ return !lease\.Holds\(\) \}",
        "func() bool { return !mark.Exists(paths.Leave) }",
        (*FENCED, "hangs"),
        full=True,
    ),
    Defence("leave: the kubelet asks too", MANIFESTS, r'\[POD_PROGRAM, "has-leave"\]', '["/usr/bin/true"]', PODS),
    Defence(
        "gate: the agent does not get as far as sshd",
        "containers/pod/internal/door/door.go",
        r"if !welcome\(connection\) \{",
        "if !welcome(connection) && false {",
        (*GATE, "-k", "turned_away"),
        full=True,
    ),
    Defence(
        "gate: tokens for the agent's own user",
        "containers/pod/internal/metadata/places.go",
        r"found != owner\.Own && found",
        "false && found",
        (*GATE, "-k", "whoever_forwards"),
        full=True,
    ),
    Defence("guard: .git never comes out", "containers/mutagen/guard/tier1.txt", r"^\.git\n", "", GUARD),
    Defence("guard: names are folded", "src/paude/sync/guard.py", r"fold\(name\)\n", "name\n", GUARD),
    Defence(
        "plan: the policy before the pod",
        PLAN,
        r"create_pod, gate_image, found, policy,",
        "create_pod, gate_image, found, address,",
        GRAPH,
    ),
    Defence(
        "plan: the baseline before the policy",
        PLAN,
        r"apply_session_policy, anchor, address, after=\[baseline\]",
        "apply_session_policy, anchor, address",
        GRAPH,
    ),
    Defence("plan: proof before leave", PLAN, r"unpacked, proxy, policy\]", "unpacked]", GRAPH),
    Defence(
        "plan: a list's user before its proxy",
        PLAN,
        r"proxy_image, pull, after=\[address\]",
        "proxy_image, pull",
        GRAPH,
    ),
    Defence("plan: the old proxy is shut first", ALLOW, r"after=\[shut, noted\]", "after=[noted]", GRAPH),
    Defence("plan: others' policies before the pod", PLAN, r"volume, others\]", "volume]", GRAPH),
    Defence(
        "plan: the seed before leave",
        PLAN,
        r"release_agent, gate, after=\[marked, ",
        "release_agent, gate, after=[",
        GRAPH,
    ),
    Defence(
        "pod: no token of the cluster",
        MANIFESTS,
        r'"automountServiceAccountToken": False',
        '"automountServiceAccountToken": True',
        PODS,
    ),
    Defence("pod: no DNS", MANIFESTS, r'"dnsPolicy": "None"', '"dnsPolicy": "ClusterFirst"', PODS),
    Defence("pod: no capabilities", MANIFESTS, r' *"capabilities": \{"drop": \["ALL"\]\},\n', "", PODS),
    Defence(
        "pod: a read-only root", MANIFESTS, r'"readOnlyRootFilesystem": True', '"readOnlyRootFilesystem": False', PODS
    ),
    Defence("pod: the baseline selects it", MANIFESTS, r'\{"paude\.io/wall": "closed", ', "{", PODS),
    Defence(
        "history: no hooks",
        "src/paude/sync/git.py",
        r'    "core\.hooksPath": "/dev/null",\n',
        "",
        (*HISTORY, "no_hook"),
    ),
    Defence(
        "history: broken objects",
        "src/paude/sync/git.py",
        r'    "(fetch|transfer)\.fsckObjects": "true",\n',
        "",
        (*HISTORY, "broken_object"),
    ),
    option("the forced command", r"^ForceCommand .*\n", ""),
    option("no terminal", r"^PermitTTY no\n", ""),
    option(
        "no forwarding", r"^(DisableForwarding|Allow\w*Forwarding|X11Forwarding|PermitTunnel|GatewayPorts) .*\n", ""
    ),
    option("only the session's user and key", r"^(AllowUsers|AuthenticationMethods|AuthorizedKeysFile) .*\n", ""),
    *options("gate"),
    *options("agent"),
    Defence(
        "guard: the laptop's end refuses",
        "containers/mutagen/endpoint/transition.go",
        r"return guard\.Path\(c\.Path\) \|\| guard\.Entry\(c\.New\) \|\| ",
        "return ",
        SYNC,
    ),
    Defence(
        "guard: what is held is not even seen",
        "containers/mutagen/endpoint/veil.go",
        r"guard\.Name\(name\) \|\| guard\.Entry\(pod\)",
        "guard.Entry(pod)",
        SYNC,
    ),
    Defence(
        "guard: bare repositories",
        "containers/mutagen/guard/guard.go",
        r"return head && objects && refs",
        "return false && head && objects && refs",
        SYNC,
    ),
    Defence(
        "guard: links into a held path",
        "containers/mutagen/guard/guard.go",
        r"return Path\(e\.Target\)",
        "return false",
        SYNC,
    ),
)


@contextmanager
def copy() -> Iterator[Path]:
    """The checkout, with links instead of copies; images of it get names of their own."""
    with tempfile.TemporaryDirectory(prefix="paude-defences-", dir=ROOT.parent) as name:
        place = Path(name)
        subprocess.run(["cp", "-al", *(str(ROOT / part) for part in COPIED), str(place)], check=True)
        change(place / "tests/integration/podside/images.py", "localhost/paude-test-", "localhost/paude-mutant-")
        yield place


def change(file: Path, pattern: str, instead: str) -> str:
    """Replaces in a file of the copy, never in what it is linked to; gives what was there."""
    before = file.read_text()
    after, times = re.subn(pattern, instead.replace("\\", "\\\\"), before, flags=re.MULTILINE)
    if not times:
        raise SystemExit(f"defences: nothing in {file.name} is like {pattern}")
    write(file, after)
    return before


def write(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


def noticed(place: Path, tests: Sequence[str]) -> str:
    """The test that fails, or nothing when all pass. Raises SystemExit when they cannot be run."""
    words = [*tests]
    where = place
    if words[0] == "pytest":
        words = [sys.executable, "-m", *words, "-x", "-q", "-p", "no:cacheprovider", "--deselect=" + _FINGERPRINT]
    else:
        where = place / words.pop(0)
    path = os.pathsep.join([str(place / "src"), str(place / "tests")])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words, cwd=where, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S
    )
    if done.returncode == 0:
        return ""
    found = re.search(
        r"^(?:FAILED|ERROR) ([^\s\[]+::[^\s\[]+(?:\[.*?\](?= - |$))?)|^\s*--- FAIL: (\S+)", done.stdout, re.MULTILINE
    )
    if not found:
        raise SystemExit(f"defences: {' '.join(words)} did not run:\n{(done.stdout + done.stderr)[-3000:]}")
    return str(found[1] or found[2])


# It notices any change of the text, so it would hide that no other test does.
_FINGERPRINT = "tests/unit/test_egress_squid.py::test_a_changed_generator_has_a_new_generation"


def main() -> int:
    """Each defence on a line of its own; 1 when the loss of one went unnoticed."""
    parser = argparse.ArgumentParser(prog="check-defences", description=__doc__)
    parser.add_argument("--full", action="store_true", help="also what needs images")
    parser.add_argument("words", nargs="*", help="only defences whose name holds one of these")
    chosen = parser.parse_args()
    named = [d for d in DEFENCES if not chosen.words or any(word in d.name for word in chosen.words)]
    full = chosen.full or bool(chosen.words)
    wanted = {d: tests for d in named if (tests := d.asked(full=full))}
    with copy() as place:
        passed: set[tuple[str, ...]] = set()
        lost = []
        for defence, tests in wanted.items():
            # The control, just before its tests are needed: with all defences there is nothing to notice.
            if tests not in passed and (failed := noticed(place, tests)):
                print(f"{failed} fails with every defence in place: nothing can be told", flush=True)  # noqa: T201
                return 1
            passed.add(tests)
            if not _tell(place, defence, tests):
                lost.append(defence)
    print(f"{len(wanted) - len(lost)} of {len(wanted)} defences are missed when they are gone")  # noqa: T201
    return 1 if lost else 0


@contextmanager
def built(place: Path, defence: Defence) -> Iterator[None]:
    """With its programs compiled anew, where its tests run them: files of their own, for the copy is made of links."""
    if not defence.is_built:
        yield
        return
    programs = place / PROGRAMS
    kept = programs.rename(programs.with_name("_kept"))
    try:
        shutil.copytree(kept, programs)
        subprocess.run([sys.executable, "hatch_build.py"], cwd=place, check=True, capture_output=True, timeout=LIMIT_S)
        yield
    finally:
        shutil.rmtree(programs)
        kept.rename(programs)


def _tell(place: Path, defence: Defence, tests: Sequence[str]) -> bool:
    began = time.monotonic()
    before = change(place / defence.file, defence.pattern, defence.instead)
    try:
        with built(place, defence):
            test = noticed(place, tests)
    finally:
        write(place / defence.file, before)
    print(f"{defence.name:44} {test or 'NOBODY NOTICED'}  ({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201
    return bool(test)


if __name__ == "__main__":
    sys.exit(main())
