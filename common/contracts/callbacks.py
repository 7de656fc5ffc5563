"""Status callbacks: what a manager is told about its bot, in each generation's words, signed, built and read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.contracts.events import StatusEvent
from common.contracts.generations import COMPLETION_REASONS, Generation, ending, spelled
from common.contracts.json_values import field, optional, read_object, write
from common.contracts.status import ENDS, MEANINGS, State

MAX_DETAIL_CHARACTERS = 2_000
"""Characters of a detail that are sent."""
STAGES = ("requested", "joining", "awaiting_admission", "active")
"""Where an end can come, as managers know it."""
SIGNATURE_AGE_S = 300.0
"""A receiver refuses signatures that are older, or from so far in the future: a recorded callback is worth nothing."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One status, as a manager reads it.

    Args:
        connection_id: The bot.
        status: In the manager's word.
        container_id: The bot's container, if it knows its name.
        reason: Of an end our sub-code, else what happened, for people.
        exit_code: Of the process; only of an end.
        completion_reason: The manager's word for an end, if it has one.
        failure_stage: Where a failure came.
        detail: What happened, for people: `error_details`.
        timestamp: ISO 8601, UTC.
    """

    connection_id: str
    status: str
    container_id: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    completion_reason: str | None = None
    failure_stage: str | None = None
    detail: str | None = None
    timestamp: str | None = None


def callback(
    generation: Generation, event: StatusEvent, state: State, was_active: bool, unhealthy: Sequence[str] = ()
) -> str:
    """The body, JSON.

    Args:
        generation: The manager's.
        event: What happened, redacted.
        state: What the manager is told because of it: the event's, or one that has to come before in its order.
        was_active: Whether it was told that the bot is in the meeting.
        unhealthy: What does not work now: `transcriber`, `room` and so on. A key that older managers ignore.
    """
    value: dict[str, Any] = {"connection_id": event.connection_id, "status": spelled(generation, state)}
    if event.container_name is not None:  # null is an error in the newest, and left out empties no row in older ones
        value["container_id"] = event.container_name
    detail = event.detail[:MAX_DETAIL_CHARACTERS]
    if state in ENDS and event.code is not None:
        _, reason = ending(generation, event.code, was_active)
        value |= {"reason": event.code, "exit_code": MEANINGS[event.code].exit_code}
        if reason is not None:
            value["completion_reason"] = reason
        if state is State.FAILED:
            value["failure_stage"] = _stage(event)
        value["error_details"] = (
            f"{event.code}: {detail}".removesuffix(": ")
            if generation is Generation.V12
            else {"code": event.code, "detail": detail, "not_stored": event.not_stored}
        )
    elif detail and state is event.status:
        value["reason"] = detail
    if unhealthy:
        value["unhealthy"] = list(unhealthy)
    return write(value | {"timestamp": event.timestamp})


def _stage(event: StatusEvent) -> str:
    if event.stage is State.NEEDS_HELP:
        return State.AWAITING_ADMISSION
    return event.stage if event.stage in STAGES else STAGES[0]


def parse_callback(generation: Generation, body: str | bytes) -> Callback:
    """Reads a body as strictly as a manager of the generation does; unknown keys are ignored. Raises ValueError."""
    value = read_object(body)
    is_v12 = generation is Generation.V12
    if is_v12 and None in value.values():
        raise ValueError("a value for each key expected, null is none")
    status = field(value, "status", str)
    known = {spelled(generation, state) for state in State if generation is not Generation.V6 or state != "needs_help"}
    if status not in known:
        raise ValueError("status: a state of this generation expected")
    reason = optional(value, "completion_reason", str)
    if reason is not None and reason not in COMPLETION_REASONS[generation]:
        raise ValueError("completion_reason: a word of this generation expected")
    stage = optional(value, "failure_stage", str)
    if stage is not None and stage not in STAGES:
        raise ValueError(f"failure_stage: one of {', '.join(STAGES)} expected")
    return Callback(
        connection_id=field(value, "connection_id", str),
        status=status,
        container_id=optional(value, "container_id", str),
        reason=optional(value, "reason", str),
        exit_code=optional(value, "exit_code", int),
        completion_reason=reason,
        failure_stage=stage,
        detail=optional(value, "error_details", str) if is_v12 else _detail(optional(value, "error_details", dict)),
        timestamp=optional(value, "timestamp", str),
    )


def _detail(details: Mapping[str, Any] | None) -> str | None:
    return None if details is None else optional(details, "detail", str)


# --- headers: who says it, and that it is the same thing said again


def message_id(event: StatusEvent, state: State) -> str:
    """Names one status of one bot: the same however often it is sent, so that a receiver takes it once."""
    text = f"{event.connection_id}\n{state}\n{event.timestamp}"
    return f"msg_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}"


def signed_headers(message: str, body: bytes, at: int, secret: str | None) -> dict[str, str]:
    """The headers of Standard Webhooks (standardwebhooks.com), and `Idempotency-Key`.

    Args:
        message: Its `message_id`.
        body: The bytes that are sent.
        at: Unix seconds.
        secret: Signs; `whsec_…` is base64, anything else is taken as it is. None: no signature.
    """
    headers = {"webhook-id": message, "webhook-timestamp": str(at), "idempotency-key": message}
    if secret is not None:
        headers["webhook-signature"] = f"v1,{_signature(message, body, at, secret)}"
    return headers


def is_signed(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether headers (their names in lower case) sign the body with this secret, not long ago."""
    at, message = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not (at.isascii() and at.isdecimal() and len(at) < 16) or abs(now - int(at)) > SIGNATURE_AGE_S:
        return False
    right = f"v1,{_signature(message, body, int(at), secret)}".encode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(right, signature.encode("utf-8", "replace")) for signature in given)


def _signature(message: str, body: bytes, at: int, secret: str) -> str:
    signed = f"{message}.{at}.".encode("utf-8", "replace") + body
    return base64.b64encode(hmac.digest(_key(secret), signed, "sha256")).decode()


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:  # it only looks like one
            pass
    return secret.encode("utf-8", "replace")
