"""Streams of plain RTP: short speech, two senders of one SSRC, and what strangers say of others. The room is a fake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.audio.frame import AudioFrame
from bot.codecs.rtp import RtpPacket, parse_rtp
from bot.codecs.sdp import SdpError
from bot.drivers.rtp_decoder import Decoder, NativeDecoder
from bot.platforms import load
from bot.platforms.rtp.plan import plan
from bot.platforms.rtp.settings import RtpSettings
from bot.platforms.rtp.stream import Stream, Voice
from tests.support.servers.rtp_sender import rtp

SDP = "v=0\no=- 0 0 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 5004 RTP/AVP 0 8\n"
HOME = ("192.0.2.1", 4000)


class Room:
    """Remembers who came and went, and decodes."""

    def __init__(self) -> None:
        self.joins: list[tuple[str, str | None, str]] = []
        self.partings: list[str] = []
        self.frames: list[AudioFrame] = []

    def joined(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`."""
        self.joins.append((voice.track_id, voice.participant_id, voice.name))

    def renamed(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`."""

    def parted(self, voice: Voice) -> None:
        """See `bot.platforms.rtp.stream.Room`."""
        self.partings.append(voice.track_id)

    def decoder(self, stream: Stream, voice: Voice, payload_type: int) -> Decoder:
        """See `bot.platforms.rtp.stream.Room`."""
        return NativeDecoder(voice.track_id, self.frames.append, stream.plan.heard_as(payload_type))


def streams(room: Room, *configured: dict[str, Any]) -> list[Stream]:
    """Of G.711."""
    settings = RtpSettings.model_validate({"streams": [{"codec": "pcmu", **each} for each in configured]})
    return [Stream(each, room) for each in plan(settings, 5004, None)]


def packet(number: int, ssrc: int) -> RtpPacket:
    """20 ms."""
    return parse_rtp(rtp(bytes(160), 0, number, 160 * number, ssrc))


async def test_who_says_goodbye_within_a_second_was_heard() -> None:
    """Push to talk, with an SSRC for each press: every word comes, and none of them keeps its place for ever."""
    room = Room()
    (stream,) = streams(room, {})
    now = asyncio.get_running_loop().time()
    for press in range(200):
        for number in range(10):
            stream.packet(packet(number, press), HOME, now)
        stream.goodbye(press, now)
    assert len(room.joins) == len(room.partings) == 200
    assert len(room.frames) == 200 * 10
    assert not stream.senders.refused


@pytest.mark.parametrize("what_follows", ["goodbye", "another codec"])
async def test_what_waits_behind_a_lost_packet_is_heard_at_the_end(what_follows: str) -> None:
    """The last words before somebody goes, or before their codec changes."""
    room = Room()
    settings = RtpSettings.model_validate({"sdp": SDP, "streams": [{"participant": {"id": "ana"}}]})
    stream = Stream(plan(settings, 5004, SDP)[0], room)
    now = asyncio.get_running_loop().time()
    for number in (0, 1, 2, 4, 5):
        stream.packet(packet(number, 7), HOME, now)
    assert len(room.frames) == 3
    if what_follows == "goodbye":
        stream.goodbye(7, now)
    else:
        stream.packet(parse_rtp(rtp(bytes(160), 8, 6, 960, 7)), HOME, now)
    assert sum(len(frame.pcm) for frame in room.frames) >= 6 * 320
    stream.close()


async def test_whoever_goes_on_under_another_ssrc_loses_nothing() -> None:
    """Senders whose SSRCs collide say goodbye for the old one and go on at once (RFC 3550, 8.2); what was on its way of
    the old one is dropped."""
    room = Room()
    (stream,) = streams(room, {"participant": {"id": "ana"}})
    now = asyncio.get_running_loop().time()
    for number in range(10):
        stream.packet(packet(number, 1), HOME, now)
    stream.goodbye(1, now)
    for number in range(10):
        stream.packet(packet(10 + number, 1), HOME, now)
        stream.packet(packet(number, 2), HOME, now)
    assert len(room.frames) == 20
    assert room.partings == ["ana"]
    stream.close()


async def test_a_server_that_was_started_again_may_use_another_payload_type() -> None:
    """Where none is named it is pinned with its sender, and released with them; a pressed key changes nothing."""
    room = Room()
    stream = Stream(
        plan(RtpSettings.model_validate({"streams": [{"participant": {"id": "ana"}}]}), 5004, None)[0], room
    )
    silence = b"\xf8\xff\xfe"
    for number in range(10):
        stream.packet(parse_rtp(rtp(silence, 101 if number == 5 else 111, number, 960 * number, 1)), HOME, 100.0)
    assert len(room.frames) == 10  # silence in the place of the key
    for number in range(10):
        stream.packet(parse_rtp(rtp(silence, 96, number, 960 * number, 2)), ("192.0.2.2", 4000), 111.0)
    assert len(room.frames) == 20
    stream.close()


async def test_a_stranger_gives_nobody_another_name() -> None:
    """RTCP from elsewhere about an SSRC takes away neither what its own host has said, nor what the description has."""
    room = Room()
    (stream,) = streams(room, {})
    stream.described(7, "ana@sfu", "Ana", HOME[0])
    stream.described(7, "eve", "Eve", "203.0.113.6")
    now = asyncio.get_running_loop().time()
    for number in range(3):
        stream.packet(packet(number, 7), HOME, now)
    assert room.joins == [("ssrc-00000007", "ana@sfu", "Ana")]
    stream.close()


async def test_two_ssrcs_that_alternate_do_not_keep_each_other_out() -> None:
    """One of them is heard, as whoever comes first is."""
    room = Room()
    (stream,) = streams(room, {"participant": {"id": "ana"}})
    now = asyncio.get_running_loop().time()
    for number in range(100):
        for ssrc in (1, 2):
            stream.packet(packet(number, ssrc), HOME, now)
    assert len(room.frames) == 100
    stream.close()


async def test_one_ssrc_at_two_ports_is_two_people() -> None:
    """Gateways count from 1, each of them: their tracks, ids and names are not the same."""
    room = Room()
    now = asyncio.get_running_loop().time()
    for stream in streams(room, {"port": 5004}, {"port": 5006}):
        for number in range(3):
            stream.packet(packet(number, 1), HOME, now)
        stream.goodbye(1, now)
    assert room.joins == [
        ("ssrc-00000001", "ssrc-00000001", "Speaker 1"),
        ("ssrc-00000001-2", "ssrc-00000001-2", "Speaker 1-2"),
    ]


def test_ids_of_tracks_are_unique() -> None:
    """Whatever people are called: `mix` is the track of everybody."""
    people = [
        {"port": 5000 + number, "participant": {"id": id_}} for number, id_ in enumerate(("a", "a", "a-2", "mix"))
    ]
    plans = plan(RtpSettings.model_validate({"streams": [*people, {"port": 6000, "mix": True}]}), 5004, None)
    assert [each.track_id for each in plans] == ["a", "a-2", "a-2-2", "mix-1", "mix-2"]


def test_streams_that_share_a_port_must_be_told_apart() -> None:
    """Also where only some of them name it: the packets of both would be the first one's."""
    people: list[dict[str, Any]] = [{"participant": {"id": "ana"}}, {"port": 5004, "participant": {"id": "bo"}}]
    given = {"meetingUrl": "rtp://0.0.0.0:5004", "rtp": {"streams": people}}
    (problem,) = load("rtp").problems(given)
    assert (problem.path, "ssrc of its own" in problem.allowed) == ("rtp.streams", True)
    apart = [each | {"ssrc": number} for number, each in enumerate(people)]
    for fine in (
        {"streams": apart},
        {"streams": people[:1]},
        {"streams": [people[0], people[1] | {"port": 5006}]},
        {"streams": people, "sdpFile": 1},
        {"streams": 1},
        {"streams": [1, None]},
    ):
        assert load("rtp").problems(given | {"rtp": fine}) == []
    assert load("rtp").problems(given | {"meetingUrl": "rtp://0.0.0.0"}) == []


def test_a_description_whose_streams_share_a_port() -> None:
    """They are told apart by the SSRC that each announces; where one does not, it is refused."""
    head = "v=0\no=- 0 0 IN IP4 192.0.2.1\ns=-\nt=0 0\n"
    ana, bo = (f"m=audio 5004 RTP/AVP 0\na=ssrc:{ssrc} cname:{name}\n" for ssrc, name in ((11, "ana"), (12, "bo")))
    plans = plan(RtpSettings(), 5004, head + ana + bo)
    assert [(each.stream.ssrc, each.names) for each in plans] == [(11, {11: "ana"}), (12, {12: "bo"})]
    with pytest.raises(SdpError, match="audio stream 2 shares port 5004"):
        plan(RtpSettings(), 5004, head + ana + "m=audio 5004 RTP/AVP 8\n")
