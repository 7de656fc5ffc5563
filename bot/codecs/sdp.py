"""SDP (RFC 8866): what a sender of plain RTP says about its audio streams, as far as a listener needs it.

A description is about where the *receiver* listens: the port of an `m=` line is ours. What nobody here understands
(video, codecs, attributes) is passed over; what would be misunderstood (SRTP, a number that is none) is an error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.codecs.formats import CODECS, STATIC, Format, format_of

MAX_CHARACTERS = 64 * 1024
MAX_STREAMS = 64
"""Audio streams in one description."""
MAX_SSRCS = 64
"""`a=ssrc` lines that are read of one stream."""
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""RFC 6464: the header extension by which each packet says how loud it is."""
_NUMBER = re.compile(r"[0-9]{1,10}")


class SdpError(ValueError):
    """Not a description of plain RTP audio; the message names the line."""


@dataclass(frozen=True, slots=True)
class Media:
    """One audio stream of a description.

    Args:
        port: Where we listen for it.
        formats: By payload type; only those that can be heard.
        rtcp_mux: RTCP comes to the same port.
        audio_level_id: The id of RFC 6464's header extension; None: it is not sent.
        names: SSRC → `cname` of those that were announced.
        source: Of `a=source-filter: incl`: the one address it comes from.
        title: Its `i=` line, else its `a=label`, else its `a=mid`.
    """

    port: int
    formats: Mapping[int, Format]
    rtcp_mux: bool = False
    audio_level_id: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    source: str | None = None
    title: str | None = None


@dataclass(slots=True)
class _Section:
    """What the lines of one `m=audio` add up to."""

    line: int
    port: int
    types: list[int]
    maps: dict[int, str] = field(default_factory=dict)
    rtcp_mux: bool = False
    audio_level_id: int | None = None
    names: dict[int, str] = field(default_factory=dict)
    source: str | None = None
    titles: dict[str, str] = field(default_factory=dict)


def parse_sdp(text: str) -> list[Media]:
    """The audio streams of a description, in its order; those with port 0 are not sent and left out.

    Raises:
        SdpError: No description, none of plain RTP, or no audio in it that can be heard.
    """
    if len(text) > MAX_CHARACTERS:
        raise SdpError(f"longer than {MAX_CHARACTERS} characters")
    sections: list[_Section] = []
    current: _Section | None = None
    source: str | None = None  # of the session: for every stream that has none of its own
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        key, separator, value = line.strip().partition("=")
        if len(key) != 1 or not separator:
            raise SdpError(f"line {number} is not of the form x=…")
        if number == 1 and key != "v":
            raise SdpError("it does not begin with v=0")
        if key == "m":
            current = _begin(value, number)
            if current is not None:
                sections.append(current)
        elif current is not None:
            _take(current, key, value)
        elif not sections and key == "a":
            source = _source_filter(value) or source
    if len(sections) > MAX_STREAMS:
        raise SdpError(f"more than {MAX_STREAMS} audio streams")
    found = [_media(section, source) for section in sections if section.port]
    if not found:
        raise SdpError("no audio stream in it (m=audio)")
    return found


def _begin(value: str, number: int) -> _Section | None:
    """The section of an `m=` line; None: it is not about audio."""
    kind, *rest = value.split()[:3] or [""]
    if kind != "audio":
        return None
    if len(rest) != 2:
        raise SdpError(f"line {number}: m=audio needs a port, a protocol and payload types")
    port, protocol = _number(rest[0].partition("/")[0], 65_535), rest[1]
    if port is None:
        raise SdpError(f"line {number}: no port")
    if protocol not in ("RTP/AVP", "RTP/AVPF"):
        raise SdpError(f"line {number}: {protocol[:32]!a} is not plain RTP (RTP/AVP, RTP/AVPF)")
    types = [_number(word, 127) for word in value.split()[3:]]
    if not types or len(types) > 128 or None in types:
        raise SdpError(f"line {number}: payload types are numbers from 0 to 127")
    return _Section(number, port, [kind for kind in types if kind is not None])


def _take(section: _Section, key: str, value: str) -> None:
    """One line of a section; what is not for us is passed over."""
    if key == "i":
        section.titles.setdefault("i", value)
    if key != "a":
        return
    name, _, rest = value.partition(":")
    words = rest.split()
    match name:
        case "rtpmap" if len(words) > 1 and (kind := _number(words[0], 127)) is not None:
            section.maps[kind] = words[1]
        case "rtcp-mux":
            section.rtcp_mux = True
        case "extmap" if len(words) > 1 and words[1] == AUDIO_LEVEL:
            section.audio_level_id = _number(words[0].partition("/")[0], 255)
        case "ssrc" if len(words) > 1 and len(section.names) < MAX_SSRCS:
            ssrc, (what, _, said) = _number(words[0], 2**32 - 1), words[1].partition(":")
            if ssrc is not None and what == "cname" and said:
                section.names[ssrc] = said
        case "label" | "mid" if rest:
            section.titles.setdefault(name, rest)
        case "source-filter":
            section.source = _source_filter(value) or section.source


def _source_filter(value: str) -> str | None:
    """The one address that `a=source-filter: incl IN IP4 destination source` lets in (RFC 4570).

    Raises:
        SdpError: It is a name: whom to let in must be known before the first packet.
    """
    name, _, rest = value.partition(":")
    words = rest.split()
    if name != "source-filter" or len(words) != 5 or words[0] != "incl":
        return None
    try:
        return str(ipaddress.ip_address(words[4]))
    except ValueError:
        raise SdpError(f"a=source-filter must name an IP address, not {words[4][:64]!a}") from None


def _media(section: _Section, source: str | None) -> Media:
    formats: dict[int, Format] = {}
    unknown = []
    for kind in section.types:
        written = section.maps.get(kind)
        if written is None:
            if kind in STATIC:
                formats[kind] = STATIC[kind]
            continue
        codec, rate, channels = (*written.split("/"), "", "")[:3]
        try:
            formats[kind] = format_of(codec, _number(rate, 10**6), _number(channels, 255))
        except ValueError:
            unknown.append(codec[:32])
    if not formats:
        said = f": {', '.join(unknown)}" if unknown else ""
        raise SdpError(f"line {section.line}: no codec that can be heard ({', '.join(CODECS)}){said}")
    title = next((section.titles[key] for key in ("i", "label", "mid") if key in section.titles), None)
    return Media(
        section.port,
        formats,
        section.rtcp_mux,
        section.audio_level_id,
        section.names,
        section.source or source,
        title,
    )


def _number(text: str, most: int) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= most else None
