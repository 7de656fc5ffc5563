"""Is a mix heard, which is silent while nobody speaks?"""

from __future__ import annotations

import pytest

from bot.core import effects as fx
from bot.core import events as ev
from bot.core.effects import ReportHealth
from bot.core.events import AudioHeard
from bot.core.health import HearingHealth
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.core.orders import Rejoin

ZEROS = float("-inf")


def listen(
    health: HearingHealth, seconds: range, speaking: bool | None, level: float | None = None
) -> list[ReportHealth]:
    """What is said while the platform shows somebody (or nobody; None: it shows nothing) and the mix is like this."""
    said = []
    for half in range(2 * seconds.start, 2 * seconds.stop):
        if speaking is not None:
            health.shown(speaking, half / 2)
        if level is not None and half % 2 == 0:
            health.heard(AudioHeard("mix", 16_000, level, False), half / 2)
        said += health.check(half / 2)
    return said


@pytest.mark.parametrize("level", [None, ZEROS])
def test_a_mix_is_deaf_when_somebody_is_shown_and_not_heard(level: float | None) -> None:
    """Nobody speaks: that is how a mix is. Somebody does, for four seconds: it is all there is, and that is proved."""
    health = HearingHealth()
    health.opened("mix", 0, is_shared=True)
    listen(health, range(3), speaking=True, level=-30.0)
    assert listen(health, range(3, 500), speaking=False, level=level) == []
    assert (health.deaf, health.is_proved) == (False, False)
    assert listen(health, range(500, 502), speaking=True, level=level) == []
    assert listen(health, range(502, 520), speaking=False, level=level) == []  # the page is late: no four seconds
    reports = listen(health, range(520, 523), speaking=True, level=level)
    assert [(one.subject, one.healthy) for one in reports] == [("track:mix", False), ("room", False)]
    assert (health.deaf, health.is_proved) == (True, True)
    assert listen(health, range(523, 600), speaking=False, level=level) == []  # until it is heard
    assert [one.healthy for one in listen(health, range(600, 601), speaking=False, level=-30.0)] == [True, True]
    assert (health.deaf, health.is_proved) == (False, False)


def test_a_mix_of_which_nobody_was_ever_shown_is_said_later_and_left_alone() -> None:
    """The page may not show what we look for. When it does after all, the mix stays dead until it is heard."""
    health = HearingHealth()
    health.opened("mix", 0, is_shared=True)
    assert listen(health, range(60), speaking=False) == []
    assert health.next_timer() == 60
    assert [one.healthy for one in listen(health, range(60, 90), speaking=False)] == [False, False]
    assert (health.deaf, health.is_proved) == (False, False)
    assert listen(health, range(90, 100), speaking=True) == []
    assert (health.deaf, health.is_proved) == (True, True)


def test_a_mix_where_the_platform_shows_nobody_at_all_is_a_track_like_others() -> None:
    """There is nothing to go by but its silence."""
    health = HearingHealth()
    health.opened("mix", 0, is_shared=True)
    assert [one.healthy for one in listen(health, range(9), speaking=None)] == [False, False]
    assert (health.deaf, health.is_proved) == (True, False)


def test_quiet_tracks_beside_the_one_on_which_somebody_is_heard_are_quiet() -> None:
    """A server with a few streams for whoever speaks leaves the others empty."""
    health = HearingHealth()
    health.opened("mix", 0, is_shared=True)
    health.opened("mix-2", 0, is_shared=True)
    assert listen(health, range(100), speaking=True, level=-30.0) == []


def test_speech_that_was_shown_while_nothing_could_be_heard_proves_nothing() -> None:
    """A pause, a muted mix, another track: it has its time again."""
    health = HearingHealth()
    health.opened("mix", 0, is_shared=True)
    health.pause(True, 0)
    listen(health, range(20), speaking=True)
    health.pause(False, 20)
    assert health.is_proved is False
    listen(health, range(20, 23), speaking=True)
    health.muted("mix", True, 23)
    health.muted("mix", False, 23)
    listen(health, range(23, 26), speaking=True)
    health.opened("mix-2", 26, is_shared=True)
    assert health.is_proved is False


@pytest.mark.parametrize("opened", [ev.TrackOpened("mix", None), ev.TrackOpened("mix", "ana", by_turns=True)])
def test_a_dead_mix_in_which_somebody_is_shown_speaking_is_joined_anew(opened: ev.Event) -> None:
    """It is all that there is to hear; while nobody speaks it is left alone. So is a stream that is hers for now."""
    meeting = MeetingCore(LeaveSettings(), orders={Rejoin})
    sound = ev.AudioHeard("mix", 16_000, -30.0, False)
    for event in (ev.Admitted(), ev.ParticipantJoined("ana", "Ana"), opened, sound):
        meeting.receive(event, 0.0)
    ordered = []
    for now in range(1, 300):
        meeting.receive(ev.ActiveSpeakers(frozenset({"ana"} if now > 200 else ()), now), now)
        ordered += [now for effect in meeting.effects() if isinstance(effect, fx.GiveOrder)]
    assert ordered == [225, 285]
