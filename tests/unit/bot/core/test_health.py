"""Is the bot hearing?"""

from __future__ import annotations

import pytest

from bot.core.events import AudioHeard
from bot.core.health import DEAF_TIMEOUT_S, HearingHealth

ZEROS = float("-inf")


def subjects(health: HearingHealth, now: float) -> dict[str, bool]:
    """What is said at `now`, by subject."""
    return {report.subject: report.healthy for report in health.check(now)}


def test_a_silent_track_is_said_within_ten_seconds() -> None:
    """No packets at all: the track and, being the only one, the room are reported once."""
    health = HearingHealth()
    health.opened("t", 0)
    assert health.next_timer() == DEAF_TIMEOUT_S <= 10
    assert subjects(health, DEAF_TIMEOUT_S - 0.1) == {}
    assert subjects(health, DEAF_TIMEOUT_S) == {"track:t": False, "room": False}
    assert subjects(health, DEAF_TIMEOUT_S + 1) == {}
    assert health.next_timer() is None


@pytest.mark.parametrize("level", [ZEROS, -112.4])
def test_digital_zeros_are_not_hearing(level: float) -> None:
    """Packets full of zeros count as deaf, also after a lossy codec, and a signal heals."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(1, 9):
        health.heard(AudioHeard("t", 16000, level, False), second)
    reports = health.check(8)
    assert [(r.subject, r.healthy) for r in reports] == [("track:t", False), ("room", False)]
    assert "zeros" in reports[0].detail
    health.heard(AudioHeard("t", 16000, -60.0, False), 9)
    assert subjects(health, 9) == {"track:t": True, "room": True}


def test_one_healthy_track_keeps_the_room_healthy() -> None:
    """A participant who never sends does not make the room deaf while another is heard."""
    health = HearingHealth()
    health.opened("quiet", 0)
    health.opened("loud", 0)
    health.heard(AudioHeard("loud", 16000, -40.0, True), 7)
    assert subjects(health, 8) == {"track:quiet": False}


def test_muted_and_closed_tracks_owe_nothing() -> None:
    """Mute stops the clock, unmute starts it anew, a closed track is forgotten; unknown tracks are ignored."""
    health = HearingHealth()
    health.opened("t", 0)
    health.muted("t", True, 1)
    assert health.next_timer() is None
    assert subjects(health, 100) == {}
    health.muted("t", False, 100)
    assert health.next_timer() == 100 + DEAF_TIMEOUT_S
    health.restart(104)
    assert subjects(health, 108) == {}
    health.closed("t")
    health.closed("t")
    health.muted("t", False, 1)
    health.heard(AudioHeard("t", 1, -1.0, False), 1)
    assert subjects(health, 200) == {}
