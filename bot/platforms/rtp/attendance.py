"""Attendance of plain RTP: ports are listened to, and whoever sends to them is a participant.

To listen is to be admitted. Whoever is configured is there from then on, so that the health says when nothing comes of
them; others come with their first two packets. They leave when RTCP says goodbye, or after a long silence; and are back
with their next packets. When to leave the meeting is for the rules of `automaticLeave` to say.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from bot.codecs.rtcp import Goodbye, RtcpError, SourceDescription, parse_rtcp, receiver_report
from bot.codecs.rtp import RtpPacket
from bot.codecs.sdp import SdpError
from bot.codecs.senders import Address
from bot.core import events as ev
from bot.drivers.rtp import RtpPort
from bot.drivers.rtp_decoder import Decoder, NativeDecoder
from bot.drivers.rtp_engines import EngineDecoder, Engines, log_engine
from bot.drivers.rtp_programs import PROGRAMS, Engine, find_engines
from bot.platforms.base import Invitation, Listener
from bot.platforms.orders import Orders
from bot.platforms.rtp.plan import StreamPlan, description_of, listening_address, plan
from bot.platforms.rtp.settings import RtpSettings, split_address
from bot.platforms.rtp.stream import Stream, Voice
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame

WATCH_INTERVAL_S = 0.5
"""Between looks at who has been silent for long."""
REPORT_INTERVAL_S = 5.0
"""Between RTCP reports to a peer that is heard; before ..."""
FIRST_REPORT_INTERVAL_S = 1.0
"""... so often, because the first ones open the way."""
FOREIGN_INTERVAL_S = 60.0
"""Between log lines about packets that are not ours."""
_REFUSALS = {
    "source": "not from where the stream comes from",
    "type": "of another payload type",
    "senders": "from more senders than one stream may have",
    "ssrc": "of an SSRC that no stream has",
    "malformed": "neither RTP nor RTCP",
}

log = structlog.get_logger(__name__)


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    async with _listening(invitation, listener) as attendance:
        return await attendance.stay(orders)


async def try_out(invitation: Invitation) -> str:
    """See `bot.platforms.base.Platform`."""
    async with _listening(invitation, _Deaf()) as attendance:
        ports = ", ".join(map(str, attendance.ports))
        return f"UDP {ports}: free to be listened to; {attendance.engine} decodes"


class _Deaf:
    """A `Listener` of no meeting."""

    def event(self, event: ev.PlatformEvent) -> None:
        """Nobody asks."""

    def audio(self, frame: AudioFrame) -> None:
        """Nobody listens."""


@asynccontextmanager
async def _listening(invitation: Invitation, listener: Listener) -> AsyncIterator[_Attendance]:
    """Every port is open. Raises EarshotError: they cannot be, or there is no plan of them, or no engine."""
    settings: RtpSettings = invitation.settings or RtpSettings()
    host, port = listening_address(invitation.meeting_url or "")
    found = await asyncio.to_thread(find_engines, _wanted(settings), settings.engine_fallback)
    engines = Engines(found, settings.engine_timeout / 1000)
    try:
        plans = plan(settings, port, await asyncio.to_thread(description_of, settings.sdp, settings.sdp_file))
    except SdpError as error:
        raise EarshotError(SubCode.CONFIG_INVALID, f"`rtp.sdp` is no use: {error}") from None
    attendance = _Attendance(invitation, listener, settings, engines)
    try:
        await attendance.open(host, plans)
        yield attendance
    finally:
        attendance.close()
        await engines.ended()


def _wanted(settings: RtpSettings) -> Engine:
    """The engine that is asked for. Raises EarshotError: the environment names none."""
    named = settings.engine or os.environ.get("EGRESS_ENGINE") or "native"
    if named not in ("native", *PROGRAMS):
        words = f"EGRESS_ENGINE is {named[:32]!a}; allowed: {', '.join(('native', *PROGRAMS))}"
        raise EarshotError(SubCode.CONFIG_INVALID, words)
    return "gst" if named == "gst" else "ffmpeg" if named == "ffmpeg" else "native"


class _Port:
    """One port and the streams that come to it."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams
        self.by_ssrc = {stream.ssrc: stream for stream in streams if stream.ssrc is not None}
        self.other = next((stream for stream in streams if stream.ssrc is None), None)
        self.refused: Counter[str] = Counter()
        self.stranger = 0
        """The last SSRC that no stream has."""
        self.said: Counter[str] = Counter()
        self.socket: RtpPort | None = None

    def stream_of(self, ssrc: int) -> Stream | None:
        """The stream that packets of an SSRC belong to."""
        return self.by_ssrc.get(ssrc, self.other)

    def foreign(self) -> Counter[str]:
        """Packets that were not taken, by why."""
        total = self.refused + Counter(malformed=self.socket.malformed if self.socket else 0)
        for stream in self.streams:
            total += stream.senders.refused
        return total


