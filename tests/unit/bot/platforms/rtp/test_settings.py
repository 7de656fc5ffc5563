"""Settings of plain RTP, and the plan that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.codecs.formats import STATIC, Format
from bot.codecs.sdp import SdpError
from bot.config import BotConfig, ConfigError, load_config
from bot.platforms.rtp.plan import StreamPlan, description_of, listening_address, plan
from bot.platforms.rtp.settings import RtpSettings

SDP = (
    "v=0\no=- 0 0 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 5006 RTP/AVP 0 8\na=source-filter: incl IN IP4 * 192.0.2.7\n"
    "m=audio 5008 RTP/AVP 100\na=rtpmap:100 opus/48000/2\na=rtcp-mux\na=ssrc:7 cname:ben\n"
)
BASE = {"platform": "rtp", "meetingUrl": "rtp://0.0.0.0:5004", "redisUrl": "redis://h", "whisperLiveUrl": "ws://h"}


def loaded(**changes: Any) -> tuple[BotConfig, list[str]]:
    """A configuration with changes."""
    return load_config(json.dumps(BASE | changes), {}, in_container=False)


def problems(**changes: Any) -> dict[str, str]:
    """Path → what is allowed, of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        loaded(**changes)
    return {problem.path: problem.allowed for problem in caught.value.problems}


def planned(sdp: str | None = None, **settings: Any) -> list[StreamPlan]:
    """The streams of these settings."""
    return plan(RtpSettings.model_validate(settings), 5004, sdp)


@pytest.mark.parametrize(
    ("streams", "path", "words"),
    [
        ([{"mix": True, "participant": {"id": "a"}}], "rtp.streams[0]", "either a participant or a mix"),
        ([{"codec": "pcmu", "clockRate": 16_000}], "rtp.streams[0]", "the clock of pcmu has 8000 Hz"),
        ([{"codec": "l16"}], "rtp.streams[0]", "l16 needs a clock of 8000 to 48000 Hz"),
        ([{"codec": "opus", "payloadType": 8}], "rtp.streams[0]", "a payloadType of opus is 96 to 127"),
        ([{"source": "nobody"}], "rtp.streams[0].source", "an address with a port, such as 192.0.2.1:5004"),
        ([{"peer": "192.0.2.1"}], "rtp.streams[0].peer", "an address with a port"),
        ([{"peer": "192.0.2.1:0"}], "rtp.streams[0].peer", "a port from 1 to 65535"),
        ([{"peer": "169.254.169.254:80"}], "rtp.streams[0].peer", "another address"),
        ([{"port": 7.5}], "rtp.streams[0].port", "a valid integer"),
        ([{"participant": {"name": "Ana"}}], "rtp.streams[0].participant.id", "`speaker_id` of the segments"),
        (["ana"], "rtp.streams[0]", "an object"),
        ([{}, {}], "rtp", "with an ssrc of its own each (the port of meetingUrl has 2 streams)"),
        ([{"port": 7, "ssrc": 1}, {"port": 7, "ssrc": 1}], "rtp", "port 7 has 2 streams"),
    ],
)
def test_wrong_streams(streams: list[Any], path: str, words: str) -> None:
    """Each with its place in the list."""
    found = problems(rtp={"streams": streams})
    assert list(found) == [path]
    assert words in found[path]


def test_other_errors(tmp_path: Path) -> None:
    """Of the URL and of session descriptions, before anything is listened to."""
    assert "rtp://address:port" in problems(meetingUrl="https://h")["meetingUrl"]
    assert problems(meetingUrl=None).keys() == {"meetingUrl"}
    assert "another host" in problems(meetingUrl="rtp://239.1.1.1:5004")["meetingUrl"]
    assert "only one of sdp and sdpFile" in problems(rtp={"sdp": SDP, "sdpFile": "x"})["rtp"]
    assert "line 1" in problems(rtp={"sdp": "hello"})["rtp.sdp"]
    assert "No such file" in problems(rtp={"sdpFile": str(tmp_path / "none")})["rtp.sdpFile"]
    assert problems(rtp={"sdp": 7, "engine": "vlc"}).keys() == {"rtp.sdp", "rtp.engine"}


