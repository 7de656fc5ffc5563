"""Streams of plain RTP as SFUs, gateways and strangers send them, to the platform on real sockets."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import numpy as np
import pytest
import structlog

from bot.codecs.formats import STATIC, Format
from bot.codecs.rtcp import SourceDescription, description, goodbye, parse_rtcp
from bot.core import events as ev
from bot.platforms import load
from bot.platforms.base import Invitation
from bot.platforms.rtp.settings import RtpSettings
from bot.runner import Bot
from common.contracts.status import SubCode
from common.errors import EarshotError
from tests.integration.bot.test_runner import SPEECH, config, world
from tests.platforms.contract import Attending, attending
from tests.support.servers.rtp_sender import OPUS, RtpSender, free_port, payloads, rtp
from tests.support.tools import require
from tests.support.waiting import eventually

ANA = {"id": "ana", "name": "Ana"}


def listening(
    streams: list[dict[str, Any]] | None = None, port: int = 0, **settings: Any
) -> AbstractAsyncContextManager[Attending]:
    """The platform, listening with these settings at loopback."""
    model = RtpSettings.model_validate({"streams": streams or [], **settings})
    url = f"rtp://127.0.0.1:{port}" if port else "rtp://127.0.0.1"
    return attending(load("rtp"), Invitation(url, "bot-1", "Earshot", settings=model))


@asynccontextmanager
async def sending(port: int, form: Format = OPUS, payload_type: int = 111, **more: Any) -> AsyncIterator[RtpSender]:
    """Somebody who sends a tone of 440 Hz."""
    sender = RtpSender(port, form, payload_type, **{"hertz": 440.0, **more})
    sender.start()
    try:
        yield sender
    finally:
        sender.close()


@pytest.mark.parametrize(
    ("form", "payload_type", "stream"),
    [
        (OPUS, 100, {"payloadType": 100}),
        (STATIC[0], 0, {"codec": "pcmu"}),
        (STATIC[8], 8, {"codec": "pcma"}),
        (STATIC[10], 10, {"codec": "l16", "clockRate": 44_100, "channels": 2}),
        (Format("l16", 16_000), 97, {"codec": "l16", "clockRate": 16_000}),
    ],
    ids=["opus", "pcmu", "pcma", "l16-stereo", "l16"],
)
async def test_each_codec_is_heard(form: Format, payload_type: int, stream: dict[str, Any]) -> None:
    """Who is configured is there before the first packet; the tone comes at its pitch."""
    port = free_port()
    async with listening([{**stream, "participant": ANA}], port) as bot:
        await bot.listener.until(lambda: bot.listener.owner, "there")
        assert bot.listener.of(ev.ParticipantJoined) == [ev.ParticipantJoined("ana", "Ana")]
        assert bot.listener.of(ev.TrackOpened) == [ev.TrackOpened("ana", "ana")]
        async with sending(port, form, payload_type):
            await bot.hears("ana", 440)


async def test_streams_of_one_port_are_told_apart_by_their_ssrc() -> None:
    """Each is its participant's; an SSRC that no stream has is nobody's, and the log names it."""
    port = free_port()
    streams = [{"ssrc": 1, "participant": ANA}, {"ssrc": 2, "participant": {"id": "ben"}}]
    with structlog.testing.capture_logs() as lines:
        async with (
            listening(streams, port) as bot,
            sending(port, ssrc=1),
            sending(port, ssrc=2, hertz=1000.0),
            sending(port, ssrc=3, hertz=2000.0),
        ):
            await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 1000))
            await eventually(lambda: any(line["event"] == "rtp.foreign" and line.get("ssrc") == 3 for line in lines))
        assert bot.listener.names == {"ana": "Ana", "ben": "ben"}
        assert bot.listener.sounding == {"ana", "ben"}


async def test_strangers_are_not_heard() -> None:
    """Another source, another payload type, RTCP of others, garbage: the stream goes on unharmed, nobody goes."""
    port = free_port()
    async with listening([{"participant": ANA, "payloadType": 111}], port) as bot, sending(port) as ana:
        await bot.hears("ana", 440)
        async with sending(port, hertz=2000.0, ssrc=ana.ssrc) as stranger, sending(port, payload_type=0):
            for junk in (b"", b"\x80", bytes(60), b"\x80\xc9\0\1", b"\xff" * 1500, goodbye(99), description(1, "x")):
                stranger.datagram(junk)
                ana.datagram(junk)
            ana.datagram(rtp(b"\x01\x02\x03\x04", 101, ana.number, ana.timestamp, ana.ssrc))  # a key is pressed
            ana.number += 1
            await bot.hears("ana", 440)
            assert bot.listener.count(ev.ParticipantLeft) == 0
            assert len({frame.source for _, frame in bot.listener.frames}) == 1


async def test_ten_thousand_malformed_datagrams() -> None:
    """RTP and RTCP with bytes changed and cut, from strangers and from the sender's own address: Ana and Ben are heard
    through all of it, and nothing else happens."""
    port, phone = free_port(), free_port()
    streams = [{"participant": ANA, "payloadType": 111}, {"port": phone, "codec": "pcmu", "participant": {"id": "ben"}}]
    chance = random.Random(19)
    async with (
        listening(streams, port) as bot,
        sending(port) as ana,
        sending(phone, STATIC[0], 0, hertz=1000.0) as ben,
        sending(free_port()) as stranger,
    ):
        await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 1000))
        for number in range(10_000):
            one = chance.choice((ana, ben))
            payload = chance.randbytes(chance.randrange(80))
            whole = chance.choice(
                (
                    rtp(payload, one.payload_type, one.number + chance.randrange(-300, 300), one.timestamp, one.ssrc),
                    rtp(payload, 96, number, number * 160, number, first=0x90, head=chance.randbytes(8)),
                    description(one.ssrc ^ 1, "eve", "Eve") + goodbye(one.ssrc ^ 1),
                )
            )
            data = bytearray(whole)
            for _ in range(chance.randrange(3)):
                data[chance.randrange(2, len(data))] = chance.randrange(256)
            sender = chance.choice((one, stranger, stranger))
            sender.source.sendto(data[: chance.randrange(len(data) + 1)], ("127.0.0.1", one.port))
            if number % 20 == 0:
                await asyncio.sleep(0.002)
        await asyncio.gather(bot.hears("ana", 440), bot.hears("ben", 1000))
        assert not bot.task.done()
        assert set(bot.listener.names) == {"ana", "ben"}


async def test_a_source_may_be_given() -> None:
    """Then nobody else is first."""
    port = free_port()
    ana = RtpSender(port, hertz=440.0)
    source = f"127.0.0.1:{ana.source.getsockname()[1]}"
    async with listening([{"participant": ANA, "source": source}], port) as bot, sending(port, hertz=2000.0):
        await asyncio.sleep(0.1)
        assert bot.listener.frames == []
        ana.start()
        await bot.hears("ana", 440)
        ana.close()


async def test_another_ssrc_is_the_same_speaker() -> None:
    """A sender that begins anew says goodbye to its old SSRC: nobody has gone."""
    port = free_port()
    async with listening([{"participant": ANA}], port) as bot, sending(port) as ana:
        await bot.hears("ana", 440)
        before, ana.ssrc, ana.number, ana.hertz = ana.ssrc, 77, 5, 1000.0
        await bot.hears("ana", 1000)
        ana.datagram(goodbye(before))
        await bot.hears("ana", 1000)
        assert bot.listener.count(ev.ParticipantLeft) == 0
        assert len({frame.source for _, frame in bot.listener.frames}) == 2


async def test_who_is_silent_for_long_has_left_and_may_come_back() -> None:
    """Without a word; and says goodbye, and comes back."""
    port = free_port()
    async with listening([{"participant": ANA}], port, leftTimeout=700) as bot:
        for goes in ("pause", "goodbye"):
            async with sending(port) as ana:
                await bot.hears("ana", 440)
                ana.pause()
                if goes == "goodbye":
                    ana.datagram(goodbye(ana.ssrc))
                await bot.listener.until(lambda: not bot.listener.names, "has left")
        assert bot.listener.count(ev.ParticipantJoined) >= 2


async def test_a_description_with_two_codecs() -> None:
    """An SDP file says port and formats; the sender changes its codec in mid-sentence, and is heard all the same."""
    port = free_port()
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio {port} RTP/AVP 0 8 13\na=rtcp-mux\n"
    async with listening([{"participant": ANA}], sdp=sdp) as bot, sending(port, STATIC[0], 0) as ana:
        await bot.hears("ana", 440)
        ana.pause()
        ana.send(b"\x28", 13)  # comfort noise
        other = RtpSender(port, STATIC[8], 8, 1000.0, ssrc=ana.ssrc, number=ana.number, timestamp=ana.timestamp)
        other.source.close()
        other.source = ana.source
        other.start()
        await bot.hears("ana", 1000)
        other.pause()


async def test_a_mix_counts_as_somebody() -> None:
    """Its track is nobody's, and while it comes the meeting is not empty."""
    port = free_port()
    async with listening([{"mix": True}], port) as bot, sending(port) as mixer:
        await bot.listener.until(lambda: bot.listener.frames, "heard")
        assert bot.listener.of(ev.TrackOpened) == [ev.TrackOpened("mix-1", None)]
        assert bot.listener.of(ev.PeopleCounted)[-1] == ev.PeopleCounted(1)
        mixer.datagram(goodbye(mixer.ssrc))
        await bot.listener.until(lambda: bot.listener.of(ev.PeopleCounted)[-1] == ev.PeopleCounted(0), "gone")


