"""When a track is asked for, and when again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bot.platforms.livekit.subscriptions import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_SUBSCRIPTIONS,
    RENEWAL_S,
    Subscriptions,
)


class _Publication:
    """A fake of the SDK's: it notes what is asked for, and its track comes and goes as the test says."""

    def __init__(self, sid: str = "t", muted: bool = False) -> None:
        self.sid, self.muted = sid, muted
        self.track: object | None = None
        self.asked: list[bool] = []

    def set_subscribed(self, subscribed: bool) -> None:
        self.asked.append(subscribed)


def test_asks_again_until_the_track_is_there() -> None:
    """At once, after 2 s, and ever more rarely up to every 30 s; never before its time, and no more when it came."""
    subscriptions, publication = Subscriptions(), _Publication()
    moments, now = [], 100.0
    for _ in range(8):
        subscriptions.want([publication], now)
        subscriptions.want([publication], now + 0.1)
        moments.append(now)
        assert len(publication.asked) == len(moments)
        due = subscriptions.next_timer()
        assert due is not None
        now = due
    pauses = [later - sooner for sooner, later in pairwise(moments)]
    assert pauses == [FIRST_PAUSE_S, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    publication.track = object()
    subscriptions.want([publication], now)
    assert subscriptions.next_timer() is None
    assert publication.asked == [True] * 8


def test_asks_at_once_when_a_track_is_gone() -> None:
    """A track that was there and went is asked for without waiting, and its pauses begin anew."""
    subscriptions, publication = Subscriptions(), _Publication()
    subscriptions.want([publication], 0)
    subscriptions.want([publication], 2)
    publication.track = object()
    subscriptions.want([publication], 3)
    publication.track = None
    subscriptions.want([publication], 50)
    assert publication.asked == [True] * 3
    assert subscriptions.next_timer() == pytest.approx(50 + FIRST_PAUSE_S)


def test_renewal() -> None:
    """A track is let go and asked for half a second later, even if the SDK never says that it is gone."""
    subscriptions, publication = Subscriptions(), _Publication()
    subscriptions.want([publication], 0)
    publication.track = object()
    subscriptions.want([publication], 1)
    subscriptions.renew("t", 10)
    subscriptions.want([publication], 10.1)
    assert publication.asked == [True, False]
    assert subscriptions.next_timer() == 10 + RENEWAL_S
    subscriptions.want([publication], 10 + RENEWAL_S)
    assert publication.asked == [True, False, True]


def test_forgets_what_is_not_wanted() -> None:
    """A publication that is gone is neither asked for nor renewed; the same track published anew is."""
    subscriptions, first, second = Subscriptions(), _Publication(), _Publication()
    subscriptions.want([first], 0)
    subscriptions.want([], 1)
    subscriptions.renew("t", 1)
    assert subscriptions.next_timer() is None
    subscriptions.want([first], 1.5)
    subscriptions.want([second], 2)
    assert (first.asked, second.asked) == ([True, True], [True])


def test_no_more_than_the_bound() -> None:
    """Those that are not muted go first; who is heard stays; a muted one gives way and comes back."""
    subscriptions = Subscriptions()
    full = [_Publication(f"t{number}") for number in range(MAX_SUBSCRIPTIONS)]
    late = _Publication("late")
    subscriptions.want([late], 0)
    late.muted = True
    subscriptions.want([late, *full], 1)
    assert (late.asked, subscriptions.unheard) == ([True, False], 0)
    late.muted = False
    subscriptions.want([late, *full], 2)
    assert (late.asked, subscriptions.unheard) == ([True, False], 1)
    assert full[0].asked == [True]
    full[0].muted = True
    subscriptions.want([late, *full], 3)
    assert (late.asked, full[0].asked, subscriptions.unheard) == ([True, False, True], [True, False], 0)
    subscriptions.want([late, *full[:-1]], 4)
    assert full[0].asked == [True, False, True]
