"""Patience with a stream: a publisher that is gone may come back for a while, a server for longer."""

from __future__ import annotations

from bot.drivers.rtmp.patience import AWAY_S, MAX_REFUSALS, PAUSES_S, REACH_S, Patience
from bot.drivers.rtmp.reasons import Reason


def test_nobody_publishes_yet() -> None:
    """Waited for without end, asked for twice a second."""
    patience = Patience(0.0)
    pauses = [patience.failed(Reason.NOT_PUBLISHED, at) for at in (0.0, 0.1, 0.3, 0.6, 1.1, 90_000.0)]
    assert pauses == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    assert patience.was_reached
    assert not patience.was_heard


def test_a_server_that_never_answers() -> None:
    """Tried for as long as it may take to start."""
    patience = Patience(10.0)
    assert patience.failed(Reason.UNREACHABLE, 10.0) is not None
    assert patience.failed(Reason.UNREACHABLE, 9.9 + REACH_S) is not None
    assert patience.failed(Reason.UNREACHABLE, 10.0 + REACH_S) is None
    assert not patience.was_reached


def test_what_will_not_change() -> None:
    """Who does not speak RTMP is not tried again, nor is a wrong key, once it is certain."""
    assert Patience(0.0).failed(Reason.NOT_RTMP, 0.0) is None
    patience = Patience(0.0)
    assert [patience.failed(Reason.REFUSED, 0.1 * n) for n in range(MAX_REFUSALS)] == [
        *PAUSES_S[: MAX_REFUSALS - 1],
        None,
    ]
    assert not patience.was_reached


def test_a_server_that_is_going_down_refuses_nobody() -> None:
    """It hangs up on one attempt, and is not there for the next: refusals count only in a row."""
    patience = Patience(0.0)
    patience.playing()
    for at in (1.0, 2.0, 3.0, 4.0):
        assert patience.failed(Reason.REFUSED, at) is not None
        assert patience.failed(Reason.UNREACHABLE, at + 0.1) is not None


def test_a_publisher_that_is_gone() -> None:
    """Its return is waited for from its end on, and each time anew."""
    patience = Patience(0.0, returns_within=30.0)
    patience.playing()
    assert patience.failed(Reason.ENDED, 100.0) == PAUSES_S[0]
    assert patience.failed(Reason.NOT_PUBLISHED, 129.9) is not None
    patience.playing()
    assert patience.failed(Reason.STALLED, 200.0) == PAUSES_S[0]
    assert patience.failed(Reason.NOT_PUBLISHED, 229.0) is not None
    assert patience.failed(Reason.NOT_PUBLISHED, 230.0) is None


def test_a_publisher_whose_microphone_is_off_is_not_gone() -> None:
    """Some send a picture and no sound at all meanwhile; when that ends, too, their return is waited for from then."""
    patience = Patience(0.0, returns_within=30.0)
    patience.playing()
    assert patience.failed(Reason.STALLED, 100.0) is not None
    assert all(patience.failed(Reason.NO_SOUND, 103.0 + 4 * number) is not None for number in range(100))
    assert patience.failed(Reason.NOT_PUBLISHED, 520.0) is not None
    assert patience.failed(Reason.NOT_PUBLISHED, 529.1) is None


def test_a_server_that_is_started_anew() -> None:
    """It has longer than a publisher, who then has time of its own to come back to it."""
    patience = Patience(0.0, returns_within=30.0)
    patience.playing()
    assert patience.failed(Reason.ENDED, 100.0) is not None
    assert patience.failed(Reason.UNREACHABLE, 100.1) is not None
    assert patience.failed(Reason.NOT_RTMP, 160.0) is not None
    assert patience.failed(Reason.NOT_PUBLISHED, 170.0) == PAUSES_S[0]
    assert patience.failed(Reason.NOT_PUBLISHED, 199.0) is not None
    assert patience.failed(Reason.UNREACHABLE, 199.5) is not None
    assert patience.failed(Reason.UNREACHABLE, 199.5 + AWAY_S) is None