async def test_nobody_says_who_it_is() -> None:
    """After a second an SSRC is heard without a name, from its first packet on; a name that comes later is taken."""
    port = free_port()
    async with listening(port=port) as bot:
        await bot.listener.until(lambda: bot.listener.admitted, "listening")
        sender = RtpSender(port, hertz=440.0, ssrc=7)
        for _ in range(5):
            sender.send()
        await bot.listener.until(lambda: bot.listener.names == {"ssrc-00000007": "Speaker 1"}, "heard")
        assert [frame.position for _, frame in bot.listener.frames] == [320 * place for place in range(5)]
        sender.cname, sender.name = "ana", "Ana"
        sender.describe()
        await bot.listener.until(lambda: bot.listener.names == {"ssrc-00000007": "Ana"}, "renamed")
        for sender.name in ("", "Dr. Ana"):  # an SFU repeats the CNAME alone
            sender.describe()
        await bot.listener.until(lambda: bot.listener.names == {"ssrc-00000007": "Dr. Ana"}, "renamed again")
        assert [event.name for event in bot.listener.of(ev.ParticipantRenamed)] == ["Ana", "Dr. Ana"]
        sender.close()


async def test_any_port_and_one_for_rtcp() -> None:
    """Port 0: the log says which; without rtcp-mux RTCP comes to the next one."""
    with structlog.testing.capture_logs() as logs:
        async with listening([{"port": 0, "rtcpMux": False}]) as bot:
            await bot.listener.until(lambda: bot.listener.admitted, "listening")
            (port,) = [entry["rtp_port"] for entry in logs if entry["event"] == "rtp.listening"]
            async with sending(port, ssrc=9) as ana:
                ana.source.sendto(description(9, "ana", "Ana"), ("127.0.0.1", port + 1))
                await bot.hears("ana", 440)
    (engine,) = [entry for entry in logs if entry["event"] == "rtp.engine"]
    assert (engine["engine"], engine["rtp_port"], engine["payload_type"]) == ("native", port, 111)


