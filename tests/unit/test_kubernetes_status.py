"""What the API server's refusals mean, in its own words as they were seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paude.backends.kubernetes.status import Conflict, error
from paude.errors import (
    AdmissionDenied,
    ConnectionLost,
    Forbidden,
    LoginExpired,
    NotFound,
    PaudeError,
    QuotaExceeded,
)

CANNOT = (
    'configmaps is forbidden: User "nobody" cannot create resource "configmaps" in API group "" in the namespace "a"'
)
CANNOT_GROUP = (
    'networkpolicies.networking.k8s.io is forbidden: User "nobody" cannot create resource "networkpolicies" '
    'in API group "networking.k8s.io" in the namespace "proj-b"'
)
QUOTA = (
    'persistentvolumeclaims "paude-x" is forbidden: exceeded quota: small, requested: persistentvolumeclaims=1, '
    "used: persistentvolumeclaims=0, limited: persistentvolumeclaims=0"
)
LIMIT = 'pods "paude-x-0" is forbidden: maximum memory usage per Container is 2Gi, but limit is 8Gi'
POD_SECURITY = (
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
    '(container "a" must set securityContext.allowPrivilegeEscalation=false)'
)
SCC = (
    'pods "paude-x-0" is forbidden: unable to validate against any security context constraint: '
    "[provider restricted-v2: .containers[0].runAsUser: Invalid value: 1: must be in the ranges: [1, 2]]"
)
POLICY = (
    "statefulsets.apps \"paude-x\" is forbidden: ValidatingAdmissionPolicy 'deny' with binding 'deny' denied request: "
    "no agents on Fridays"
)
WEBHOOK = 'admission webhook "policy.example.test" denied the request: no'
TERMINATING = (
    'configmaps "paude-x" is forbidden: unable to create new content in namespace gone because it is being terminated'
)


@pytest.mark.parametrize(
    ("code", "message", "kind", "exit_code", "what"),
    [
        (401, "Unauthorized", LoginExpired, 7, "does not accept your login"),
        (403, CANNOT, Forbidden, 6, "you may not create configmaps"),
        (403, CANNOT_GROUP, Forbidden, 6, "you may not create networkpolicies.networking.k8s.io"),
        (403, QUOTA, QuotaExceeded, 6, "a quota of the namespace"),
        (403, LIMIT, QuotaExceeded, 6, "a LimitRange of the namespace"),
        (403, POD_SECURITY, AdmissionDenied, 6, "admission"),
        (403, SCC, AdmissionDenied, 6, "admission"),
        (403, POLICY, AdmissionDenied, 6, "admission"),
        (403, WEBHOOK, AdmissionDenied, 6, "admission"),
        (403, TERMINATING, Forbidden, 6, "the namespace is being deleted"),
        (403, "no", Forbidden, 6, "you may not do it"),
        (404, 'namespaces "x" not found', NotFound, 4, "cannot do it"),
        (409, 'configmaps "x" already exists', Conflict, 5, "cannot do it"),
        (422, POLICY, AdmissionDenied, 6, "refuses to do it"),
        (422, 'Service "x" is invalid: spec.ports: Required value', PaudeError, 1, "refuses to do it"),
        (400, "bad", PaudeError, 1, "refuses to do it"),
        (429, "slow down", ConnectionLost, 255, "cannot do it now"),
        (500, "etcdserver: request timed out", ConnectionLost, 255, "cannot do it now"),
        (502, "", ConnectionLost, 255, "cannot do it now"),
        (503, "apiserver not ready", ConnectionLost, 255, "cannot do it now"),
        (504, "", ConnectionLost, 255, "cannot do it now"),
    ],
)
def test_each_answer_has_its_error(code: int, message: str, kind: type[PaudeError], exit_code: int, what: str) -> None:
    found = error(code, {"message": message}, "do it")
    assert type(found) is kind
    assert found.exit_code == exit_code
    assert what in found.what
    if code != 401:
        assert (message or str(code)) in found.why


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (CANNOT, "the right to create configmaps"),
        (CANNOT_GROUP, "the right to create networkpolicies.networking.k8s.io"),
    ],
)
def test_a_missing_right_is_named_with_verb_and_resource_in_the_hint(message: str, word: str) -> None:
    assert word in error(403, {"message": message}, "do it").hint


def test_a_quota_is_named_and_the_options_that_ask_for_less() -> None:
    found = error(403, {"message": QUOTA}, "create the claim")
    assert "small" in found.why
    assert "--storage" in found.hint
    assert "create the claim" in found.what


def test_an_answer_without_words_still_says_what_failed() -> None:
    found = error(418, None, "create the pod")
    assert "create the pod" in found.what
    assert "418" in found.why


@given(st.integers(400, 599), st.text(max_size=3000))
def test_no_answer_brings_control_characters_or_pages_of_text(code: int, text: str) -> None:
    found = error(code, {"message": "\x1b[2J\x07" + text}, "do it")
    assert isinstance(found, PaudeError)
    assert "\x1b" not in str(found)
    assert "\x07" not in str(found)
    assert len(found.why) <= 1200
