"""Session descriptions, of senders that are well-behaved and others."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.formats import Format
from bot.codecs.sdp import MAX_CHARACTERS, MAX_STREAMS, Media, SdpError, parse_sdp
from tests.support.examples import MALFORMED

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
WHOLE = (
    HEAD
    + """a=source-filter: incl IN IP4 * 192.0.2.9
m=audio 5004 RTP/AVP 0 8 101
i=Ana
a=mid:0
a=rtpmap:101 telephone-event/8000
a=ssrc:1234 cname:ana
a=ssrc:1234 msid:x y
a=ssrc:no cname:ana
a=ssrc:5678 cname:
m=video 6000 RTP/AVP 96
a=rtpmap:96 VP8/90000
m=audio 5006/2 RTP/AVPF 100 97 13
a=rtpmap:100 opus/48000/2
a=rtpmap:97 L16/16000/1
a=fmtp:100 useinbandfec=1
a=rtcp-mux
a=label:ben
a=mid:1
a=extmap:7 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=source-filter: incl IN IP4 * 192.0.2.7
a=source-filter: excl IN IP4 * 192.0.2.8
m=audio 0 RTP/AVP 0
"""
)


def test_what_a_listener_needs() -> None:
    """Ports, formats, names, where it comes from, the audio level; video and the rest are passed over."""
    ana, ben = parse_sdp(WHOLE.replace("\n", "\r\n"))
    assert ana == Media(
        5004,
        {0: Format("pcmu", 8_000), 8: Format("pcma", 8_000)},
        names={1234: "ana"},
        source="192.0.2.9",
        title="Ana",
    )
    assert ben == Media(
        5006,
        {100: Format("opus"), 97: Format("l16", 16_000)},
        rtcp_mux=True,
        audio_level_id=1,
        source="192.0.2.7",
        title="ben",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no audio stream"),
        ("m=audio 5004 RTP/AVP 0", "does not begin with v=0"),
        ("hello", "line 1"),
        (HEAD, "no audio stream"),
        (HEAD + "m=audio 5004 RTP/SAVPF 111", "not plain RTP"),
        (HEAD + "m=audio 5004", "line 6: m=audio needs"),
        (HEAD + "m=audio x RTP/AVP 0", "no port"),
        (HEAD + "m=audio 70000 RTP/AVP 0", "no port"),
        (HEAD + "m=audio 5004 RTP/AVP", "payload types"),
        (HEAD + "m=audio 5004 RTP/AVP 0 128", "payload types"),
        (HEAD + "m=audio 5004 RTP/AVP 9\na=rtpmap:9 G722/8000", "no codec that can be heard .*G722"),
        (HEAD + "m=audio 5004 RTP/AVP 9", "no codec that can be heard"),
        (HEAD + "m=audio 5004 RTP/AVP 0\n" * (MAX_STREAMS + 1), "more than 64"),
        ("v" * (MAX_CHARACTERS + 1), "longer than"),
        (HEAD + "m=audio 5004 RTP/AVP 0\na=source-filter: incl IN IP4 * sfu.example.com", "must name an IP address"),
        (HEAD + "m=\n", "no audio stream"),
    ],
)
def test_no_use(text: str, words: str) -> None:
    """Each has its words."""
    with pytest.raises(SdpError, match=words):
        parse_sdp(text)


@given(st.text(max_size=300))
def test_anything(text: str) -> None:
    """No text raises anything but SdpError."""
    for each in (text, HEAD + text, HEAD + "m=audio 5004 RTP/AVP 0\n" + text):
        try:
            parse_sdp(each)
        except SdpError:
            continue


@pytest.mark.timeout(120)
def test_thousands_malformed() -> None:
    """A description with characters changed, cut, doubled or moved: streams, or SdpError."""
    chance = random.Random(13)
    whole = WHOLE[WHOLE.index("a=source") :]
    for _ in range(MALFORMED):
        text = whole
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text) + 1)
            new = chance.choice(("", "\0", "\n", ":", "=", "\u2028", str(chance.randrange(10**12)), text[at : at + 50]))
            text = text[:at] + new + text[at + chance.choice((0, 1, 1, 100)) :]
        with contextlib.suppress(SdpError):
            assert parse_sdp(HEAD + text)
