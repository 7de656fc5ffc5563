"""An SDP offer from mediasoup's dictionaries, as 3.11 and 3.13 give them, and as none should."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bot.codecs.levels import LEVEL_URI
from bot.platforms.mediasoup import sdp
from tests.support.examples import MALFORMED
from tests.support.garbage import garbage

FINGERPRINT = ":".join(["AB"] * 32)
TRANSPORT: dict[str, Any] = {
    "id": "c3c5",
    "iceParameters": {"usernameFragment": "gkxgcwp5", "password": "s0m3p4ss", "iceLite": True},
    "iceCandidates": [
        {
            "foundation": "udp",
            "priority": 1076302079,
            "ip": "198.51.100.1",
            "protocol": "udp",
            "port": 40001,
            "type": "host",
        },
        {"foundation": "tcp", "priority": 1076276479, "address": "2001:db8::1", "protocol": "tcp", "port": 40002},
    ],
    "dtlsParameters": {"role": "auto", "fingerprints": [{"algorithm": "sha-256", "value": FINGERPRINT}]},
}
OPUS = {"mimeType": "audio/opus", "payloadType": 100, "clockRate": 48000, "channels": 2}
PARAMETERS: dict[str, Any] = {
    "mid": "0",
    "codecs": [OPUS],
    "encodings": [{"ssrc": 3184534217}],
    "rtcp": {"cname": "ana"},
    "headerExtensions": [{"uri": LEVEL_URI, "id": 10}, {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 1}],
}


def test_an_offer_of_one_opus_track() -> None:
    """An ICE-lite offer with both candidates, the fingerprint, the payload type and the SSRC."""
    lines = sdp.offer(TRANSPORT, PARAMETERS).split("\r\n")
    assert lines[4:7] == ["a=ice-lite", "a=group:BUNDLE 0", "m=audio 7 UDP/TLS/RTP/SAVPF 100"]
    assert "a=candidate:udp 1 udp 1076302079 198.51.100.1 40001 typ host" in lines
    assert "a=candidate:tcp 1 tcp 1076276479 2001:db8::1 40002 typ host tcptype passive" in lines
    assert f"a=fingerprint:sha-256 {FINGERPRINT}" in lines
    assert "a=ssrc:3184534217 cname:ana" in lines
    assert [line for line in lines if line.startswith("a=extmap")] == [f"a=extmap:10 {LEVEL_URI}"]
    full = copy.deepcopy(TRANSPORT)
    del full["iceParameters"]["iceLite"]
    assert "a=ice-lite" not in sdp.offer(full, {**PARAMETERS, "rtcp": {}})


def put(where: str, value: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Transport and parameters with one value changed."""
    both: Any = copy.deepcopy({"transport": TRANSPORT, "parameters": PARAMETERS})
    *path, last = where.split(".")
    spot = both
    for step in path:
        spot = spot[int(step) if step.isdigit() else step]
    spot[int(last) if last.isdigit() else last] = value
    return both["transport"], both["parameters"]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("transport.iceParameters", None),
        ("transport.iceParameters.usernameFragment", "a\r\na=candidate:evil"),
        ("transport.iceParameters.password", 5),
        ("transport.iceCandidates.0.ip", "198.51.100.1 1"),
        ("transport.iceCandidates.0.protocol", "sctp"),
        ("transport.iceCandidates.0.type", "none"),
        ("transport.iceCandidates.0.port", 65_536),
        ("transport.iceCandidates.0.priority", True),
        ("transport.dtlsParameters.fingerprints.0.algorithm", "md5"),
        ("transport.dtlsParameters.fingerprints.0.value", "AB"),
        ("parameters.codecs", []),
        ("parameters.codecs", [{**OPUS, "mimeType": "audio/PCMU"}]),
        ("parameters.encodings", []),
        ("parameters.encodings.0.ssrc", -1),
        ("parameters.codecs.0.payloadType", 128),
        ("parameters.rtcp.cname", "a b"),
        ("parameters.headerExtensions.0.id", "1 x"),
        ("parameters.headerExtensions.0.id", 256),
    ],
)
def test_what_is_no_such_value_is_refused(where: str, value: object) -> None:
    """Nothing that is missing, of another kind or with characters of its own becomes a line."""
    with pytest.raises(ValueError, match=r"\w"):
        sdp.offer(*put(where, value))


def test_capabilities_of_a_device_that_hears_opus() -> None:
    """The router's own Opus and levels, nothing else; a router without Opus is said to have none."""
    video = {"mimeType": "video/VP8", "preferredPayloadType": 101}
    assert sdp.opus_of({"codecs": [video, OPUS, 5]}) == {"codecs": [OPUS], "headerExtensions": []}
    level = {"kind": "audio", "uri": LEVEL_URI, "preferredId": 10}
    others = [5, {**level, "uri": "x"}, {**level, "kind": "video"}]
    assert sdp.opus_of({"codecs": [OPUS], "headerExtensions": [*others, level]})["headerExtensions"] == [level]
    for capabilities in (None, {}, {"codecs": [video]}, {"codecs": "opus"}):
        with pytest.raises(ValueError, match="no Opus"):
            sdp.opus_of(capabilities)


def test_dtls_parameters_of_an_answer() -> None:
    """Every fingerprint that the answer has, and that we begin."""
    answer = f"v=0\r\na=fingerprint:sha-256 {FINGERPRINT.lower()}\r\na=setup:active\r\n"
    fingerprints = [{"algorithm": "sha-256", "value": FINGERPRINT}]
    assert sdp.dtls_parameters(answer) == {"role": "client", "fingerprints": fingerprints}
    with pytest.raises(ValueError, match="fingerprint"):
        sdp.dtls_parameters("v=0\r\n")


PLACES = (
    *("transport.iceParameters", "transport.iceCandidates", "transport.iceCandidates.0", "transport.dtlsParameters"),
    *("transport.dtlsParameters.fingerprints", "transport.iceParameters.password"),
    *("transport.iceCandidates.1.foundation", "parameters.codecs", "parameters.codecs.0", "parameters.encodings"),
    *("parameters.encodings.0.ssrc", "parameters.rtcp", "parameters.headerExtensions"),
)
KEYS = (
    *("mimeType", "payloadType", "ssrc", "cname", "usernameFragment", "password", "fingerprints", "algorithm", "value"),
    *("protocol", "type", "ip", "port", "priority", "foundation"),
)


def test_garbage_is_refused_and_adds_no_line() -> None:
    """Many values in any place: an offer whose lines are ours, or ValueError."""
    made = 0
    for number, value in enumerate(
        garbage(MALFORMED, KEYS, ("audio/opus", "udp", "host", 100, "sha-256", FINGERPRINT))
    ):
        what = value if number % 3 else next(iter(value.values()), None)
        try:
            offer = sdp.offer(*put(PLACES[number % len(PLACES)], [what] if number % 2 else what))
        except ValueError:
            continue
        made += 1
        assert offer.count("m=") == 1
        assert all(line == "" or line[1] == "=" for line in offer.split("\r\n"))
        assert "\n" not in offer.replace("\r\n", "")
    assert made
