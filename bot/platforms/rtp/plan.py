"""Plan of what is to be listened to: streams from parameters, or from a session description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from bot.codecs.formats import FIRST_DYNAMIC, STATIC, Format, format_of
from bot.codecs.sdp import MAX_CHARACTERS, Media, SdpError, parse_sdp
from bot.core.events import MIX_TRACK
from bot.platforms.rtp.settings import RtpSettings, RtpStream
from common.problems import reason


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream that is to come.

    Args:
        setting: Where it stands in the configuration, for messages.
        port: Where to listen; 0: any.
        formats: By payload type.
        stream: The rest, as it is configured.
        track_id: Of its one voice.
        names: SSRC → CNAME, as far as they were announced.
        mark: Goes behind the ids of its SSRCs: of the second stream on, since two senders may have one SSRC.
    """

    setting: str
    port: int
    formats: Mapping[int, Format]
    stream: RtpStream
    track_id: str
    names: Mapping[int, str] = field(default_factory=dict)
    mark: str = ""

    def heard_as(self, payload_type: int) -> Mapping[int, Format]:
        """The formats of a sender whose first packets had this payload type: where none was named, it is pinned."""
        is_named = len(self.formats) < 128 - FIRST_DYNAMIC
        return self.formats if is_named else {payload_type: self.formats[payload_type]}


def listening_address(url: str) -> tuple[str, int]:
    """Host and port of `rtp://host:port`; 0: any port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def description_of(sdp: str | None, sdp_file: str | None) -> str | None:
    """The session description, if there is one; reads its file.

    Raises:
        SdpError: The file cannot be read.
    """
    if sdp_file is None:
        return sdp
    try:
        with Path(sdp_file).open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SdpError(f"{sdp_file} cannot be read: {reason(error)}") from None


def plan(settings: RtpSettings, port: int, sdp: str | None) -> list[StreamPlan]:
    """What is to come, from what is configured.

    Args:
        settings: As configured.
        port: That of `meetingUrl`, for streams that name none.
        sdp: As `description_of` found it.

    Raises:
        SdpError: The description cannot be used, or there are more people than streams in it.
    """
    if sdp is not None:
        return _described(settings.streams, parse_sdp(sdp))
    tracks: set[str] = set()
    return [
        StreamPlan(
            f"rtp.streams[{place}]",
            port if stream.port is None else stream.port,
            formats(stream),
            stream,
            _track_id(stream, tracks),
            mark=_mark(place),
        )
        for place, stream in enumerate(settings.streams or (RtpStream(),))
    ]


def _mark(place: int) -> str:
    return f"-{place + 1}" if place else ""


def _track_id(stream: RtpStream, taken: set[str]) -> str:
    """The participant's id, numbered from their second track on; mixes are numbered from the first on."""
    name = stream.participant.id if stream.participant else MIX_TRACK
    ids = (name if number == 1 and name != MIX_TRACK else f"{name}-{number}" for number in count(1))
    found = next(each for each in ids if each not in taken)
    taken.add(found)
    return found


def formats(stream: RtpStream) -> dict[int, Format]:
    """By payload type, what a stream of these parameters may carry."""
    form = format_of(stream.codec, stream.clock_rate, stream.channels)
    if stream.payload_type is not None:
        return {stream.payload_type: form}
    return {kind: form for kind, known in STATIC.items() if known == form} or dict.fromkeys(
        range(FIRST_DYNAMIC, 128), form
    )


def _described(streams: Sequence[RtpStream], found: Sequence[Media]) -> list[StreamPlan]:
    if len(streams) > len(found):
        raise SdpError(f"it has {len(found)} audio streams, and rtp.streams names {len(streams)}")
    plans = []
    tracks: set[str] = set()
    ports = Counter(media.port for media in found)
    for place, media in enumerate(found):
        stream = streams[place] if place < len(streams) else RtpStream()
        told = stream.model_copy(
            update={
                "rtcp_mux": media.rtcp_mux,
                "audio_level_id": media.audio_level_id,
                "source": stream.source or media.source,
                "ssrc": _only_ssrc(place, media) if ports[media.port] > 1 else stream.ssrc,
            }
        )
        port = media.port if stream.port is None else stream.port
        setting = f"rtp.sdp, audio stream {place + 1}"
        plans.append(
            StreamPlan(setting, port, media.formats, told, _track_id(stream, tracks), media.names, _mark(place))
        )
    return plans


def _only_ssrc(place: int, media: Media) -> int:
    """By which a stream is told apart from others of its port. Raises SdpError."""
    if len(media.names) != 1:
        words = (
            f"audio stream {place + 1} shares port {media.port} with another: each needs one a=ssrc line with a cname"
        )
        raise SdpError(words)
    return next(iter(media.names))
