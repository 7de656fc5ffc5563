"""Reports, as the log and the sinks get them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.core import effects as fx
from bot.reporting import MAX_REFUSALS_KEPT, Reporting
from common.contracts.events import BotState, parse_event
from common.contracts.health import Hearing
from common.contracts.json_values import write
from common.contracts.segments import Segment, SessionIdentity, Source
from common.contracts.status import State, SubCode
from tests.support.fakes.kept import Kept


class Broken(Kept):
    """One that raises, whatever it is told; what it says may be what somebody said."""

    def status(self, event: Mapping[str, Any]) -> bool:
        """Raises."""
        raise ValueError("canary words")

    def publish_final(self, payload: str) -> bool:
        """Raises."""
        raise OSError("canary words")

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Raises."""
        raise KeyError("canary words")

    async def flush(self, timeout: float) -> int:
        """Raises."""
        raise RuntimeError("canary words")


class Stuck(Kept):
    """One that never says what is left."""

    async def flush(self, timeout: float) -> int:
        """Never returns."""
        await asyncio.Event().wait()
        return 0


class Late(Kept):
    """One that did not get everything out."""

    async def flush(self, timeout: float) -> int:
        """Two are left."""
        return 2


HEARD_AT = "2026-01-31T09:30:00.250Z"
SAID = Segment("bot:ana:250", 0.25, 1.25, "I do", "Ana", "ana", "en", True, HEARD_AT, HEARD_AT)


async def test_a_sink_that_fails_keeps_no_other_from_hearing(virtual_time: None) -> None:
    """Its failures are said once for each step, without the words in them, and what it lost counts as not stored."""
    broken, kept, stuck = Broken(), Kept(), Stuck()
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [broken, kept, stuck])
    with capture_logs() as logged:
        for _ in range(3):
            reporting.health(fx.ReportHealth("room", True, "audio is heard"))
            reporting.segment(SAID)
        left = await reporting.flush(1.0)
    assert (len(kept.events), len(kept.live), kept.finals) == (3, 3, 3)
    assert left == 3 + 3 + 1 + 1, "events, finals, and whatever the two had left"
    failures = [(line["sink"], line["step"]) for line in logged if line["event"] == "sink.failed"]
    steps = ["status", "publish_live", "publish_final", "flush"]
    assert failures == [*(("Broken", step) for step in steps), ("Stuck", "flush")]
    assert "canary" not in repr(logged)


@pytest.mark.parametrize("sink", [Broken(), Stuck(), Late()])
async def test_one_that_stores_nothing_ends_no_meeting_as_not_stored(virtual_time: None, sink: Kept) -> None:
    """A manager's callback that fails, in whatever way, is said in the log; the transcript in Redis misses nothing."""
    sink.stores = False
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [Kept(), sink])
    with capture_logs() as logged:
        reporting.health(fx.ReportHealth("room", True, "audio is heard"))
        reporting.segment(SAID)
        assert await reporting.flush(1.0) == 0
    assert {line["event"] for line in logged} & {"sink.failed", "sink.not_stored"}


async def test_what_is_not_stored_is_counted_and_the_log_says_where() -> None:
    """All sinks' entries together, and for each that has some left how many."""
    late, kept = Late(), Kept()
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [late, kept, late])
    with capture_logs() as logged:
        assert await reporting.flush(1.0) == 4
    left = {"event": "sink.not_stored", "log_level": "warning", "sink": "Late", "entries": 2}
    assert logged == [left, left]


def test_each_refusal_is_logged_once_and_answered_always() -> None:
    """A manager that asks again and again for what we cannot do fills its status stream, and not our log."""
    sink = Kept()
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [sink])
    asked = 2 * MAX_REFUSALS_KEPT
    with capture_logs() as logged:
        for number in range(asked):
            reporting.command(fx.AnswerCommand(f"dance {number}", False, "unknown action"))
            reporting.command(fx.AnswerCommand("sing", False, "unknown action"))
        reporting.command(fx.AnswerCommand("leave", True, "leaving"))
    assert len(sink.events) == 2 * asked + 1
    levels = [line["log_level"] for line in logged]
    assert (levels.count("warning"), levels.count("info")) == (MAX_REFUSALS_KEPT, 1)


def test_secrets_that_are_our_own_words_leave_reports_readable() -> None:
    """A token `status`, a passcode `silent`: keys, states and subjects stay, and everybody can read them."""
    sink = Kept()
    secrets = ["status", "detail", "event", "hearing", "silent", "active", "failed", "transcriber", "connection_id"]
    reporting = Reporting(SessionIdentity("p", 1, None, "bot"), "vexa-status-1", [sink], secrets)
    reporting.status(fx.ReportStatus(State.FAILED, SubCode.REMOVED, "status: see the log", State.ACTIVE))
    reporting.health(fx.ReportHealth("transcriber", False, "no text", Hearing.SILENT))
    state = BotState(State.ACTIVE, Hearing.SILENT, False, 1, None, "transcribe", ())
    reporting.command(fx.AnswerCommand("status", True, "", "7", state))
    status, health, command = (parse_event(write(event)) for event in sink.events)
    assert (status.status, status.container_name, status.detail) == ("failed", "vexa-status-1", "***: see the log")  # type: ignore[union-attr]
    assert (health.subject, health.hearing) == ("transcriber", "silent")  # type: ignore[union-attr]
    assert (command.action, command.state) == ("status", state)  # type: ignore[union-attr]


def test_the_final_of_a_mix_takes_the_place_of_its_drafts() -> None:
    """They are nobody's and it is Ana's: clients that group drafts by `speaker` would keep them for ever."""
    sink = Kept()
    reporting = Reporting(SessionIdentity("p", 1, None, "bot:1"), None, [sink])
    times = "2026-01-31T09:30:00.250Z", "2026-01-31T09:30:01.250Z"
    draft = Segment("bot:1:mix:250", 0.25, 1.25, "I do", "unknown", "mix", "en", False, *times)
    named = replace(draft, speaker="Ana", speaker_id="ana", completed=True)
    other = replace(named, segment_id="bot:1:ben:x:300", speaker="Ben", speaker_id="ben:x")
    for segment in (draft, named, other):
        reporting.segment(segment)
    assert [(message["speaker"], len(message["pending"])) for message in sink.live] == [
        ("mix", 1),
        ("mix", 0),
        ("ben:x", 0),
    ]
    assert sink.live[1]["confirmed"][0]["speaker"] == "Ana"


def test_chat_is_spared_whoever_would_take_it_for_speech() -> None:
    """Captions are speech in another form, and come; a message ends no draft of whoever wrote it."""
    times = "2026-01-31T09:30:00.250Z", "2026-01-31T09:30:00.250Z"
    chat = Segment("bot:ana:chat:250", 0.25, 0.25, "hi", "Ana", "ana", None, True, *times, source=Source.CHAT)
    captions = replace(chat, segment_id="bot:ana:captions:250", source=Source.CAPTIONS)
    for takes_chat in (True, False):
        sink = Kept()
        reporting = Reporting(SessionIdentity("p", 1, None, "bot"), None, [sink], takes_chat=takes_chat)
        reporting.segment(chat)
        reporting.segment(captions)
        assert [message["speaker"] for message in sink.live] == ["ana:chat"] * takes_chat + ["ana:captions"]