def test_unknown_keys_of_a_stream_are_named() -> None:
    """With their place, and what may have been meant."""
    _, warnings = loaded(
        rtp={"streams": [{}, {"port": 5006, "payload_types": 8, "participant": {"id": "a", "nam": ""}}]}
    )
    assert warnings == [
        "unknown key 'rtp.streams[1].payload_types' is ignored; did you mean rtp.streams[1].payloadType?",
        "unknown key 'rtp.streams[1].participant.nam' is ignored; did you mean rtp.streams[1].participant.name?",
    ]


def test_what_is_shown_of_them() -> None:
    """Streams as JSON, with defaults."""
    config, _ = loaded(rtp={"streams": [{"participant": {"id": "ana"}, "source": "192.0.2.0/24"}]})
    (stream,) = config.masked()["rtp"]["streams"]
    assert (stream["participant"], stream["source"], stream["port"]) == (
        {"id": "ana", "name": None},
        "192.0.2.0/24",
        None,
    )
    assert json.dumps(config.masked())


def test_without_settings_each_ssrc_is_somebody() -> None:
    """Opus, of the first payload type that comes."""
    (one,) = planned()
    assert (one.port, one.stream.participant, one.setting) == (5004, None, "rtp.streams[0]")
    assert set(one.formats) == set(range(96, 128))
    assert one.heard_as(100) == {100: Format("opus")}


def test_payload_types_that_need_no_words() -> None:
    """G.711 and L16 at 44.1 kHz have theirs; what is given is what counts."""
    streams = [
        {"port": 1, "codec": "pcmu"},
        {"port": 2, "codec": "pcma", "payloadType": 96},
        {"port": 3, "codec": "l16", "clockRate": 44_100, "channels": 2},
        {"port": 4, "codec": "l16", "clockRate": 16_000},
    ]
    first, second, third, fourth = planned(streams=streams)
    assert first.formats == first.heard_as(0) == {0: STATIC[0]}
    assert second.formats == {96: STATIC[8]}
    assert third.formats == {10: STATIC[10]}
    assert set(fourth.formats) == set(range(96, 128))


def test_tracks_of_one_person_and_mixes_have_ids_of_their_own() -> None:
    """A microphone, a second one, two mixes."""
    ana = {"participant": {"id": "ana"}}
    streams = [{"port": 1, **ana}, {"port": 2, **ana}, {"port": 3, "mix": True}, {"port": 4, "mix": True}]
    assert [each.track_id for each in planned(streams=streams)] == ["ana", "ana-2", "mix-1", "mix-2"]


def test_a_description_says_what_comes_and_settings_whose_it_is() -> None:
    """The nth stream of the one is the nth of the other."""
    ana, ben = planned(SDP, streams=[{"participant": {"id": "ana"}, "port": 9}])
    assert (ana.port, ana.formats, ana.stream.source, ana.stream.rtcp_mux) == (
        9,
        {0: STATIC[0], 8: STATIC[8]},
        "192.0.2.7",
        False,
    )
    assert ana.heard_as(8) == ana.formats
    assert (ben.port, ben.stream.participant, ben.stream.rtcp_mux, ben.names) == (5008, None, True, {7: "ben"})
    with pytest.raises(SdpError, match=r"2 audio streams, and rtp\.streams names 3"):
        planned(SDP, streams=[{"port": port} for port in (1, 2, 3)])


def test_descriptions_in_files(tmp_path: Path) -> None:
    """Read, or why not."""
    path = tmp_path / "x.sdp"
    path.write_text(SDP)
    assert description_of(None, str(path)) == SDP
    assert description_of("v=0", None) == "v=0"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SdpError, match="not UTF-8"):
        description_of(None, str(path))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rtp://0.0.0.0:5004", ("0.0.0.0", 5004)),
        ("rtp://10.0.0.1", ("10.0.0.1", 0)),
        ("rtp://[::]:5004", ("::", 5004)),
    ],
)
def test_where_to_listen(url: str, address: tuple[str, int]) -> None:
    """Without a port: any."""
    assert listening_address(url) == address