class _Attendance:
    """All ports of one bot."""

    def __init__(self, invitation: Invitation, listener: Listener, settings: RtpSettings, engines: Engines) -> None:
        self._listener, self._settings, self._engines = listener, settings, engines
        self._cname = f"earshot-{invitation.connection_id}"
        self._ssrc = int.from_bytes(os.urandom(4))
        self._ports: list[_Port] = []
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[SubCode] = self._loop.create_future()
        self._people: Counter[str] = Counter()
        self._mixes = 0
        self._has_mix = False

    @property
    def ports(self) -> list[int]:
        """Those that are listened to."""
        return [port.socket.port for port in self._ports if port.socket is not None]

    @property
    def engine(self) -> str:
        """What decodes."""
        return self._engines.first

    # --- life

    async def open(self, host: str, plans: list[StreamPlan]) -> None:
        """Listens to every port, and says who is there."""
        together: dict[object, list[StreamPlan]] = {}
        for place, each in enumerate(plans):
            together.setdefault(each.port or ("any", place), []).append(each)
        for group in together.values():
            port = _Port([Stream(each, self) for each in group])
            self._ports.append(port)
            heard, said = partial(self._heard, port), partial(self._said, port)
            port.socket = RtpPort(heard, said)
            await port.socket.open(host, group[0].port, rtcp_mux=all(each.stream.rtcp_mux for each in group))
            for stream in port.streams:
                stream.port = port.socket.port
            log.info("rtp.listening", host=host, rtp_port=port.socket.port, streams=[each.setting for each in group])
        self._has_mix = any(each.stream.mix for each in plans)
        self._listener.event(ev.Admitted())
        if self._has_mix:
            self._count()
        for port in self._ports:
            for stream in port.streams:
                stream.begin(self._loop.time())

    async def stay(self, orders: Orders) -> SubCode:
        """Until the order to leave, or until nothing can be decoded any more."""
        leaving, watching = asyncio.create_task(orders.leaving.wait()), asyncio.create_task(self._watch())
        try:
            ends: set[asyncio.Future[Any]] = {leaving, watching, self._failure}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, watching):
                task.cancel()
            await asyncio.gather(leaving, watching, return_exceptions=True)
        if not watching.cancelled():
            watching.result()
        return self._failure.result() if self._failure.done() else SubCode.LEFT_BY_COMMAND

    def close(self) -> None:
        """Nothing is heard or said afterwards."""
        self._failure.cancel()
        for port in self._ports:
            if port.socket is not None:
                port.socket.close()
            for stream in port.streams:
                stream.close()

    async def _watch(self) -> None:
        reported = dict.fromkeys(self._ports, -REPORT_INTERVAL_S)
        complained = -FOREIGN_INTERVAL_S
        while True:
            now = self._loop.time()
            for port in self._ports:
                is_heard = any(stream.is_heard for stream in port.streams)
                if now - reported[port] >= (REPORT_INTERVAL_S if is_heard else FIRST_REPORT_INTERVAL_S):
                    reported[port] = now
                    self._report_to_peers(port)
                for stream in port.streams:
                    stream.dismiss_silent(now, self._settings.left_timeout / 1000)
            if now - complained >= FOREIGN_INTERVAL_S and self._complain():
                complained = now
            await asyncio.sleep(WATCH_INTERVAL_S)

    def _report_to_peers(self, port: _Port) -> None:
        report = receiver_report(self._ssrc, self._cname)
        for peer in {stream.plan.stream.peer for stream in port.streams} - {None}:
            if port.socket is not None and peer is not None:
                port.socket.send_report(report, split_address(peer))

    def _complain(self) -> bool:
        """Says which packets were not taken since the last time; False: none."""
        news = False
        for port in self._ports:
            foreign = port.foreign()
            for why, count in (foreign - port.said).items():
                more = {"ssrc": port.stranger} if why == "ssrc" else {}
                number = port.socket and port.socket.port
                log.warning("rtp.foreign", rtp_port=number, packets=count, why=_REFUSALS[why], **more)
                news = True
            port.said = foreign
        return news

    # --- packets

    def _heard(self, port: _Port, packet: RtpPacket, source: Address, now: float) -> None:
        stream = port.stream_of(packet.ssrc)
        if stream is None:
            port.refused["ssrc"] += 1
            port.stranger = packet.ssrc
        else:
            stream.packet(packet, source, now)

    def _said(self, port: _Port, datagram: bytes, source: Address) -> None:
        try:
            reports = parse_rtcp(datagram)
        except RtcpError:
            port.refused["malformed"] += 1
            return
        now = self._loop.time()
        for report in reports:
            stream = port.stream_of(report.ssrc)
            if stream is None:
                continue
            if isinstance(report, SourceDescription):
                stream.described(report.ssrc, report.cname, report.name, source[0])
            if not stream.senders.is_from(report.ssrc, source[0]):
                continue
            if isinstance(report, Goodbye):
                stream.goodbye(report.ssrc, now)
            else:
                stream.alive(report.ssrc, now)

    def decoder(self, stream: Stream, voice: Voice, payload_type: int) -> Decoder:
        """See `bot.platforms.rtp.stream.Room`."""
        formats, level = stream.plan.heard_as(payload_type), stream.plan.stream.audio_level_id
        if self._engines.first != "native":
            return EngineDecoder(
                voice.track_id, self._listener.audio, formats, level, self._engines, self._fail, stream.port
            )
        log_engine(voice.track_id, "native", stream.port, payload_type)
        return NativeDecoder(voice.track_id, self._listener.audio, formats, level)

    def _fail(self, error: EarshotError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    # --- who is there

    def joined(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`. A person may have several tracks."""
        who = voice.participant_id
        if who is None:
            self._mixes += 1
        else:
            self._people[who] += 1
            if self._people[who] == 1:
                self._listener.event(ev.ParticipantJoined(who, voice.name))
        self._listener.event(ev.TrackOpened(voice.track_id, who))
        self._count()

    def renamed(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`."""
        if voice.participant_id is not None:
            self._listener.event(ev.ParticipantRenamed(voice.participant_id, voice.name))

    def parted(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`. With somebody's last track they are gone."""
        self._listener.event(ev.TrackClosed(voice.track_id))
        who = voice.participant_id
        if who is None:
            self._mixes -= 1
        else:
            self._people[who] -= 1
            if not self._people[who]:
                self._listener.event(ev.ParticipantLeft(who))
        self._count()

    def _count(self) -> None:
        """A mix has people in it, and nobody says how many: one of each counts for the rules."""
        if self._has_mix:
            self._listener.event(ev.PeopleCounted(self._mixes + len(+self._people)))
