"""What a rehearsal room's messages mean to the bot, without a connection."""

from __future__ import annotations

from typing import Any

from bot.core import events as ev
from bot.platforms.base import Invitation
from bot.platforms.orders import Orders
from bot.platforms.rehearsal.attendance import _Attendance

ANA = {"participant": "ana", "name": "Ana", "track": "t", "muted": False}


class Listening:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[ev.PlatformEvent] = []

    def event(self, event: ev.PlatformEvent) -> None:
        self.events.append(event)

    def audio(self, frame: Any) -> None:
        raise AssertionError("no media here")


async def test_who_comes_back_through_the_lobby_is_admitted_and_told_everything_anew() -> None:
    """Only a break without a lobby is over with `TransportBack`; in the lobby the bot forgets who is in the meeting."""
    listener = Listening()
    attendance = _Attendance(Invitation("ws://127.0.0.1:1", "bot-1", "bot"), listener, Orders())
    admitted: dict[str, Any] = {"type": "admitted", "participants": [ANA]}
    told = [ev.ParticipantJoined("ana", "Ana"), ev.TrackOpened("t", "ana")]
    for messages, expected in (
        ([admitted], [ev.Admitted(), *told]),
        ([admitted], [ev.TransportBack()]),
        ([{"type": "lobby"}], [ev.TrackClosed("t"), ev.ParticipantLeft("ana"), ev.LobbyEntered()]),
        ([{"type": "lobby"}, admitted], [ev.LobbyEntered(), ev.Admitted(), *told]),
        ([admitted], [ev.TransportBack()]),
    ):
        listener.events.clear()
        for message in messages:
            assert attendance._receive(message) is None
        assert listener.events == expected
