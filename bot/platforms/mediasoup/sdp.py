"""An SDP offer from what mediasoup says of a transport and a consumer, and back: DTLS parameters from the answer.

mediasoup has no SDP: ORTC-like dictionaries take its place, and a client makes the description that its WebRTC stack
needs. One transport with one consumer gives one m-line. Every value goes into a line of text, so each is held to the
characters that it may have.
"""

from __future__ import annotations

import re
from typing import Any

from bot.codecs.levels import LEVEL_URI

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=:-]{1,256}")
_ADDRESS = re.compile(r"[A-Za-z0-9.:-]{1,255}")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")
_ALGORITHMS = ("sha-1", "sha-224", "sha-256", "sha-384", "sha-512")
_ANSWERED = re.compile(r"^a=fingerprint:(sha-[0-9]+) ([0-9A-Fa-f:]+)\r?$", re.MULTILINE)
MAX_CANDIDATES = 50
MAX_EXTENSION_ID = 255
MID = "0"


def opus_of(capabilities: object) -> dict[str, Any]:
    """RTP capabilities of a device that hears Opus and nothing else, and how loud it is: the router's own, of them.

    Raises:
        ValueError: The router has no Opus, or these are no RTP capabilities.
    """
    codecs = [one for one in _listed(capabilities, "codecs") if _is_opus(one)]
    if not codecs:
        raise ValueError("the router has no Opus")
    levels = [one for one in _listed(capabilities, "headerExtensions") if _is_level(one)]
    return {"codecs": codecs, "headerExtensions": levels}


def _listed(holder: object, key: str) -> list[Any]:
    """A list under a key; empty where there is none."""
    found = holder.get(key) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def _is_opus(codec: object) -> bool:
    return isinstance(codec, dict) and str(codec.get("mimeType")).lower() == "audio/opus"


def _is_level(extension: object) -> bool:
    return isinstance(extension, dict) and extension.get("uri") == LEVEL_URI and extension.get("kind") != "video"


def offer(transport: dict[str, Any], parameters: dict[str, Any]) -> str:
    """The offer that mediasoup would make.

    Args:
        transport: `iceParameters`, `iceCandidates` and `dtlsParameters` of a WebRtcTransport.
        parameters: `rtpParameters` of its one consumer.

    Raises:
        ValueError: Something is missing, or is not what it must be.
    """
    try:
        lines = [*_session(transport), *_media(transport, parameters)]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"mediasoup's parameters lack something: {error}") from None
    return "".join(f"{line}\r\n" for line in lines)


def dtls_parameters(answer: str) -> dict[str, Any]:
    """What `connectTransport` takes: our fingerprints, and that we begin. Raises ValueError: there is none."""
    found = [{"algorithm": algorithm, "value": value.upper()} for algorithm, value in _ANSWERED.findall(answer)]
    if not found:
        raise ValueError("the answer has no fingerprint")
    return {"role": "client", "fingerprints": found}


def _session(transport: dict[str, Any]) -> list[str]:
    lite = ["a=ice-lite"] if transport["iceParameters"].get("iceLite") is True else []
    return ["v=0", "o=mediasoup 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", *lite, f"a=group:BUNDLE {MID}"]


def _media(transport: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    codec = next(one for one in [*parameters["codecs"], {}] if _is_opus(one) or not one)
    if not codec:
        raise ValueError("the consumer is no Opus")
    payload_type = _number(codec["payloadType"], 127)
    ssrc = _number(parameters["encodings"][0]["ssrc"], 0xFFFFFFFF)
    cname = _token(parameters.get("rtcp", {}).get("cname", "mediasoup"))
    ice = transport["iceParameters"]
    candidates = [_candidate(one) for one in transport["iceCandidates"][:MAX_CANDIDATES]]
    return [
        f"m=audio 7 UDP/TLS/RTP/SAVPF {payload_type}",
        "c=IN IP4 127.0.0.1",
        f"a=rtpmap:{payload_type} opus/48000/2",
        "a=setup:actpass",
        f"a=mid:{MID}",
        "a=sendonly",
        f"a=ice-ufrag:{_token(ice['usernameFragment'])}",
        f"a=ice-pwd:{_token(ice['password'])}",
        *candidates,
        "a=end-of-candidates",
        *(_fingerprint(one) for one in transport["dtlsParameters"]["fingerprints"]),
        *(_extension(one) for one in _listed(parameters, "headerExtensions") if _is_level(one)),
        "a=rtcp-mux",
        f"a=ssrc:{ssrc} cname:{cname}",
    ]


def _candidate(one: dict[str, Any]) -> str:
    protocol = str(one["protocol"]).lower()
    if protocol not in ("udp", "tcp") or one.get("type", "host") not in ("host", "srflx", "prflx", "relay"):
        raise ValueError("an ICE candidate is of no known kind")
    address = str(one.get("address", one.get("ip")))  # `ip`: before mediasoup 3.13
    if not _ADDRESS.fullmatch(address):
        raise ValueError("an ICE candidate has no address")
    priority, port = _number(one["priority"], 0xFFFFFFFF), _number(one["port"], 0xFFFF)
    kind = f"typ {one.get('type', 'host')}" + (" tcptype passive" if protocol == "tcp" else "")
    return f"a=candidate:{_token(one['foundation'])} 1 {protocol} {priority} {address} {port} {kind}"


def _extension(one: dict[str, Any]) -> str:
    return f"a=extmap:{_number(one['id'], MAX_EXTENSION_ID)} {LEVEL_URI}"


def _fingerprint(one: dict[str, Any]) -> str:
    algorithm, value = str(one["algorithm"]).lower(), str(one["value"])
    if algorithm not in _ALGORITHMS or not _FINGERPRINT.fullmatch(value):
        raise ValueError("a DTLS fingerprint is none")
    return f"a=fingerprint:{algorithm} {value.upper()}"


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError("a value has characters that no SDP may hold there")
    return value


def _number(value: object, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise ValueError("a number is none, or too large")
    return value
