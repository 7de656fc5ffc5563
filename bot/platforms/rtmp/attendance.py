"""Attendance of a published stream: it is waited for, heard, and over when its publisher is gone for good."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bot.core import events as ev
from bot.core.orders import Reconnect
from bot.drivers.rtmp import Reason, Stream, StreamError
from bot.platforms.orders import Orders, until_told
from bot.platforms.rtmp.access import KEY_LIFE_S, with_key
from bot.platforms.rtmp.settings import RtmpSettings
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from bot.platforms.base import Invitation, Listener

TRACK_ID = "composite"
"""Of the one mix."""


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    return await until_told(_Attendance(invitation, listener, orders), orders)


class _Attendance:
    """What has been reported of one stream. Implements `bot.drivers.rtmp.StreamListener`."""

    def __init__(self, invitation: Invitation, listener: Listener, orders: Orders) -> None:
        self._url = invitation.meeting_url or ""
        self._listener, self._orders = listener, orders
        self._settings: RtmpSettings = invitation.settings or RtmpSettings()
        self._stream = Stream(
            self._keyed_url,
            TRACK_ID,
            listener.audio,
            self,
            latency=self._settings.latency / 1000,
            returns_within=self._settings.publisher_return_timeout / 1000,
        )
        self._is_inside = self._is_away = self._has_track = False
        self.over = False
        """Nothing is reported any more."""

    def _keyed_url(self) -> str:
        """For each connection: keys expire."""
        secret = self._settings.secret
        if secret is None:
            return self._url
        return with_key(self._url, "play", int(time.time()) + KEY_LIFE_S, secret.get_secret_value())

    async def _obey(self) -> None:
        """Carries out what is ordered beside leaving."""
        while True:
            match await self._orders.next():
                case Reconnect():
                    self._stream.reconnect()

    async def farewell(self) -> None:
        """There is nobody to say it to."""

    async def stay(self) -> SubCode:
        """Stays with the stream until it is over."""
        obeying = asyncio.create_task(self._obey())
        try:
            await self._stream.follow()
        except StreamError as error:
            return self._end(error)
        finally:
            obeying.cancel()

    def _end(self, error: StreamError) -> SubCode:
        """What the last failure means. Raises EarshotError where it is none of the ways in which a meeting ends."""
        match error.reason:
            case Reason.REFUSED if self._is_inside:
                return SubCode.REMOVED
            case Reason.REFUSED:
                words = f"the RTMP server refused to play the stream of `meetingUrl`: {error}"
                raise EarshotError(SubCode.TOKEN_REFUSED, f"{words} (`rtmp.secret`, or the URL's own)")
            case Reason.UNREACHABLE | Reason.NOT_RTMP if self._is_inside:
                raise EarshotError(SubCode.CONNECTION_LOST, f"the RTMP server did not come back: {error}")
            case Reason.UNREACHABLE | Reason.NOT_RTMP:
                raise EarshotError(SubCode.ROOM_UNREACHABLE, f"{error}: check `meetingUrl`")
        return SubCode.MEETING_ENDED

    def playing(self) -> None:
        """See `StreamListener`."""
        self._enter()
        self._open_track()

    def missing(self, error: StreamError) -> None:
        """See `StreamListener`: before anybody has published, that nobody does is no loss."""
        is_away = error.reason in (Reason.UNREACHABLE, Reason.NOT_RTMP)
        if error.reason is Reason.REFUSED or (is_away and not self._is_inside):
            return
        if is_away or (self._stream.was_heard and error.reason is not Reason.NO_SOUND):
            self._report_away(True)
        else:
            self._enter()
            if error.reason is Reason.NO_SOUND:
                self._open_track()

    def _enter(self) -> None:
        if not self._is_inside:
            self._is_inside = True
            self._report(ev.Admitted())
        self._report_away(False)

    def _report_away(self, is_away: bool) -> None:
        if is_away != self._is_away:
            self._is_away = is_away
            self._report(ev.TransportLost() if is_away else ev.TransportBack())

    def _open_track(self) -> None:
        """Somebody publishes: how many people are behind it, nobody says."""
        if not self._has_track:
            self._has_track = True
            self._report(ev.PeopleCounted(1))
            self._report(ev.TrackOpened(TRACK_ID, None))

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)
