"""Attendance of a toy room: JSON lines over TCP, each change a picture of the whole room."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bot.audio.frame import AudioFrame
from bot.core import events as ev
from bot.platforms.base import Invitation, Listener
from bot.platforms.orders import Orders, until_told
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError

RETURN_TIMEOUT_S = 30.0
PAUSE_S = 0.1


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """Stays until the meeting is over or it is told to leave."""
    return await until_told(_Attendance(invitation, listener), orders)


class _Attendance:
    """What has been reported of the room, through as many connections as it takes."""

    def __init__(self, invitation: Invitation, listener: Listener) -> None:
        self._invitation, self._listener = invitation, listener
        self.over = False
        self._admitted = self._lost = False
        self._people: dict[str, dict[str, Any]] = {}

    async def stay(self) -> SubCode:
        """Joins, and comes back after every break."""
        while True:
            reader, writer = await self._connect()
            try:
                settings, key = self._invitation.settings, self._invitation.settings.room_key.get_secret_value()
                join = {"join": self._invitation.connection_id, "room": settings.room, "key": key}
                writer.write(json.dumps(join).encode() + b"\n")
                end = await self._listen(reader)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            if end is not None:
                return end
            if not self._lost:
                self._lost = True
                self._listener.event(ev.TransportLost())

    async def farewell(self) -> None:
        """The room learns of it by the end of the connection."""

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._invitation.meeting_url or "")
        last = time.monotonic() + (RETURN_TIMEOUT_S if self._admitted else 0)
        while True:
            try:
                return await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                if time.monotonic() >= last:
                    code = SubCode.CONNECTION_LOST if self._admitted else SubCode.ROOM_UNREACHABLE
                    raise EarshotError(code, f"no toy room answers at meetingUrl {parts.netloc}") from None
                await asyncio.sleep(PAUSE_S)

    async def _listen(self, reader: asyncio.StreamReader) -> SubCode | None:
        """One connection; None when it broke."""
        with suppress(OSError):
            async for line in reader:
                match json.loads(line):
                    case {"lobby": _}:
                        self._listener.event(ev.LobbyEntered())
                    case {"refused": why}:
                        raise EarshotError(SubCode.JOIN_REFUSED, f"the toy room refused the bot: {why}")
                    case {"end": code}:
                        return SubCode(code)
                    case {"people": people}:
                        self._look(people)
                    case {"audio": track, "position": position, "pcm": text}:
                        pcm = np.frombuffer(base64.b64decode(text), np.int16)
                        arrival = time.monotonic() - pcm.size / SAMPLE_RATE
                        self._listener.audio(AudioFrame(track, pcm, position, 1, arrival))
        if not self._admitted:
            raise EarshotError(SubCode.JOIN_REFUSED, "the toy room hung up")
        return None

    def _look(self, people: dict[str, dict[str, Any]]) -> None:
        """Reports what has changed since the last look."""
        if not self._admitted or self._lost:
            self._listener.event(ev.TransportBack() if self._admitted else ev.Admitted())
            self._admitted, self._lost = True, False
        for who, before in self._people.items():
            now = people.get(who)
            if before["track"] and (now is None or now["track"] != before["track"]):
                self._listener.event(ev.TrackClosed(before["track"]))
            if now is None:
                self._listener.event(ev.ParticipantLeft(who))
        for who, now in people.items():
            before = self._people.get(who, {"name": None, "track": None, "muted": False})
            if before["name"] is None:
                self._listener.event(ev.ParticipantJoined(who, now["name"]))
            elif before["name"] != now["name"]:
                self._listener.event(ev.ParticipantRenamed(who, now["name"]))
            if now["track"] and now["track"] != before["track"]:
                self._listener.event(ev.TrackOpened(now["track"], who))
            if now["track"] and now["muted"] != before["muted"]:
                self._listener.event((ev.TrackMuted if now["muted"] else ev.TrackUnmuted)(now["track"]))
        self._people = people