async def test_a_peer_is_told_where_we_are() -> None:
    """RTCP goes to it at once, from the port that it is to send to: mediasoup's comedia mode."""
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        stream = {"participant": ANA, "peer": f"127.0.0.1:{peer.getsockname()[1]}"}
        async with listening([stream], port):
            report, (_, ours) = await asyncio.get_running_loop().sock_recvfrom(peer, 1500)
    assert ours == port
    (said,) = parse_rtcp(report)
    assert isinstance(said, SourceDescription)
    assert said.cname == "earshot-bot-1"


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"sdp": "hello"}, SubCode.CONFIG_INVALID, "rtp.sdp"),
        ({"sdpFile": "/nonexistent/x.sdp"}, SubCode.CONFIG_INVALID, "/nonexistent/x.sdp cannot be read"),
        ({"streams": [{"port": 1}]}, SubCode.PORT_TAKEN, ":1 "),
    ],
)
async def test_what_cannot_be_listened_to(settings: dict[str, Any], code: SubCode, words: str) -> None:
    """Each has its sub-code, and nothing is joined."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        if "streams" in settings:
            taken.bind(("127.0.0.1", 1))
        async with listening(**settings) as bot:
            with pytest.raises(EarshotError, match=re.escape(words)) as failure:
                await bot.ends()
            assert failure.value.code is code
            assert bot.listener.events == []


@pytest.mark.redis
async def test_a_whole_bot_writes_down_what_a_stream_says() -> None:
    """Speech as Opus in plain RTP becomes finals under the name of the stream's participant."""
    port = free_port()
    pcm = np.concatenate([SPEECH.pcm[::3].astype(np.int16), np.zeros(16_000, np.int16)])
    async with world() as here:
        rtp_settings = {"streams": [{"participant": ANA}]}
        bot = Bot(
            config(here.redis_url, here.transcriber.url, platform="rtp", meetingUrl=f"rtp://127.0.0.1:{port}",
                   rtp=rtp_settings),
            load("rtp"),
        )  # fmt: skip
        running = asyncio.create_task(bot.attend())
        await eventually(lambda: bot._has_session, 15)
        sender = RtpSender(port)
        for payload in payloads(OPUS, pcm):
            sender.send(payload)
            await asyncio.sleep(0.005)
        sender.close()
        while len(await here.stream()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        bot.stop(SubCode.TERMINATED)
        await running
        finals = [each for each in await here.stream() if each["type"] == "transcription"]
    said = {(each["platform"], each["segments"][0]["speaker"], each["segments"][0]["speaker_id"]) for each in finals}
    assert said == {("rtp", "Ana", "ana")}


SENDERS = {
    "ffmpeg": "-hide_banner -loglevel error -re -f lavfi -i sine=frequency=440:sample_rate=48000 -c:a {codec} {more} "
    "-f rtp rtp://127.0.0.1:{port}?localrtcpport={rtcp}",
    "gst-launch-1.0": "-q audiotestsrc freq=440 is-live=true ! audioconvert ! audioresample ! {codec} ! "
    "udpsink host=127.0.0.1 port={port}",
}
CODECS = {
    ("ffmpeg", "opus"): ("libopus", "-ar 48000 -payload_type 100"),
    ("ffmpeg", "pcmu"): ("pcm_mulaw", "-ar 8000"),
    ("gst-launch-1.0", "opus"): ("opusenc ! rtpopuspay pt=100", ""),
    ("gst-launch-1.0", "pcma"): ("audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay", ""),
}


@pytest.mark.processes
@pytest.mark.parametrize(("program", "codec"), list(CODECS), ids=lambda part: part)
async def test_other_peoples_senders(program: str, codec: str) -> None:
    """FFmpeg and GStreamer as senders."""
    require(shutil.which(program), f"{program} is missing (apt install gstreamer1.0-tools ffmpeg)")
    port = free_port()
    encoder, more = CODECS[program, codec]
    line = SENDERS[program].format(codec=encoder, more=more, port=port, rtcp=free_port())
    async with listening([{"codec": codec, "participant": ANA}], port) as bot:
        null = asyncio.subprocess.DEVNULL
        sender = await asyncio.create_subprocess_exec(program, *line.split(), stdin=null, stdout=null)
        try:
            await bot.hears("ana", 440)
        finally:
            sender.kill()
            await sender.wait()
