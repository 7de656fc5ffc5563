"""Status callbacks: bodies as each generation takes them, and signatures that a receiver can check."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.callbacks import (
    Callback,
    callback,
    is_signed,
    message_id,
    parse_callback,
    signed_headers,
)
from common.contracts.events import StatusEvent
from common.contracts.generations import Generation
from common.contracts.status import State, SubCode

V6, V10, V12 = Generation.V6, Generation.V10, Generation.V12
AT = "2026-01-31T09:30:00.250Z"
ACTIVE = StatusEvent("bot-1", 42, "vexa-bot-42", State.ACTIVE, AT)
REMOVED = replace(ACTIVE, status=State.FAILED, code=SubCode.REMOVED, stage=State.ACTIVE, detail="the host did it")


@pytest.mark.parametrize("generation", list(Generation))
def test_a_status_on_the_way(generation: Generation) -> None:
    """Who, what, in which container, when; nothing of an end."""
    assert json.loads(callback(generation, ACTIVE, State.ACTIVE, False)) == {
        "connection_id": "bot-1",
        "status": "active",
        "container_id": "vexa-bot-42",
        "timestamp": AT,
    }


@pytest.mark.parametrize("generation", list(Generation))
def test_what_a_person_must_do_is_the_reason(generation: Generation) -> None:
    """And only where that is what is told: not for a state that merely has to come before."""
    event = replace(ACTIVE, status=State.NEEDS_HELP, detail="a captcha")
    assert json.loads(callback(generation, event, State.NEEDS_HELP, False))["reason"] == "a captcha"
    assert "reason" not in json.loads(callback(generation, event, State.AWAITING_ADMISSION, False))


@pytest.mark.parametrize(
    ("generation", "state", "more"),
    [
        (V6, State.COMPLETED, {"error_details": {"code": "removed", "detail": "the host did it", "not_stored": 2}}),
        (V10, State.FAILED, {"failure_stage": "active",
                             "error_details": {"code": "removed", "detail": "the host did it", "not_stored": 2}}),
        (V12, State.FAILED, {"failure_stage": "active", "error_details": "removed: the host did it"}),
    ],
)  # fmt: skip
def test_an_end(generation: Generation, state: State, more: dict[str, Any]) -> None:
    """The sub-code, the exit code and the manager's word for it; details are an object or a text."""
    assert json.loads(callback(generation, replace(REMOVED, not_stored=2), state, True)) == {
        "connection_id": "bot-1",
        "status": state,
        "container_id": "vexa-bot-42",
        "reason": "removed",
        "exit_code": 5,
        "completion_reason": "evicted",
        "timestamp": AT,
        **more,
    }


def test_without_a_container_nothing_is_said_of_one() -> None:
    """The newest answers null with 422."""
    assert "container_id" not in json.loads(callback(V12, replace(ACTIVE, container_name=None), State.ACTIVE, False))


@pytest.mark.parametrize(
    ("stage", "expected"),
    [(None, "requested"), (State.JOINING, "joining"), (State.NEEDS_HELP, "awaiting_admission")],
)
def test_a_failure_says_where_it_came(stage: State | None, expected: str) -> None:
    """In the managers' four words; before joining it is `requested`, and a failure without a word has no reason."""
    event = replace(REMOVED, code=SubCode.INTERNAL_ERROR, stage=stage, detail="")
    value = json.loads(callback(V10, event, State.FAILED, False))
    assert value["failure_stage"] == expected
    assert "completion_reason" not in value
    assert json.loads(callback(V12, event, State.FAILED, True))["error_details"] == "internal_error"


def test_what_does_not_work_is_told() -> None:
    """An active bot that is deaf is no riddle to its manager."""
    assert json.loads(callback(V12, ACTIVE, State.ACTIVE, True, ["transcriber"]))["unhealthy"] == ["transcriber"]


def test_a_long_detail_is_cut() -> None:
    """A manager keeps it in a row."""
    assert len(callback(V12, replace(REMOVED, detail="x" * 1_000_000), State.FAILED, True)) < 3_000


EVENTS = st.builds(
    StatusEvent,
    st.text(min_size=1),
    st.just(1),
    st.none() | st.text(),
    st.sampled_from(State),
    st.just(AT),
    st.text(),
    st.sampled_from(SubCode),
    st.none() | st.sampled_from(State),
)


@given(st.sampled_from(Generation), EVENTS, st.sampled_from([State.COMPLETED, State.FAILED]), st.booleans())
def test_any_end_is_one_that_the_manager_reads(
    generation: Generation, event: StatusEvent, state: State, was_active: bool
) -> None:
    """Whatever names and details it has."""
    read = parse_callback(generation, callback(generation, event, state, was_active))
    assert (read.status, read.reason, read.timestamp) == (state, event.code, AT)


