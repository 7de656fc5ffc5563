"""Attendance of a WHEP endpoint: one stream, had again whenever it breaks or its publisher comes back.

WHEP names nobody and says nothing but HTTP. That the publisher has gone shows when the stream has broken and the
endpoint has no other one for us; then the person has left, and the endpoint is asked until the publisher is back.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from aiortc import RTCIceServer

from bot.core import events as ev
from bot.core.orders import Reconnect, Resubscribe
from bot.drivers.webrtc import TrackReceiver
from bot.platforms.orders import Orders, until_told
from bot.platforms.whep.endpoint import Endpoint, Unavailable
from bot.platforms.whep.settings import WhepSettings
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.webrtc import is_loopback

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener

TRACK = "whep"
"""Id of the one track."""
REACH_TIMEOUT_S = 5.0
"""Until an endpoint that does not answer counts as unreachable."""
RETURN_TIMEOUT_S = 120.0
"""Without an answer of the endpoint, until the connection counts as lost for good."""
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts where the endpoint does not say, the last one repeats; where it does, never less than the first."""

log = structlog.get_logger(__name__)


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    settings: WhepSettings = invitation.settings or WhepSettings()
    async with _endpoint(invitation, settings) as endpoint:
        return await until_told(_Attendance(endpoint, settings, invitation, listener, orders), orders)


async def try_out(invitation: Invitation) -> str:
    """See `bot.platforms.base.Platform`: a resource is made for an offer and given back; no media flow."""
    settings: WhepSettings = invitation.settings or WhepSettings()
    receiver = TrackReceiver(TRACK, lambda frame: None, loopback=_is_here(invitation))
    async with _endpoint(invitation, settings) as endpoint, AsyncExitStack() as stack:
        stack.push_async_callback(receiver.close)
        try:
            resource = await endpoint.open(await receiver.offer())
        except OSError as error:
            words = f"{endpoint.where} did not answer ({error}): check `meetingUrl` and the network"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None
        except Unavailable as error:
            words = f"{endpoint.where} has no stream now ({error}): nobody publishes there yet, or its path is wrong"
            raise EarshotError(SubCode.MEETING_NOT_STARTED, words) from None
        stack.push_async_callback(endpoint.close, resource)
        if "opus/48000" not in resource.sdp.lower():
            raise EarshotError(SubCode.JOIN_REFUSED, f"{endpoint.where} gave no Opus stream")
        return f"{endpoint.where} has a stream for us; it was given back"


def _endpoint(invitation: Invitation, settings: WhepSettings) -> Endpoint:
    return Endpoint((invitation.meeting_url or "").removeprefix("whep+"), settings)


def _is_here(invitation: Invitation) -> bool:
    """Whether the endpoint is on this machine's loopback interface."""
    return is_loopback(urlsplit(invitation.meeting_url or "").hostname or "")


