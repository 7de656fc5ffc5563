"""Webhooks that are believed, and those that are not. That LiveKit signs like this is shown by a real server in
tests/platforms/test_livekit_egress.py."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.platforms.livekit.egress import Egress, EgressState
from bot.platforms.livekit.webhooks import CONTENT_TYPE, KEPT_IDS, EgressEvent, WebhookRefused, Webhooks
from tests.support.examples import EXAMPLES, MALFORMED

KEY, SECRET = "key", "s" * 32


def _event(**changes: Any) -> bytes:
    usual = {"event": "egress_ended", "id": "EV_1", "egressInfo": {"egressId": "EG_1", "status": "EGRESS_COMPLETE"}}
    return json.dumps(usual | changes).encode()


def _signed(body: bytes, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = int(time.time())
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    usual = {"iss": KEY, "nbf": now, "exp": now + 300, "sha256": digest}
    return jwt.encode({k: v for k, v in (usual | claims).items() if v is not None}, secret, algorithm=algorithm)


def test_signed_event() -> None:
    """What the server signed is believed, with or without `Bearer`; told again it is nothing new."""
    webhooks, body = Webhooks(KEY, SECRET), _event()
    expected = EgressEvent("egress_ended", Egress("EG_1", EgressState.COMPLETE))
    assert webhooks.read(CONTENT_TYPE, _signed(body), body) == expected
    assert webhooks.read(CONTENT_TYPE, _signed(body), body) is None
    other = _event(id="EV_2")
    assert webhooks.read(f"{CONTENT_TYPE}; charset=utf-8", f"Bearer {_signed(other)}", other) == expected


@pytest.mark.parametrize(
    "body", [_event(event="room_started"), _event(event=7), _event(egressInfo=None), _event(egressInfo=[])]
)
def test_other_events(body: bytes) -> None:
    """What is about no egress is nobody's business here."""
    assert Webhooks(KEY, SECRET).read(CONTENT_TYPE, _signed(body), body) is None


@pytest.mark.parametrize(
    ("sign", "why"),
    [
        (lambda: "", "not signed"),
        (lambda: "Bearer ", "not signed"),
        (lambda: "nonsense", "DecodeError"),
        (lambda: _signed(_event(), secret="t" * 32), "InvalidSignatureError"),
        (lambda: _signed(_event(), algorithm="HS512", secret="s" * 64), "InvalidAlgorithmError"),
        (lambda: jwt.encode({"iss": KEY, "exp": 9999999999}, "", algorithm="none"), "InvalidAlgorithmError"),
        (lambda: _signed(_event(), iss="other"), "InvalidIssuerError"),
        (lambda: _signed(_event(), iss=None), "MissingRequiredClaimError"),
        (lambda: _signed(_event(), exp=None), "MissingRequiredClaimError"),
        (lambda: _signed(_event(), exp=int(time.time()) - 61), "expired"),
        (lambda: _signed(_event(), nbf=int(time.time()) + 600), "ImmatureSignatureError"),
        (lambda: _signed(b"another"), "not what was signed"),
        (lambda: _signed(_event(), sha256=None), "not what was signed"),
        (lambda: _signed(_event(), sha256="é"), "not what was signed"),
    ],
)
def test_refused(sign: Callable[[], str], why: str) -> None:
    """Unsigned, signed by somebody else, too old, or with another body: refused, and it is said why without quoting."""
    with pytest.raises(WebhookRefused, match=why):
        Webhooks(KEY, SECRET).read(CONTENT_TYPE, sign(), _event())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", _event(id=None), _event(id=7), b"\xff\xfe"])
def test_signed_nonsense(body: bytes) -> None:
    """Even what is signed must be an event."""
    with pytest.raises(WebhookRefused):
        Webhooks(KEY, SECRET).read(CONTENT_TYPE, _signed(body), body)


def test_unknown_state_and_other_types() -> None:
    """An egress in an unknown state, and a body that is not LiveKit's type, are refused."""
    body = _event(egressInfo={"status": "EGRESS_NEW"})
    with pytest.raises(WebhookRefused, match="nobody here knows"):
        Webhooks(KEY, SECRET).read(CONTENT_TYPE, _signed(body), body)
    with pytest.raises(WebhookRefused, match="not application/webhook"):
        Webhooks(KEY, SECRET).read("application/json", _signed(body), body)


def test_ids_are_kept_for_so_many() -> None:
    """Memory of what was told is bounded."""
    webhooks = Webhooks(KEY, SECRET)
    for number in range(KEPT_IDS + 50):
        body = _event(id=f"EV_{number}")
        webhooks.read(CONTENT_TYPE, _signed(body), body)
    assert len(webhooks._seen) == KEPT_IDS


@settings(max_examples=4 * EXAMPLES)
@given(st.text(max_size=40), st.text(max_size=200), st.binary(max_size=400))
def test_whatever_comes_is_refused(content_type: str, authorization: str, body: bytes) -> None:
    """Nothing without a signature gets through, and nothing breaks the reader."""
    with pytest.raises(WebhookRefused):
        Webhooks(KEY, SECRET).read(content_type, authorization, body)
    with pytest.raises(WebhookRefused):
        Webhooks(KEY, SECRET).read(CONTENT_TYPE, authorization, body)


def test_signed_events_that_are_none() -> None:
    """What is signed and not what it should be, in any place, is read or refused, and breaks nothing."""
    random = Random(1)
    webhooks, whole = Webhooks(KEY, SECRET), _event(roomName="r", egressInfo={"egressId": "EG_1", "roomComposite": {}})
    values: list[Any] = [None, 7, -1, 1e309, "", "x" * 300, [], {}, [[]], {"layout": []}, True, "EGRESS_ACTIVE"]
    read = 0
    for number in range(MALFORMED):
        body = bytearray(whole)
        if number % 2:
            said = json.loads(whole)
            part = random.choice([said, said["egressInfo"]])
            part[random.choice([*part, "status", "error", "id", "event"])] = random.choice(values)
            body = bytearray(json.dumps(said).encode())
        else:
            for _ in range(random.randint(1, 4)):
                body[random.randrange(len(body))] = random.randrange(256)
        try:
            read += webhooks.read(CONTENT_TYPE, _signed(bytes(body)), bytes(body)) is not None
        except WebhookRefused:
            continue
    assert read > 0
