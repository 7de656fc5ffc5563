"""Generations of managers: which one a configuration names, what it takes, and what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.contracts.generations import (
    COMPLETION_REASONS,
    MOVES,
    CallbackTarget,
    Generation,
    Verdict,
    callback_target,
    ending,
    spelled,
    verdict,
    way,
)
from common.contracts.status import MEANINGS, State, SubCode

V6, V10, V12 = Generation.V6, Generation.V10, Generation.V12


@pytest.mark.parametrize(
    ("older", "newer", "generation", "url"),
    [
        ("http://m:8080/bots/internal/callback/exited", None, V6, "http://m:8080/bots/internal/callback/status_change"),
        ("http://m/exited/", None, V6, "http://m/status_change"),
        ("http://m/exited?key=1", None, V6, "http://m/status_change?key=1"),
        ("http://m/hook", None, V6, "http://m/hook"),
        (None, "http://m/bots/internal/callback/exited", V10, "http://m/bots/internal/callback/status_change"),
        (None, "http://m/status_change", V10, "http://m/status_change"),
        (None, "http://m/bots/internal/callback/lifecycle", V12, "http://m/bots/internal/callback/lifecycle"),
        (None, "http://m/lifecycle?next=/exited", V12, "http://m/lifecycle?next=/exited"),
        ("http://old/exited", "http://new/lifecycle", V12, "http://new/lifecycle"),
    ],
)
def test_the_url_says_which_generation_asks(older: str, newer: str, generation: Generation, url: str) -> None:
    """Older managers name their route for exits; statuses go to the one beside it."""
    assert callback_target(older, newer) == CallbackTarget(generation, url)


def test_without_a_url_there_is_no_manager() -> None:
    """The status stream is always there."""
    assert callback_target(None, None) is None


@pytest.mark.parametrize(
    ("generation", "told", "to", "expected"),
    [
        (V6, None, State.ACTIVE, ["joining", "awaiting_admission", "active"]),
        (V10, None, State.ACTIVE, ["joining", "active"]),
        (V6, None, State.FAILED, ["failed"]),
        (V12, None, State.FAILED, ["joining", "failed"]),
        (V12, State.JOINING, State.COMPLETED, ["active", "completed"]),
        (V12, State.JOINING, State.NEEDS_HELP, ["awaiting_admission", "needs_help"]),
        (V6, State.JOINING, State.NEEDS_HELP, []),
        (V12, State.ACTIVE, State.AWAITING_ADMISSION, []),
        (V12, State.ACTIVE, State.ACTIVE, []),
        (V12, State.COMPLETED, State.FAILED, []),
    ],
)
def test_the_way_is_the_shortest_that_a_manager_takes(
    generation: Generation, told: State | None, to: State, expected: list[str]
) -> None:
    """What has no way is not said."""
    assert way(generation, told, to) == expected


def test_help_has_a_word_of_its_own_in_one_generation() -> None:
    """The others spell states as we do."""
    assert [spelled(generation, State.NEEDS_HELP) for generation in (V10, V12)] == ["needs_human_help", "needs_help"]


@pytest.mark.parametrize(
    ("code", "in_v6", "in_v10", "in_v12", "before_active"),
    [
        ("left_by_command", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("meeting_ended", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("leave_timeout", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("terminated", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("interrupted", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("left_alone", "completed left_alone", "completed left_alone", "completed left_alone", "failed left_alone"),
        ("only_bots_left", "completed left_alone", "completed left_alone", "completed left_alone", "failed left_alone"),
        ("silence_timeout", "completed stopped", "completed stopped", "completed stopped", "failed stopped"),
        ("startup_alone", "completed left_alone", "completed left_alone", "completed startup_alone",
         "failed startup_alone"),
        ("max_duration", "completed stopped", "completed max_bot_time_exceeded", "completed max_bot_time_exceeded",
         "failed max_bot_time_exceeded"),
        ("removed", "completed evicted", "failed evicted", "failed evicted", "failed evicted"),
        ("duplicate_identity", "completed evicted", "failed evicted", "failed evicted", "failed evicted"),
        ("lobby_timeout", *["failed awaiting_admission_timeout"] * 4),
        ("join_refused", *["failed awaiting_admission_rejected"] * 4),
        ("config_invalid", *["failed validation_error"] * 4),
        ("config_unreadable", *["failed validation_error"] * 4),
        *[(code, *["failed None"] * 3, "failed join_failure") for code in (
            "redis_unreachable", "transcriber_unreachable", "room_unreachable", "token_refused", "token_expired",
            "join_timeout", "encrypted", "internal_error", "connection_lost", "not_stored")],
    ],
)  # fmt: skip
def test_each_end_in_each_generations_words(
    code: str, in_v6: str, in_v10: str, in_v12: str, before_active: str
) -> None:
    """Another word is answered with 422, and the row stays as it was."""
    found = [ending(generation, SubCode(code), True) for generation in Generation]
    assert [f"{state} {reason}" for state, reason in found] == [in_v6, in_v10, in_v12]
    state, reason = ending(V12, SubCode(code), False)
    assert f"{state} {reason}" == before_active


@pytest.mark.parametrize("generation", list(Generation))
@pytest.mark.parametrize("code", list(MEANINGS))
@pytest.mark.parametrize("was_active", [True, False])
def test_whatever_sub_code_comes_each_generation_takes_its_end(
    generation: Generation, code: SubCode, was_active: bool
) -> None:
    """Those that are added later, too."""
    state, reason = ending(generation, code, was_active)
    assert reason is None or reason in COMPLETION_REASONS[generation]
    told = State.ACTIVE if was_active else None
    assert way(generation, told, state)[-1] is state
    assert generation is V12 or state in MOVES[generation][told]


def answer(**value: Any) -> bytes:
    """A body."""
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("generation", "code", "body", "expected"),
    [
        (V6, 200, answer(status="active"), Verdict.TAKEN),
        (V6, 200, answer(status="joining"), Verdict.REFUSED),
        (V6, 200, answer(status="error"), Verdict.UNKNOWN),
        (V6, 200, answer(status="ignored"), Verdict.TAKEN),
        (V10, 200, answer(status="processed", meeting_status="active"), Verdict.TAKEN),
        (V10, 200, answer(status="container_updated"), Verdict.TAKEN),
        (V10, 200, answer(status="processed", meeting_status="requested"), Verdict.REFUSED),
        (V10, 404, b"", Verdict.UNKNOWN),
        (V6, 404, b"", Verdict.REFUSED),
        (V12, 404, b"", Verdict.REFUSED),
        (V12, 200, answer(status="accepted", meeting_status="active"), Verdict.TAKEN),
        (V12, 409, answer(detail="illegal"), Verdict.REFUSED),
        (V12, 422, b"", Verdict.REFUSED),
        (V12, 204, b"", Verdict.TAKEN),
        (V12, 200, b"<html>", Verdict.TAKEN),
        (V12, 200, b"[" * 100_000, Verdict.TAKEN),
        (V6, 307, b"", Verdict.REFUSED),
        (V6, 401, b"", Verdict.REFUSED),
        (V6, 429, b"", Verdict.LATER),
        (V6, 500, b"", Verdict.LATER),
        (V6, 503, answer(status="active"), Verdict.LATER),
    ],
)
def test_an_answer_counts_by_its_body(generation: Generation, code: int, body: bytes, expected: Verdict) -> None:
    """200 is no proof, and another try is only made where it can help."""
    assert verdict(generation, code, body, "active") is expected


def test_who_tells_what_was_written_from_speech() -> None:
    """Only the newest collector knows where words are from."""
    assert [generation for generation in Generation if generation.knows_sources] == [V12]
