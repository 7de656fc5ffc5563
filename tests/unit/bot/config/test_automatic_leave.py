"""The leave rules that a configuration asks for, and what of it a whole meeting does, in virtual time."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest

from bot.config import BotConfig, ConfigError, load_config
from bot.core import effects as fx
from bot.core import events as ev
from bot.core.leave import LeaveSettings, next_departure
from bot.core.meeting import MeetingCore
from bot.core.roster import Roster
from common.contracts.status import SubCode

NEEDED = {
    "platform": "rehearsal",
    "meetingUrl": "rehearsal:x.json",
    "redisUrl": "redis://r",
    "whisperLiveUrl": "ws://t",
}
USERS_EXAMPLE = {
    "enabled": False,
    "timeout": 999999,
    "waitingRoomTimeout": 300000,
    "noOneJoinedTimeout": 300000,
    "everyoneLeftTimeout": 300000,
}
ANA, LEFT = ev.ParticipantJoined("ana", "Ana"), ev.ParticipantLeft("ana")
TRACK = ev.TrackOpened("t", "ana")


def configured(**rules: Any) -> BotConfig:
    """A configuration with these rules."""
    return load_config(json.dumps(NEEDED | {"automaticLeave": rules, "maxDurationMs": 1_200_000}), {})[0]


def end(rules: dict[str, Any], *history: tuple[float, ev.Event]) -> tuple[float, SubCode]:
    """When the bot leaves by itself after these events, and why; every track sounds quietly, once a second."""
    config = configured(**rules)
    leave = config.automatic_leave
    meeting = MeetingCore(
        leave.rules(config.max_duration_ms, config.transcriber_mute_timeout_ms), Roster(leave.bot_names)
    )
    meeting.begin(0.0)
    told = list(history)
    for half in range(200_000):
        now = half / 2
        while told and told[0][0] <= now:
            meeting.receive(told.pop(0)[1], now)
        if half % 2 == 0 and meeting.roster.tracks:
            meeting.receive(ev.AudioHeard("t", 16_000, -60.0, False), now)
        meeting.tick(now)
        if fx.LeaveMeeting() in meeting.effects():
            meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), now)
            finish = meeting.effects()[-1]
            assert isinstance(finish, fx.Finish)
            return now, finish.code
    raise AssertionError("it stays for ever")


IN = (1.0, ev.Admitted())
LOST = ev.TransportLost()
NOTES = ev.ParticipantJoined("n", "VexaBot-7f")


CASES: tuple[tuple[dict[str, Any], tuple[tuple[float, ev.Event], ...], tuple[float, SubCode]], ...] = (
    ({}, (), (120, SubCode.JOIN_TIMEOUT)),
    ({}, ((1, ev.HelpNeeded("a captcha")),), (301, SubCode.NEEDS_HELP_TIMEOUT)),
    ({"waitingRoomTimeout": 5_500}, ((1, ev.LobbyEntered()),), (6.5, SubCode.LOBBY_TIMEOUT)),
    ({"noOneJoinedTimeout": 20_000}, (IN, (2, NOTES)), (21, SubCode.STARTUP_ALONE)),
    ({"everyoneLeftTimeout": 20_000}, (IN, (2, ANA), (30, LEFT)), (50, SubCode.LEFT_ALONE)),
    ({"onlyBotsLeftTimeout": 20_000}, (IN, (2, ANA), (3, NOTES), (30, LEFT)), (50, SubCode.ONLY_BOTS_LEFT)),
    ({"botNames": ["ana"], "noOneJoinedTimeout": 9_000}, (IN, (2, ANA)), (10, SubCode.STARTUP_ALONE)),
    ({"silenceTimeout": 20_000, "silenceAfter": 30_000}, (IN, (2, ANA), (2, TRACK)), (51, SubCode.SILENCE_TIMEOUT)),
    ({"timeout": 60_000}, (IN, (2, ANA), (2, TRACK)), (61, SubCode.LEAVE_TIMEOUT)),
    ({}, (IN, (2, ANA), (2, TRACK)), (1201, SubCode.MAX_DURATION)),
    (
        {"everyoneLeftTimeout": 20_000},
        (IN, (2, ANA), (5, LEFT), (9, ev.TransportLost())),
        (189, SubCode.CONNECTION_LOST),
    ),
    (USERS_EXAMPLE, ((1, ev.LobbyEntered()),), (301, SubCode.LOBBY_TIMEOUT)),
    (USERS_EXAMPLE, (IN,), (1201, SubCode.MAX_DURATION)),
    (USERS_EXAMPLE, (IN, (2, ANA), (3, LEFT)), (1201, SubCode.MAX_DURATION)),
    (USERS_EXAMPLE, (IN, (2, ANA), (3, LOST)), (183, SubCode.CONNECTION_LOST)),
)


@pytest.mark.parametrize(("rules", "history", "expected"), CASES)
def test_each_rule_leaves_at_its_time_and_says_why(
    rules: dict[str, Any], history: tuple[tuple[float, ev.Event], ...], expected: tuple[float, SubCode]
) -> None:
    """From the keys of the configuration, in milliseconds, to the reason of the end."""
    assert end(rules, *history) == expected


def test_no_rule_is_left_out() -> None:
    """Each reason that a rule may give has a case above, whole: from what happens to the end."""
    reasons = {SubCode[name] for name in re.findall(r"SubCode\.(\w+)", inspect.getsource(next_departure))}
    elsewhere = {SubCode.TRANSCRIBER_MUTE}  # in tests/unit/bot/core/test_meeting.py
    assert reasons - elsewhere == {code for _, _, (_, code) in CASES}


def test_the_users_example_keeps_the_lobby_and_the_cap() -> None:
    """As docs/leaving.md says: `enabled: false` switches every rule off, `timeout` included."""
    rules = configured(**USERS_EXAMPLE).automatic_leave.rules(28_800_000, 600_000)
    off = {"no_one_joined": None, "everyone_left": None, "only_bots_left": None, "silence": None, "total": None}
    assert rules == LeaveSettings(**off, lobby=300, unheeded=600, cap=28_800)  # type: ignore[arg-type]


def test_how_long_a_mute_transcriber_is_waited_for_is_set_beside_the_rules() -> None:
    """It is no rule about who is there, and `enabled` is not about it."""
    for given, waits in ((None, 600_000), (5_000, 5_000)):
        config, warnings = load_config(json.dumps(NEEDED | {"whisperLiveMuteTimeoutMs": given}), {}, in_container=False)
        assert (config.transcriber_mute_timeout_ms, warnings) == (waits, [])


def test_where_nobody_looks_for_speech_there_is_no_silence() -> None:
    """Without transcription the bot would leave people who talk; the rule is off, and it is said at the start."""
    rules = {"silenceTimeout": 20_000}
    given = NEEDED | {"automaticLeave": rules, "transcribeEnabled": False}
    config, warnings = load_config(json.dumps(given), {}, in_container=False)
    assert any("automaticLeave.silenceTimeout is ignored" in warning for warning in warnings)
    assert config.automatic_leave.rules(28_800_000, 600_000, detects_speech=False).silence is None
    assert config.automatic_leave.rules(28_800_000, 600_000).silence == 20
    _, warnings = load_config(json.dumps(NEEDED | {"automaticLeave": rules, "audio": {"mode": "mixed"}}), {})
    assert warnings == []


@pytest.mark.parametrize(
    "wrong", [{"botNames": [""]}, {"botNames": ["x"] * 65}, {"silenceAfter": 0}, {"botNames": "x"}]
)
def test_wrong_values_are_errors_of_the_configuration(wrong: dict[str, Any]) -> None:
    """Each names its key."""
    with pytest.raises(ConfigError, match=rf"automaticLeave\.{next(iter(wrong))}"):
        configured(**wrong)
