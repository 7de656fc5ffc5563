"""The recovery ladder, rung by rung."""

from __future__ import annotations

from bot.core.effects import GiveOrder, ReportHealth
from bot.core.orders import Order, Reconnect, Rejoin, Resubscribe
from bot.core.recovery import GIVEN_UP, MAX_TRACKS, RESUBSCRIBES_AT_ONCE, Recovery

ALL: set[type[Order]] = {Resubscribe, Reconnect, Rejoin}


def orders(recovery: Recovery, dead: list[str], deaf: bool, first: int, last: int) -> list[tuple[int, Order | str]]:
    """What is ordered or said while nothing changes, looked at as often as it asks for."""
    found: list[tuple[int, Order | str]] = []
    for now in range(first, last):
        if now == first or recovery.next_timer() == now:
            effects = recovery.tend(dead, deaf, now)
            found += [(now, effect.order if isinstance(effect, GiveOrder) else effect.detail) for effect in effects]
            assert (timer := recovery.next_timer()) is None or timer > now
    return found


def test_one_dead_track_among_others_is_subscribed_anew_twice() -> None:
    """And nothing else: others are heard. Sound begins it anew."""
    recovery = Recovery(ALL)
    again = Resubscribe("t")
    assert orders(recovery, ["t"], False, 8, 1000) == [(8, again), (23, again)]
    recovery.heard("t")
    assert orders(recovery, ["t"], False, 1000, 2000) == [(1000, again), (1015, again)]


def test_a_deaf_room_climbs_the_ladder_once() -> None:
    """Connection, then joining anew, more and more patiently; then it is said that nothing is left to try."""
    recovery = Recovery({Reconnect, Rejoin})
    expected = [(18, Reconnect()), (38, Rejoin()), (98, Rejoin()), (278, Rejoin()), (308, GIVEN_UP)]
    assert orders(recovery, ["t", "u"], True, 8, 5000) == expected
    assert recovery.tend(["t", "u"], True, 5000) == []


def test_rejoining_anew_after_sound_is_bounded() -> None:
    """A room that is heard for a moment again and again is left three times in ten minutes, not more."""
    recovery = Recovery({Rejoin})
    made: list[int] = []
    for now in range(1200):
        made += [now for effect in recovery.tend(["t", "u"], True, now) if isinstance(effect, GiveOrder)]
        if made and now == made[-1] + 1:
            recovery.heard("t")
    assert len(made) == 6
    assert made[3] - made[0] >= 600


def test_a_room_that_is_told_anew_owes_nothing_yet() -> None:
    """Nothing is due until it is deaf again; then the next rung has its whole pause, and none is climbed again."""
    recovery = Recovery({Reconnect, Rejoin})
    assert orders(recovery, ["t", "u"], True, 8, 40) == [(18, Reconnect()), (38, Rejoin())]
    recovery.forget()
    assert recovery.next_timer() is None
    assert recovery.tend([], False, 500) == []
    later = [(568, Rejoin()), (748, Rejoin()), (778, GIVEN_UP)]
    assert orders(recovery, ["t", "u"], True, 508, 760) == later[:2]
    recovery.forget()
    assert orders(recovery, ["t", "u"], True, 760, 5000) == later[2:]


def test_for_one_dead_track_nobody_rejoins() -> None:
    """It may be a broken microphone; the connection is renewed once."""
    recovery = Recovery(ALL)
    found = orders(recovery, ["t"], True, 8, 1000)
    assert found == [(8, Resubscribe("t")), (18, Reconnect()), (23, Resubscribe("t")), (38, GIVEN_UP)]


def test_for_one_dead_track_that_somebody_speaks_on_the_bot_rejoins() -> None:
    """No microphone is broken that the platform hears: what is lost is everybody."""
    recovery = Recovery({Rejoin})
    made = [now for now in range(8, 1200) if recovery.tend(["mix"], True, now, is_proved=True)]
    assert made == [28, 88, 268, 298]  # the last time it is said that nothing is left to try


def test_a_room_full_of_dead_tracks_takes_turns() -> None:
    """At most so many new subscriptions in a minute, each track its two; the memory of tries is bounded."""
    recovery = Recovery({Resubscribe})
    dead = [str(number) for number in range(40)]
    found = orders(recovery, dead, False, 8, 2000)
    assert len(found) == 80
    for at, _ in found:
        assert sum(at <= other < at + 60 for other, _ in found) <= RESUBSCRIBES_AT_ONCE
    for number in range(2 * MAX_TRACKS):
        recovery.tend([str(number)], False, 9000)
    assert len(recovery._tries) == MAX_TRACKS


def test_a_platform_that_can_nothing_is_ordered_nothing() -> None:
    """Nor is anything said about giving up what was never tried; nothing is due where nothing is dead."""
    recovery = Recovery()
    assert orders(recovery, ["t", "u"], True, 8, 1000) == []
    assert recovery.tend([], False, 1000) == []
    assert recovery.next_timer() is None


def test_the_words_are_those_of_the_room() -> None:
    """Giving up is a health report like the one that began it."""
    recovery = Recovery({Resubscribe})
    recovery.tend(["t"], True, 0)
    recovery.tend(["t"], True, 15)
    assert recovery.tend(["t"], True, 30) == [ReportHealth("room", False, GIVEN_UP)]
