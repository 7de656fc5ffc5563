"""Settings under the key `rtp`: which streams of plain RTP come, whose they are, and what decodes them."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bot.codecs.formats import FIRST_DYNAMIC, Codec, format_of
from bot.settings import Id, Milliseconds, Settings, Text, forbidden

MAX_STREAMS = 64
Engine = Literal["native", "gst", "ffmpeg"]


def _wrong(words: str) -> PydanticCustomError:
    return PydanticCustomError("rtp", "{text}", {"text": words})


def _check_source(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        ipaddress.ip_network(value)
    except ValueError:
        split_address(value)
    return value


def _check_peer(value: str | None) -> str | None:
    if value is not None:
        split_address(value)
    return value


def split_address(text: str) -> tuple[str, int]:
    """`192.0.2.1:5004` or `[2001:db8::1]:5004` as address and port.

    Raises:
        PydanticCustomError: It is neither, or an address that no bot is sent to.
    """
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise _wrong("an address with a port, such as 192.0.2.1:5004 or [2001:db8::1]:5004") from None
    if not 0 < number < 65_536 or (why := forbidden(f"rtp://{host}")):
        raise _wrong("a port from 1 to 65535" if not 0 < number < 65_536 else f"another address ({why})")
    return str(address), number


Source = Annotated[Text | None, AfterValidator(_check_source)]
Peer = Annotated[Text | None, AfterValidator(_check_peer)]


class RtpParticipant(Settings):
    """Whose voice a stream is."""

    id: Id = Field(description="`speaker_id` of the segments.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Display name; default: `id`."
    )


class RtpStream(Settings):
    """One stream of packets. Without `participant` and `mix`, each SSRC that comes is a participant of its own."""

    port: int | None = Field(
        default=None, ge=0, le=65_535, description="UDP port to listen at; 0: any; default: that of `meetingUrl`."
    )
    codec: Codec = Field(default="opus", description="What the packets carry.")
    payload_type: int | None = Field(
        default=None,
        ge=0,
        le=127,
        description="Default: the codec's own, 0 or 8; of others the first that comes.",
    )
    clock_rate: int | None = Field(default=None, ge=8_000, le=48_000, description="Hz, of l16; the others have one.")
    channels: Literal[1, 2] = Field(default=1, description="Of l16; two are mixed to one.")
    ssrc: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="Only these packets: so streams of one port are told apart.",
    )
    source: Source = Field(
        default=None,
        description="Where it comes from: address, address:port or network; default: pinned to the first that sends.",
    )
    peer: Peer = Field(
        default=None,
        description="address:port to send RTCP reports to, which opens the way to us (comedia).",
    )
    rtcp_mux: bool = Field(default=True, description="RTCP comes to the same port; false: to the next one.")
    audio_level_id: int | None = Field(
        default=None, ge=1, le=255, description="Id of the header extension with the audio level (RFC 6464)."
    )
    participant: RtpParticipant | None = Field(default=None, description="Whose voice it is.")
    mix: bool = Field(default=False, description="It is a mix of several people, of whom none is named.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.mix and self.participant is not None:
            raise _wrong("either a participant or a mix")
        try:
            format_of(self.codec, self.clock_rate, self.channels)
        except ValueError as error:
            raise _wrong(str(error)) from None
        if self.payload_type is not None and self.codec == "opus" and self.payload_type < FIRST_DYNAMIC:
            raise _wrong(f"a payloadType of opus is {FIRST_DYNAMIC} to 127")
        return self


class RtpSettings(Settings):
    """Plain RTP: what comes, and how it is decoded. Without streams: Opus, each SSRC a participant."""

    streams: tuple[RtpStream, ...] = Field(
        default=(),
        max_length=MAX_STREAMS,
        description="What comes. Beside an SDP the nth of them only says whose the nth audio stream of it is.",
    )
    sdp: Text | None = Field(default=None, description="A session description of what comes, in place of parameters.")
    sdp_file: Text | None = Field(default=None, description="Path of a file with it.")
    engine: Engine | None = Field(
        default=None,
        description="What decodes: native, or GStreamer or FFmpeg as a child process; else environment EGRESS_ENGINE, "
        "else native.",
    )
    engine_fallback: bool = Field(
        default=True,
        description="An engine that fails is followed by the next: gst, ffmpeg, native. false: we end.",
    )
    engine_timeout: Milliseconds = Field(
        default=5_000, description="Packets come and the engine gives no audio for so long, ms: it has failed."
    )
    left_timeout: Milliseconds = Field(
        default=300_000, description="Neither RTP nor RTCP of a participant for so long, ms: they have left."
    )

    @model_validator(mode="after")
    def _streams_can_be_told_apart(self) -> Self:
        if self.sdp is not None and self.sdp_file is not None:
            raise _wrong("only one of sdp and sdpFile")
        seen: dict[int | None, list[int | None]] = {}
        for stream in self.streams if self.sdp is None and self.sdp_file is None else ():
            if stream.port != 0:
                seen.setdefault(stream.port, []).append(stream.ssrc)
        for port, ssrcs in seen.items():
            if len(ssrcs) > 1 and (None in ssrcs or len(set(ssrcs)) < len(ssrcs)):
                where = "the port of meetingUrl" if port is None else f"port {port}"
                raise _wrong(f"streams of one port with an ssrc of its own each ({where} has {len(ssrcs)} streams)")
        return self