def test_what_is_built_reads_back() -> None:
    """Builder and parser are each other's inverse."""
    assert parse_callback(V10, callback(V10, REMOVED, State.FAILED, True)) == Callback(
        "bot-1", "failed", "vexa-bot-42", "removed", 5, "evicted", "active", "the host did it", AT
    )
    assert parse_callback(V6, callback(V6, ACTIVE, State.ACTIVE, True)).detail is None


@pytest.mark.parametrize(
    ("generation", "change"),
    [
        (V6, {"connection_id": None}),
        (V6, {"status": "needs_help"}),
        (V10, {"status": "needs_help"}),
        (V12, {"status": "requested"}),
        (V6, {"completion_reason": "startup_alone"}),
        (V10, {"completion_reason": "removed"}),
        (V12, {"completion_reason": "stopped_with_no_audio"}),
        (V6, {"failure_stage": "lobby"}),
        (V6, {"error_details": "text"}),
        (V12, {"error_details": {}}),
        (V12, {"container_id": None}),
        (V12, {"exit_code": "5"}),
    ],
)
def test_what_a_manager_refuses_is_refused(generation: Generation, change: dict[str, Any]) -> None:
    """With 422, as the tables have it."""
    body = json.loads(callback(generation, REMOVED, State.FAILED, True)) | change
    with pytest.raises(ValueError, match="expected"):
        parse_callback(generation, json.dumps(body))


def test_older_ones_take_null() -> None:
    """For what is not known."""
    body = {"connection_id": "b", "status": "active", "container_id": None, "error_details": None}
    assert parse_callback(V6, json.dumps(body)) == Callback("b", "active")


@given(st.sampled_from(Generation), st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_any_text_is_a_callback_or_a_value_error(generation: Generation, text: str) -> None:
    """Nothing else comes out."""
    with contextlib.suppress(ValueError):
        parse_callback(generation, text)


# --- headers

BODY = b'{"test": 2432232314}'


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The vector that its libraries are tested with."""
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, 1614265330, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == headers["idempotency-key"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_without_a_secret_nothing_is_signed() -> None:
    """The message can still be told from another."""
    assert list(signed_headers("m", BODY, 1, None)) == ["webhook-id", "webhook-timestamp", "idempotency-key"]


@pytest.mark.parametrize("secret", ["plain words", "whsec_not base64", "whsec_" + base64.b64encode(b"key").decode()])
def test_a_receiver_can_check_it(secret: str) -> None:
    """The right secret, the same bytes, not long ago, and one of several signatures is enough."""
    headers = signed_headers("m", BODY, 1_000, secret)
    assert is_signed(headers, BODY, secret, 1_200.5)
    assert is_signed(headers | {"webhook-signature": f"v1,x {headers['webhook-signature']}"}, BODY, secret, 1_000)
    assert not is_signed(headers, BODY + b" ", secret, 1_000)
    assert not is_signed(headers, BODY, secret + "x", 1_000)
    assert not is_signed(headers, BODY, secret, 1_301)
    assert not is_signed(headers, BODY, secret, 600)
    assert not is_signed(headers | {"webhook-id": "n"}, BODY, secret, 1_000)


@pytest.mark.parametrize("at", ["", "-5", "1e3", "²", "9" * 5_000])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    """Whatever a stranger sends."""
    assert not is_signed({"webhook-timestamp": at}, BODY, "secret", 0.0)
    assert not is_signed({}, BODY, "secret", 0.0)


def test_a_message_is_named_by_what_it_says() -> None:
    """The same on every try; another for another status, bot or time."""
    names = [
        message_id(ACTIVE, State.ACTIVE),
        message_id(ACTIVE, State.JOINING),
        message_id(replace(ACTIVE, connection_id="bot-\ud800"), State.ACTIVE),
        message_id(replace(ACTIVE, timestamp="2026-01-31T09:30:00.251Z"), State.ACTIVE),
    ]
    assert len(set(names)) == 4
    assert names[0] == message_id(replace(ACTIVE, detail="other"), State.ACTIVE)
    assert all(name.isascii() and len(name) == 36 for name in names)


def test_the_receiver_in_the_guide_works() -> None:
    """As it stands in docs/managers.md: the right secret, the same bytes, not long ago."""
    guide = (Path(__file__).parents[4] / "docs" / "managers.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(guide.partition("```python\n")[2].partition("```")[0], scope)
    check, now = scope["is_from_the_bot"], time.time()
    headers = signed_headers("m", BODY, int(now), "plain words")
    assert check(headers, BODY, "plain words")
    assert not check(headers, BODY, "other words")
    assert not check(headers, BODY + b"x", "plain words")
    assert not check(signed_headers("m", BODY, int(now) - 302, "plain words"), BODY, "plain words")