class _Stream:
    """One peer connection, and what became of it."""

    def __init__(self) -> None:
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.reason = ""

    def lost(self, reason: str) -> None:
        self.reason = reason
        self.down.set()

    async def wait_up(self) -> bool:
        """Whether media can flow; False: it never will."""
        waits = [asyncio.create_task(event.wait()) for event in (self.up, self.down)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.up.is_set()


class _Attendance:
    """One bot at one endpoint, through as many streams as it takes."""

    def __init__(
        self, endpoint: Endpoint, settings: WhepSettings, invitation: Invitation, listener: Listener, orders: Orders
    ) -> None:
        self._endpoint, self._settings, self._listener, self._orders = endpoint, settings, listener, orders
        self._loopback = _is_here(invitation)
        self._admitted = self._away = self._open = False
        self._since = asyncio.get_running_loop().time()  # how long things have been as they are
        self._unanswered_since: float | None = self._since  # None: the endpoint has answered since it failed last
        self.over = False
        """Nothing is reported any more."""

    async def farewell(self) -> None:
        """There is nobody to say it to: the resource is given back when the stay ends."""

    async def stay(self) -> SubCode:
        """Gets the stream, again and again, until there is nothing more to wait for."""
        attempt = 0
        while True:
            pause = None
            try:
                if await self._visit():
                    attempt = 0
            except Unavailable as error:
                if self._is_over(error):
                    return SubCode.MEETING_ENDED
                pause = error.again_s
            except OSError as error:
                self._is_unreachable(error)
            except EarshotError as error:  # a proxy's own page, a publisher who is back with a picture first
                if not self._admitted or error.code is SubCode.TOKEN_REFUSED:
                    raise
                self._is_unreachable(OSError(str(error)))
            usual = PAUSES_S[min(attempt, len(PAUSES_S) - 1)]
            await asyncio.sleep(usual if pause is None else max(pause, PAUSES_S[0]))
            attempt += 1

    async def _visit(self) -> bool:
        """One stream from its beginning to its end. Whether there was any sound in it."""
        stream = _Stream()
        async with AsyncExitStack() as stack:
            receiver = await self._agree(stack, stream)
            if not await stream.wait_up():
                words = f"{self._endpoint.where} answered, but no media came: {stream.reason}"
                if not self._admitted:
                    raise EarshotError(SubCode.JOIN_TIMEOUT, f"{words}. Check its UDP ports")
                raise OSError(words)
            self._here()
            await self._listen(stream)
            self._since, self._unanswered_since = asyncio.get_running_loop().time(), None
            if stream.down.is_set():
                self._lost()
        return receiver.packets > 0

    async def _agree(self, stack: AsyncExitStack, stream: _Stream) -> TrackReceiver:
        """Offer and answer; or, where the server would rather offer, the other way round."""
        named = await self._endpoint.ice_servers() if self._settings.ice_servers else []
        servers = [RTCIceServer(one.url, one.username, one.credential) for one in named]

        def receiver() -> TrackReceiver:
            made = TrackReceiver(
                *(TRACK, self._hear),
                loopback=self._loopback,
                connected=stream.up.set,
                lost=stream.lost,
                encrypted=self._is_encrypted,
                ice_servers=servers,
            )
            stack.push_async_callback(made.close)
            return made

        offering = receiver()
        resource = await self._endpoint.open(await offering.offer())
        stack.push_async_callback(self._endpoint.close, resource)
        try:
            if not resource.is_offer:
                await offering.accept(resource.sdp)
                return offering
            answering = receiver()  # one that has not offered: aiortc takes no offer back
            await self._endpoint.answer(resource, await answering.answer(resource.sdp))
            return answering
        except ValueError as error:
            words = f"{self._endpoint.where} gave no Opus stream: {error}"
            raise EarshotError(SubCode.JOIN_REFUSED, words) from None

    async def _listen(self, stream: _Stream) -> None:
        """Until the stream ends, or we are told to get it again."""
        down, told = asyncio.create_task(stream.down.wait()), asyncio.create_task(self._told())
        try:
            await asyncio.wait({down, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            told.cancel()
        log.info("whep_stream_ended", reason=stream.reason or "told to get it again")

    async def _told(self) -> None:
        """Until we are told to get the stream again."""
        while True:
            match await self._orders.next():
                case Resubscribe(track_id) if track_id == TRACK:
                    return
                case Reconnect():
                    return

    # --- what is reported

    def _here(self) -> None:
        """The stream is there."""
        if not self._admitted:
            self._report(ev.Admitted())
        elif self._away:
            self._report(ev.TransportBack())
        self._admitted, self._away = True, False
        who = self._settings.participant
        if not self._open:
            if who is not None:
                self._report(ev.ParticipantJoined(who, who))
            else:
                self._report(ev.PeopleCounted(1))  # in a mix are people, and nobody says how many
            self._report(ev.TrackOpened(TRACK, who))
            self._open = True

    def _lost(self) -> None:
        self._away = True
        self._report(ev.TransportLost())

    def _is_over(self, error: Unavailable) -> bool:
        """The endpoint answers, and has no stream. Whether that has been so for long enough. Raises EarshotError."""
        now = asyncio.get_running_loop().time()
        self._unanswered_since = None
        if not self._admitted:
            if now < self._since + self._settings.not_started_timeout / 1000:
                return False
            seconds = self._settings.not_started_timeout / 1000
            code = SubCode.MEETING_NOT_FOUND if error.status == 404 else SubCode.MEETING_NOT_STARTED
            words = f"{self._endpoint.where} had no stream for {seconds:g} s: {error} (`whep.notStartedTimeout`)"
            raise EarshotError(code, words)
        if self._open:  # its publisher has gone
            if self._away:
                self._report(ev.TransportBack())
            self._open, self._away, self._since = False, False, now
            self._report(ev.TrackClosed(TRACK))
            who = self._settings.participant
            self._report(ev.PeopleCounted(0) if who is None else ev.ParticipantLeft(who))
        return now >= self._since + self._settings.publisher_return_timeout / 1000

    def _is_unreachable(self, error: OSError) -> None:
        """Nobody answers. Raises EarshotError when that has been so for long enough."""
        now = asyncio.get_running_loop().time()
        if self._unanswered_since is None:
            self._unanswered_since = now
        since = self._unanswered_since
        if not self._admitted and now >= since + REACH_TIMEOUT_S:
            words = f"{self._endpoint.where} did not answer ({error}): check `meetingUrl` and the network"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words)
        if self._open and not self._away:  # we were told to get it again, and cannot
            self._lost()
        if now >= since + RETURN_TIMEOUT_S:
            words = f"{self._endpoint.where} did not answer for {RETURN_TIMEOUT_S:g} s: {error}"
            raise EarshotError(SubCode.CONNECTION_LOST, words)

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)

    def _is_encrypted(self) -> None:
        if self._open:
            self._report(ev.TrackEncrypted(TRACK))

    def _hear(self, frame: AudioFrame) -> None:
        if self._open and not self.over:
            self._listener.audio(frame)
